use proptest::prelude::*;

use crate::scan::GapKind;
use crate::scan::catalog::system::tests::{owned, packages, read};
use crate::scan::catalog::{FileFacts, Maker};

fn installed(text: &str) -> FileFacts {
    read("lib/apk/db/installed", text.as_bytes())
}

const BUSYBOX: &str = "C:Q1vIJHp3ttkLHCbiwlkSNBSeJtCkQ=\nP:busybox\nV:1.36.1-r28\nA:x86_64\nS:1\n\
    o:busybox\nm:x <x@alpinelinux.org>\nt:1\nF:bin\nR:busybox\na:0:0:755\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n\
    R:sh\nF:\nR:top\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\nF:usr/share/man\nR:x\n";
const ALPINE: &str = "m:x <x@alpinelinux.org>\n";
const SUM: &str = "Z:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n";
const CLIENT: &str = "P:ssl_client\nV:1.36.1-r28\no:busybox\nF:usr/bin\nR:ssl_client\n";

#[test]
fn packages_with_their_origin_and_files() {
    let text = format!("{BUSYBOX}\n{CLIENT}");
    for text in [
        text.clone(),
        text.trim_end().to_owned(),
        format!("\n{text}\n\n"),
        text.replace('\n', "\r\n"),
    ] {
        let facts = installed(&text);
        assert_eq!(facts.gaps, vec![]);
        assert_eq!(packages(&facts), ["busybox 1.36.1-r28", "ssl_client 1.36.1-r28"]);
        assert_eq!(facts.packages[0].source, None);
        assert_eq!(facts.packages[0].architecture.as_deref(), Some("x86_64"));
        assert_eq!(facts.packages[1].source_name(), "busybox");
        assert_eq!(facts.packages[1].source_version(), "1.36.1-r28");
        assert_eq!(owned(&facts), ["bin/busybox", "top"]);
        let [owned] = facts.owns.as_slice() else { panic!("{facts:?}") };
        assert_eq!((owned.package.as_str(), owned.maker), ("busybox", Some(Maker::Alpine)));
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(owned.files[0].checksum.to_string(), sha1);
    }
    assert_eq!(installed(""), FileFacts::default());
}

/// Files of one package are not in the last folder of the one before.
#[test]
fn a_package_begins_without_a_folder() {
    let text = format!("P:a\nV:1\n{ALPINE}F:bin\nR:a\n{SUM}\nP:b\nV:1\n{ALPINE}R:b\n{SUM}");
    assert_eq!(owned(&installed(&text)), ["bin/a", "b"]);
}

/// What has no checksum, or one that is not computed, belongs to nobody; neither do files of packages
/// that are not Alpine's own.
#[test]
fn files_belong_to_packages_of_the_distribution_with_checksums() {
    for (files, maintainer, count) in [
        (format!("R:a\n{SUM}"), ALPINE, 1),
        (format!("R:a\na:0:0:755\n{SUM}"), ALPINE, 1),
        (format!("Z:Q2{}\n", "A".repeat(43) + "="), ALPINE, 0),
        (format!("R:a\nZ:Q2{}\n", "A".repeat(43) + "="), ALPINE, 1),
        ("R:a\n".to_owned(), ALPINE, 0),
        ("R:a\nZ:Q1x=\n".to_owned(), ALPINE, 0),
        ("R:a\nZ:qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n".to_owned(), ALPINE, 0),
        (format!("R:a\nF:x\n{SUM}"), ALPINE, 0),
        (format!("R:a\n{SUM}"), "m:Vendor <apk@vendor.test>\n", 0),
        (format!("R:a\n{SUM}"), "", 0),
    ] {
        let facts = installed(&format!("P:a\nV:1\n{maintainer}F:usr/bin\n{files}"));
        assert_eq!((facts.gaps.len(), owned(&facts).len()), (0, count), "{files}{maintainer}");
    }
}

#[test]
fn a_package_without_an_origin_is_its_own() {
    let facts = installed("P:a\nV:1-r0\n\nP:b\nV:1-r0\no:\n");
    assert_eq!(facts.gaps, vec![]);
    assert_eq!(facts.packages[0].source_name(), "a");
    assert_eq!(facts.packages[1].source_name(), "b");
}

#[test]
fn what_is_broken_is_a_gap_and_the_others_are_kept() {
    let long = format!("P:a\nV:{}", "1".repeat(300));
    for bad in [
        "V:1-r0",
        "P:a",
        "P:a\nV:",
        "P:\nV:1",
        "P:a b\nV:1",
        "P:a\nV:1 2",
        "P:a\nV:1\no:x y",
        "P:a\nV:1\nA:\u{1}",
        "o:x",
        "no field",
        "\0\0\0",
        &long,
    ] {
        for text in [format!("{bad}\n\n{CLIENT}"), format!("{CLIENT}\n{bad}")] {
            let facts = installed(&text);
            assert!(!facts.gaps.is_empty(), "{bad:?}");
            assert!(facts.gaps.iter().all(|(kind, _)| *kind == GapKind::Malformed), "{bad:?}");
            assert_eq!(packages(&facts), ["ssl_client 1.36.1-r28"], "{bad:?}");
        }
    }
    // Told, and what was said first is kept.
    for bad in ["V:2", "P:b", "o:c", "what", "1:x", " V:2"] {
        let facts = installed(&format!("{CLIENT}{bad}\n"));
        assert_eq!((facts.packages.len(), facts.gaps.len()), (1, 1), "{bad}");
        assert_eq!(facts.packages[0].version, "1.36.1-r28");
    }
}

/// Every file would be looked at with all of its folder, which is no folder.
#[test]
fn a_folder_of_megabytes_is_none() {
    let folder = "/".repeat(4 * 1024 * 1024);
    let files = format!("R:x\n{SUM}").repeat(200_000);
    let text = format!("P:a\nV:1\n{ALPINE}F:{folder}\n{files}F:bin\nR:a\n{SUM}");
    let facts = installed(&text);
    assert_eq!((facts.packages.len(), facts.gaps.len(), owned(&facts)), (1, 0, vec!["bin/a"]));
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        read("lib/apk/db/installed", &bytes);
    }

    #[test]
    fn nothing_is_dropped_in_silence(lines in prop::collection::vec("[PVoFRx][: a-c1]{0,4}", 1..6)) {
        let facts = installed(&lines.join("\n"));
        prop_assert!(facts.packages.len() + facts.gaps.len() > 0, "{:?}", lines);
    }
}
