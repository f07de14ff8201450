//! The registry client: bounded, authenticated, filtered.
