//! ELF programs with the lists of Go and Rust.

use super::made::{Program, by_pointers, framed, inline, zlib};
use super::{FileFacts, gaps, listed, packages, read, read_within};
use crate::scan::{GapKind, Limits, PackageKind};

const PATH: &str = "usr/bin/program";
const MODULES: &str = "path\texample.test/app/cmd\nmod\texample.test/app\tv1.2.3\th1:x=\n\
    dep\tgolang.org/x/net\tv0.7.0\th1:y=\nbuild\t-compiler=gc\n";
const EXPECTED: [&str; 3] = ["example.test/app v1.2.3", "golang.org/x/net v0.7.0", "stdlib 1.20.4"];

fn program(information: Vec<u8>) -> Vec<u8> {
    Program::new(information).with(".go.buildinfo", None).bytes()
}

fn of_modules(modules: &str) -> Vec<String> {
    packages(PATH, program(inline("go1.20.4", modules)))
}

#[test]
fn an_ordinary_program_says_nothing() {
    for ordinary in [
        Program::new("data").bytes(),
        Program { table: false, ..Program::new("data") }.bytes(),
        Program::new("").with(".text", Some(b"code".to_vec())).bytes(),
        Program { wide: false, big: true, ..Program::new("data") }.bytes(),
        b"\x7fELF".to_vec(),
        b"\x7fELF\x02\x01\x01\x00\x00\x00".to_vec(),
        b"\x7fELF\x09\x09\x01\x00\x00\x00".to_vec(),
    ] {
        assert_eq!(packages(PATH, ordinary), [""; 0]);
    }
}

#[test]
fn build_information_is_found_with_and_without_sections() {
    let information = inline("go1.20.4", MODULES);
    assert_eq!(packages(PATH, program(information.clone())), EXPECTED);
    let later = [vec![7; 48], information.clone()].concat();
    assert_eq!(packages(PATH, Program { table: false, ..Program::new(later) }.bytes()), EXPECTED);
    let pie = Program::new(information).with(".text", None);
    assert_eq!(packages(PATH, pie.bytes()), EXPECTED);
}

#[test]
fn the_older_form_is_read_in_all_widths_and_orders() {
    for (wide, big) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut made = Program { wide, big, ..Program::new("") };
        made.data = by_pointers(&made, "go1.17.2", MODULES);
        let expected = ["example.test/app v1.2.3", "golang.org/x/net v0.7.0", "stdlib 1.17.2"];
        assert_eq!(packages(PATH, made.bytes()), expected);
        made.data = by_pointers(&made, "go1.17.2", "");
        assert_eq!(packages(PATH, made.with(".go.buildinfo", None).bytes()), ["stdlib 1.17.2"]);
    }
}

#[test]
fn replacements_count_instead_of_what_they_replace() {
    let replaced =
        "dep\ta.test/old\tv1.0.0\n=>\tb.test/new\tv2.0.0\th1:x=\ndep\tc.test/c\tv3.0.0\th1:\n";
    assert_eq!(of_modules(replaced), ["b.test/new v2.0.0", "c.test/c v3.0.0", "stdlib 1.20.4"]);
    let directory =
        "dep\ta.test/a\tv1.0.0\n=>\t./a\t(devel)\t\ndep\tk8s.test/api\tv0.0.0\n=>\t../api\t\t\n";
    assert_eq!(of_modules(directory), ["a.test/a v1.0.0", "stdlib 1.20.4"]);
    assert_eq!(of_modules("=>\tb.test/new\tv2.0.0\n"), ["stdlib 1.20.4"], "replaces nothing");
}

#[test]
fn what_has_no_version_is_not_given_one() {
    assert_eq!(of_modules("path\tx\nmod\tx.test/x\t(devel)\t\n"), ["stdlib 1.20.4"]);
    assert_eq!(of_modules("mod\tx.test/x\n"), ["stdlib 1.20.4"]);
    let placeholder = "dep\tx.test/x\tv0.0.0-00010101000000-000000000000\n";
    assert_eq!(of_modules(placeholder), ["stdlib 1.20.4"]);
    let pseudo = "dep\tx.test/x\tv0.0.0-20230101000000-abcdefabcdef\n";
    assert_eq!(
        of_modules(pseudo),
        ["stdlib 1.20.4", "x.test/x v0.0.0-20230101000000-abcdefabcdef"]
    );
}

