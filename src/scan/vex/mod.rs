//! VEX: what somebody says about vulnerabilities in an image, by OpenVEX and by CycloneDX.
//!
//! Promises:
//! - A statement is about what its products name, by digest or by package URL, and about nothing else.
//! - Of all statements about one finding the last decides; where two are of one moment, the one that
//!   says less good.
//! - What is not understood never takes a finding away, and is told.
//! - Everything is bounded: bytes, statements, names, texts.
//!
//! Who said it, and whether that counts, is not known here.

mod cyclonedx;
mod format;
#[cfg(feature = "fuzzing")]
pub(in crate::scan) mod fuzzing;
mod openvex;
mod places;
mod product;
mod purl;
mod said;
mod sink;
mod statement;
#[cfg(test)]
mod tests;

pub use format::{Format, VexError};
pub use openvex::JUSTIFICATIONS;
pub use product::{Component, Image, Product};
pub use purl::{Purl, PurlError};
pub use said::Said;
pub use statement::{Document, Statement, Status};
