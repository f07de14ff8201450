//! Real records, where they are at hand (`PRATIQUE_TEST_DATA`).

use std::fs::File;

use crate::scan::database::testing::{builder, finished, shared};

/// The archives, how many records each has, and how many of those were withdrawn.
pub(in crate::scan) const ARCHIVES: [(&str, u64, u64); 7] = [
    ("AlmaLinux", 527, 0),
    ("Alpine-secdb-2020", 7_058, 0),
    ("Bitnami", 1_478, 0),
    ("Debian-DSA-DLA-to-2023-03", 3_389, 0),
    ("Debian-derived-from-changelogs", 133, 0),
    ("Go", 2_550, 9),
    ("PyPI", 1_584, 6),
];

#[test]
fn every_record_of_every_archive_is_read() {
    let mut builder = builder();
    let mut skipped = 0;
    for (name, records, withdrawn) in ARCHIVES {
        let Some(path) = shared(&format!("scan/osv/{name}.zip")) else {
            skipped += 1;
            continue;
        };
        let feed = builder.add_osv_zip(File::open(path).unwrap(), name, None).unwrap();
        let counts = (feed.records, feed.withdrawn, feed.unreadable.len(), feed.ignored);
        assert_eq!(counts, (records, withdrawn, 0, 0), "{name}");
    }
    if skipped > 0 {
        println!("skipped: {skipped} archives, PRATIQUE_TEST_DATA has no scan/osv");
    }
    if skipped < ARCHIVES.len() {
        let (file, summary) = finished(builder).unwrap();
        let live: u64 = summary.status.feeds.iter().map(|feed| feed.records - feed.withdrawn).sum();
        assert_eq!(u64::from(summary.status.records) + summary.status.superseded, live);
        println!("{} records, {} bytes", summary.status.records, file.len());
    }
}