/// What is built from a working copy has its version where its makers wrote it.
#[test]
fn a_main_module_has_the_version_that_the_linker_was_told() {
    let of_flags = |flags: &str| {
        let lines = "mod\tx.test/x\t(devel)\t\ndep\ty.test/y\tv1.0.0\th1:=\n";
        let found = of_modules(&format!("{lines}build\t-compiler=gc\nbuild\t-ldflags={flags}\n"));
        found.into_iter().find(|it| it.starts_with("x.test/x "))
    };
    for flags in [
        r#""-w -s -extldflags '-static' -X main.version=1.18.1 -X main.gitCommit=abc""#,
        "-X=main.Version=v1.18.1",
        r#""-X 'x.test/x/internal/build.Version=v1.18.1' -X x.test/x.gitVersion=v1.18.1""#,
        r#""-X main.version=1.18.1 -X x.test/x/api.version=2.0.0""#,
        r#""-X \"main.version=1.18.1\"""#,
    ] {
        assert_eq!(of_flags(flags).as_deref(), Some("x.test/x v1.18.1"), "{flags}");
    }
    for flags in [
        "",
        "-X",
        r#""-s main.version=1.18.1""#,
        "-X=main.version=(devel)",
        "-X=main.version=v0.0.0",
        "-X=main.version=latest",
        "-X=main.goVersion=1.22.1",
        "-X=other.test/x.version=1.18.1",
        "-X=x.test/xy.version=1.18.1",
        r#""-X x.test/x/a.version=1.0.0 -X x.test/x/b.version=2.0.0""#,
    ] {
        assert_eq!(of_flags(flags), None, "{flags}");
    }
    let own = "mod\tx.test/x\tv1.2.3\th1:=\nbuild\t-ldflags=-X=main.version=9.9.9\n";
    assert_eq!(of_modules(own), ["stdlib 1.20.4", "x.test/x v1.2.3"], "it has one of its own");
}

#[test]
fn the_toolchain_is_listed_as_the_standard_library() {
    for (version, expected) in [
        ("go1.22rc1", "stdlib 1.22rc1"),
        ("go1.21.5 X:boringcrypto", "stdlib 1.21.5"),
        ("go1.22.7 (Red Hat 1.22.7-1.el9_5)", "stdlib 1.22.7"),
        ("devel go1.23-abc Tue Jan 2", "stdlib devel go1.23-abc Tue Jan 2"),
    ] {
        assert_eq!(packages(PATH, program(inline(version, ""))), [expected]);
    }
    let facts = read(PATH, program(inline("go1.22.3", "")));
    assert_eq!((facts.packages[0].kind, &*facts.packages[0].found_in), (PackageKind::Go, PATH));
}

#[test]
fn build_information_that_cannot_be_read_is_a_gap() {
    let whole = inline("go1.20.4", MODULES);
    let mut endless = whole[..32].to_vec();
    endless.extend([0xff; 12]);
    let mut far = whole[..32].to_vec();
    far.extend([8]);
    far.extend(b"go1.20.4");
    far.extend([0xff, 0xff, 0xff, 0x7f]);
    for (what, information) in [
        ("none", b"nothing at all in here".to_vec()),
        ("cut within the header", whole[..20].to_vec()),
        ("cut within the version", whole[..36].to_vec()),
        ("cut within the modules", whole[..60].to_vec()),
        ("a length without end", endless),
        ("a length beyond the file", far),
        ("no version of Go", inline("rust", MODULES)),
        ("an empty version", inline("", MODULES)),
        ("a long version", inline(&format!("go{}", "1".repeat(300)), MODULES)),
        ("not aligned", [&b"x"[..], &whole].concat()),
    ] {
        let last = Program { table: true, ..Program::new("") };
        let mut made = last.with(".go.buildinfo", None);
        made.data = information;
        // The lists of names and sections follow, so that a length may reach into them.
        let facts = read(PATH, made.bytes());
        let is_gap = facts.gaps.iter().any(|(kind, _)| *kind == GapKind::Malformed);
        assert!(is_gap || what.starts_with("cut"), "{what}: {facts:?}");
        if what.starts_with("cut") && !is_gap {
            assert!(!listed(&facts).contains(&EXPECTED[1].to_owned()), "{what}: {facts:?}");
        }
    }
}

