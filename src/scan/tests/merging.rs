//! What is kept of layers, what an image's config says of them, and what the distribution speaks for.

use super::super::layer::Facts;
use super::super::merge::merged;
use super::super::{Distribution, GapKind, Inventory, Limits};
use super::image::Tar;
use super::images::{base, stanza, sums};
use super::kinds::{TestKind, gaps, learn};
use crate::oci::Digest;

const STATUS: &str = "var/lib/dpkg/status";
const METADATA: &str = "Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\n";
const REQUESTS: &str = "usr/lib/python3/dist-packages/requests.dist-info/METADATA";
const LIST: &str = "var/lib/dpkg/info/python3-requests.list";

fn learnt(layer: Tar) -> Facts<TestKind> {
    learn(&layer.end(), &Limits::default())
}

fn merge(layers: Vec<Tar>, is_known: &dyn Fn(&Distribution) -> bool) -> Inventory {
    let facts: Vec<_> = layers.into_iter().map(learnt).collect();
    let layers: Vec<_> = facts.iter().map(|facts| (facts.diff_id, facts)).collect();
    merged(&layers, is_known, &Limits::default()).0
}

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.packages.iter().map(|package| package.name.as_str()).collect()
}

fn debian() -> Tar {
    base().file(STATUS, &stanza("python3-requests", "2.28.1+dfsg-1"))
}

const BOTH: [&str; 2] = ["python3-requests", "requests"];

/// Debian's package with a file that is its own.
fn with_file(path: &str, list: &str) -> Tar {
    debian().file(path, METADATA).file(list, &sums(&[(path, METADATA)]))
}

#[test]
fn what_the_distribution_installed_is_its_package_only() {
    let installed = || with_file(REQUESTS, LIST);
    let known = |distribution: &Distribution| distribution.id == "debian";
    assert_eq!(names(&merge(vec![installed()], &known)), ["python3-requests"]);
    assert_eq!(names(&merge(vec![installed()], &|_| false)), BOTH, "no feed speaks for it");
    let without_list =
        vec![installed(), Tar::new().file("var/lib/dpkg/info/.wh.python3-requests.list", "")];
    assert_eq!(names(&merge(without_list, &known)), BOTH, "its list did not survive");
    let unnamed = vec![installed(), Tar::new().file("etc/.wh.os-release", "")];
    assert_eq!(names(&merge(unnamed, &known)), BOTH, "there is no distribution");
    let ubuntu = vec![installed(), Tar::new().file("etc/os-release", "ID=ubuntu\n")];
    assert_eq!(names(&merge(ubuntu, &|_| true)), BOTH, "another's package");
    let empty = vec![installed(), Tar::new().file(STATUS, "")];
    assert_eq!(names(&merge(empty, &known)), ["requests"], "it has no packages to speak for it");
    let other = debian()
        .file(REQUESTS, METADATA)
        .file(LIST, &sums(&[("usr/lib/python3/other/METADATA", METADATA)]));
    assert_eq!(names(&merge(vec![other], &known)), BOTH, "the name alone is nothing");
}

#[test]
fn only_packages_that_are_installed_and_the_distributions_own_files() {
    let nobodys = with_file(REQUESTS, "var/lib/dpkg/info/nosuch.list");
    assert_eq!(names(&merge(vec![nobodys], &|_| true)), BOTH, "no such package");
    let stranger = stanza("python3-requests", "2.28.1+dfsg-1").replace("debian.org", "vendor.test");
    let strangers = vec![with_file(REQUESTS, LIST), Tar::new().file(STATUS, &stranger)];
    assert_eq!(names(&merge(strangers, &|_| true)), BOTH, "somebody else's");
}

#[test]
fn a_distribution_has_files_below_usr_and_lib_only() {
    for path in ["app/e.dist-info/METADATA", "opt/e.dist-info/METADATA", "srv/e.dist-info/METADATA"]
    {
        assert_eq!(names(&merge(vec![with_file(path, LIST)], &|_| true)), BOTH, "{path}");
        let linked = debian()
            .symlink("usr/lib/x", &format!("/{}", path.split('/').next().unwrap()))
            .file(path, METADATA)
            .file(LIST, &sums(&[("usr/lib/x/e.dist-info/METADATA", METADATA)]));
        assert_eq!(names(&merge(vec![linked], &|_| true)), BOTH, "{path} by a link");
    }
}

#[test]
fn lists_of_files_go_through_links_to_directories() {
    let linked = debian().symlink("lib", "usr/lib").file(REQUESTS, METADATA);
    let path = "lib/python3/dist-packages/requests.dist-info/METADATA";
    let linked = linked.file(LIST, &sums(&[(path, METADATA)]));
    assert_eq!(names(&merge(vec![linked], &|_| true)), ["python3-requests"]);
}

