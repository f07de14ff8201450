//! ELF programs: what the toolchains of Go and Rust left in them, and what hides that.
//!
//! All bytes of a program are searched, because who runs it needs none of the tables that lead there, and
//! does not check much of them. A program within the bound is kept whole, so that its tables lead on from
//! what was found: to the older form of Go's build information, and to Rust's list. Of a larger one, which
//! streams by, can be said at least that it is there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Read};

use memchr::memmem;

use super::super::FileFacts;
use super::elf::{Elf, Section};
use super::go::{self, Inline};
use super::listing::Listing;
use super::rust;
use crate::scan::{GapKind, Limits, PackageKind};

/// Bytes of a large program that are searched at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes of it that are seen again with the next: more than anything that is searched for has.
const SEEN_AGAIN_BYTES: usize = 1024;
/// Headers of the older form that are tried: other data may look like one, and pointers take time.
const POINTERS_MAX: usize = 64;

/// Where the header says in which order the bytes of numbers stand, and how it says the one.
const DATA_AT: usize = 5;
const BIG_ENDIAN: u8 = 2;

/// What programs that UPX packed have in their first bytes and in their last.
const UPX: &[u8] = b"UPX!";
const UPX_WITHIN_BYTES: usize = 1024;
/// What stands in every host of a .NET program, with where its bundle is in the eight bytes before it;
/// these are zero where it has none.
const DOTNET_HOST: &[u8] = b"\x8b\x12\x02\xb9\x6a\x61\x20\x38\x72\x7b\x93\x02\x14\xd7\xa0\x32\
    \x13\xf5\xb9\xe6\xef\xae\x33\x18\xee\x3b\x2d\xce\x24\xb3\x6a\xae";

/// Searches a program of `size` bytes that is too large to be kept.
///
/// # Errors
/// When `contents` cannot be read on.
pub(super) fn search(
    path: &str,
    size: u64,
    contents: &mut dyn Read,
    limits: &Limits,
) -> io::Result<FileFacts> {
    let mut search = Search::new(path, size, limits);
    while search.fill(PIECE_BYTES, contents)? {
        search.piece(contents)?;
        search.forget();
    }
    search.conclude_large();
    Ok(search.done())
}

/// What a whole program says.
pub(super) fn look_into(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut search = Search { piece: Cow::Borrowed(bytes), ..Search::new(path, size, limits) };
    // There is nothing to be read on, and nothing to fail.
    if search.piece(&mut io::empty()).is_ok() {
        search.conclude_whole(bytes);
    }
    search.done()
}

/// What is known of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// UPX packed it, by its first bytes.
    BeginsPacked,
    /// There is build information that cannot be read.
    Broken,
    /// It is a host of .NET with a bundle.
    Bundle,
    /// UPX packed it, by its last bytes.
    EndsPacked,
    /// Build information was found, and listed.
    Listed,
    /// The name of the section with Rust's list is in it.
    NamesCrates,
    /// A table that only programs of Go have is in it.
    OfGo,
}

/// The search through a program, and what was found so far.
struct Search<'a> {
    limits: &'a Limits,
    modules: Listing<'a>,
    crates: Listing<'a>,
    size: u64,
    /// A piece of the program, or all of it.
    piece: Cow<'a, [u8]>,
    /// Where in the program the piece begins.
    offset: u64,
    /// Whether its header says that its numbers are big-endian.
    is_big: bool,
    /// Where headers of its older form are.
    pointers: Vec<u64>,
    signs: BTreeSet<Sign>,
}

impl<'a> Search<'a> {
    fn new(path: &'a str, size: u64, limits: &'a Limits) -> Self {
        Self {
            limits,
            modules: Listing::new(PackageKind::Go, path, limits),
            crates: Listing::new(PackageKind::Cargo, path, limits),
            size,
            piece: Cow::Borrowed(&[]),
            offset: 0,
            is_big: false,
            pointers: Vec::new(),
            signs: BTreeSet::new(),
        }
    }

    fn has(&self, sign: Sign) -> bool {
        self.signs.contains(&sign)
    }

    fn is_whole(&self) -> bool {
        self.offset == 0 && u64::try_from(self.piece.len()) == Ok(self.size)
    }

    /// Reads on until the piece has so many bytes more, or the program ends. Whether there was any.
    fn fill(&mut self, bytes: usize, contents: &mut dyn Read) -> io::Result<bool> {
        if self.is_whole() {
            return Ok(false);
        }
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        Ok(contents.take(more).read_to_end(self.piece.to_mut())? > 0)
    }

    /// Forgets all of the piece but its end.
    fn forget(&mut self) {
        let gone = self.piece.len().saturating_sub(SEEN_AGAIN_BYTES);
        self.piece.to_mut().drain(..gone);
        self.offset += u64::try_from(gone).unwrap_or(0);
    }

