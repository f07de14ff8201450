//! ELF programs: what the toolchains of Go and Rust left in them.
//!
//! A program within the bound is read whole and looked into by its tables. A larger one is searched as it
//! streams by: the newer form of Go's build information can be read that way, and of everything else
//! can at least be said that it is there.

use std::io::{self, Read};

use memchr::memmem;

use super::super::{FileFacts, whole};
use super::elf::{Elf, Section};
use super::go::{self, Inline};
use super::listing::Listing;
use super::rust;
use crate::scan::{GapKind, Limits, PackageKind};

/// Bytes of a large program that are searched at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Reads a program of `size` bytes.
///
/// # Errors
/// When `contents` cannot be read on.
pub(super) fn read(
    path: &str,
    size: u64,
    contents: &mut dyn Read,
    limits: &Limits,
) -> io::Result<FileFacts> {
    if size > limits.program_bytes {
        return Search::new(path, limits).run(contents);
    }
    let bytes = match whole(size, contents, limits.program_bytes, "program_bytes")? {
        Ok(bytes) => bytes,
        Err(too_large) => return Ok(too_large),
    };
    Ok(look_into(path, &bytes, limits))
}

/// What a whole program says.
pub(super) fn look_into(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let Some(elf) = Elf::parse(bytes) else { return FileFacts::default() };
    let mut modules = Listing::new(PackageKind::Go, path, limits);
    go::list(&elf, &mut modules);
    let mut crates = Listing::new(PackageKind::Cargo, path, limits);
    match elf.section(rust::SECTION) {
        Section::Found { start, end } => {
            rust::list(bytes.get(start..end).unwrap_or_default(), &mut crates, limits);
        }
        Section::Broken if memmem::find(bytes, rust::SECTION).is_some() => {
            crates.malformed("its list of Rust crates is not where its sections say");
        }
        Section::Absent | Section::Broken => {}
    }
    both(modules, crates)
}

fn both(modules: Listing<'_>, crates: Listing<'_>) -> FileFacts {
    let (mut facts, others) = (modules.done(), crates.done());
    facts.packages.extend(others.packages);
    facts.gaps.extend(others.gaps);
    facts
}

/// The search through a program that is too large to be kept.
struct Search<'a> {
    path: &'a str,
    limits: &'a Limits,
    /// A piece of the program.
    piece: Vec<u8>,
    /// Where in the program the piece begins.
    offset: u64,
    /// Whether build information was seen that cannot be read in passing.
    out_of_reach: bool,
    /// Whether the name of the section with Rust's list was seen.
    names_crates: bool,
}

impl<'a> Search<'a> {
    fn new(path: &'a str, limits: &'a Limits) -> Self {
        Self {
            path,
            limits,
            piece: Vec::new(),
            offset: 0,
            out_of_reach: false,
            names_crates: false,
        }
    }

    fn run(mut self, contents: &mut dyn Read) -> io::Result<FileFacts> {
        let mut modules = Listing::new(PackageKind::Go, self.path, self.limits);
        let mut found = false;
        while self.fill(PIECE_BYTES, contents)? {
            if !found {
                found = self.search(contents, &mut modules)?;
            }
            self.names_crates |= memmem::find(&self.piece, rust::SECTION).is_some();
            self.keep(go::MAGIC.len().max(rust::SECTION.len()) - 1);
        }
        let too_large = || {
            let bound = self.limits.program_bytes;
            format!("it has more than program_bytes = {bound}, and in it is ")
        };
        if self.out_of_reach && !found {
            let text = format!("{}build information of Go that cannot be reached", too_large());
            modules.gap((GapKind::Limit, text));
        }
        let mut crates = Listing::new(PackageKind::Cargo, self.path, self.limits);
        if self.names_crates {
            crates.gap((GapKind::Limit, format!("{}a list of Rust crates", too_large())));
        }
        Ok(both(modules, crates))
    }

    /// Reads on until the piece has so many bytes more, or the program ends. Whether there was any.
    fn fill(&mut self, bytes: usize, contents: &mut dyn Read) -> io::Result<bool> {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        Ok(contents.take(more).read_to_end(&mut self.piece)? > 0)
    }

    /// Forgets all of the piece but its end.
    fn keep(&mut self, bytes: usize) {
        let gone = self.piece.len().saturating_sub(bytes);
        self.piece.drain(..gone);
        self.offset += u64::try_from(gone).unwrap_or(0);
    }

    /// Looks for build information in the piece, and reads on where one begins.
    fn search(&mut self, contents: &mut dyn Read, modules: &mut Listing<'_>) -> io::Result<bool> {
        let mut from = 0;
        while let Some(at) = self.next_header(from) {
            if self.try_header(at, contents, modules)? {
                return Ok(true);
            }
            from = at + 1;
        }
        Ok(false)
    }

    fn next_header(&self, from: usize) -> Option<usize> {
        let rest = self.piece.get(from..)?;
        let aligned = |at: &usize| {
            let at = u64::try_from(*at).unwrap_or(1);
            (self.offset + at).is_multiple_of(go::ALIGNMENT)
        };
        memmem::find_iter(rest, go::MAGIC).map(|at| from + at).find(aligned)
    }

    fn try_header(
        &mut self,
        at: usize,
        contents: &mut dyn Read,
        modules: &mut Listing<'_>,
    ) -> io::Result<bool> {
        let bytes_max = usize::try_from(self.limits.file_bytes).unwrap_or(usize::MAX);
        loop {
            let bytes = self.piece.get(at..).unwrap_or_default();
            let missing = match go::inline(bytes) {
                Inline::Whole(information) => {
                    information.list(modules);
                    return Ok(true);
                }
                Inline::No => return Ok(false),
                Inline::Needs(needed) if needed <= bytes_max => needed - bytes.len(),
                Inline::Pointers | Inline::Needs(_) => {
                    self.out_of_reach = true;
                    return Ok(false);
                }
            };
            if !self.fill(missing.max(PIECE_BYTES), contents)? {
                return Ok(false);
            }
        }
    }
}
