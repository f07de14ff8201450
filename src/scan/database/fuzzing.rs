//! Fuzz target for what a database is made of, and for its file.

use std::io::Cursor;

use bytes::Bytes;

use super::{Builder, Database};
use crate::oci::Digest;
use crate::scan::{Distribution, Inventory, Package, PackageKind, Report};
use crate::time::Timestamp;

/// When it is.
const NOW: Timestamp = Timestamp::from_milliseconds(1_795_392_000_000);
/// A record that is always there, of a package that is always affected.
const RECORD: &[u8] = br#"{"id":"A-1","aliases":["CVE-2026-1"],"affected":[{"package":
    {"ecosystem":"npm","name":"always"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}"#;

/// A record, an archive of records, a catalogue, a list of likelihoods or a whole file; the first byte
/// says which. Whatever is imported makes a file that opens and answers the same each time; whatever is
/// beside a record, the record is still known; and no file makes its reader panic.
pub(crate) fn database(bytes: &[u8]) {
    let Some((&kind, contents)) = bytes.split_first() else { return };
    let mut builder = Builder::at(NOW);
    let read = match kind % 5 {
        0 => {
            let record = [Ok(("x.json".to_owned(), contents.to_vec()))];
            builder.add_osv_records(record, "records", None).is_ok()
        }
        1 => builder.add_osv_zip(Cursor::new(contents), "archive", None).is_ok(),
        2 => builder.add_kev(contents, "kev", None).is_ok(),
        3 => builder.add_epss(contents, "epss", None).is_ok(),
        _ => return any_file(contents),
    };
    if !read {
        return;
    }
    let record = [Ok(("a.json".to_owned(), RECORD.to_vec()))];
    let added = builder.add_osv_records(record, "always", None).is_ok();
    assert!(added, "a good record is refused after another feed");
    let mut file = Vec::new();
    let Ok(summary) = builder.finish(&mut file) else { return };
    assert_eq!(summary.digest, Digest::sha256(&file), "the digest is another file's");
    let opened = Database::open(Bytes::from(file));
    assert!(opened.is_ok(), "what was written is not read: {:?}", opened.err());
    let Ok(database) = opened else { return };
    let first = report(&database);
    assert!(first == report(&database), "two answers");
    let Some(report) = first else { return };
    let is_known = report.findings.iter().any(|finding| finding.package.name == "always");
    // A feed may supersede the record, by its id, or have more to say than a report holds.
    let may_differ = summary.status.superseded > 0 || !report.gaps.is_empty();
    assert!(is_known || may_differ, "a record is forgotten");
}

/// A file whose checksum nobody looks at.
fn any_file(file: &[u8]) {
    let file = Bytes::copy_from_slice(file);
    if let Ok(database) = Database::open_known(file, Digest::sha256(b"")) {
        drop(report(&database));
    }
}

fn report(database: &Database) -> Option<Report> {
    let named = [
        (PackageKind::Npm, "always", "1.0.0"),
        (PackageKind::Npm, "left", "1.5.0"),
        (PackageKind::Deb, "expat", "2.5.0-1"),
        (PackageKind::Python, "x", "1"),
    ];
    let package = |(kind, name, version)| Package::new(kind, name, version, "x");
    let distribution = Distribution {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        ..Distribution::default()
    };
    let inventory = Inventory {
        distribution: Some(distribution),
        packages: named.into_iter().map(package).collect(),
        gaps: Vec::new(),
    };
    database.report(&inventory, NOW).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{File, archive, file, record};
    use super::*;

    proptest! {
        #[test]
        fn the_target_holds_near_its_seeds(
            kind in 0_u8..5, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let one = record("A-2", "npm", "left", &serde_json::json!([{ "introduced": "0" }, { "fixed": "2.0.0" }]));
            let mut seed = match kind {
                0 => one.to_string().into_bytes(),
                1 => archive(&[File::new("a.json", one.to_string().as_bytes())], false),
                2 => br#"{"vulnerabilities":[{"cveID":"CVE-2026-1"}]}"#.to_vec(),
                3 => b"cve,epss,percentile\nCVE-2026-1,0.5,0.9\n".to_vec(),
                _ => file(&[one]).unwrap().0,
            };
            for (at, value) in changes {
                let at = at.index(seed.len());
                seed[at] = value;
            }
            database(&[&[kind], seed.as_slice()].concat());
        }
    }
}
