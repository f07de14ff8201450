//! The images of the hostile catalogue, each with how many packages are in it. They are written for any
//! cataloger of dpkg's files.

use super::super::catalog::Checksum;
use super::image::Tar;

const STATUS: &str = "var/lib/dpkg/status";
const OS_RELEASE: &str = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";

/// An image of the catalogue.
pub(in crate::scan) struct Case {
    pub(in crate::scan) name: &'static str,
    /// Its layers, the lowest first.
    pub(in crate::scan) layers: Vec<Vec<u8>>,
    pub(in crate::scan) packages: usize,
    pub(in crate::scan) has_distribution: bool,
}

/// What dpkg writes of a package.
pub(in crate::scan) fn stanza(name: &str, version: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nPriority: optional\nArchitecture: amd64\n\
         Version: {version}\nMaintainer: Somebody <somebody@debian.org>\nDescription: it\n\n"
    )
}

/// The checksums of a package's files, as dpkg has them.
pub(in crate::scan) fn sums(files: &[(&str, &str)]) -> String {
    let line = |(path, contents): &(&str, &str)| {
        format!("{}  {path}\n", Checksum::all_of(contents.as_bytes())[0])
    };
    files.iter().map(line).collect()
}

/// A layer with what says that it is Debian.
pub(in crate::scan) fn base() -> Tar {
    Tar::new().directory("etc/").file("etc/os-release", OS_RELEASE)
}

fn case(name: &'static str, packages: usize, layers: Vec<Tar>) -> Case {
    let layers = layers.into_iter().map(Tar::end).collect();
    Case { name, layers, packages, has_distribution: true }
}

/// All of them.
pub(in crate::scan) fn catalogue() -> Vec<Case> {
    let mut cases = ways_to_write_a_path();
    cases.extend(ways_through_links());
    cases.extend(ways_to_hide());
    cases.extend(ways_to_say_it());
    cases
}

fn ways_to_write_a_path() -> Vec<Case> {
    let status = stanza("openssl", "3.0.1-1");
    let deep = format!("usr/share/{0}/{0}", "long-name-".repeat(15));
    vec![
        case("normal", 1, vec![base().file(STATUS, &status)]),
        case("./ in front", 1, vec![base().file("./var/lib/dpkg/status", &status)]),
        case("absolute", 1, vec![base().file("/var/lib/dpkg/status", &status)]),
        case("usr/../var", 1, vec![base().file("usr/../var/lib/dpkg/status", &status)]),
        case(
            "a path of 300 bytes in an extended header",
            1,
            vec![base().pax(&[("path", &deep)]).file("x", "").file(STATUS, &status)],
        ),
    ]
}

fn ways_through_links() -> Vec<Case> {
    let status = stanza("openssl", "3.0.1-1");
    vec![
        case(
            "a symbolic link to the file",
            1,
            vec![base().file("opt/real", &status).symlink(STATUS, "../../../opt/real")],
        ),
        case(
            "a symbolic link to the directory",
            1,
            vec![base().file("opt/dpkg/status", &status).symlink("var/lib/dpkg", "/opt/dpkg")],
        ),
        case(
            "a hard link to the file",
            1,
            vec![base().file("opt/real", &status).hard_link(STATUS, "opt/real")],
        ),
    ]
}

fn ways_to_hide() -> Vec<Case> {
    let status = stanza("openssl", "3.0.1-1");
    let below = || base().file(STATUS, &status);
    vec![
        case("a whiteout", 0, vec![below(), Tar::new().file("var/lib/dpkg/.wh.status", "")]),
        case("a whiteout above it", 0, vec![below(), Tar::new().file("var/.wh.lib", "")]),
        case("an opaque directory", 0, vec![below(), Tar::new().file("var/lib/.wh..wh..opq", "")]),
        case(
            "an opaque marker behind a file of the same layer",
            1,
            vec![below(), Tar::new().file(STATUS, &status).file("var/lib/dpkg/.wh..wh..opq", "")],
        ),
        case(
            "a whiteout, and the file anew",
            1,
            vec![
                below(),
                Tar::new().file("var/lib/dpkg/.wh.status", ""),
                Tar::new().file(STATUS, &status),
            ],
        ),
        case("the file twice, empty last", 0, vec![below().file(STATUS, "")]),
        case("the file twice, empty first", 1, vec![base().file(STATUS, "").file(STATUS, &status)]),
    ]
}

fn ways_to_say_it() -> Vec<Case> {
    let status = stanza("openssl", "3.0.1-1");
    let removed = status.replace("install ok installed", "deinstall ok config-files");
    let nameless = Case {
        has_distribution: false,
        ..case("no os-release", 1, vec![Tar::new().file(STATUS, &status)])
    };
    vec![
        nameless,
        case("removed, with its configuration left", 0, vec![base().file(STATUS, &removed)]),
        case("a file per package", 1, vec![base().file("var/lib/dpkg/status.d/openssl", &status)]),
        case("nothing", 0, vec![base()]),
    ]
}
