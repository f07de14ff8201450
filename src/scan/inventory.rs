//! What an image has, as far as it could be read.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Distribution, Package};
use crate::oci::Digest;

/// What is in an image: the merged view of its layers. Sorted and without duplicates, so that equal
/// images give equal inventories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What the image says it is, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Its packages.
    pub packages: Vec<Package>,
    /// What could not be read. Not empty: the image is incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

impl Inventory {
    /// Whether all of the image could be read.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// About how many bytes it has as JSON, rather more than fewer: texts that have to be escaped have more.
    pub fn json_bytes(&self) -> usize {
        /// Of the names of all fields, and what stands between them.
        const RECORD_BYTES: usize = 160;
        let package = |package: &Package| {
            let source = package.source.as_ref();
            let source = source.map_or(0, |source| source.name.len() + source.version.len());
            let optional = [&package.architecture, &package.module];
            let optional: usize = optional.into_iter().flatten().map(String::len).sum();
            let named = package.name.len() + package.version.len() + package.found_in.len();
            RECORD_BYTES + named + source + optional
        };
        let gap = |gap: &Gap| {
            let path = gap.path.as_ref().map_or(0, String::len);
            2 * RECORD_BYTES + path + gap.text.len()
        };
        let packages: usize = self.packages.iter().map(package).sum();
        2 * RECORD_BYTES + packages + self.gaps.iter().map(gap).sum::<usize>()
    }
}

/// Something of an image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// Why not.
    pub kind: GapKind,
    /// Where: a path in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The layer it is in, by the digest of its blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// In words, printable ASCII, bounded: what was wrong, and the bound by its name if one was reached.
    pub text: String,
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// A bound was reached.
    Limit,
    /// It is not what its place or name says, or it is damaged.
    Malformed,
    /// It is of a kind that the scanner does not read.
    Unsupported,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{PackageKind, SourcePackage};

    #[test]
    fn room_for_its_json_is_enough_and_not_much_more() {
        let mut package = Package::new(PackageKind::Composer, "name", "1.0", "lib/installed.json");
        package.architecture = Some("amd64".to_owned());
        package.module = Some("stream".to_owned());
        package.source = Some(SourcePackage { name: "source".to_owned(), version: "2".to_owned() });
        let gap = Gap {
            kind: GapKind::Unsupported,
            path: Some("a/path".to_owned()),
            layer: Some(Digest::sha256(b"layer")),
            text: "it is not read".to_owned(),
        };
        let distribution =
            Some(Distribution { id: "debian".to_owned(), ..Distribution::default() });
        let full = Inventory { distribution, packages: vec![package; 50], gaps: vec![gap; 50] };
        for inventory in [Inventory::default(), full] {
            let (room, needed) =
                (inventory.json_bytes(), serde_json::to_vec(&inventory).unwrap().len());
            assert!(room >= needed, "{room} {needed}");
            assert!(room <= 2 * needed + 400, "{room} {needed}");
        }
    }
}
