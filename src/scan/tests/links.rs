//! Links, whiteouts and what is replaced: what a path means in the merged view.

use super::super::{Gap, GapKind};
use super::image::Tar;
use super::images::{base, stanza};
use super::kinds::{TestKind, gaps, inventory};

const STATUS: &str = "var/lib/dpkg/status";
const METADATA: &str = "Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\n";
const SITE: &str = "usr/lib/python3/dist-packages";

fn status() -> String {
    stanza("openssl", "3.0.1-1")
}

/// `name in path` of each package, and the gaps.
fn found(layers: Vec<Tar>) -> (Vec<String>, Vec<Gap>) {
    let layers: Vec<_> = layers.into_iter().map(Tar::end).collect();
    let inventory = inventory::<TestKind>(&layers);
    let packages = inventory.packages.iter();
    let packages = packages.map(|package| format!("{} in {}", package.name, package.found_in));
    (packages.collect(), inventory.gaps)
}

#[track_caller]
fn assert_found(layers: Vec<Tar>, packages: &[&str]) {
    let (found, gaps) = found(layers);
    assert_eq!(
        (found.iter().map(String::as_str).collect::<Vec<_>>(), gaps),
        (packages.to_vec(), vec![])
    );
}

#[track_caller]
fn assert_gap(layers: Vec<Tar>, packages: usize, kind: GapKind, path: &str, part: &str) {
    let (found, gaps) = found(layers);
    assert_eq!(found.len(), packages, "{found:?} {gaps:?}");
    let is_it = |gap: &Gap| {
        gap.kind == kind && gap.path.as_deref() == Some(path) && gap.text.contains(part)
    };
    assert!(gaps.iter().any(is_it), "{kind:?} {path} {part}: {gaps:?}");
}

const OPENSSL: &[&str] = &["openssl in var/lib/dpkg/status"];

#[test]
fn a_link_is_followed_within_the_image_and_never_out_of_it() {
    for target in [
        "/opt/real",
        "../../../opt/real",
        "../../../../../../opt/real",
        "/../opt/./real",
        "//opt//real",
    ] {
        let real = || Tar::new().file("opt/real", &status());
        assert_found(vec![base(), real().symlink(STATUS, target)], OPENSSL);
        assert_found(vec![base().symlink(STATUS, target), real()], OPENSSL);
        assert_found(vec![real(), base().symlink(STATUS, target)], OPENSSL);
    }
}

#[test]
fn chains_of_links_through_layers_lead_to_what_is_there_last() {
    let old = stanza("old", "1");
    let first = base().file("opt/a/dpkg/status", &old).symlink("var/lib", "/opt/now");
    let second = Tar::new().symlink("opt/now", "a").file("opt/b/dpkg/status", &status());
    let third = Tar::new().symlink("opt/now", "b");
    let (packages, gaps) = found(vec![first, second, third]);
    assert_eq!(packages, OPENSSL);
    assert_eq!(gaps.len(), 1, "the other list is nobody's: {gaps:?}");
}

#[test]
fn a_link_that_leads_nowhere_where_something_is_expected_is_a_gap() {
    let nowhere = |target| vec![base().symlink(STATUS, target)];
    assert_gap(
        nowhere("/proc/1/root/opt/status"),
        0,
        GapKind::Malformed,
        STATUS,
        "leads to nothing",
    );
    assert_gap(nowhere("status"), 0, GapKind::Limit, STATUS, "more than links");
    let circle = vec![base().symlink("var/lib", "../opt").symlink("opt", "var/lib")];
    assert_gap(circle, 0, GapKind::Limit, STATUS, "more than links");
    assert_gap(vec![base().directory(STATUS)], 0, GapKind::Malformed, STATUS, "no file");
    assert_gap(vec![base().special(STATUS, b'6')], 0, GapKind::Malformed, STATUS, "no file");
    assert_found(vec![base().symlink("opt/loop", "loop").symlink("opt/proc", "/proc/self")], &[]);
}

#[test]
fn the_first_place_that_has_a_file_is_the_one_that_counts() {
    let layer = Tar::new()
        .file("usr/lib/os-release", "ID=alpine\n")
        .symlink("etc/os-release", "../usr/lib/os-release")
        .end();
    let id = |layers: &[Vec<u8>]| inventory::<TestKind>(layers).distribution.map(|it| it.id);
    assert_eq!(id(std::slice::from_ref(&layer)).as_deref(), Some("alpine"));
    let above = Tar::new().file("etc/os-release", "ID=debian\n").end();
    assert_eq!(id(&[layer.clone(), above]).as_deref(), Some("debian"));
    let hidden = Tar::new().file("etc/.wh.os-release", "").end();
    assert_eq!(id(&[layer, hidden]).as_deref(), Some("alpine"));
}

