//! The records of an extended header (PAX), as Go's `archive/tar` reads them.

use super::header;

/// What an extended header says about the entry after it, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<i64>,
    /// Whether it describes a sparse file.
    pub(super) is_sparse: bool,
    /// The name of a sparse file.
    pub(super) sparse_name: Option<Vec<u8>>,
    /// Whether it sets an attribute that overlayfs takes as an order: to hide, or to show another
    /// directory.
    pub(super) has_overlay_attribute: bool,
}

impl Extended {
    /// `None` when it is malformed.
    pub(super) fn parse(mut records: &[u8]) -> Option<Self> {
        let mut extended = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records)?;
            extended.set(key, value)?;
            records = rest;
        }
        Some(extended)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let names_something = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
        let with_nul = if names_something { value } else { key };
        if key.is_empty() || with_nul.contains(&0) {
            return None;
        }
        // An empty value takes back an earlier record, and leaves what the plain header says.
        let said = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = said,
            b"linkpath" => self.link = said,
            b"size" => self.size = if value.is_empty() { None } else { Some(decimal(value)?) },
            b"GNU.sparse.name" => (self.sparse_name, self.is_sparse) = (said, true),
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => self.has_overlay_attribute |= is_overlay_attribute(key),
        }
        Some(())
    }
}

fn is_overlay_attribute(key: &[u8]) -> bool {
    let attribute =
        key.strip_prefix(b"SCHILY.xattr.").or_else(|| key.strip_prefix(b"LIBARCHIVE.xattr."));
    attribute.is_some_and(|name| {
        name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
    })
}

/// The first record, `LENGTH KEY=VALUE\n`, and what is behind it.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(records.get(..space)?)?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let content = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = content.iter().position(|byte| *byte == b'=')?;
    Some((content.get(..equals)?, content.get(equals + 1..)?, rest))
}

fn decimal(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The long name in a header of GNU's kind `L` or `K`.
pub(super) fn long_name(contents: &[u8]) -> Vec<u8> {
    header::text(contents).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_the_last_of_a_key_wins() {
        let extended =
            Extended::parse(b"12 path=abc\n10 path=d\n11 size=42\n14 linkpath=l\n").unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"d"[..]));
        assert_eq!(extended.link.as_deref(), Some(&b"l"[..]));
        assert_eq!(extended.size, Some(42));
        let emptied = Extended::parse(b"12 path=abc\n8 path=\n").unwrap();
        assert_eq!(emptied.path, None, "an empty value leaves the plain header's");
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"12 path=ab"[..],
            b"99 path=abc\n",
            b"x path=abc\n",
            b"-1 path=abc\n",
            b"11 path=abc\n",
            b"7 path\n",
            b"5 =a\n",
            b"12 path=a\0c\n",
            b"12 p\0th=abc\n",
            b"12 size=abc\n",
            b"0 a=b\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert_eq!(Extended::parse(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn attributes_of_overlayfs_are_noticed() {
        let opaque = b"43 SCHILY.xattr.trusted.overlay.opaque=yes\n";
        assert!(Extended::parse(opaque).unwrap().has_overlay_attribute);
        let capability = b"38 SCHILY.xattr.security.capability=x\n";
        assert!(!Extended::parse(capability).unwrap().has_overlay_attribute);
    }
}
