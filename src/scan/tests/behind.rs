//! What lies behind links, where nodes differ about paths, and what other images' links have to do with
//! this one.

use super::super::catalog::FileKind;
use super::super::layer::{Facts, Kind, read, read_more};
use super::super::merge::merged;
use super::super::{Inventory, Limits};
use super::image::Tar;
use super::images::{base, stanza};
use super::kinds::{TestKind, gaps, inventory};
use crate::oci::Digest;

fn metadata(name: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
}

/// `name version` of each package, and the paths of gaps.
fn found<K: Kind>(layers: Vec<Tar>) -> (Vec<String>, Vec<String>) {
    let layers: Vec<_> = layers.into_iter().map(Tar::end).collect();
    said(&inventory::<K>(&layers))
}

fn said(inventory: &Inventory) -> (Vec<String>, Vec<String>) {
    let packages = inventory.packages.iter().map(|it| format!("{} {}", it.name, it.version));
    let paths = inventory.gaps.iter().map(|gap| gap.path.clone().unwrap_or_default());
    (packages.collect(), paths.collect())
}

#[track_caller]
fn assert_odd(layer: Tar, path: &str, part: &str) {
    let layers = [layer.end()];
    let inventory = inventory::<TestKind>(&layers);
    let found = gaps(&inventory);
    assert!(found.iter().any(|(_, at, text)| *at == path && text.contains(part)), "{found:?}");
}

const BEHIND: &str = "goes up behind a link";

/// containerd resolves links before `..`; what takes it as text gets another file.
#[test]
fn a_hard_link_that_goes_up_behind_a_link_is_a_gap() {
    let layer = Tar::new()
        .directory("x/y")
        .symlink("s", "x/y")
        .file("x/f", &metadata("evil"))
        .file("f", &metadata("good"))
        .hard_link("p/e.dist-info/METADATA", "s/../f")
        .file("x/f", "nothing");
    assert_odd(layer, "p/e.dist-info/METADATA", BEHIND);
    let plain = Tar::new()
        .directory("x/y")
        .file("x/f", &metadata("good"))
        .hard_link("p/e.dist-info/METADATA", "x/y/.././f");
    assert_eq!(found::<TestKind>(vec![plain]), (vec!["good 1.0".to_owned()], vec![]));
}

/// containerd takes `..` in what a link leads to as text, one link deep; the kernel does not.
#[test]
fn a_path_that_goes_up_behind_a_link_is_a_gap() {
    let through = Tar::new()
        .file("p/e.dist-info/METADATA", &metadata("evil"))
        .directory("x/y")
        .symlink("d/b", "/x/y")
        .symlink("x/c", "/p")
        .directory("d/c")
        .symlink("d/l", "b/../c")
        .file("d/l/e.dist-info/METADATA", &metadata("good"));
    assert_odd(through, "d/l/e.dist-info/METADATA", BEHIND);
    let second = Tar::new()
        .directory("deep/a")
        .file("p/e.dist-info/METADATA", &metadata("evil"))
        .symlink("deep/b", "/p")
        .directory("b")
        .symlink("deep/a/l", "../b")
        .symlink("t", "deep/a")
        .symlink("s", "t")
        .file("s/l/e.dist-info/METADATA", &metadata("good"));
    assert_odd(second, "s/l/e.dist-info/METADATA", BEHIND);
    let first = Tar::new()
        .directory("usr/lib/x")
        .symlink("var/lib/x", "../../usr/lib/x")
        .file("var/lib/x/e.dist-info/METADATA", &metadata("good"));
    let good = vec!["good 1.0".to_owned()];
    assert_eq!(found::<TestKind>(vec![first]), (good, vec![]), "alike for all");
}

/// In the lowest layer, containerd removes what it does not remember having made.
#[test]
fn a_mark_above_directories_that_no_entry_named_is_a_gap() {
    let layer = |named: bool| {
        let tar = Tar::new().file("p/e.dist-info/METADATA", &metadata("evil"));
        let tar = if named { tar.directory("a").directory("a/b") } else { tar };
        tar.file("a/b/z", "")
            .symlink("a/b/l", "/p")
            .file("a/.wh..wh..opq", "")
            .file("a/b/l/e.dist-info/METADATA", &metadata("good"))
    };
    assert_odd(layer(false), "a/.wh..wh..opq", "comes after what is in its directory");
    let good = vec!["good 1.0".to_owned()];
    assert_eq!(found::<TestKind>(vec![layer(true)]), (good, vec![]));
}

#[test]
fn names_and_paths_that_nodes_do_not_take_are_gaps() {
    let name = |length: usize| "n".repeat(length);
    let long = |path: &str| Tar::new().pax(&[("path", path)]).file("x", "").end();
    let complete = |layer: Vec<u8>| inventory::<TestKind>(&[layer]).is_complete();
    assert!(complete(long(&name(255))) && !complete(long(&name(256))));
    assert!(complete(long(&format!("a/.wh.{}", name(255)))));
    assert!(!complete(long(&format!("{}/a", name(256)))));
    // Each part is short, and where it lies is not.
    let half =
        [name(250), name(250), name(250), name(250), name(250), name(250), name(250), name(250)];
    let half = half.join("/");
    let layer = Tar::new()
        .pax(&[("path", &half)])
        .directory("x")
        .pax(&[("linkpath", &half)])
        .symlink("l", "x")
        .pax(&[("path", &format!("l/{half}"))])
        .directory("x")
        .pax(&[("linkpath", &format!("l/{half}"))])
        .symlink("m", "x");
    assert!(complete(layer.clone().end()));
    let beyond = layer.pax(&[("path", &format!("m/{}", name(200)))]).file("x", "");
    assert!(!complete(beyond.end()));
}

