//! Until when lines of images are mended, as far as an admin says so.

use super::line::Version;
use crate::oci::{Name, Tag};
use crate::policy::Pattern;
use crate::time::Timestamp;

/// Most lines that may be named.
pub const LINES_MAX: usize = 1_000;

/// A line of images that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEnd {
    /// The repositories.
    pub pattern: Pattern,
    /// With which numbers its versions begin: `6.2`.
    pub line: String,
    /// The last day on which it is mended, from its first moment on.
    pub ends: Timestamp,
    numbers: Vec<u64>,
}

/// A text names no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no beginning of a version; write 6.2, or 6")]
pub struct NoLine;

impl LineEnd {
    /// The line `line` of the repositories of `pattern`, which is mended until `ends`.
    ///
    /// # Errors
    /// When `line` is not the beginning of a version.
    pub fn new(pattern: Pattern, line: &str, ends: Timestamp) -> Result<Self, NoLine> {
        let tag: Tag = line.parse().map_err(|_| NoLine)?;
        let version = Version::of(&tag).filter(|version| version.rest.is_empty()).ok_or(NoLine)?;
        let numbers = version.numbers;
        Ok(Self { pattern, line: line.to_owned(), ends, numbers })
    }

    fn has(&self, name: &str, version: &Version<'_>) -> bool {
        version.numbers.starts_with(&self.numbers) && self.pattern.matches(name)
    }
}

/// The line among `lines` that `version` of `name` is of: the one that says most of it.
pub(in crate::mirror) fn line_of<'a>(
    lines: &'a [LineEnd],
    name: &Name,
    version: &Version<'_>,
) -> Option<&'a LineEnd> {
    let name = name.to_string();
    let of_it = lines.iter().filter(|line| line.has(&name, version));
    // Of equals the first: whoever wrote it twice meant that one.
    of_it.rev().max_by_key(|line| line.numbers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pattern: &str, line: &str) -> LineEnd {
        let ends = "2026-07-31T00:00:00Z".parse().unwrap();
        LineEnd::new(pattern.parse().unwrap(), line, ends).unwrap()
    }

    #[test]
    fn a_version_is_of_the_line_that_says_most_of_it() {
        let lines = [line("docker.io/library/redis", "6"), line("docker.io/library/*", "6.2")];
        let found = |name: &str, tag: &str| {
            let (name, tag): (Name, Tag) = (name.parse().unwrap(), tag.parse().unwrap());
            let version = Version::of(&tag)?;
            line_of(&lines, &name, &version).map(|it| it.line.clone())
        };
        for (name, tag, expected) in [
            ("docker.io/library/redis", "6.2.14-alpine", Some("6.2")),
            ("docker.io/library/redis", "6.0", Some("6")),
            ("docker.io/library/redis", "v6", Some("6")),
            ("docker.io/library/redis", "62.1", None),
            ("docker.io/library/redis", "7.2", None),
            ("docker.io/library/node", "6.2.1", Some("6.2")),
            ("docker.io/library/node", "6.1", None),
            ("quay.io/x/redis", "6.2.1", None),
        ] {
            assert_eq!(found(name, tag).as_deref(), expected, "{name}:{tag}");
        }
        let pattern: Pattern = "docker.io/library/redis".parse().unwrap();
        for bad in ["", "latest", "6.2-alpine", "6.x", "6..2"] {
            let ends = "2026-07-31T00:00:00Z".parse().unwrap();
            assert_eq!(LineEnd::new(pattern.clone(), bad, ends), Err(NoLine), "{bad}");
        }
    }
}
