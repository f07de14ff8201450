//! A real Debian 12 with Python, read whole, against what dpkg and syft say that it has
//! (`PRATIQUE_TEST_DATA`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::shared;
use crate::scan::catalog::FileKind;
use crate::scan::tests::image::Tar;
use crate::scan::tests::kinds::inventory;
use crate::scan::{Inventory, PackageKind};

const IMAGE: &str = "bookworm/bookworm-pkgdb-only.tar.zst";
const DPKG_QUERY: &str = "fixtures/bookworm-rootfs.dpkg-query.txt";
const SYFT: &str = "fixtures/bookworm-rootfs.syft-1.18.1.json.gz";

/// Name and version of all packages of a kind, each once.
fn of_kind(inventory: &Inventory, kind: PackageKind) -> Vec<(String, String)> {
    let packages = inventory.packages.iter().filter(|package| package.kind == kind);
    packages.map(|package| (package.name.clone(), package.version.clone())).collect()
}

/// What syft lists of a type.
fn of_syft(document: &Value, kind: &str) -> Vec<(String, String)> {
    let all = document["artifacts"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_kind = all.filter(|it| it["type"] == kind);
    let found: BTreeSet<_> = of_kind.map(|it| (text(&it["name"]), text(&it["version"]))).collect();
    found.into_iter().collect()
}

#[test]
fn a_bookworm_has_the_packages_of_dpkg_query_and_of_syft_and_no_others() {
    let (Some(layer), Some(query), Some(syft)) = (shared(IMAGE), shared(DPKG_QUERY), shared(SYFT))
    else {
        return;
    };
    let syft: Value = serde_json::from_slice(&syft).unwrap();
    let query = std::str::from_utf8(&query).unwrap().lines();
    let query: BTreeSet<_> = query
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .map(|row| (row[2].to_owned(), row[3].to_owned()))
        .collect();
    let query: Vec<_> = query.into_iter().collect();

    let found = inventory::<FileKind>(std::slice::from_ref(&layer));
    assert_eq!(found.gaps, vec![]);
    let (deb, python) = (of_kind(&found, PackageKind::Deb), of_kind(&found, PackageKind::Python));
    println!("{} packages of Debian, {} of Python", deb.len(), python.len());
    assert_eq!((deb.len(), &deb), (135, &query));
    assert_eq!(deb, of_syft(&syft, "deb"));
    assert_eq!((python.len(), &python), (10, &of_syft(&syft, "python")));
    assert_eq!(found.packages.len(), 145, "nothing of another kind");

    // The files say that they are Debian's own where dpkg's lists are there, as in the image itself:
    // then what was patched is Debian's to say, and they are no packages beside its.
    let files = found.packages.iter().filter(|package| package.kind == PackageKind::Python);
    let list: String = files.map(|package| format!("/{}\n", package.found_in)).collect();
    let lists = Tar::new().file("var/lib/dpkg/info/python3-pip.list", &list).end();
    let whole = inventory::<FileKind>(&[layer, lists]);
    assert_eq!(whole.gaps, vec![]);
    assert_eq!((of_kind(&whole, PackageKind::Deb), whole.packages.len()), (query, 135));
}
