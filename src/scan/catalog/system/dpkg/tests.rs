use proptest::prelude::*;

use crate::scan::GapKind;
use crate::scan::catalog::system::tests::{owned, packages, read};
use crate::scan::catalog::{FileFacts, Maker};

const SUM: &str = "900150983cd24fb0d6963f7d28e17f72";

fn status(text: &str) -> FileFacts {
    read("var/lib/dpkg/status", text.as_bytes())
}

/// A stanza in the given state, of package `a` in version 1.
fn stanza(fields: &str) -> String {
    format!("Package: a\nStatus: install ok installed\nVersion: 1\n{fields}\n")
}

fn assert_gap(text: &str, rest: &[&str]) {
    let facts = status(text);
    let kinds: Vec<_> = facts.gaps.iter().map(|(kind, _)| *kind).collect();
    assert!(
        !kinds.is_empty() && kinds.iter().all(|it| *it == GapKind::Malformed),
        "{text:?}: {kinds:?}"
    );
    assert!(facts.gaps.iter().all(|(_, text)| text.is_ascii() && text.len() < 250), "{facts:?}");
    assert_eq!(packages(&facts), rest, "{text:?}");
}

#[test]
fn stanzas_end_at_empty_lines_and_at_the_end() {
    let two = "Package: a\nStatus: install ok installed\nVersion: 1\n\n\n\n\
               Package: b\nStatus: install ok installed\nVersion: 2";
    for text in [two.to_owned(), format!("\n{two}\n\n"), two.replace('\n', "\r\n")] {
        let facts = status(&text);
        assert_eq!(
            (packages(&facts), facts.gaps),
            (vec!["a 1".to_owned(), "b 2".to_owned()], vec![])
        );
    }
    assert_eq!(status(""), FileFacts::default());
    assert_eq!(status("\n\n"), FileFacts::default());
}

#[test]
fn a_package_counts_while_it_has_files_on_the_disk() {
    for (state, counts) in [
        ("install ok installed", true),
        ("deinstall ok installed", true),
        ("hold ok installed", true),
        ("install reinstreq half-installed", true),
        ("install ok unpacked", true),
        ("install ok half-configured", true),
        ("install ok triggers-awaited", true),
        ("install ok triggers-pending", true),
        ("Install OK Installed", true),
        ("deinstall ok config-files", false),
        ("purge ok not-installed", false),
        ("unknown ok not-installed", false),
        // States that dpkg does not have hide nothing.
        ("config-files", true),
        ("install ok config-files too", true),
        ("whatever", true),
        ("", true),
    ] {
        let facts = status(&format!("Package: a\nStatus: {state}\nVersion: 1\n"));
        assert_eq!((facts.packages.len(), facts.gaps.len()), (usize::from(counts), 0), "{state}");
    }
}

#[test]
fn a_source_is_told_where_it_differs() {
    for (field, source) in [
        ("", None),
        ("Source: a", None),
        ("Source: a (1)", None),
        ("Source: b", Some("b 1")),
        ("Source: b (2:1-3)", Some("b 2:1-3")),
        ("source:b(2)", Some("b 2")),
        ("Source: a (2)", Some("a 2")),
        ("Source:", None),
    ] {
        let facts = status(&stanza(field));
        assert_eq!(facts.gaps, vec![], "{field}");
        let found =
            facts.packages[0].source.as_ref().map(|it| format!("{} {}", it.name, it.version));
        assert_eq!(found.as_deref(), source, "{field}");
    }
    for field in [
        "Source: b (",
        "Source: b (2",
        "Source: (2)",
        "Source: b ()",
        "Source: b c",
        "Source: b (1) x",
    ] {
        assert_gap(&stanza(field), &[]);
    }
}

#[test]
fn versions_that_cannot_be_compared_are_gaps() {
    let long = "1".repeat(300);
    for version in
        ["", "1:", ":1", "${ver}", "${binary:Version}", "a:1", "1 2", "-1", "1\u{0}", "1é", &long]
    {
        let text = format!("Package: a\nStatus: install ok installed\nVersion: {version}\n");
        assert_gap(&text, &[]);
    }
    for version in ["1", "0:1", "1:2:3", "2.0~rc1+dfsg-1~deb12u1", "r131", "20190108"] {
        let text = format!("Package: a\nStatus: install ok installed\nVersion: {version}\n");
        assert_eq!(status(&text).packages[0].version, version);
    }
}

#[test]
fn what_is_missing_or_said_twice_is_a_gap() {
    let good = "\n\nPackage: z\nStatus: install ok installed\nVersion: 9\n";
    for bad in [
        "Status: install ok installed\nVersion: 1",
        "Package: a\nStatus: install ok installed",
        "Package:\nStatus: install ok installed\nVersion: 1",
        "Package: a b\nStatus: install ok installed\nVersion: 1",
        "Description: no more than this",
        "no field at all",
        " folded",
    ] {
        assert_gap(&format!("{bad}{good}"), &["z 9"]);
        assert_gap(&format!("{good}\n{bad}"), &["z 9"]);
    }
    // Told, and what was said first is kept.
    for bad in ["Version: 2", "version: 2", "Package: b", "Version : 2", " folded", ": x"] {
        assert_gap(&stanza(&format!("{bad}\n")), &["a 1"]);
    }
}

/// Some take a line of spaces for the end of a stanza, some for more of its last field.
#[test]
fn a_line_of_spaces_hides_no_package() {
    let text = format!(
        "{}Description: x\n \n{}",
        stanza("").trim_end_matches('\n').to_owned() + "\n",
        stanza("")
    );
    let facts = status(&text.replacen("Package: a", "Package: b", 1));
    assert!(!facts.gaps.is_empty());
}

