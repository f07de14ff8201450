//! Whole images, read by the real catalogers.

use super::image::Tar;
use super::kinds::inventory;
use crate::oci::Digest;
use crate::scan::catalog::FileKind;
use crate::scan::layer::read;
use crate::scan::merge::merged;
use crate::scan::{Inventory, Limits};

fn found(inventory: &Inventory) -> Vec<String> {
    let named = |package: &crate::scan::Package| format!("{} {}", package.name, package.version);
    inventory.packages.iter().map(named).collect()
}

/// What would be installed counts only where nothing says what is.
#[test]
fn a_lock_file_counts_only_where_nothing_is_installed_beside_it() {
    const LOCK: &str = r#"{"lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0"},
        "node_modules/left-pad": {"version": "1.3.0"}}}"#;
    const INSTALLED: &str = r#"{"name": "left-pad", "version": "1.2.0"}"#;
    let alone = Tar::new().file("app/package-lock.json", LOCK);
    let alone = inventory::<FileKind>(&[alone.end()]);
    assert_eq!(found(&alone), ["left-pad 1.3.0"]);
    let both = Tar::new()
        .file("app/package-lock.json", LOCK)
        .file("app/node_modules/left-pad/package.json", INSTALLED);
    let both = both.end();
    assert_eq!(found(&inventory::<FileKind>(std::slice::from_ref(&both))), ["left-pad 1.2.0"]);
    let elsewhere = Tar::new()
        .file("app/package-lock.json", LOCK)
        .file("app2/node_modules/left-pad/package.json", INSTALLED);
    let elsewhere = inventory::<FileKind>(&[elsewhere.end()]);
    assert_eq!(found(&elsewhere), ["left-pad 1.2.0", "left-pad 1.3.0"]);
    let removed = Tar::new().file("app/.wh.node_modules", "");
    let removed = inventory::<FileKind>(&[both, removed.end()]);
    assert_eq!(found(&removed), ["left-pad 1.3.0"], "what a later layer removed is not installed");
}

/// What is read once more of a layer.
fn wanted(layer: &[u8]) -> Vec<String> {
    let limits = Limits::default();
    let facts = read::<FileKind>(&Digest::sha256(layer), layer, &limits).unwrap();
    let (_, wanted) = merged(&[(facts.diff_id, &facts)], &|_| false, &limits);
    wanted.into_values().flatten().map(|file| file.path).collect()
}

#[test]
fn a_package_that_is_linked_from_elsewhere_is_read_with_the_rest_and_counts_by_the_link() {
    let package = |name: &str| format!(r#"{{"name": "{name}", "version": "1.2.0"}}"#);
    let tar = Tar::new()
        .file("usr/share/nodejs/acorn/package.json", &package("acorn"))
        .file("usr/share/nodejs/@types/node/package.json", &package("@types/node"))
        .file("app/package.json", &package("app"))
        .file("packages/left/package.json", &package("left"))
        .symlink("usr/share/node_modules", "nodejs")
        .symlink("app/node_modules/left", "../../packages/left");
    let layer = tar.end();
    assert_eq!(wanted(&layer), [""; 0]);
    let found = found(&inventory::<FileKind>(&[layer]));
    assert_eq!(found, ["@types/node 1.2.0", "acorn 1.2.0", "left 1.2.0"], "an app is none itself");
}

#[test]
fn a_link_of_a_later_layer_and_a_hard_link_count_as_well() {
    let package = r#"{"name": "left", "version": "1.2.0"}"#;
    let below = Tar::new().file("packages/left/package.json", package).end();
    let link = Tar::new().symlink("app/node_modules", "../packages").end();
    assert_eq!(found(&inventory::<FileKind>(&[below.clone(), link])), ["left 1.2.0"]);
    assert!(found(&inventory::<FileKind>(&[below])).is_empty());
    let hard = Tar::new()
        .file("packages/left/package.json", package)
        .hard_link("app/node_modules/left/package.json", "packages/left/package.json");
    assert_eq!(found(&inventory::<FileKind>(&[hard.end()])), ["left 1.2.0"]);
}

#[test]
fn one_that_is_broken_or_lies_within_another_is_read_when_a_link_leads_to_it() {
    let tar = Tar::new()
        .file("packages/broken/package.json", "{")
        .symlink("app/node_modules", "../packages");
    let layer = tar.end();
    assert_eq!(wanted(&layer), ["app/node_modules/broken/package.json"]);
    let inventory = inventory::<FileKind>(&[layer]);
    assert_eq!(inventory.gaps.len(), 1, "{:?}", inventory.gaps);
    let within = Tar::new()
        .file("a/node_modules/b/tests/c/package.json", "{")
        .symlink("app/node_modules", "../a/node_modules/b/tests");
    assert_eq!(wanted(&within.end()), ["app/node_modules/c/package.json"]);
}

/// What is read in case a link leads to it must not take the room of what counts anyway.
#[test]
fn more_than_has_room_is_read_when_a_link_leads_to_it() {
    let mut tar = Tar::new().symlink("app/node_modules", "../packages");
    for number in 0..10_005 {
        let package = format!(r#"{{"name": "p{number}", "version": "1.2.0"}}"#);
        tar = tar.file(&format!("packages/p{number}/package.json"), &package);
    }
    let layer = tar.end();
    assert_eq!(wanted(&layer).len(), 5);
    let inventory = inventory::<FileKind>(&[layer]);
    assert_eq!((inventory.packages.len(), inventory.gaps.len()), (10_005, 0));
}