#[test]
fn nothing_below_usr_local_is_the_distributions() {
    let path = "usr/local/lib/python3.11/site-packages/requests.dist-info/METADATA";
    let sums = sums(&[(path, METADATA), ("opt/requests.dist-info/METADATA", METADATA)]);
    let local = debian().file(path, METADATA).file(LIST, &sums);
    assert_eq!(names(&merge(vec![local.clone()], &|_| true)).len(), 2);
    let linked = local.symlink("opt", "usr/local/lib/python3.11/site-packages");
    assert_eq!(names(&merge(vec![linked], &|_| true)).len(), 2, "by no other name either");
}

/// apk and rpm write their one list anew whenever anything is installed, so that it is the newest of all.
#[test]
fn what_was_put_over_the_distributions_file_is_not_the_distributions() {
    let below = || with_file(REQUESTS, LIST);
    let above = || Tar::new().file(REQUESTS, &METADATA.replace("2.28.1", "2.0.0"));
    assert_eq!(names(&merge(vec![below(), above()], &|_| true)), BOTH);
    let list = || Tar::new().file(LIST, &sums(&[(REQUESTS, METADATA)]));
    assert_eq!(names(&merge(vec![below(), above(), list()], &|_| true)), BOTH, "a newer list");
    let same = || Tar::new().file(REQUESTS, METADATA);
    assert_eq!(names(&merge(vec![below(), same()], &|_| true)), ["python3-requests"], "the same");
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_a_gap() {
    let facts = learnt(debian());
    let other = Digest::sha256(b"other");
    let limits = Limits::default();
    let merge = |diff_id| merged(&[(diff_id, &facts)], &|_| true, &limits).0;
    assert_eq!(gaps(&merge(facts.diff_id)), []);
    for (diff_id, kind, part) in [
        (Some(other), GapKind::Malformed, "the config says"),
        (None, GapKind::Malformed, "no diff_id"),
        (Some(Digest::of(crate::oci::Algorithm::Sha512, b"")), GapKind::Unsupported, "sha512"),
    ] {
        let inventory = merge(diff_id);
        assert_eq!(inventory.packages.len(), 1);
        assert_eq!(inventory.gaps.len(), 1);
        assert_eq!(inventory.gaps[0].kind, kind);
        assert_eq!(inventory.gaps[0].layer, Some(facts.blob));
        assert!(inventory.gaps[0].text.contains(part), "{}", inventory.gaps[0].text);
    }
}

#[test]
fn equal_images_give_equal_inventories_and_packages_once() {
    let layers = || {
        let twice = Tar::new().file("var/lib/dpkg/status.d/a", &stanza("b", "1").repeat(3));
        vec![debian(), twice.file("opt/x.dist-info/METADATA", METADATA)]
    };
    let inventory = merge(layers(), &|_| true);
    assert_eq!(inventory, merge(layers(), &|_| true));
    assert_eq!(names(&inventory), ["b", "python3-requests", "requests"]);
}

#[test]
fn texts_of_gaps_are_printable_and_short() {
    let layer = base().special("opt/x", b'\n').file("opt/\u{1b}[2J/faulty", "");
    let inventory = merge(vec![layer], &|_| true);
    assert_eq!(inventory.gaps.len(), 2);
    for gap in &inventory.gaps {
        assert!(gap.text.chars().all(|char| matches!(char, ' '..='~')), "{}", gap.text);
    }
}

#[test]
fn kept_facts_that_are_damaged_or_made_otherwise_are_made_again() {
    let limits = Limits::default();
    let facts = learnt(debian().file(REQUESTS, METADATA).symlink("lib", "usr/lib"));
    let kept = facts.to_bytes(&limits);
    let blob = facts.blob;
    assert_eq!(Facts::from_bytes(&kept, &blob, &limits), Some(facts));
    let read = |bytes: &[u8], limits: &Limits| Facts::<TestKind>::from_bytes(bytes, &blob, limits);
    for at in 0..kept.len() {
        let mut damaged = kept.clone();
        damaged[at] ^= 0x10;
        assert_eq!(read(&damaged, &limits), None, "at {at}");
    }
    assert_eq!(read(&kept[..kept.len() - 1], &limits), None);
    assert_eq!(read(&[&kept[..], b"x"].concat(), &limits), None);
    assert_eq!(read(b"", &limits), None);
    let another = Digest::sha256(b"another");
    let read_another = Facts::<TestKind>::from_bytes(&kept, &another, &limits);
    assert_eq!(read_another, None, "facts of one layer are none of another");
    let larger = Limits { entries: limits.entries + 1, ..limits };
    assert_eq!(read(&kept, &larger), None, "larger bounds may let more be read");
}
