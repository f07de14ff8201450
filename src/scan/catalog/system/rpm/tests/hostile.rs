//! Databases that were made to mislead, and ones that are only damaged.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::KINDS;
use super::made::{Rpm, berkeley, ndb, sqlite};
use crate::scan::GapKind;
use crate::scan::catalog::FileFacts;
use crate::scan::catalog::system::tests::{owned, packages, read};

const BERKELEY: &str = "var/lib/rpm/Packages";
const NDB: &str = "var/lib/rpm/Packages.db";
const SQLITE: &str = "var/lib/rpm/rpmdb.sqlite";

/// Some short and some long.
fn blobs() -> Vec<Vec<u8>> {
    let long = Rpm { summary: "x".repeat(20_000), ..Rpm::new("long", "1", "1") };
    let short = (0..60).map(|index| Rpm::new(&format!("a{index}"), "1", "1").blob());
    short.chain([long.blob()]).collect()
}

fn has(facts: &FileFacts, wanted: GapKind) -> bool {
    facts.gaps.iter().any(|(kind, _)| *kind == wanted)
}

#[test]
fn what_is_no_database_is_a_gap() {
    for (path, _) in KINDS {
        for bytes in
            [&b""[..], b"x", &[0; 100], &[0; 10_000], &[0xff; 10_000], b"SQLite format 3\0"]
        {
            let facts = read(path, bytes);
            assert!(has(&facts, GapKind::Malformed), "{path}");
            assert_eq!(facts.packages, vec![]);
        }
    }
}

/// However short it is cut, what is missing is told; what is there may still be read.
#[test]
fn a_database_that_was_cut_is_a_gap() {
    for (path, make) in KINDS {
        let whole = make(&blobs());
        assert_eq!(read(path, &whole).gaps, vec![], "{path}");
        for end in (0..whole.len()).step_by(2_039).chain([whole.len() - 1]) {
            let facts = read(path, &whole[..end]);
            assert!(!facts.gaps.is_empty(), "{path} cut at {end} of {}", whole.len());
        }
    }
}

/// Pages at and after which a chain of links can be turned back, by kind.
fn overflow_pages(bytes: &[u8], kind: u8) -> Vec<usize> {
    let pages = bytes.chunks(4096).enumerate().filter(|(_, page)| page[25] == kind);
    pages.map(|(number, _)| number).collect()
}

#[test]
fn a_chain_of_pages_in_a_circle_ends() {
    let mut bytes = berkeley(&blobs(), false);
    let pages = overflow_pages(&bytes, 7);
    let (first, last) = (pages[0], pages[pages.len() - 1]);
    let at = last * 4096 + 16;
    bytes[at..at + 4].copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
    let facts = read(BERKELEY, &bytes);
    assert_eq!((facts.packages.len(), facts.gaps.len()), (60, 1), "{:?}", facts.gaps);
    assert!(has(&facts, GapKind::Malformed));
    // To a page of another kind, and to one that is not there.
    for wrong in [1_u32, 0x00ff_ffff] {
        bytes[at..at + 4].copy_from_slice(&wrong.to_le_bytes());
        let facts = read(BERKELEY, &bytes);
        assert_eq!((facts.packages.len(), facts.gaps.len()), (60, 1), "{:?}", facts.gaps);
    }
}

/// Where the root page of the table of packages is, and its kind: 5 is of a tree with several pages.
fn sqlite_root(bytes: &[u8]) -> usize {
    let page = bytes.chunks(4096).position(|page| page[0] == 5);
    page.expect("the packages are on several pages") * 4096
}

#[test]
fn a_tree_in_a_circle_ends() {
    let many: Vec<_> =
        (0..400).map(|index| Rpm::new(&format!("a{index}"), "1", "1").blob()).collect();
    let whole = sqlite(&many);
    assert_eq!(read(SQLITE, &whole).packages.len(), 400);
    let root = sqlite_root(&whole);
    let own = u32::try_from(root / 4096 + 1).unwrap();
    let first_cell = usize::from(u16::from_be_bytes([whole[root + 12], whole[root + 13]]));
    let first_child = &whole[root + first_cell..root + first_cell + 4];
    // The last child is the tree itself, the first child again, the schema, or not there.
    let last_child = root + 8;
    let first_child = u32::from_be_bytes(first_child.try_into().unwrap());
    for wrong in [own, first_child, 1, 0, u32::MAX] {
        let mut bytes = whole.clone();
        bytes[last_child..last_child + 4].copy_from_slice(&wrong.to_be_bytes());
        let facts = read(SQLITE, &bytes);
        assert!(has(&facts, GapKind::Malformed), "{wrong}");
        let count = facts.packages.len();
        assert!(count > 100 && count < 400, "{wrong}: {count}");
        assert_eq!(
            packages(&facts).len(),
            packages(&facts).iter().collect::<std::collections::BTreeSet<_>>().len()
        );
    }
}

