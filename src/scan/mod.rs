//! The scanner: what is in an image, and what is known against it. Bytes and a database in, an
//! inventory and a report out.
//!
//! Promises:
//! - What could not be read, was too much, or is not understood is a [`Gap`] of its own: an image with
//!   gaps is incomplete, and never clean.
//! - A layer is read once, in the stream in which it arrives; nothing of it is written to disk, and no
//!   path of it is ever a path of this machine.
//! - What was learnt of a layer is shared by all images that have it, and what counts is the merged
//!   view: whiteouts, links and replaced files as a node would see them.
//! - A finding rests on a comparison that succeeded; what cannot be compared is said to be unknown.
//! - Everything is bounded: bytes, entries, depth, ratio, memory.
//!
//! It must not: judge (that is the gate's), fetch, or run on the runtime's workers.

mod catalog;
mod cvss;
pub mod database;
mod distribution;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod inventory;
mod known;
mod layer;
mod limits;
mod matching;
mod merge;
mod package;
mod report;
mod reported;
mod sbom;
mod version;
pub mod vex;

#[cfg(test)]
mod tests;

pub use database::{Database, DatabaseError};
pub use distribution::{Distribution, EndOfLife, Feed, FeedNames};
pub use inventory::{Gap, GapKind, Inventory};
pub use layer::LayerFacts;
pub use limits::Limits;
pub use merge::{Layer, Merged, Wanted};
pub use package::{Package, PackageKind, SourcePackage};
pub use report::{DatabaseId, Finding, Fix, Report, Severity, Unmatched, UnmatchedKind};
pub use reported::{
    Asked, HARBOR_REPORT_BYTES_MAX, HarborAsked, HarborReportError, REPORT_BYTES_MAX, ReportError,
    Reported,
};
pub use sbom::{Attested, AttestedBill, BillError, Sbom, SbomFormat, package_url};
