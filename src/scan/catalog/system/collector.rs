//! Gathers what one file says, within bounds, and words that may be shown.

use crate::scan::catalog::{Checksum, FileFacts, Maker, Owned, OwnedFile};
use crate::scan::{Distribution, GapKind, Limits, Package};

use super::owned;

/// Most gaps that one file can have; one more says that there were others.
const GAPS_MAX: usize = 64;
/// Longest name or version, in bytes.
const TOKEN_BYTES_MAX: usize = 255;
/// Most bytes of what is wrong that are shown.
const SHOWN_BYTES_MAX: usize = 48;
/// Bytes of all paths together that one file can say are the distribution's. Beyond it they are left
/// out: then more of the image is looked at than need be, never less.
const OWNED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of memory that a path takes besides its own.
const PATH_OVERHEAD_BYTES: usize = 72;
/// As above, of those that are looked at: a few long folders can be named again and again.
const PATHS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a file says, as far as it has been read.
pub(super) struct Collector<'a> {
    /// Where the file is.
    path: &'a str,
    limits: &'a Limits,
    facts: FileFacts,
    /// Of the package that is being read.
    files: Vec<OwnedFile>,
    owned_bytes: usize,
    paths_bytes: usize,
    is_full: bool,
}

impl<'a> Collector<'a> {
    pub(super) fn new(path: &'a str, limits: &'a Limits) -> Self {
        let facts = FileFacts::default();
        let files = Vec::new();
        Self { path, limits, facts, files, owned_bytes: 0, paths_bytes: 0, is_full: false }
    }

    /// The file that is being read.
    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// Whether there is no room for any more packages or gaps; that is one of the gaps, and there is no
    /// use in reading on.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes a package.
    pub(super) fn package(&mut self, mut package: Package) {
        // It is in this file, and nowhere in it.
        package.found_in = String::new();
        if self.facts.packages.len() < self.limits.packages {
            self.facts.packages.push(package);
        } else if !self.is_full {
            self.is_full = true;
            let text = format!("more than packages = {}", self.limits.packages);
            self.facts.gaps.push((GapKind::Limit, text));
        }
    }

    /// The packages so far, for what can only be told when all are known.
    pub(super) fn packages_mut(&mut self) -> &mut [Package] {
        &mut self.facts.packages
    }

    /// Takes a file of the package that is being read, if knowing it can matter.
    pub(super) fn file(&mut self, folder: &str, name: &str, checksum: Checksum) {
        self.paths_bytes = self.paths_bytes.saturating_add(folder.len()).saturating_add(name.len());
        if self.owned_bytes >= OWNED_BYTES_MAX || self.paths_bytes >= PATHS_BYTES_MAX {
            return;
        }
        if let Some(path) = owned::of_interest(folder, name, self.limits) {
            self.owned_bytes += path.len() + PATH_OVERHEAD_BYTES;
            if self.owned_bytes <= OWNED_BYTES_MAX {
                self.files.push(OwnedFile { path, checksum });
            }
        }
    }

    /// Takes whose the files are that came since the last time.
    pub(super) fn owner(&mut self, package: &str, maker: Option<Maker>) {
        let files = std::mem::take(&mut self.files);
        if !files.is_empty() {
            self.facts.owns.push(Owned { package: package.to_owned(), maker, files });
        }
    }

    /// Forgets the files that came since the last time: they are of somebody else's package.
    pub(super) fn no_owner(&mut self) {
        let size = |file: &OwnedFile| file.path.len() + PATH_OVERHEAD_BYTES;
        let bytes: usize = self.files.drain(..).map(|file| size(&file)).sum();
        self.owned_bytes = self.owned_bytes.saturating_sub(bytes);
    }

    /// A folder in which files may be owned: its text, if it is one and no longer than paths are.
    pub(super) fn folder<'f>(&self, bytes: &'f [u8]) -> Option<&'f str> {
        let fits = bytes.len() <= self.limits.path_bytes;
        if fits { std::str::from_utf8(bytes).ok() } else { None }
    }

    /// Takes who made a package, where its files are listed elsewhere.
    pub(super) fn maker(&mut self, package: &str, maker: Maker) {
        self.facts.makers.push((package.to_owned(), maker));
    }

    pub(super) fn distribution(&mut self, distribution: Distribution) {
        self.facts.distribution = Some(distribution);
    }

    /// Takes what could not be read; `text` is printable and bounded.
    pub(super) fn gap(&mut self, kind: GapKind, text: impl Into<String>) {
        if self.facts.gaps.len() < GAPS_MAX {
            self.facts.gaps.push((kind, text.into()));
        } else if !self.is_full {
            self.is_full = true;
            self.facts.gaps.push((GapKind::Limit, "and more that was not read".to_owned()));
        }
    }

    pub(super) fn malformed(&mut self, text: impl Into<String>) {
        self.gap(GapKind::Malformed, text);
    }

    pub(super) fn finish(self) -> FileFacts {
        self.facts
    }
}

/// A name, a version or the like: printable ASCII without spaces, not empty, bounded.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let fits = !bytes.is_empty() && bytes.len() <= TOKEN_BYTES_MAX;
    let printable = bytes.iter().all(u8::is_ascii_graphic);
    if fits && printable { std::str::from_utf8(bytes).ok() } else { None }
}

/// The beginning of something that is wrong, so that it can be shown.
pub(super) fn shown(bytes: &[u8]) -> String {
    let (shown, rest) = bytes.split_at_checked(SHOWN_BYTES_MAX).unwrap_or((bytes, &[]));
    let mut text = format!("`{}`", shown.escape_ascii());
    if !rest.is_empty() {
        text.push_str("...");
    }
    text
}

/// The lines of a text, whether they end as on Unix or as on Windows.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
