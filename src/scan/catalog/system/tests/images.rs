//! Whole images, read as the scanner reads them.

use crate::scan::Inventory;
use crate::scan::catalog::FileKind;
use crate::scan::tests::image::Tar;
use crate::scan::tests::images::{base, catalogue, stanza, sums};
use crate::scan::tests::kinds::inventory;

const STATUS: &str = "var/lib/dpkg/status";

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.packages.iter().map(|package| package.name.as_str()).collect()
}

#[test]
fn the_images_of_the_hostile_catalogue_have_what_they_have() {
    let cases = catalogue();
    assert!(cases.len() > 15, "{}", cases.len());
    for case in cases {
        let found = inventory::<FileKind>(&case.layers);
        assert_eq!(found.gaps, vec![], "{}", case.name);
        assert_eq!(found.packages.len(), case.packages, "{}: {:?}", case.name, names(&found));
        let id = found.distribution.map(|it| it.id);
        assert_eq!(id.as_deref(), case.has_distribution.then_some("debian"), "{}", case.name);
    }
}

/// Debian's own Python package is judged by Debian's advisories; what Node's makers put into the same
/// system is not known to Debian.
#[test]
fn what_a_stranger_installed_is_still_judged_by_its_language() {
    const REQUESTS: &str = "usr/lib/python3/dist-packages/requests-2.28.1.egg-info/PKG-INFO";
    const FOREIGN: &str = "usr/lib/foreign/six-1.0.egg-info/PKG-INFO";
    let metadata = |name: &str| format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let foreign = stanza("foreign", "1-1nodesource1");
    let foreign = foreign.replace("somebody@debian.org", "somebody@vendor.test");
    let image = |foreign: &str| {
        let status = stanza("python3-requests", "2.28.1+dfsg-1") + foreign;
        let layer = base()
            .file(STATUS, &status)
            .file(REQUESTS, &metadata("requests"))
            .file(FOREIGN, &metadata("six"))
            .file(
                "var/lib/dpkg/info/python3-requests.md5sums",
                &sums(&[(REQUESTS, &metadata("requests"))]),
            )
            .file("var/lib/dpkg/info/foreign:amd64.md5sums", &sums(&[(FOREIGN, &metadata("six"))]));
        inventory::<FileKind>(&[layer.end()])
    };
    let found = image(&foreign);
    assert_eq!(found.gaps, vec![]);
    assert_eq!(names(&found), ["foreign", "python3-requests", "six"]);
    let found = image(&stanza("foreign", "1-1"));
    assert_eq!(names(&found), ["foreign", "python3-requests"]);
}

/// A database that is there, and a log beside it with what is not in it.
#[test]
fn changes_that_are_not_in_the_database_yet_are_a_gap() {
    let log = |contents: &str| {
        let layer = Tar::new().file("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", contents);
        let layer = layer.symlink("var/lib/rpm", "../../usr/lib/sysimage/rpm");
        inventory::<FileKind>(&[layer.end()]).gaps.len()
    };
    assert_eq!((log(""), log("changes")), (0, 1));
}
