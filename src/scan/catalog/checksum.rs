//! Checksums of files, as the lists of package managers have them.
//!
//! They tell whether a file is still the one that was installed. They are no proof against who made the
//! list, and two of them are none against anybody: nothing is trusted for them, only double
//! listing is saved.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::md5::md5;
use crate::oci::Digest;

/// A checksum, by how it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::scan) enum Checksum {
    Md5([u8; 16]),
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

/// What is no checksum of a known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no checksum in hexadecimal digits")]
pub(in crate::scan) struct NoChecksum;

impl Checksum {
    /// One by its bytes: how many there are says how it was made.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let md5 = bytes.try_into().map(Self::Md5);
        let sha1 = md5.or_else(|_| bytes.try_into().map(Self::Sha1));
        sha1.or_else(|_| bytes.try_into().map(Self::Sha256)).ok()
    }

    /// Each kind of it, of all of a file's contents.
    pub(in crate::scan) fn all_of(contents: &[u8]) -> Vec<Self> {
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, contents);
        let sha256 = Digest::sha256(contents);
        let others = [sha1.as_ref(), sha256.as_bytes()].into_iter().filter_map(Self::of_bytes);
        [Self::Md5(md5(contents))].into_iter().chain(others).collect()
    }

    /// Whether a file at this path may be one of a distribution's package: below `usr` or `lib`, and not
    /// where administrators and vendors put what is theirs.
    pub(in crate::scan) fn counts_at(path: &str) -> bool {
        let Some((first, rest)) = path.split_once('/') else { return false };
        first.starts_with("lib") || (first == "usr" && !rest.starts_with("local/"))
    }
}

impl FromStr for Checksum {
    type Err = NoChecksum;

    fn from_str(digits: &str) -> Result<Self, NoChecksum> {
        let bytes = hex::decode(digits).map_err(|_| NoChecksum)?;
        Self::of_bytes(&bytes).ok_or(NoChecksum)
    }
}

impl TryFrom<String> for Checksum {
    type Error = NoChecksum;

    fn try_from(digits: String) -> Result<Self, NoChecksum> {
        digits.parse()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Md5(bytes) => hex::encode(bytes),
            Self::Sha1(bytes) => hex::encode(bytes),
            Self::Sha256(bytes) => hex::encode(bytes),
        })
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_one_of_each_kind() {
        let digits: Vec<_> = Checksum::all_of(b"abc").iter().map(ToString::to_string).collect();
        let expected = [
            "900150983cd24fb0d6963f7d28e17f72",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ];
        assert_eq!(digits, expected);
        for digits in expected {
            assert_eq!(digits.parse::<Checksum>().unwrap().to_string(), digits);
        }
        for none in ["", "abc", "zz", "900150983cd24fb0d6963f7d28e17f", "é"] {
            assert_eq!(none.parse::<Checksum>(), Err(NoChecksum), "{none}");
        }
    }

    #[test]
    fn no_distribution_has_files_but_below_usr_and_lib() {
        for path in ["usr/bin/x", "usr/lib/x", "lib/x", "lib64/x", "usr/localx/y"] {
            assert!(Checksum::counts_at(path), "{path}");
        }
        for path in ["usr/local/bin/x", "opt/x/y", "app/x", "bin/x", "usr", "lib", "", "usrx/lib"] {
            assert!(!Checksum::counts_at(path), "{path}");
        }
    }
}
