//! `os-release`: what an image says it is.
//!
//! The file is a shell script of assignments. Only what such files have is read: a name, `=`, and a
//! value that is bare or in quotes; nothing is expanded.
//!
//! Spec: <https://www.freedesktop.org/software/systemd/man/255/os-release.html>

use super::collector::{Collector, lines, shown};
use crate::scan::Distribution;

/// Longest value that is kept, in bytes.
const VALUE_BYTES_MAX: usize = 256;
/// Most names in `ID_LIKE` that are kept.
const LIKE_MAX: usize = 16;

/// What a file without `ID` is, by the specification.
const ID_DEFAULT: &str = "linux";

/// Reads the file.
pub(super) fn read(bytes: &[u8], facts: &mut Collector<'_>) {
    let mut distribution = Distribution { id: ID_DEFAULT.to_owned(), ..Distribution::default() };
    let mut version_name = None;
    let mut codename = None;
    for line in lines(bytes) {
        let line = line.trim_ascii();
        let Some(at) = line.iter().position(|&byte| byte == b'=') else { continue };
        let Some((name, value)) = line.split_at_checked(at) else { continue };
        let slot = match name {
            b"ID" | b"ID_LIKE" | b"PRETTY_NAME" | b"VERSION" | b"VERSION_CODENAME"
            | b"VERSION_ID" => name,
            _ => continue,
        };
        let Some(value) = value.get(1..).and_then(unquoted) else {
            facts.malformed(format!("a value that cannot be read: {}", shown(line)));
            continue;
        };
        // As in a shell, the last assignment counts.
        let kept = Some(value).filter(|value| !value.is_empty());
        match slot {
            b"ID" => {
                distribution.id =
                    kept.unwrap_or_else(|| ID_DEFAULT.to_owned()).to_ascii_lowercase();
            }
            b"ID_LIKE" => distribution.like = names(&kept.unwrap_or_default()),
            b"PRETTY_NAME" => distribution.pretty = kept,
            b"VERSION" => version_name = kept,
            b"VERSION_CODENAME" => codename = kept,
            _ => distribution.version = kept,
        }
    }
    distribution.codename = codename
        .or_else(|| codename_in(version_name.as_deref()?))
        .or_else(|| codename_in(distribution.pretty.as_deref()?))
        .map(|codename| codename.to_ascii_lowercase());
    facts.distribution(distribution);
}

fn names(value: &str) -> Vec<String> {
    value.split_ascii_whitespace().take(LIKE_MAX).map(str::to_ascii_lowercase).collect()
}

/// The value behind `=`; `None` where a shell would see something else than a plain value, or where it
/// is too long. What cannot be printed becomes a question mark: no such name is ever known.
fn unquoted(text: &[u8]) -> Option<String> {
    let mut value = Vec::new();
    let mut quote = None;
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if byte == open => quote = None,
            (None, b'\\') => value.push(*bytes.next()?),
            (Some(b'"'), b'\\') => match *bytes.next()? {
                special @ (b'"' | b'$' | b'\\' | b'`') => value.push(special),
                other => value.extend([byte, other]),
            },
            // Behind the value there may be a remark.
            (None, b' ' | b'\t') => {
                let rest = bytes.as_slice().trim_ascii_start();
                return if rest.starts_with(b"#") { printable(value) } else { None };
            }
            (None | Some(b'"'), b'$' | b'`')
            | (None, b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => return None,
            _ => value.push(byte),
        }
    }
    if quote.is_none() { printable(value) } else { None }
}

fn printable(value: Vec<u8>) -> Option<String> {
    let shown = |byte: u8| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' };
    (value.len() <= VALUE_BYTES_MAX).then(|| value.into_iter().map(shown).collect())
}