    /// Searches a piece, reading on where build information begins in it.
    fn piece(&mut self, contents: &mut dyn Read) -> io::Result<()> {
        let mut from = 0;
        while let Some(at) = self.next_header(from) {
            from = self.header(at, contents)?;
        }
        let piece = &*self.piece;
        if self.offset == 0 {
            self.is_big = piece.get(DATA_AT) == Some(&BIG_ENDIAN);
        }
        let names_crates = memmem::find(piece, rust::SECTION).is_some();
        let is_of_go =
            !self.has(Sign::Listed) && go::has_line_table(piece, self.offset, self.is_big);
        // Other programs know the mark of hosts, too, with something else before it.
        let mut hosts = memmem::find_iter(piece, DOTNET_HOST);
        let has_bundle =
            hosts.any(|at| number_before(piece, at).is_some_and(|it| it > 0 && it < self.size));
        let is_packed = |bytes: Option<&[u8]>| memmem::find(bytes.unwrap_or(piece), UPX).is_some();
        let begins_packed = self.offset == 0 && is_packed(piece.get(..UPX_WITHIN_BYTES));
        let ends_packed = is_packed(piece.last_chunk::<UPX_WITHIN_BYTES>().map(AsRef::as_ref));
        let seen = [
            (Sign::BeginsPacked, begins_packed),
            (Sign::Bundle, has_bundle),
            (Sign::EndsPacked, ends_packed),
            (Sign::NamesCrates, names_crates),
            (Sign::OfGo, is_of_go),
        ];
        // Only the last piece has the end.
        self.signs.remove(&Sign::EndsPacked);
        self.signs.extend(seen.into_iter().filter(|(_, is_there)| *is_there).map(|(sign, _)| sign));
        Ok(())
    }

    fn next_header(&self, from: usize) -> Option<usize> {
        let rest = self.piece.get(from..)?;
        let aligned = |at: &usize| {
            let at = u64::try_from(*at).unwrap_or(1);
            (self.offset + at).is_multiple_of(go::ALIGNMENT)
        };
        memmem::find_iter(rest, go::MAGIC).map(|at| from + at).find(aligned)
    }

    /// Reads a header, and says from where to search on.
    fn header(&mut self, at: usize, contents: &mut dyn Read) -> io::Result<usize> {
        let bytes_max = usize::try_from(self.limits.file_bytes).unwrap_or(usize::MAX);
        loop {
            let bytes = self.piece.get(at..).unwrap_or_default();
            let missing = match go::inline(bytes) {
                Inline::Whole(information, length) => {
                    information.list(&mut self.modules);
                    self.signs.insert(Sign::Listed);
                    return Ok(at + length);
                }
                Inline::No => return Ok(at + 1),
                Inline::Pointers => {
                    if self.pointers.len() <= POINTERS_MAX {
                        self.pointers.push(self.offset + u64::try_from(at).unwrap_or(0));
                    }
                    return Ok(at + 1);
                }
                Inline::Needs(needed) if needed <= bytes_max => needed.saturating_sub(bytes.len()),
                Inline::Broken | Inline::Needs(_) => {
                    self.signs.insert(Sign::Broken);
                    return Ok(at + 1);
                }
            };
            if !self.fill(missing.max(PIECE_BYTES), contents)? {
                self.signs.insert(Sign::Broken);
                return Ok(at + 1);
            }
        }
    }

    /// What is to be said of a large program.
    fn conclude_large(&mut self) {
        let bound = self.limits.program_bytes;
        let text = |what: &str| {
            (
                GapKind::Limit,
                format!("it has more than program_bytes = {bound}, and in it is {what}"),
            )
        };
        let is_listed = self.has(Sign::Listed);
        if !is_listed && (self.has(Sign::Broken) || !self.pointers.is_empty()) {
            self.modules.gap(text("build information of Go that cannot be reached"));
        } else if !is_listed && self.has(Sign::OfGo) {
            self.modules.gap(go::without_list());
        }
        if self.has(Sign::NamesCrates) {
            self.crates.gap(text("a list of Rust crates"));
        }
    }

    /// What is to be said of a program that is there whole.
    fn conclude_whole(&mut self, bytes: &[u8]) {
        let elf = Elf::parse(bytes);
        for at in self.pointers.iter().take(POINTERS_MAX) {
            let header = usize::try_from(*at).ok().and_then(|at| bytes.get(at..));
            let information =
                elf.as_ref().zip(header).and_then(|(elf, header)| go::by_pointers(elf, header));
            match information {
                Some(information) => {
                    information.list(&mut self.modules);
                    self.signs.insert(Sign::Listed);
                }
                None => {
                    self.signs.insert(Sign::Broken);
                }
            }
        }
        let is_listed = self.has(Sign::Listed);
        let is_broken = self.has(Sign::Broken) || elf.as_ref().is_some_and(go::has_section);
        let is_of_go = self.has(Sign::OfGo) || elf.as_ref().is_some_and(go::is_program);
        if !is_listed && is_broken {
            self.modules.malformed("its build information of Go cannot be read");
        } else if !is_listed && is_of_go {
            self.modules.gap(go::without_list());
        }
        match elf.map_or(Section::Broken, |elf| elf.section(rust::SECTION)) {
            Section::Found { start, end } => {
                let list = bytes.get(start..end).unwrap_or_default();
                rust::list(list, &mut self.crates, self.limits);
            }
            Section::Broken if self.has(Sign::NamesCrates) => {
                self.crates.malformed("its list of Rust crates is not where its sections say");
            }
            Section::Absent | Section::Broken => {}
        }
    }

    /// All of it.
    fn done(mut self) -> FileFacts {
        if self.has(Sign::Bundle) {
            let text = "a program of .NET with all that it needs in one file, which is not read";
            self.crates.gap((GapKind::Unsupported, text.to_owned()));
        }
        if self.has(Sign::BeginsPacked) || self.has(Sign::EndsPacked) {
            let text = "a program that UPX packed: what is in it is not known";
            self.crates.gap((GapKind::Unsupported, text.to_owned()));
        }
        let (mut facts, others) = (self.modules.done(), self.crates.done());
        facts.packages.extend(others.packages);
        facts.gaps.extend(others.gaps);
        facts
    }
}

/// The number in the eight bytes before a place.
fn number_before(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(..at)?.last_chunk().map(|number| u64::from_le_bytes(*number))
}