#[test]
fn a_link_with_a_name_of_interest_is_a_file_of_interest() {
    let direct = Tar::new()
        .file("opt/y", METADATA)
        .symlink(&format!("{SITE}/requests.dist-info/METADATA"), "/opt/y");
    assert_found(vec![direct], &["requests in opt/y"]);
    let directory = Tar::new()
        .file("opt/y/METADATA", METADATA)
        .symlink(&format!("{SITE}/requests.dist-info"), "/opt/y");
    assert_found(vec![directory], &["requests in opt/y/METADATA"]);
    let hard = Tar::new()
        .file("opt/y", METADATA)
        .hard_link(&format!("{SITE}/requests.dist-info/METADATA"), "opt/y");
    assert_found(vec![hard], &[&format!("requests in {SITE}/requests.dist-info/METADATA")]);
}

#[test]
fn a_link_to_what_is_counted_already_counts_nothing_more() {
    let path = format!("{SITE}/requests.dist-info/METADATA");
    let layer = Tar::new()
        .file(&path, METADATA)
        .hard_link("opt/a.dist-info/METADATA", &path)
        .symlink("opt/b.dist-info", &format!("/{SITE}/requests.dist-info"))
        .symlink("opt/c", "/usr");
    assert_found(vec![layer], &[&format!("requests in {path}")]);
}

#[test]
fn a_file_lives_on_in_its_other_names() {
    let below = base().file("opt/real", &status()).hard_link(STATUS, "opt/real");
    assert_found(vec![below.clone(), Tar::new().file("opt/.wh.real", "")], OPENSSL);
    assert_found(vec![below.clone(), Tar::new().file("opt/real", "")], OPENSSL);
    let same =
        base().file("opt/real", &status()).hard_link(STATUS, "opt/real").file("opt/real", "");
    assert_found(vec![same], OPENSSL);
    assert_found(vec![below, Tar::new().file("var/lib/dpkg/.wh.status", "")], &[]);
}

#[test]
fn a_hard_link_reaches_a_layer_below_and_one_to_nothing_is_a_gap() {
    let below = || base().file("opt/real", &status());
    assert_found(vec![below(), Tar::new().hard_link(STATUS, "opt/real")], OPENSSL);
    assert_found(vec![below(), Tar::new().hard_link(STATUS, "/opt/../opt/real")], OPENSSL);
    let late = vec![base().hard_link(STATUS, "opt/real"), Tar::new().file("opt/real", &status())];
    assert_gap(late, 0, GapKind::Malformed, STATUS, "hard link to nothing");
    let out = vec![base().hard_link(STATUS, "../../../../etc/shadow")];
    assert_gap(out, 0, GapKind::Malformed, STATUS, "hard link to nothing");
    let own = vec![base().directory("opt").hard_link("opt/x", "opt")];
    assert_gap(own, 0, GapKind::Malformed, "opt/x", "hard link to a directory");
    let linked =
        vec![below().symlink("opt/link", "real"), Tar::new().hard_link(STATUS, "opt/link")];
    assert_gap(linked, 0, GapKind::Unsupported, STATUS, "hard link to a link");
}

#[test]
fn a_hard_link_to_a_symbolic_link_is_that_link() {
    let layer = base().file("var/lib/dpkg/real", &status()).symlink("opt/link", "real");
    assert_found(vec![layer.hard_link(STATUS, "opt/link")], OPENSSL);
}

#[test]
fn paths_go_through_links_of_their_own_layer_only() {
    let own = base().symlink("var/lib", "/opt").file(STATUS, &status());
    assert_found(vec![own], OPENSSL);
    let missing = base().symlink("var/lib", "/opt/not/there").file(STATUS, &status());
    assert_found(vec![missing], OPENSSL);
    // Over a layer with the link, the path makes a directory that takes the link's place.
    let replaced = vec![
        base().symlink("var/lib", "/opt").file("opt/dpkg/status", &stanza("old", "1")),
        Tar::new().file(STATUS, &status()),
    ];
    let text = "it lists packages";
    assert_gap(replaced, 1, GapKind::Unsupported, "opt/dpkg/status", text);
    let again = base().symlink("var/lib", "/opt").directory("var/lib").file(STATUS, &status());
    assert_found(vec![again], OPENSSL);
}

