//! The policy document: parse, lint, match. Pure.
