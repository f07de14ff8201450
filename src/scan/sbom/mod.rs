//! Bills of materials: what is in an image, in the two forms that other programs read.
//!
//! The same image read by the same program gives the same bytes: nothing of them is random, and their
//! time is what the caller says. Packages are written one by one, so that a bill costs little more
//! than its own bytes.
//!
//! A bill lists what was read. That something could not be read stands in it, in the words of each form:
//! nobody shall take a list with holes for a whole one.

mod cyclonedx;
mod purl;
pub(in crate::scan) mod read;
mod spdx;
#[cfg(test)]
mod tests;

use std::io;

use serde::Serialize;

use super::{Inventory, Package};
use crate::oci::{Algorithm, Digest, Hasher, Name, Platform};
use crate::time::Timestamp;

pub use purl::package_url;
pub use read::{Attested, AttestedBill, BillError};

/// Gaps that are told one by one.
const GAPS_MAX: usize = 1_000;
/// This program, in the words of both forms.
const TOOL: &str = "pratique";
const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The forms in which a bill of materials is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SbomFormat {
    /// CycloneDX 1.6, as JSON.
    ///
    /// Spec: <https://cyclonedx.org/docs/1.6/json/>
    CycloneDx,
    /// SPDX 2.3, as JSON.
    ///
    /// Spec: <https://spdx.github.io/spdx-spec/v2.3/>
    Spdx,
}

impl SbomFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::CycloneDx, Self::Spdx];

    /// Its media type, by which it is an artifact in a registry too.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
        }
    }

    /// What a file of it is called, by the custom of its makers.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "bom.cdx.json",
            Self::Spdx => "bom.spdx.json",
        }
    }
}

/// The bill of materials of one image.
#[derive(Debug, Clone, Copy)]
pub struct Sbom<'a> {
    /// The repository that the image is in; `None` where it is in none, such as in a folder.
    pub name: Option<&'a Name>,
    /// Its manifest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: Option<&'a Platform>,
    /// What is in it.
    pub inventory: &'a Inventory,
    /// When it was made; whole seconds are written.
    pub at: Timestamp,
}

impl Sbom<'_> {
    /// The bill as a document; `None` when that is longer than `bytes_max`.
    pub fn to_bytes(&self, format: SbomFormat, bytes_max: usize) -> Option<Vec<u8>> {
        let mut bounded = Bounded { bytes: Vec::new(), bytes_max };
        let written = match format {
            SbomFormat::CycloneDx => serde_json::to_writer(&mut bounded, &cyclonedx::bill(self)),
            SbomFormat::Spdx => serde_json::to_writer(&mut bounded, &spdx::bill(self)),
        };
        // Nothing in it has a form that JSON lacks: only the bound can be in the way.
        written.is_ok().then_some(bounded.bytes)
    }

    /// What the image is called.
    fn title(&self) -> String {
        self.name.map_or_else(|| self.digest.to_string(), ToString::to_string)
    }

    /// Its time as both forms want it: RFC 3339 in UTC, whole seconds.
    fn time(&self) -> String {
        let milliseconds = self.at.milliseconds();
        let whole = milliseconds.saturating_sub(milliseconds.rem_euclid(1000));
        Timestamp::from_milliseconds(whole).to_string()
    }

    /// A UUID that is the same for the same bill, and another for every other.
    ///
    /// Spec: <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8>
    fn uuid(&self, format: SbomFormat) -> String {
        const VERSION: u128 = 8 << 76;
        const VERSION_BITS: u128 = 0xf << 76;
        const VARIANT: u128 = 0b10 << 62;
        const VARIANT_BITS: u128 = 0b11 << 62;
        let mut hashing = Hashing(Algorithm::Sha256.hasher());
        let (title, time, platform) = (self.title(), self.time(), self.platform);
        let told = (format.media_type(), TOOL_VERSION, title, self.digest, platform, time);
        // Hashing does not fail, and neither does writing texts as JSON.
        drop(serde_json::to_writer(&mut hashing, &(told, self.inventory)));
        let digest = hashing.0.finish();
        let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        let random = u128::from_be_bytes(first) & !VERSION_BITS & !VARIANT_BITS;
        let hex = format!("{:032x}", random | VERSION | VARIANT);
        let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        parts.map(|(start, end)| hex.get(start..end).unwrap_or_default()).join("-")
    }

    /// What could not be read, a text for each, the number of them bounded.
    fn gaps(&self) -> Vec<String> {
        let gaps = &self.inventory.gaps;
        let text = |gap: &super::Gap| {
            let layer = gap.layer.map(|layer| format!(" (layer {layer})")).unwrap_or_default();
            format!("not read: {gap}{layer}")
        };
        let mut texts: Vec<String> = gaps.iter().take(GAPS_MAX).map(text).collect();
        if let Some(more @ 1..) = gaps.len().checked_sub(GAPS_MAX) {
            texts.push(format!("not read: {more} more like these"));
        }
        texts
    }

    /// The package URL of the image.
    fn image_url(&self) -> String {
        purl::image_url(self.name, &self.digest, self.platform)
    }

    fn package_url(&self, package: &Package) -> Option<String> {
        package_url(package, self.inventory.distribution.as_ref())
    }
}

/// A list that is written item by item, and never held whole.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Bytes up to a bound.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(more.len()) > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of which only the hash is wanted.
struct Hashing(Hasher);

impl io::Write for Hashing {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.0.update(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
