//! The bypass canary: tries every way around the mirror with what really pulls on a node.
//!
//! Promises:
//! - A way is `closed` only where something tried it and was refused by the mirror itself: that nothing
//!   came past is not enough where nobody heard the mirror say no.
//! - What could not be tried is said, and is not closed.
//! - A pull leaves nothing behind: its image is removed again, unless it was there before.
//! - Everything is bounded: the time of each pull, what a runtime may answer, what the decoy serves.
//!
//! A way around is found without any network by a *decoy*, a registry on the node's own loopback address
//! that nobody configured: only what goes past the mirror ever reaches it.
//!
//! It must not decide what is admitted, and it knows no policy.

mod ask;
mod decoy;
mod egress;
mod image;
mod judged;
mod report;
mod run;
pub mod runtime;

pub use ask::{MirrorAccess, MirrorError};
pub use report::{Every, FINDINGS_MAX, Finding, NodeName, OPENINGS_MAX, Report, State, Way};
pub use run::{Doctor, DoctorError, Plan};
