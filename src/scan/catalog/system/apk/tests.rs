use proptest::prelude::*;

use crate::scan::GapKind;
use crate::scan::catalog::FileFacts;
use crate::scan::catalog::system::tests::{packages, read};

fn installed(text: &str) -> FileFacts {
    read("lib/apk/db/installed", text.as_bytes())
}

const BUSYBOX: &str = "C:Q1vIJHp3ttkLHCbiwlkSNBSeJtCkQ=\nP:busybox\nV:1.36.1-r28\nA:x86_64\nS:1\n\
    o:busybox\nm:x <x@y>\nt:1\nF:bin\nR:busybox\na:0:0:755\nZ:Q1x=\nR:sh\nF:\nR:top\nF:usr/share/man\nR:x\n";
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
        assert_eq!(facts.owns, ["bin/busybox", "bin/sh", "top", "usr/bin/ssl_client"]);
    }
    assert_eq!(installed(""), FileFacts::default());
}

/// Files of one package are not in the last folder of the one before.
#[test]
fn a_package_begins_without_a_folder() {
    assert_eq!(installed("P:a\nV:1\nF:bin\nR:a\n\nP:b\nV:1\nR:b\n").owns, ["bin/a", "b"]);
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