/// The codename in `12 (bookworm)`, `Debian GNU/Linux 9 (stretch)` or `Debian GNU/Linux trixie/sid`.
fn codename_in(name: &str) -> Option<String> {
    let unstable = name.strip_suffix("/sid").and_then(|it| it.rsplit(' ').next());
    let in_parentheses = || {
        let (_, rest) = name.rsplit_once('(')?;
        let (inner, _) = rest.split_once(')')?;
        inner.split_ascii_whitespace().next()
    };
    let codename = unstable.or_else(in_parentheses)?;
    let is_word = !codename.is_empty() && codename.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word.then(|| codename.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::catalog::FileFacts;
    use crate::scan::{GapKind, Limits};

    fn read_text(text: &str) -> FileFacts {
        let limits = Limits::default();
        let mut facts = Collector::new("etc/os-release", &limits);
        read(text.as_bytes(), &mut facts);
        facts.finish()
    }

    fn distribution(text: &str) -> Distribution {
        let facts = read_text(text);
        assert_eq!(facts.gaps, vec![], "{text}");
        facts.distribution.unwrap()
    }

    #[test]
    fn a_file_as_debian_writes_it() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                    VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\n\
                    ID=debian\nHOME_URL=\"https://www.debian.org/\"\n";
        let expected = Distribution {
            id: "debian".to_owned(),
            version: Some("12".to_owned()),
            codename: Some("bookworm".to_owned()),
            like: vec![],
            pretty: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        };
        assert_eq!(distribution(text), expected);
        assert_eq!(distribution(&text.replace('\n', "\r\n")), expected);
    }

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        for (text, id) in [
            ("ID=alpine", "alpine"),
            ("ID='alpine'", "alpine"),
            ("ID=\"alpine\"", "alpine"),
            ("ID=al\"pi\"'ne'", "alpine"),
            ("ID=\\alpine", "alpine"),
            ("ID=\"a\\\"b\"", "a\"b"),
            ("ID=\"a\\b\"", "a\\b"),
            ("ID=debian # and no other", "debian"),
            ("ID=debian#1", "debian#1"),
            ("ID='a\\b'", "a\\b"),
            ("  ID=Alpine  ", "alpine"),
            ("ID=debian\nID=alpine", "alpine"),
            ("ID=debian\n#ID=alpine", "debian"),
            ("ID=debian\nMY_ID=alpine", "debian"),
            ("ID=", "linux"),
            ("NAME=x", "linux"),
            ("", "linux"),
            ("ID=d\u{e9}bian", "d??bian"),
        ] {
            assert_eq!(distribution(text).id, id, "{text}");
        }
    }

    #[test]
    fn what_a_shell_would_take_for_something_else_is_a_gap() {
        let long = format!("ID={}", "a".repeat(VALUE_BYTES_MAX + 1));
        for text in [
            "ID=\"debian",
            "ID='debian",
            "ID=debian\\",
            "ID=$(echo debian)",
            "ID=\"$NAME\"",
            "ID=debian; ID=alpine",
            "ID=debian alpine",
            "VERSION_ID=`x`",
            &long,
        ] {
            let gaps = read_text(text).gaps;
            assert!(matches!(gaps.as_slice(), [(GapKind::Malformed, _)]), "{text}: {gaps:?}");
            assert!(gaps[0].1.len() < 200 && gaps[0].1.is_ascii());
        }
    }

    #[test]
    fn a_codename_may_stand_in_other_fields() {
        for (text, codename) in [
            ("VERSION_CODENAME=Noble", Some("noble")),
            ("VERSION=\"9 (stretch)\"", Some("stretch")),
            ("PRETTY_NAME=\"Debian GNU/Linux trixie/sid\"", Some("trixie")),
            ("VERSION=\"14.04.6 LTS, Trusty Tahr\"", None),
            ("VERSION=\"24.03 (LTS-SP1)\"", None),
            ("VERSION=\"18.04 LTS (Bionic Beaver)\"", Some("bionic")),
            ("VERSION='()'", None),
        ] {
            assert_eq!(distribution(text).codename.as_deref(), codename, "{text}");
        }
    }

    #[test]
    fn likenesses_are_told_and_bounded() {
        let many = format!("ID=x\nID_LIKE=\"RHEL fedora{}\"", " a".repeat(100));
        let like = distribution(&many).like;
        assert_eq!(like.len(), LIKE_MAX);
        assert_eq!(like[..2], ["rhel", "fedora"]);
    }
}
