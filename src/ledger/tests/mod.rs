//! What the ledger promises, tried.