/// A page may have as many cells as fit, and all of them may be one long row: then a small file has
/// gigabytes of rows.
#[test]
fn rows_that_lie_in_each_other_are_not_read_twice() {
    let summary = "x".repeat(3_000);
    let blob = Rpm { summary, ..Rpm::new("a", "1", "1") }.blob();
    let mut bytes = sqlite(&[blob]);
    let page =
        bytes.chunks(4096).position(|page| page.starts_with(&[13, 0, 0, 0, 1]) && page[8] < 0x08);
    let start = page.expect("a page with the one row") * 4096;
    let offset = [bytes[start + 8], bytes[start + 9]];
    let cells = 400_u16;
    bytes[start + 3..start + 5].copy_from_slice(&cells.to_be_bytes());
    for cell in 0..usize::from(cells) {
        bytes[start + 8 + cell * 2..start + 10 + cell * 2].copy_from_slice(&offset);
    }
    let facts = read(SQLITE, &bytes);
    assert!(has(&facts, GapKind::Malformed));
    assert!(facts.packages.len() <= 2, "{}", facts.packages.len());
}

#[test]
fn blobs_that_lie_in_each_other_are_not_read_twice() {
    let blob = Rpm { summary: "x".repeat(9_000), ..Rpm::new("a", "1", "1") }.blob();
    let mut bytes = ndb(&[blob]);
    let slot: Vec<u8> = bytes[32..48].to_vec();
    for other in 1..254 {
        bytes[32 + other * 16..48 + other * 16].copy_from_slice(&slot);
    }
    let facts = read(NDB, &bytes);
    assert!(has(&facts, GapKind::Malformed));
    assert_eq!(facts.packages.len(), 1);
}

#[test]
fn a_slot_that_leads_elsewhere_is_a_gap() {
    let whole = ndb(&blobs());
    for (at, wrong) in [(32, 0), (36, 77), (40, 0), (40, u32::MAX), (44, 0), (44, u32::MAX)] {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&wrong.to_le_bytes());
        let facts = read(NDB, &bytes);
        assert!(has(&facts, GapKind::Malformed), "{wrong} at {at}");
    }
}

