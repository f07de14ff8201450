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
    assert_eq!((facts.packages[0].kind, &*facts.packages[0].found_in), (PackageKind::Go, ""));
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
    let kinds: Vec<_> = facts.gaps.iter().map(|(kind, _)| *kind).collect();
    assert_eq!((facts.packages.len(), kinds), (0, vec![GapKind::Limit]));
    // Without the zeros that follow it, it is a text in some other program.
    let text = b"\xff Go buildinf:\x08\x02 and more".repeat(20_000);
    assert_eq!(large(1008, &text, b""), FileFacts::default());
    assert_eq!(framed("").len(), 0);
}

#[test]
fn only_so_many_look_alikes_are_tried_in_a_program() {
    let pointers = [&b"\xff Go buildinf:\x08\x00"[..], &[0xff; 16]].concat();
    let real = inline("go1.20.4", MODULES);
    assert_eq!(packages(PATH, program([&pointers.repeat(63)[..], &real].concat())), EXPECTED);
    let behind = [&pointers.repeat(64)[..], &real].concat();
    assert_eq!(packages(PATH, program(behind)), EXPECTED, "nothing hides behind them");
    assert_eq!(gaps(PATH, program(pointers.repeat(100))), [GapKind::Malformed]);
}

/// Of the header, Linux checks less than tables are read by.
#[test]
fn a_header_that_only_linux_takes_hides_nothing() {
    let whole = program(inline("go1.20.4", MODULES));
    for (at, value) in [(4, 0), (4, 1), (5, 2), (5, 9), (54, 1), (56, 0), (40, 0xff), (58, 1)] {
        let mut odd = whole.clone();
        odd[at] = value;
        assert_eq!(packages(PATH, odd), EXPECTED, "{value} at {at}");
    }
    let list = zlib(br#"{"packages":[]}"#);
    let crates = Program::new("").with(".dep-v0", Some(list)).bytes();
    for (at, value) in [(4, 0), (5, 2), (41, 0xff), (58, 1)] {
        let mut odd = crates.clone();
        odd[at] = value;
        assert_eq!(gaps(PATH, odd), [GapKind::Malformed], "{value} at {at}");
    }
    let mut no_table = crates;
    no_table[40..48].fill(0);
    assert_eq!(gaps(PATH, no_table), [GapKind::Malformed]);
}

#[test]
fn a_program_within_one_of_go_is_listed_beside_it() {
    let inner = inline("go1.19", "dep\ta.test/inner\tv1.0.0\n");
    let both = [inner, vec![0; 5]].concat();
    let mut both = [both.clone(), vec![0; both.len().next_multiple_of(16) - both.len()]].concat();
    both.extend(inline("go1.20.4", MODULES));
    let expected = [&["a.test/inner v1.0.0"][..], &EXPECTED[..2], &["stdlib 1.19"], &EXPECTED[2..]];
    assert_eq!(packages(PATH, program(both)), expected.concat());
}

/// What every program of Go needs to run, with the size of pointers and a count of functions.
#[test]
fn a_program_of_go_is_known_by_its_table_of_lines() {
    let table = |magic: u32, instruction: u8, pointer: u8, functions: u32| {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend([0, 0, instruction, pointer]);
        bytes.extend(u64::from(functions).to_le_bytes());
        bytes
    };
    for magic in [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1] {
        let made = Program { table: false, ..Program::new(table(magic, 1, 8, 100)) };
        assert_eq!(gaps(PATH, made.bytes()), [GapKind::Unsupported]);
        let facts = large(512 * 1024, &table(magic, 4, 8, 100), b"");
        assert_eq!(facts.gaps.len(), 1, "{facts:?}");
    }
    let mut big = 0xffff_fff1_u32.to_be_bytes().to_vec();
    big.extend([0, 0, 2, 8]);
    big.extend(100_u64.to_be_bytes());
    assert_eq!(
        gaps(PATH, Program { big: true, ..Program::new(big) }.bytes()),
        [GapKind::Unsupported]
    );
    for (magic, instruction, pointer, functions) in [
        (0xffff_fff2, 1, 8, 1),
        (0xffff_fff1, 3, 8, 1),
        (0xffff_fff1, 1, 7, 1),
        (0xffff_fff1, 1, 8, 0),
    ] {
        let made = Program::new(table(magic, instruction, pointer, functions));
        assert_eq!(packages(PATH, made.bytes()), [""; 0]);
    }
}

#[test]
fn programs_that_carry_their_packages_out_of_sight_are_gaps() {
    let mut host = 300_u64.to_le_bytes().to_vec();
    host.extend(b"\x8b\x12\x02\xb9\x6a\x61\x20\x38\x72\x7b\x93\x02\x14\xd7\xa0\x32");
    host.extend(b"\x13\xf5\xb9\xe6\xef\xae\x33\x18\xee\x3b\x2d\xce\x24\xb3\x6a\xae");
    assert_eq!(gaps(PATH, Program::new(host.clone()).bytes()), [GapKind::Unsupported]);
    assert_eq!(large(2000, &host, b"").gaps.len(), 1);
    host[..8].fill(0);
    assert_eq!(packages(PATH, Program::new(host.clone()).bytes()), [""; 0], "no bundle");
    host[..8].fill(b'x');
    assert_eq!(packages(PATH, Program::new(host).bytes()), [""; 0], "who only knows the mark");
    assert_eq!(gaps(PATH, Program::new("....UPX!....").bytes()), [GapKind::Unsupported]);
    assert_eq!(large(300_000, b"UPX!", &[0; 30]).gaps.len(), 1, "at its end");
    assert_eq!(large(300_000, b"UPX!", &vec![0; 300_000]).gaps.len(), 0, "a word in its middle");
}
