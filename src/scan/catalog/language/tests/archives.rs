//! Java archives.

use super::made::{Made, maven, packed, stored, zip, zip_as};
use super::{gaps, listed, packages, read, read_within};
use crate::scan::{GapKind, Limits};

const PATH: &str = "app/app.jar";

fn manifest(text: &str) -> Made {
    packed("META-INF/MANIFEST.MF", format!("Manifest-Version: 1.0\r\n{text}\r\n"))
}

#[test]
fn all_that_maven_left_counts() {
    let shaded = zip(&[
        manifest("Implementation-Version: 1.0"),
        maven("org.a", "app", "1.0"),
        maven("com.b", "lib", "2.3.4"),
    ]);
    assert_eq!(packages(PATH, shaded), ["com.b:lib 2.3.4", "org.a:app 1.0"]);
    let escaped = packed("META-INF/maven/g/a/pom.properties", "version = 1\\:2\n!x\n#version=9\n");
    assert_eq!(packages(PATH, zip(&[escaped])), ["g:a 1:2"]);
    let no_version = packed("META-INF/maven/g/a/pom.properties", "version=${v}\n");
    assert_eq!(gaps(PATH, zip(&[no_version])), [GapKind::Malformed]);
}

#[test]
fn an_archive_is_known_by_its_manifest_and_its_name() {
    let bundle =
        "Bundle-SymbolicName: org.x.commons-io;singleton:=true\r\nBundle-Version: 2.11.0.x";
    let named = "lib/commons-io-2.11.jar";
    assert_eq!(packages(named, zip(&[manifest(bundle)])), ["org.x:commons-io 2.11"]);
    assert_eq!(packages("lib/c.jar", zip(&[manifest(bundle)])), ["org.x.commons-io 2.11.0.x"]);
    let said = "Implementation-Title: thing\r\nImplementation-Version: 1.2\r\n .3\r\n\
        Implementation-Vendor-Id: org.y\r\n\r\nImplementation-Version: 9";
    assert_eq!(packages("lib/x.jar", zip(&[manifest(said)])), ["org.y:thing 1.2.3"]);
    assert_eq!(packages("lib/other-1.jar", zip(&[manifest(said)])), ["org.y:other 1.2.3"]);
    assert_eq!(packages("lib/guava-31.1-jre.jar", zip(&[])), ["guava 31.1-jre"]);
    let odd = "Implementation-Version: 2.17.0";
    assert_eq!(
        packages("lib/log4j-1.2-api-2.17.0.jar", zip(&[manifest(odd)])),
        ["log4j-1.2-api 2.17.0"]
    );
}

/// Kotlin's libraries have the number of their build in the manifest, and no advisory has.
#[test]
fn the_build_of_a_version_is_not_another_version() {
    let jar = |said: &str| zip(&[manifest(&format!("Implementation-Version: {said}"))]);
    for said in ["2.1.21-release-317", "2.1.21+build.5", "2.1.21-20250513", "2.1.21"] {
        assert_eq!(packages("lib/kotlin-2.1.21.jar", jar(said)), ["kotlin 2.1.21"], "{said}");
    }
    // What came before the release may have what the release is without.
    for said in ["1.0-beta-2", "1.0-SNAPSHOT", "1.0-rc1", "1.0.1", "1.0.1-5", "1.0-", "1.01"] {
        assert_eq!(packages("lib/a-1.0.jar", jar(said)), [format!("a {said}")]);
    }
}

#[test]
fn an_archive_that_says_nothing_is_an_application() {
    assert_eq!(packages(PATH, zip(&[])), [""; 0]);
    assert_eq!(
        packages(PATH, zip(&[manifest("Main-Class: a.B"), stored("a/B.class", "x")])),
        [""; 0]
    );
    let title = "Implementation-Title: My Application\r\nImplementation-Version: ${version}";
    assert_eq!(packages(PATH, zip(&[manifest(title)])), [""; 0]);
}

/// Something shaded in does not stand for the archive itself.
#[test]
fn an_archive_is_listed_beside_what_was_shaded_into_it() {
    let shaded = zip(&[maven("com.b", "lib", "2.3.4")]);
    assert_eq!(
        packages("a/log4j-core-2.14.1.jar", &shaded),
        ["com.b:lib 2.3.4", "log4j-core 2.14.1"]
    );
    assert_eq!(packages("a/renamed-2.3.4.jar", &shaded), ["com.b:lib 2.3.4"]);
    let bundle = manifest("Bundle-SymbolicName: com.b\r\nBundle-Version: 2.3.4.x");
    assert_eq!(
        packages("a/lib.jar", zip(&[maven("com.b", "lib", "2.3.4-x"), bundle])),
        ["com.b:lib 2.3.4-x"]
    );
}

