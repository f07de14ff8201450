//! Scanners elsewhere that judge an image beside the one here.
//!
//! Promises: what they say is read strictly and within bounds, and what they do not say is not taken for
//! nothing found; none is waited for longer than its setting allows.
//! It must not: decide anything, or get an image: whoever asks has one ready.

mod harbor;

pub use harbor::{HarborError, HarborJob, HarborScanner, HarborSettings};
