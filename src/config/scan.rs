//! `[scan]`: the vulnerability database, and how much of an image is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::section::Section;
use crate::mirror::{Brake, ScanSettings};
use crate::scan::Limits;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// The name of the database in the data directory.
const DATABASE_FILE: &str = "vulnerabilities.db";

/// Where the database is, unless the settings say otherwise.
pub(super) fn database_in(data_dir: &Path) -> PathBuf {
    data_dir.join(DATABASE_FILE)
}

/// Where the vulnerability database is fetched from when somebody calls for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSettings {
    /// Addresses of feeds that it is made of.
    pub feeds: Vec<String>,
    /// The address of a finished one, or the artifact that has it; wins over `feeds`.
    pub from: Option<String>,
    /// The public key, in PEM, that must have signed the finished one.
    pub key: Option<PathBuf>,
}

fn update(block: Section<'_>) -> UpdateSettings {
    let feeds: Vec<String> = block.list("feeds").into_iter().flatten().map(str::to_owned).collect();
    if let Some(feed) = feeds.iter().find(|url| !is_address(url)) {
        block.problem("feeds", format!("{feed:?} is not an address like https://host/path"));
    }
    let from = block.text("from").map(|found| found.value.to_owned());
    let key = block.file("key").map(|found| found.value);
    if from.is_some() && key.is_none() && !block.has("key") {
        block.problem("from", "needs key: a finished database is taken only with a signature");
    }
    block.finish();
    UpdateSettings { feeds, from, key }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// How images are scanned, and where the database is fetched from.
pub(super) fn read(block: Section<'_>, data_dir: &Path) -> (ScanSettings, UpdateSettings) {
    let default = ScanSettings::default();
    let limits = &default.limits;
    let size = |key, most: u64, otherwise: u64| block.size(key, MIB..=most).unwrap_or(otherwise);
    let count = |key, most: u64, otherwise: u64| block.number(key, 1..=most).unwrap_or(otherwise);
    let time = |key, otherwise| block.duration(key, SECOND..=DAY).unwrap_or(otherwise);
    let small = |key, most: u64, otherwise: usize| {
        let number = block.number(key, 1..=most).and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(otherwise)
    };
    let share = |text: &str| {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<u16>().ok());
        let percent = percent.filter(|percent| *percent <= 100);
        percent.ok_or_else(|| format!("{text:?} is not a percentage like \"2%\""))
    };
    let brake = block.parsed("brake", share).map(|found| Brake { share: found.value * 100 });
    let limits = Limits {
        layer_bytes: size("layer_size", TIB, limits.layer_bytes),
        ratio: count("ratio", 100_000, limits.ratio),
        ratio_from_bytes: size("ratio_from", TIB, limits.ratio_from_bytes),
        entries: count("max_entries", 100_000_000, limits.entries),
        header_bytes: block.size("header_size", KIB..=GIB).unwrap_or(limits.header_bytes),
        file_bytes: size("file_size", GIB, limits.file_bytes),
        database_bytes: size("package_database_size", GIB, limits.database_bytes),
        program_bytes: size("program_size", 4 * GIB, limits.program_bytes),
        archive_bytes: size("archive_size", 4 * GIB, limits.archive_bytes),
        archive_inflated_bytes: size("archive_inflated", TIB, limits.archive_inflated_bytes),
        packages: small("max_packages", 10_000_000, limits.packages),
        time: time("layer_timeout", limits.time),
        ..limits.clone()
    };
    let database = block.file("database").map(|found| found.value);
    let settings = ScanSettings {
        database: Some(database.unwrap_or_else(|| database_in(data_dir))),
        limits,
        facts_bytes: size("facts", TIB, default.facts_bytes),
        time: time("timeout", default.time),
        brake: brake.unwrap_or(default.brake),
        ..default
    };
    let update = update(block.section("update"));
    block.finish();
    (settings, update)
}