#[test]
fn what_replaces_a_directory_hides_all_that_was_in_it() {
    let below = || base().file(STATUS, &status());
    for above in [
        Tar::new().file("var/lib", ""),
        Tar::new().symlink("var/lib", "/opt"),
        Tar::new().special("var/lib/dpkg", b'3'),
    ] {
        let (packages, _) = found(vec![below(), above]);
        assert_eq!(packages, Vec::<String>::new());
    }
    let over_file =
        vec![below(), Tar::new().file("var/lib", ""), Tar::new().directory("var/lib/dpkg")];
    assert_found(over_file, &[]);
    let merged = vec![below(), Tar::new().directory("var/lib/dpkg").file("var/lib/dpkg/lock", "")];
    assert_found(merged, OPENSSL);
    let one_layer = base().file(STATUS, &status()).file("var/lib", "").directory("var/lib");
    assert_found(vec![one_layer], &[]);
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let below = || base().file(STATUS, &status());
    let hidden = |name: &str| Tar::new().file(name, "");
    assert_found(vec![below(), hidden("var/lib/.wh.dpkg").file("var/lib/dpkg2/x", "")], &[]);
    assert_found(vec![hidden("var/.wh.lib"), below()], OPENSSL);
    assert_found(
        vec![below(), hidden("var/lib/dpkg/.wh.status").file(STATUS, &stanza("new", "1"))],
        &["new in var/lib/dpkg/status"],
    );
    assert_found(
        vec![
            below(),
            hidden("var/lib/.wh..wh..opq").file("var/lib/dpkg/status.d/x", &stanza("x", "1")),
        ],
        &["x in var/lib/dpkg/status.d/x"],
    );
    // A directory that is made again over its own whiteout shows what is below: overlayfs has no trace
    // of the whiteout left.
    assert_found(vec![below(), hidden("var/lib/.wh.dpkg").directory("var/lib/dpkg")], OPENSSL);
    let opaque_below_opaque = vec![below(), hidden("var/.wh..wh..opq"), hidden("var/lib/x")];
    assert_found(opaque_below_opaque, &[]);
}

#[test]
fn whiteouts_that_nodes_refuse_or_read_in_different_ways_are_gaps() {
    let below = || base().file(STATUS, &status());
    for name in ["var/lib/.wh...", "var/lib/.wh..", "var/lib/.wh."] {
        let layers = vec![below(), Tar::new().file(name, "")];
        assert_gap(layers, 1, GapKind::Malformed, name, "whiteout of nothing");
    }
    let after = vec![below().file("var/lib/dpkg/.wh.status", "")];
    assert_gap(after, 1, GapKind::Malformed, "var/lib/dpkg/.wh.status", "of its own layer");
    let root = vec![below(), Tar::new().file(".wh..wh..opq", "")];
    assert_gap(root, 1, GapKind::Malformed, ".wh..wh..opq", "the root");
    let under = vec![below(), Tar::new().file("opt/.wh.x", "").file("opt/x/y", "")];
    assert_gap(under, 1, GapKind::Malformed, "opt/x/y", "no directory");
    let aufs =
        Tar::new().directory(".wh..wh.plnk/").file(".wh..wh.aufs", "").directory(".wh..wh.orph");
    assert_found(vec![below(), aufs], OPENSSL);
}

#[test]
fn a_file_below_a_file_is_a_gap() {
    let layer = base().file("var", "").file(STATUS, &status());
    assert_gap(vec![layer], 0, GapKind::Malformed, STATUS, "no directory");
}

#[test]
fn names_that_differ_in_case_are_different_names() {
    let layer = base()
        .file(STATUS, &status())
        .file("var/lib/dpkg/STATUS", "")
        .file("VAR/lib/dpkg/status", "");
    assert_found(vec![layer], OPENSSL);
    let layer = base().file("var/lib/dpkg/Status", &status());
    assert_found(vec![layer, Tar::new().file("var/lib/dpkg/.wh.STATUS", "")], &[]);
}

#[test]
fn every_way_to_the_root_is_the_root() {
    for name in ["/", ".", "..", "./", "../..", "", "a/.."] {
        assert_found(vec![base().directory(name).file(STATUS, &status())], OPENSSL);
    }
    assert_found(vec![base().file(&format!("../../{STATUS}"), &status())], OPENSSL);
}

#[test]
fn a_file_of_a_kind_by_its_contents_counts_wherever_it_lies() {
    let layer = Tar::new().file("app", "\u{7f}ELFmodule\nVersion: 1.0\n").file("app2", "\u{7f}EL");
    assert_found(vec![layer.clone()], &["module in app"]);
    assert_found(vec![layer, Tar::new().file("app", "")], &[]);
}

#[test]
fn a_file_that_links_lead_to_as_several_kinds_is_a_gap() {
    let layer = base()
        .file("opt/real", &status())
        .symlink(STATUS, "/opt/real")
        .symlink("var/lib/dpkg/info/x.list", "/opt/real");
    let layers = [layer.end()];
    let inventory = inventory::<TestKind>(&layers);
    assert_eq!(gaps(&inventory).len(), 1, "{:?}", gaps(&inventory));
    assert!(gaps(&inventory)[0].2.contains("of several kinds"));
}