#[test]
fn folded_lines_and_other_fields_are_passed_over() {
    let facts = status(&stanza(
        "Conffiles:\n /etc/x 0123\n Package: b\nDescription: x\n .\n\tVersion: 9\nX-Any: \u{e9}",
    ));
    assert_eq!((packages(&facts), facts.gaps), (vec!["a 1".to_owned()], vec![]));
}

#[test]
fn zero_bytes_are_a_gap() {
    assert_gap(&"\0".repeat(4096), &[]);
    assert_gap(&format!("{}\n\n{}", stanza(""), "\0".repeat(100)), &["a 1"]);
}

#[test]
fn a_line_of_ten_megabytes_is_a_line() {
    let long = "x".repeat(10 * 1024 * 1024);
    let facts = status(&stanza(&format!("Description: {long}")));
    assert_eq!((packages(&facts), facts.gaps), (vec!["a 1".to_owned()], vec![]));
    let facts = status(&stanza(&long));
    assert_eq!((facts.packages.len(), facts.gaps.len()), (1, 1));
    assert!(facts.gaps[0].1.len() < 200);
}

#[test]
fn names_are_in_lower_case_as_dpkg_takes_them() {
    let facts = status(
        "Package: OpenSSL\nStatus: install ok installed\nVersion: 1\nSource: OpenSSL\nArchitecture: amd64\n",
    );
    assert_eq!(packages(&facts), ["openssl 1"]);
    assert_eq!(
        (&facts.packages[0].source, facts.packages[0].architecture.as_deref()),
        (&None, Some("amd64"))
    );
}

#[test]
fn a_package_of_two_architectures_or_versions_is_two() {
    let of =
        |version: &str| format!("Package: a\nStatus: install ok installed\nVersion: {version}\n\n");
    assert_eq!(packages(&status(&(of("1") + &of("2")))), ["a 1", "a 2"]);
}

#[test]
fn a_piece_of_an_image_without_dpkg_has_no_state() {
    let facts = read(
        "var/lib/dpkg/status.d/tzdata",
        b"Package: tzdata\nArchitecture: all\nVersion: 2024a-0+deb12u1\nMaintainer: x\n",
    );
    assert_eq!(packages(&facts), ["tzdata 2024a-0+deb12u1"]);
    let facts = read(
        "var/lib/dpkg/status.d/tzdata.md5sums",
        format!("{SUM}  usr/share/zoneinfo/x\n{SUM}  usr/bin/x\n").as_bytes(),
    );
    assert_eq!((facts.packages.len(), owned(&facts)), (0, vec!["usr/bin/x"]));
}

#[test]
fn packages_that_a_distribution_made_are_told() {
    for (field, maker) in [
        ("Maintainer: Matthias Klose <doko@debian.org>", Some(Maker::Debian)),
        (
            "Maintainer: Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>",
            Some(Maker::Ubuntu),
        ),
        ("Maintainer: x <x@debian.org>\nVendor: Acme", None),
        ("Maintainer: Jenkins <noreply@jenkins.io>", None),
        ("Maintainer: Docker <support@docker.com>", None),
        ("vendor: Acme\nMaintainer: x\nMaintainer: y\n folded", None),
        ("Maintainer: debian.org", None),
        ("", None),
    ] {
        let facts = status(&stanza(field));
        assert_eq!(facts.gaps, vec![], "{field}");
        let expected: Vec<_> = maker.into_iter().map(|maker| ("a".to_owned(), maker)).collect();
        assert_eq!(facts.makers, expected, "{field}");
    }
    let removed = stanza("Maintainer: x <x@debian.org>").replace("ok installed", "ok config-files");
    assert_eq!(status(&removed).makers, []);
}

#[test]
fn checksums_are_of_one_package() {
    for (path, package) in [
        ("var/lib/dpkg/info/libc6:amd64.md5sums", "libc6"),
        ("var/lib/dpkg/info/python3.11.md5sums", "python3.11"),
        ("var/lib/dpkg/status.d/libssl1.1.md5sums", "libssl1.1"),
    ] {
        let facts = read(path, format!("{SUM}  usr/bin/x\n").as_bytes());
        let [owned] = facts.owns.as_slice() else { panic!("{path}: {facts:?}") };
        assert_eq!((owned.package.as_str(), owned.maker), (package, None), "{path}");
        assert_eq!(owned.files[0].checksum.to_string(), SUM);
    }
}

#[test]
fn what_has_no_checksum_belongs_to_nobody() {
    let list =
        format!("{SUM}  usr/lib/x/METADATA\r\n{SUM} ./usr/y\n0123  usr/z\n  usr/z\n{SUM}\n\n");
    let facts = read("var/lib/dpkg/info/x.md5sums", list.as_bytes());
    assert_eq!(owned(&facts), ["usr/lib/x/METADATA", "usr/y"]);
    assert_eq!(facts.gaps, vec![]);
}

/// Short paths take more memory than they have bytes.
#[test]
fn the_paths_of_a_list_are_bounded() {
    let list = format!("{SUM}  a\n").repeat(400_000);
    let count = owned(&read("var/lib/dpkg/info/x.md5sums", list.as_bytes())).len();
    assert!((200_000..300_000).contains(&count), "{count}");
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for path in ["var/lib/dpkg/status", "var/lib/dpkg/info/a.md5sums"] {
            read(path, &bytes);
        }
    }

    /// Whatever lines there are, each stanza is a package, a gap, or one that is not installed.
    #[test]
    fn nothing_is_dropped_in_silence(lines in prop::collection::vec("(Package|Version|Status|x|Source)[: a-c1(]{0,6}", 1..6)) {
        let facts = status(&lines.join("\n"));
        prop_assert!(facts.packages.len() + facts.gaps.len() > 0, "{:?}", lines);
    }
}