#[test]
fn a_program_of_go_without_its_list_is_a_gap() {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        let stripped = Program::new("data").with(name, Some(b"x".to_vec()));
        assert_eq!(gaps(PATH, stripped.bytes()), [GapKind::Unsupported]);
    }
    let mut debug = Program::new("");
    debug.sections =
        vec![(".gopclntab", 8, None), (".go.buildinfo", 8, None), (".dep-v0", 8, None)];
    assert_eq!(packages("usr/lib/debug/x.debug", debug.bytes()), [""; 0], "names, and no bytes");
}

#[test]
fn pointers_that_lead_anywhere_end_nowhere() {
    let mut made = Program::new("");
    let whole = by_pointers(&made, "go1.17.2", MODULES);
    let addresses = [0, 1, 0x40_0000, 0x40_0010, 0x40_0020, u64::MAX, u64::MAX - 15, 1 << 63];
    for at in [16, 24, 32, 40, 48, 56] {
        for address in addresses {
            made.data = whole.clone();
            made.data[at..at + 8].copy_from_slice(&address.to_le_bytes());
            let facts = read(PATH, made.bytes());
            let told =
                !facts.gaps.is_empty() || listed(&facts).contains(&"stdlib 1.17.2".to_owned());
            assert!(told, "{at} {address:x}: {facts:?}");
        }
    }
    // The header of a text that points at itself.
    made.data = whole;
    made.data[16..24].copy_from_slice(&0x40_0010_u64.to_le_bytes());
    assert_eq!(gaps(PATH, made.bytes()), [GapKind::Malformed]);
}

