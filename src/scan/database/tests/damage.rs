//! Files that are cut off, changed, or no databases at all.

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use crate::oci::Digest;
use crate::scan::database::layout::CHECKSUM_BYTES;
use crate::scan::database::testing::{NOW, file, record};
use crate::scan::database::{Database, DatabaseError};
use crate::scan::{Inventory, Package, PackageKind};

static FILE: LazyLock<Vec<u8>> = LazyLock::new(made);

fn some_file() -> Vec<u8> {
    FILE.clone()
}

fn made() -> Vec<u8> {
    let mut records = Vec::new();
    for n in 0..6 {
        let events = json!([{ "introduced": "1.0" }, { "fixed": format!("2.{n}") }]);
        let mut record = record(&format!("A-{n}"), "npm", ["left", "right"][n % 2], &events);
        record["aliases"] = json!([format!("CVE-2026-{n}"), "GHSA-1"]);
        record["affected"][0]["versions"] = json!(["0.1", format!("0.{n}")]);
        record["database_specific"] = json!({ "severity": "HIGH" });
        records.push(record);
    }
    file(&records).unwrap().0
}

fn inventory() -> Inventory {
    let packages = [("left", "1.5"), ("right", "0.1"), ("left", "x"), ("none", "1")];
    let package =
        |(name, version): (&str, &str)| Package::new(PackageKind::Npm, name, version, "p");
    Inventory { packages: packages.into_iter().map(package).collect(), ..Inventory::default() }
}

fn opened(bytes: &[u8]) -> Result<Database, DatabaseError> {
    Database::open(Bytes::copy_from_slice(bytes))
}

#[test]
fn a_file_that_is_cut_off_or_longer_is_told_by_its_length() {
    let whole = some_file();
    assert!(opened(&whole).is_ok());
    for length in 0..whole.len() {
        let error = opened(&whole[..length]).unwrap_err();
        let expected = matches!(error, DatabaseError::Length { .. } | DatabaseError::NotADatabase);
        assert!(
            expected && (length < 8) == (error == DatabaseError::NotADatabase),
            "{length}: {error}"
        );
    }
    let longer = [whole.as_slice(), b"\n"].concat();
    assert!(matches!(opened(&longer), Err(DatabaseError::Length { .. })));
}

#[test]
fn one_bit_anywhere_is_told() {
    let whole = some_file();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let error = opened(&changed).unwrap_err();
        match at {
            0..8 => assert_eq!(error, DatabaseError::NotADatabase),
            8..12 => assert!(matches!(error, DatabaseError::Format { .. }), "{at}: {error}"),
            _ => assert!(!error.to_string().is_empty(), "{at}"),
        }
    }
}

#[test]
fn a_newer_format_is_named() {
    let mut newer = some_file();
    newer[8] = 4;
    assert_eq!(opened(&newer).unwrap_err(), DatabaseError::Format { found: 4, known: 3 });
    newer[8] = 2;
    let older = opened(&newer).unwrap_err();
    assert_eq!(older, DatabaseError::Format { found: 2, known: 3 });
    assert!(older.to_string().contains("import it again"), "{older}");
    assert_eq!(opened(b"PK\x03\x04").unwrap_err(), DatabaseError::NotADatabase);
    assert_eq!(opened(b"").unwrap_err(), DatabaseError::NotADatabase);
}

#[test]
fn a_file_whose_digest_is_known_opens_without_being_read() {
    let whole = some_file();
    let digest = Digest::sha256(&whole);
    let cheap = Database::open_known(Bytes::from(whole.clone()), digest).unwrap();
    let sure = opened(&whole).unwrap();
    assert_eq!(cheap.id(), sure.id());
    let report = |database: &Database| database.report(&inventory(), NOW).unwrap();
    assert_eq!(report(&cheap), report(&sure));
    assert_eq!(report(&cheap).findings.len(), 3 + 3);
}

#[test]
fn the_order_of_another_program_is_made_again() {
    let own = some_file();
    let by = concat!("pratique ", env!("CARGO_PKG_VERSION"), ", 1").as_bytes();
    let at = own.windows(by.len()).position(|window| window == by).unwrap();
    let mut other = own.clone();
    other[at] = b'P';
    // The places of the last versions, which stand before the checksum, are the same now.
    let places = other.len() - CHECKSUM_BYTES - 4 * 9..other.len() - CHECKSUM_BYTES;
    other[places.clone()].fill(0);
    let report = |bytes: Vec<u8>| {
        let opened = Database::open_known(Bytes::from(bytes), Digest::sha256(b"")).unwrap();
        opened.report(&inventory(), NOW).unwrap()
    };
    assert_eq!(report(other.clone()), report(own));
    other[at] = b'p';
    assert_ne!(report(other.clone()), report(some_file()), "its own places are what counts");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_change_makes_it_panic_when_nobody_checks(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = some_file();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(database) = Database::open_known(Bytes::from(bytes), Digest::sha256(b"")) {
            drop(database.report(&inventory(), NOW));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..200), numbers in prop::collection::vec(0_u64..40, 17)) {
        let mut bytes = b"PRTQVDB\n\x03\0\0\0\x11\0\0\0".to_vec();
        let total = 8 + 4 + 4 + 8 + 8 * 17 + tail.len();
        bytes.extend(u64::try_from(total).unwrap().to_le_bytes());
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(&tail);
        for bytes in [bytes, tail] {
            if let Ok(database) = Database::open_known(Bytes::from(bytes), Digest::sha256(b"")) {
                drop(database.report(&inventory(), NOW));
            }
        }
    }
}
