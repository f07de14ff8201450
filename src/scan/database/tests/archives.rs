//! Archives that are not what they say.

use serde_json::json;

use crate::scan::database::testing::{File, archive, builder, reader, record};
use crate::scan::database::{Feed, ImportError};

fn one(id: &str) -> File {
    let events = json!([{ "introduced": "0" }]);
    File::new(&format!("{id}.json"), record(id, "npm", "left", &events).to_string().as_bytes())
}

/// A file among a hundred good ones.
fn beside(file: File) -> Vec<File> {
    (0..100).map(|n| one(&format!("A-{n}"))).chain([file]).collect()
}

fn imported(files: &[File]) -> Result<Feed, ImportError> {
    builder().add_osv_zip(reader(&archive(files, false)), "zip", None).cloned()
}

#[test]
fn every_record_is_read_whatever_it_is_called() {
    let mut slip = one("A-2");
    slip.name = "../../../../etc/cron.d/a.json".to_owned();
    let mut twin = one("A-3");
    twin.name = "A-1.json".to_owned();
    let mut stored = one("A-4");
    stored.raw = record("A-4", "npm", "left", &json!([{ "introduced": "0" }])).to_string().into();
    stored.method = 0;
    let files =
        [one("A-1"), slip, twin, stored, File::new("README.md", b"#"), File::new("dir/", b"")];
    for long in [false, true] {
        let mut builder = builder();
        let feed = builder.add_osv_zip(reader(&archive(&files, long)), "zip", None).unwrap();
        assert_eq!((feed.records, feed.ignored, feed.unreadable.len()), (4, 1, 0));
    }
}

/// What an archive says wrongly of a file.
type Lie = fn(&mut File);

#[test]
fn an_entry_that_lies_is_counted_and_named() {
    let lies: [(&str, Lie); 6] = [
        ("more than it says", |file| file.size -= 1),
        ("less than it says", |file| file.size += 1),
        ("another checksum", |file| file.crc ^= 1),
        ("encrypted", |file| file.flags = 1),
        ("another compression", |file| file.method = 14),
        ("too large", |file| file.size = 16 * 1024 * 1024 + 1),
    ];
    for (lie, tell) in lies {
        let mut liar = one("A-200");
        liar.name = "liar\u{1b}.json".to_owned();
        tell(&mut liar);
        let feed = imported(&beside(liar)).unwrap();
        assert_eq!((feed.records, feed.unreadable.len()), (100, 1), "{lie}");
        assert_eq!(feed.unreadable[0].name, "liar?.json");
    }
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut quoted = one("A-2");
    quoted.offset = Some(0);
    assert!(matches!(imported(&[one("A-1"), quoted]), Err(ImportError::Malformed { .. })));
    let mut outside = one("A-1");
    outside.offset = Some(u32::MAX - 1);
    assert!(matches!(imported(&[outside]), Err(ImportError::Malformed { .. })));
}

#[test]
fn a_bomb_is_not_inflated() {
    let mut bomb = File::new("bomb.json", &vec![b' '; 64 * 1024 * 1024]);
    bomb.size = 1_000;
    let feed = imported(&beside(bomb)).unwrap();
    assert_eq!((feed.records, feed.unreadable.len()), (100, 1));
}

#[test]
fn an_archive_without_records_is_an_error() {
    assert!(matches!(imported(&[]), Err(ImportError::Empty { .. })));
    assert!(matches!(imported(&[File::new("x.txt", b"{}")]), Err(ImportError::Empty { .. })));
    assert!(matches!(imported(&[File::new("x.json", b"{}")]), Err(ImportError::Empty { .. })));
}

#[test]
fn too_many_unreadable_records_fail_the_import_and_are_named() {
    let bad = |count: usize| -> Vec<File> {
        let bad = (0..count).map(|n| File::new(&format!("bad-{n}.json"), b"{\"id\":7}"));
        bad.chain((0..20_000).map(|n| one(&format!("A-{n}")))).collect()
    };
    assert_eq!(imported(&bad(100)).unwrap().unreadable.len(), 100);
    let error = imported(&bad(101)).unwrap_err();
    assert!(error.to_string().contains("bad-0.json"), "{error}");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_an_error() {
    for long in [false, true] {
        let whole = archive(&[one("A-1"), one("A-2")], long);
        for length in 0..whole.len() {
            let cut = builder().add_osv_zip(reader(&whole[..length]), "zip", None).is_err();
            assert!(cut, "{length} of {}", whole.len());
        }
    }
}

#[test]
fn what_comes_before_or_after_an_archive_is_not_guessed_at() {
    let whole = archive(&[one("A-1")], false);
    let shifted = [b"#!/bin/sh\n".as_slice(), &whole].concat();
    assert!(builder().add_osv_zip(reader(&shifted), "zip", None).is_err());
    let longer = [whole.as_slice(), b"\0"].concat();
    assert!(builder().add_osv_zip(reader(&longer), "zip", None).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        at in 0_usize..400, value in proptest::prelude::any::<u8>(), long in proptest::prelude::any::<bool>(),
    ) {
        let mut bytes = archive(&[one("A-1"), one("A-2")], long);
        let at = bytes.len() - 1 - at % bytes.len();
        bytes[at] = value;
        // What still reads has both records, or says which one it has not.
        if let Ok(feed) = builder().add_osv_zip(reader(&bytes), "zip", None) {
            let all = feed.records + u64::try_from(feed.unreadable.len()).unwrap() + feed.ignored;
            proptest::prop_assert!(all == 2 || all == 1 && feed.records == 1, "{feed:?}");
        }
    }
}