#[test]
fn sections_that_are_nowhere_are_gaps_where_a_list_is_hidden() {
    let made = Program::new("").with(".dep-v0", Some(zlib(br#"{"packages":[]}"#)));
    let (whole, table) = made.build();
    assert_eq!(packages(PATH, &whole), [""; 0]);
    let section = table + 64;
    for (what, at, value) in [
        ("a section of 2^63 bytes", section + 32, 1_u64 << 63),
        ("of all there are", section + 32, u64::MAX),
        ("beyond the file", section + 24, u64::MAX - 1),
        ("a table beyond the file", 40, u64::MAX - 8),
        ("a table past the end", 40, u64::try_from(whole.len()).unwrap()),
        ("names beyond the file", table + 2 * 64 + 24, 1 << 62),
    ] {
        let mut broken = whole.clone();
        broken[at..at + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(gaps(PATH, &broken), [GapKind::Malformed], "{what}");
    }
    let mut few = whole.clone();
    few[58] = 8;
    assert_eq!(gaps(PATH, &few), [GapKind::Malformed], "entries that are too small");
    // The same where there is nothing to be hidden.
    let (mut ordinary, _) = Program::new("data").build();
    ordinary[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(packages(PATH, ordinary), [""; 0]);
}

#[test]
fn as_many_sections_as_there_are_names_is_no_hindrance() {
    let made = Program::new("").with(".dep-v0", Some(zlib(br#"{"packages":[]}"#)));
    let (mut many, table) = made.build();
    // The number is in the first section, because it is too large for its field.
    many[60..62].copy_from_slice(&0_u16.to_le_bytes());
    many[62..64].copy_from_slice(&u16::MAX.to_le_bytes());
    many[table + 32..table + 40].copy_from_slice(&3_u64.to_le_bytes());
    many[table + 40..table + 44].copy_from_slice(&2_u32.to_le_bytes());
    assert_eq!(packages(PATH, &many), [""; 0]);
    many[table + 32..table + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(gaps(PATH, &many), [GapKind::Malformed]);
}

fn auditable(text: &[u8]) -> Vec<u8> {
    Program::new("data").with(".dep-v0", Some(zlib(text))).bytes()
}

#[test]
fn crates_are_listed_without_what_only_built_the_program() {
    let text = br#"{"packages":[
        {"name":"app","version":"0.1.0","source":"local","dependencies":[1],"root":true},
        {"name":"serde","version":"1.0.200","source":"crates.io","kind":"runtime","features":["x"]},
        {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}],"format":1}"#;
    assert_eq!(packages(PATH, auditable(text)), ["app 0.1.0", "serde 1.0.200"]);
    assert_eq!(read(PATH, auditable(text)).packages[0].kind, PackageKind::Cargo);
    let both = Program::new(inline("go1.20.4", ""))
        .with(".go.buildinfo", None)
        .with(".dep-v0", Some(zlib(br#"{"packages":[{"name":"a","version":"1.0.0"}]}"#)));
    assert_eq!(packages(PATH, both.bytes()), ["stdlib 1.20.4", "a 1.0.0"]);
}

#[test]
fn a_list_of_crates_that_cannot_be_read_is_a_gap() {
    for text in [&b""[..], b"{", b"{}", b"[]", br#"{"packages":[{"name":"a"}]}"#] {
        assert_eq!(gaps(PATH, auditable(text)), [GapKind::Malformed], "{text:?}");
    }
    let raw = Program::new("").with(".dep-v0", Some(b"not compressed".to_vec()));
    assert_eq!(gaps(PATH, raw.bytes()), [GapKind::Malformed]);
    let bomb = vec![b' '; 8 * 1024 * 1024 + 1];
    assert_eq!(gaps(PATH, auditable(&bomb)), [GapKind::Limit]);
}

/// A program that is larger than the bound, and how it is read in pieces.
fn large(before: usize, information: &[u8], after: &[u8]) -> FileFacts {
    let limits = Limits { program_bytes: 1000, file_bytes: 600_000, ..Limits::default() };
    let mut bytes = Program::new("data").bytes();
    bytes.resize(before, 0);
    bytes.extend(information);
    bytes.extend(after);
    bytes.resize(bytes.len().max(1001), 0);
    read_within(PATH, &bytes, &limits)
}

#[test]
fn a_large_program_is_read_in_passing() {
    let information = inline("go1.20.4", MODULES);
    let piece = 256 * 1024;
    for before in [1008, piece - 16, piece - 64, piece, piece * 2 - 32, piece * 3 + 16] {
        let facts = large(before, &information, &[1; 5000]);
        assert_eq!((listed(&facts), facts.gaps), (EXPECTED.map(str::to_owned).to_vec(), vec![]));
    }
    let many =
        (0..20_000).fold(String::new(), |text, n| text + &format!("dep\ta.test/{n}\tv1.0.0\n"));
    let facts = large(1008, &inline("go1.20.4", &many), b"");
    assert_eq!((facts.packages.len(), facts.gaps), (20_001, vec![]));
    assert_eq!(large(300_000, b"nothing", b""), FileFacts::default(), "no list, no gap");
}

#[test]
fn what_cannot_be_read_of_a_large_program_in_passing_is_a_gap() {
    let pointers = by_pointers(&Program::new(""), "go1.17.2", MODULES);
    let kinds = |facts: FileFacts| facts.gaps.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(large(1008, &pointers, b"")), [GapKind::Limit]);
    for before in [1008, 256 * 1024 - 4, 600_000] {
        assert_eq!(kinds(large(before, b"\0.dep-v0\0", b"")), [GapKind::Limit], "{before}");
    }
    let too_long = inline("go1.20.4", &"x".repeat(700_000));
    assert_eq!(kinds(large(1008, &too_long, b"")), [GapKind::Limit]);
    // A look-alike before the real one: text of a program that reads such programs.
    let mut alike = inline("go1.20.4", MODULES);
    alike.splice(0..0, [&b"\xff Go buildinf:\x08\x02"[..], &[0; 16], &[0xff; 16]].concat());
    assert_eq!(listed(&large(1008, &alike, b"")), EXPECTED);
}

#[test]
fn look_alikes_do_not_pile_up() {
    let header = [&b"\xff Go buildinf:\x08\x02"[..], &[0; 16], &[0xff; 16]].concat();
    let facts = large(1008, &header.repeat(20_000), b"");
    assert_eq!(facts, FileFacts::default());
    assert_eq!(framed("").len(), 0);
}

#[test]
fn only_so_many_look_alikes_are_tried_in_a_program() {
    let pointers = [&b"\xff Go buildinf:\x08\x00"[..], &[0xff; 16]].concat();
    let real = inline("go1.20.4", MODULES);
    assert_eq!(packages(PATH, program([&pointers.repeat(63)[..], &real].concat())), EXPECTED);
    let hidden = [&pointers.repeat(64)[..], &real].concat();
    assert_eq!(gaps(PATH, program(hidden)), [GapKind::Malformed]);
}
