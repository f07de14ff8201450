//! What nodes run beside their container runtime so that it asks Pratique.
//!
//! Each program here is small, static and asks what any client could ask: a plugin knows nothing of the
//! mirror but its node protocol and the summaries that it signs.

pub mod credential;
pub mod verifier;