#[test]
fn formats_that_are_not_read_are_unsupported() {
    let mut newer = sqlite(&blobs());
    newer[19] = 3;
    assert!(has(&read(SQLITE, &newer), GapKind::Unsupported));
    let mut newer = ndb(&blobs());
    newer[4] = 1;
    assert!(has(&read(NDB, &newer), GapKind::Unsupported));
    for (at, value) in [(12, 0x0005_3162_u32), (24, 1), (26, 1)] {
        let mut other = berkeley(&blobs(), false);
        let width = if at == 12 { 4 } else { 1 };
        other[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        let facts = read(BERKELEY, &other);
        assert!(has(&facts, GapKind::Unsupported) && facts.packages.is_empty(), "at {at}");
    }
}

/// A database with the table under another name, as a view, twice, or with other columns has no
/// packages that can be trusted to be all.
#[test]
fn a_table_of_another_form_is_a_gap() {
    for schema in [
        "CREATE TABLE Other (hnum INTEGER PRIMARY KEY, blob BLOB)",
        "CREATE TABLE Other (hnum INTEGER PRIMARY KEY, blob BLOB); CREATE VIEW Packages AS SELECT * FROM Other",
        "CREATE TABLE Packages (hnum BLOB PRIMARY KEY, blob BLOB) WITHOUT ROWID;
         INSERT INTO Packages VALUES (x'00', x'00')",
        "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, decoy BLOB, blob BLOB);
         INSERT INTO Packages VALUES (1, x'00', x'00')",
        "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob);
         INSERT INTO Packages VALUES (1, 'text')",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(schema).unwrap();
        drop(connection);
        let facts = read(SQLITE, &std::fs::read(&path).unwrap());
        assert!(has(&facts, GapKind::Malformed), "{schema}");
        assert_eq!(facts.packages, vec![], "{schema}");
    }
}

/// The library and we find the same in databases of other page sizes, with deleted rows and rows of
/// all lengths around what fits on a page.
#[test]
fn sqlite_databases_of_all_shapes_are_read_as_the_library_reads_them() {
    for page_bytes in [512_usize, 1024, 4096, 65_536] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let connection = rusqlite::Connection::open(&path).unwrap();
        let setting = format!("PRAGMA page_size = {page_bytes}; PRAGMA synchronous = off; BEGIN");
        connection.execute_batch(&setting).unwrap();
        connection
            .execute_batch("CREATE TABLE pAcKaGeS (hnum INTEGER PRIMARY KEY, blob BLOB)")
            .unwrap();
        for index in 0..300_usize {
            let summary = "x".repeat((index * 37) % (page_bytes * 2 + 100));
            let blob = Rpm { summary, ..Rpm::new(&format!("a{index}"), "1", "1") }.blob();
            connection.execute("INSERT INTO Packages (blob) VALUES (?1)", [blob]).unwrap();
        }
        connection.execute_batch("DELETE FROM Packages WHERE hnum % 3 = 0; COMMIT").unwrap();
        drop(connection);
        let facts = read(SQLITE, &std::fs::read(&path).unwrap());
        assert_eq!(
            (facts.gaps.len(), facts.packages.len()),
            (0, 200),
            "{page_bytes}: {:?}",
            facts.gaps
        );
    }
}

/// Every folder with every name would be a million long paths.
#[test]
fn the_paths_of_a_package_are_bounded() {
    let folder: &'static str = Box::leak(format!("/{}/", "d".repeat(4_000)).into_boxed_str());
    let files = vec![(folder, "n"); 4_300];
    let blob = Rpm { vendor: "AlmaLinux", files, ..Rpm::new("a", "1", "1") }.blob();
    let facts = read(NDB, &ndb(&[blob]));
    assert_eq!(packages(&facts), ["a 1-1"]);
    let bytes: usize = owned(&facts).into_iter().map(str::len).sum();
    assert!(!facts.owns.is_empty() && bytes <= 16 * 1024 * 1024, "{bytes}");
}

/// A count of 2^31 over bytes that are all zeros: each would be a folder.
#[test]
fn the_folders_of_a_package_are_bounded() {
    let mut rpm = Rpm { vendor: "AlmaLinux", ..Rpm::new("a", "1", "1") };
    rpm.files = vec![("/usr/bin/", "x")];
    rpm.files.extend(vec![("", ""); 70_000]);
    rpm.files.push(("/usr/bin/", "beyond"));
    let facts = read(NDB, &ndb(&[rpm.blob()]));
    assert_eq!((packages(&facts), owned(&facts)), (vec!["a 1-1".to_owned()], vec!["usr/bin/x"]));
}

/// A database of each kind without packages, and one with, made once.
static MADE: LazyLock<[[Vec<u8>; 2]; 4]> =
    LazyLock::new(|| KINDS.map(|(_, make)| [make(&[]), make(&blobs())]));

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..6_000)) {
        for ((path, _), [empty, _]) in KINDS.iter().zip(MADE.iter()) {
            read(path, &bytes);
            // Behind the first bytes of a real one.
            let start = &empty[..100];
            read(path, &[start, &bytes].concat());
        }
        // As a header.
        let facts = read(NDB, &ndb(std::slice::from_ref(&bytes)));
        prop_assert!(facts.gaps.len() == 1 && facts.packages.is_empty(), "{facts:?}");
    }

    #[test]
    fn a_damaged_database_has_an_answer(
        kind in 0..KINDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        let mut bytes = MADE[kind][1].clone();
        for (index, byte) in &changes {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
        let facts = read(KINDS[kind].0, &bytes);
        prop_assert!(facts.gaps.iter().all(|(_, text)| text.is_ascii() && text.len() < 250));
    }
}
