//! The documents of a public hub.

use std::path::Path;

use super::super::{Format, Purl, Status, VexError};

/// The folder of shared data; `None` is told, so that nobody takes a skipped test for a passed one.
fn folder() -> Option<std::path::PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find shared data by it")]
    let folder = std::env::var("PRATIQUE_TEST_DATA").ok();
    let folder = folder.map(|folder| Path::new(&folder).join("scan/openvex"));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: PRATIQUE_TEST_DATA names no folder with scan/openvex");
    }
    found
}

#[test]
fn real_documents_are_read_whole_and_lists_of_documents_are_none() {
    let Some(folder) = folder() else { return };
    let (mut documents, mut lists, mut statements) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let shown = path.display();
        match Format::of_document(&bytes) {
            Err(VexError::OtherFormat) => {
                assert!(String::from_utf8_lossy(&bytes).contains("\"Sources\""), "{shown}");
                assert!(Format::OpenVex.read(&bytes).is_err(), "{shown}");
                lists += 1;
            }
            other => {
                assert_eq!(other, Ok(Format::OpenVex), "{shown}");
                let document = Format::OpenVex.read(&bytes).unwrap();
                assert_eq!(document.problems, Vec::<String>::new(), "{shown}");
                documents += 1;
                for statement in &document.statements {
                    assert_eq!(statement.status, Status::NotAffected, "{shown}");
                    assert!(statement.is_justified() && statement.at.is_some(), "{shown}");
                    let products = statement.products.as_ref().unwrap();
                    let is_known = |purls: &Vec<Purl>| !purls.is_empty();
                    assert!(products.iter().all(|it| is_known(&it.component.purls)), "{shown}");
                    statements += 1;
                }
            }
        }
    }
    println!("{documents} documents with {statements} statements, {lists} lists");
    assert_eq!((documents, lists), (4, 12));
    assert!(statements > 50, "{statements}");
}