#[test]
fn links_in_a_directory_behind_a_link_are_followed() {
    let package = r#"{"name":"lodash","version":"4.17.0"}"#;
    for target in ["/e/store", "../e/store"] {
        let layer = Tar::new()
            .symlink("app/node_modules", "/d")
            .symlink("d/lodash", target)
            .file("e/store/package.json", package);
        let lodash = vec!["lodash 4.17.0".to_owned()];
        assert_eq!(found::<FileKind>(vec![layer]), (lodash, vec![]));
    }
    let scoped = Tar::new()
        .symlink("app/node_modules", "/d")
        .symlink("d/@s", "/scope")
        .symlink("scope/a", "/e")
        .symlink("e/package.json", "/f/real")
        .file("f/real", package);
    assert_eq!(found::<FileKind>(vec![scoped]).0, ["lodash 4.17.0"]);
}

#[test]
fn the_name_of_a_link_counts_beside_what_its_file_says() {
    let layer = base()
        .file("opt/a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a\nVersion: 1.0\n")
        .symlink("opt/b-2.0.dist-info/METADATA", "/opt/a-1.0.dist-info/METADATA")
        .hard_link("opt/c-3.0.dist-info/METADATA", "opt/a-1.0.dist-info/METADATA")
        .symlink("opt/a-9.9.dist-info/METADATA", "/opt/a-1.0.dist-info/METADATA");
    let expected = ["a 1.0", "b 2.0", "c 3.0"].map(str::to_owned).to_vec();
    assert_eq!(found::<TestKind>(vec![layer]), (expected, vec![]));
}

/// What is learnt of a layer when one image's links lead into it, and another image with that layer.
fn with_facts_of(other: Tar, own: Tar) -> (Vec<String>, Vec<String>) {
    let limits = Limits::default();
    let shared = base()
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .file("opt/faulty-data", "x")
        .file("data/blob", "Metadata-Version: 2.1\n\n")
        .end();
    let learn = |layer: &[u8]| read::<FileKind>(&Digest::sha256(layer), layer, &limits).unwrap();
    let merge = |layers: &[&Facts<FileKind>]| {
        let layers: Vec<_> = layers.iter().map(|facts| (facts.diff_id, *facts)).collect();
        merged(&layers, &|_| true, &limits)
    };
    let more = |facts: &Facts<FileKind>, tar: Tar| {
        let (_, wanted) = merge(&[facts, &learn(&tar.end())]);
        let wanted = wanted.get(&0).map_or(&[][..], Vec::as_slice);
        read_more(facts, shared.as_slice(), wanted, &limits).unwrap()
    };
    let facts = more(&learn(&shared), other);
    let facts = more(&facts, own.clone());
    let (inventory, wanted) = merge(&[&facts, &learn(&own.end())]);
    assert!(wanted.is_empty(), "{wanted:?}");
    said(&inventory)
}

#[test]
fn what_links_of_another_image_made_of_a_file_is_none_of_this_one() {
    let nothing = || Tar::new().file("app/x", "");
    let json = Tar::new().symlink("node_modules/a/package.json", "/etc/passwd");
    assert_eq!(with_facts_of(json, nothing()), (vec![], vec![]));
    let named =
        |name: &str| Tar::new().symlink(&format!("{name}.dist-info/METADATA"), "/data/blob");
    assert_eq!(with_facts_of(named("harmless-1.0"), nothing()), (vec![], vec![]));
    let vulnerable = vec!["vulnerable 2.0".to_owned()];
    assert_eq!(with_facts_of(named("harmless-1.0"), named("vulnerable-2.0")), (vulnerable, vec![]));
    let list = Tar::new().symlink("opt/dpkg/status", "/data/blob");
    assert_eq!(with_facts_of(list, nothing()), (vec![], vec![]));
}

#[test]
fn lists_of_packages_that_are_not_read_are_gaps() {
    for (path, list) in [
        ("nix/store/abc-openssl-1.1.1/bin/openssl", "nix/store"),
        ("var/lib/pacman/local/openssl-1.1.1-1/desc", "var/lib/pacman/local"),
        ("var/db/pkg/dev-libs/openssl-1.1.1/PF", "var/db/pkg"),
        ("usr/lib/opkg/status", "usr/lib/opkg/status"),
        ("var/db/xbps/pkgdb-0.38.plist", "var/db/xbps"),
        ("rootfs/var/lib/dpkg/status", "rootfs/var/lib/dpkg/status"),
    ] {
        let layer = Tar::new().file(path, &stanza("openssl", "1"));
        assert_eq!(found::<FileKind>(vec![layer]), (vec![], vec![list.to_owned()]), "{path}");
    }
    let empty = Tar::new().directory("nix/store").directory("var/lib/pacman/local");
    assert_eq!(found::<FileKind>(vec![empty]), (vec![], vec![]));
    let linked =
        base().file("opt/dpkg/status", &stanza("a", "1")).symlink("var/lib/dpkg", "/opt/dpkg");
    assert_eq!(found::<FileKind>(vec![linked]), (vec!["a 1".to_owned()], vec![]), "in its place");
}

#[test]
fn a_name_that_is_no_text_is_found_by_its_bytes() {
    let stanza = stanza("openssl", "1");
    let header =
        super::image::Header::of(b"var/lib/dpkg/status.d/\xffssl", b'0', stanza.as_bytes());
    let layer = base().raw(header, stanza.as_bytes());
    assert_eq!(found::<FileKind>(vec![layer]), (vec!["openssl 1".to_owned()], vec![]));
}
