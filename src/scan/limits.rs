//! How much of an image is read before it is given up: beyond is incomplete, never clean.

use std::time::Duration;

use super::catalog;
use crate::oci::Digest;

/// The bounds of a scan; each is a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer, inflated.
    pub layer_bytes: u64,
    /// How many times its compressed size a layer may have, once it has [`Self::ratio_from_bytes`].
    pub ratio: u64,
    /// Inflated bytes from which on the ratio counts.
    pub ratio_from_bytes: u64,
    /// Entries of one layer.
    pub entries: u64,
    /// Bytes of a path, links' targets included.
    pub path_bytes: usize,
    /// Segments of a path.
    pub path_depth: usize,
    /// Bytes of extended headers (PAX, GNU long names) of one entry.
    pub header_bytes: u64,
    /// Bytes of a file that says what is installed.
    pub file_bytes: u64,
    /// Bytes of a distribution's package database.
    pub database_bytes: u64,
    /// Bytes of a program that is looked into.
    pub program_bytes: u64,
    /// Bytes of a Java archive.
    pub archive_bytes: u64,
    /// Archives within archives.
    pub archive_depth: usize,
    /// Bytes of one archive with all that is in it, inflated.
    pub archive_inflated_bytes: u64,
    /// Packages of one image.
    pub packages: usize,
    /// Links that are followed for one path.
    pub links: usize,
    /// Nesting of JSON documents.
    pub json_depth: usize,
    /// Time for one layer.
    pub time: Duration,
}

impl Limits {
    /// What it hangs on how much is read, in short: these bounds and the catalogs of this program. What
    /// could not be read under one may be read under another.
    pub fn reading(&self) -> Digest {
        Digest::sha256(format!("{} {self:?}", catalog::VERSION).as_bytes())
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            layer_bytes: 8 * 1024 * MIB,
            ratio: 200,
            ratio_from_bytes: 64 * MIB,
            entries: 1_000_000,
            path_bytes: 4_096,
            path_depth: 255,
            header_bytes: MIB,
            file_bytes: 16 * MIB,
            database_bytes: 64 * MIB,
            program_bytes: 128 * MIB,
            archive_bytes: 128 * MIB,
            archive_depth: 4,
            archive_inflated_bytes: 1024 * MIB,
            packages: 100_000,
            links: 40,
            json_depth: 64,
            time: Duration::from_mins(5),
        }
    }
}