#[test]
fn archives_in_archives_are_found_where_they_are() {
    let inner = zip(&[maven("g", "inner", "1")]);
    let war = zip(&[stored("WEB-INF/lib/inner.jar", &inner), maven("g", "web", "2")]);
    let ear = zip(&[packed("web.war", &war), packed("lib/inner-3.jar", zip(&[]))]);
    let facts = read("opt/all.ear", &ear);
    assert_eq!(facts.gaps, []);
    let found: Vec<_> = facts.packages.iter().map(|it| (&*it.name, &*it.found_in)).collect();
    let expected = [
        ("g:inner", "opt/all.ear!web.war!WEB-INF/lib/inner.jar"),
        ("g:web", "opt/all.ear!web.war"),
        ("inner", "opt/all.ear!lib/inner-3.jar"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn forty_archives_deep_is_too_deep() {
    let mut archive = zip(&[maven("g", "deep", "1")]);
    for _ in 0..4 {
        archive = zip(&[packed("x.jar", &archive)]);
    }
    assert_eq!(packages(PATH, &archive), ["g:deep 1"]);
    archive = zip(&[packed("x.jar", &archive)]);
    assert_eq!(gaps(PATH, &archive), [GapKind::Limit], "one more");
    for _ in 5..40 {
        archive = zip(&[packed("x.jar", &archive)]);
    }
    let facts = read(PATH, &archive);
    assert_eq!(facts.packages, []);
    assert_eq!(facts.gaps.len(), 1);
    assert_eq!(facts.gaps[0].0, GapKind::Limit);
    assert!(facts.gaps[0].1.contains("archive_depth = 4"), "{}", facts.gaps[0].1);
}

#[test]
fn what_is_inflated_is_bounded() {
    let limits =
        Limits { archive_bytes: 200_000, archive_inflated_bytes: 300_000, ..Limits::default() };
    let zeros = vec![b' '; 150_000];
    let text = |size: usize| packed("META-INF/maven/g/a/pom.properties", &zeros[..size]);
    let facts = read_within(PATH, &zip(&[text(100), maven("g", "a", "1")]), &limits);
    assert_eq!(
        (facts.gaps.len(), facts.packages.len()),
        (1, 1),
        "no version, and the rest is read"
    );
    let facts = read_within(PATH, &zip(&vec![text(150_000); 3]), &limits);
    assert!(facts.gaps.iter().any(|(kind, text)| {
        *kind == GapKind::Limit && text.contains("archive_inflated_bytes = 300000")
    }));
    // Archives in one another are kept at the same time.
    let inner = zip(&[stored("x", &zeros[..120_000])]);
    let outer =
        zip(&[packed("b.jar", zip(&[packed("a.jar", &inner), stored("y", &zeros[..90_000])]))]);
    let facts = read_within(PATH, &outer, &limits);
    assert!(
        facts.gaps.iter().any(|(_, text)| text.contains("archive_bytes = 200000")),
        "{facts:?}"
    );
    let facts = read_within(PATH, &zeros, &Limits { archive_bytes: 10, ..limits });
    assert_eq!(facts.gaps[0].0, GapKind::Limit);
}

/// Each entry is small in the archive and large outside, and they share their bytes.
#[test]
fn overlapping_entries_are_a_gap() {
    let real = maven("g", "a", "1");
    let mut again = real.clone();
    again.offset = Some(0);
    let facts = read(PATH, zip(&[real.clone(), again]));
    assert_eq!(facts.gaps.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [GapKind::Malformed]);
    // Quoted: the second begins within the first.
    let inner = maven("g", "b", "1");
    let quoted = zip(std::slice::from_ref(&inner));
    let mut outer = stored("META-INF/maven/g/a/pom.properties", &quoted);
    outer.packed.extend(b"\nversion=1\n");
    outer.bytes = outer.packed.len().try_into().unwrap();
    let mut within = inner;
    within.offset = Some((30 + outer.name.len()).try_into().unwrap());
    let facts = read(PATH, zip(&[outer, within]));
    assert!(facts.gaps.iter().any(|(_, text)| text.contains("overlap")), "{facts:?}");
    assert!(listed(&facts).contains(&"g:b 1".to_owned()), "what is there counts all the same");
}

#[test]
fn large_archives_are_read_by_their_large_numbers() {
    let entries =
        [maven("g", "a", "1"), stored("lib/b-2.jar", zip_as(&[maven("g", "b", "2")], true))];
    assert_eq!(packages(PATH, zip_as(&entries, true)), ["g:a 1", "g:b 2"]);
    let before = [&b"#!/bin/sh\nexec java -jar $0\n"[..], &zip_as(&entries, true)].concat();
    assert_eq!(packages(PATH, before), ["g:a 1", "g:b 2"]);
}

#[test]
fn what_java_would_open_is_opened() {
    let archive = zip(&[maven("g", "a", "1")]);
    let script = [&b"#!/bin/sh\nexec java -jar \"$0\"\n"[..], &archive].concat();
    assert_eq!(packages(PATH, script), ["g:a 1"], "something before it");
    assert_eq!(
        packages(PATH, [&archive[..], b"padding"].concat()),
        ["g:a 1"],
        "something after it"
    );
    let mut comment = archive.clone();
    let length = comment.len();
    comment[length - 2] = 4;
    assert_eq!(packages(PATH, [&comment[..], b"PK\x05\x06"].concat()), ["g:a 1"], "with a comment");
}

/// Java opens the second; what reads from the beginning would see the first.
#[test]
fn two_archives_in_one_file_are_a_gap() {
    let both = [zip(&[maven("g", "first", "1")]), zip(&[maven("g", "second", "1")])].concat();
    let facts = read(PATH, both);
    assert_eq!(listed(&facts), ["g:second 1"]);
    assert_eq!(facts.gaps.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [GapKind::Malformed]);
}

#[test]
fn what_is_no_archive_is_ordinary_unless_it_begins_like_one() {
    for ordinary in [&b""[..], b"PK", b"a text", b"\0\0\0\0", &[b'x'; 100]] {
        assert_eq!(packages("a/not.jar", ordinary), [""; 0]);
    }
    let archive = zip(&[maven("g", "a", "1")]);
    for end in [4, 30, archive.len() / 2, archive.len() - 1] {
        assert_eq!(gaps(PATH, &archive[..end]), [GapKind::Malformed], "cut at {end}");
    }
}

#[test]
fn duplicate_names_both_count() {
    let facts = packages(
        PATH,
        zip(&[
            maven("g", "a", "1"),
            Made { ..maven("g", "a", "1") },
            stored("META-INF/maven/g/a/pom.properties", "version=2"),
        ]),
    );
    assert_eq!(facts, ["g:a 1", "g:a 2"]);
}

#[test]
fn an_entry_that_is_not_what_the_directory_says_is_a_gap() {
    let whole = maven("g", "a", "1");
    let broken = [
        ("another name", Made { local_name: Some(b"META-INF/x".to_vec()), ..whole.clone() }),
        ("too far", Made { offset: Some(60_000), ..whole.clone() }),
        ("far too far", Made { offset: Some(u32::MAX), ..whole.clone() }),
        ("no header", Made { offset: Some(3), ..whole.clone() }),
        ("too large", Made { bytes: whole.bytes + 1, ..whole.clone() }),
        ("too small", Made { bytes: whole.bytes - 1, ..whole.clone() }),
        ("not deflated", Made { packed: b"\xff\xff\xff".to_vec(), ..whole.clone() }),
        (
            "two sizes",
            Made { bytes: 10, ..stored("META-INF/maven/g/a/pom.properties", "version=1") },
        ),
    ];
    for (what, entry) in broken {
        let facts = read(PATH, zip(&[entry, maven("g", "b", "2")]));
        assert_eq!(facts.gaps.len(), 1, "{what}: {facts:?}");
        assert_eq!(facts.gaps[0].0, GapKind::Malformed, "{what}");
        assert_eq!(listed(&facts), ["g:b 2"], "{what}: the others count");
    }
    let unread = [
        ("encrypted", Made { flags: 1, ..whole.clone() }),
        ("strongly encrypted", Made { flags: 0x41, ..whole.clone() }),
        ("another method", Made { method: 93, ..whole }),
    ];
    for (what, entry) in unread {
        assert_eq!(gaps(PATH, zip(&[entry])), [GapKind::Unsupported], "{what}");
    }
    // Of what is not read, nothing has to be right.
    let class = Made { flags: 1, method: 93, offset: Some(77), ..stored("a/B.class", "x") };
    assert_eq!(packages(PATH, zip(&[class])), [""; 0]);
}

#[test]
fn a_broken_directory_is_a_gap() {
    let archive = zip(&[maven("g", "a", "1"), maven("g", "b", "1")]);
    let end = archive.len() - 22;
    let directory = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let changes: [(&str, usize, u8); 5] = [
        ("signature", directory, 0),
        ("length of a name", directory + 29, 0xff),
        ("size of the directory", end + 15, 0x7f),
        ("size of the directory, less", end + 12, 1),
        ("offset of the directory", end + 19, 0x7f),
    ];
    for (what, at, value) in changes {
        let mut broken = archive.clone();
        broken[at] = value;
        assert!(gaps(PATH, &broken).contains(&GapKind::Malformed), "{what}");
    }
}

#[test]
fn a_broken_archive_within_one_is_a_gap_with_its_place() {
    let facts =
        read(PATH, zip(&[stored("lib/bad.jar", "PK\x03\x04 and no more"), maven("g", "a", "1")]));
    assert_eq!(listed(&facts), ["g:a 1"]);
    assert_eq!(facts.gaps, [(GapKind::Malformed, "'lib/bad.jar': it has no end".to_owned())]);
}

#[test]
fn entries_are_bounded() {
    let limits = Limits { entries: 10, ..Limits::default() };
    let mut entries = vec![stored("x", ""); 10];
    assert_eq!(read_within(PATH, &zip(&entries), &limits).gaps, []);
    entries.push(maven("g", "a", "1"));
    assert_eq!(read_within(PATH, &zip(&entries), &limits).gaps[0].0, GapKind::Limit);
}
