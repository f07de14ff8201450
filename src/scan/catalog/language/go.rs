//! The build information that the linker of Go leaves in programs: its version and the modules.
//!
//! Two forms. Since Go 1.18 two texts follow the header, each after its length. Before, the header has
//! pointers to the headers of two texts, which have pointers themselves: four look-ups, and no more,
//! wherever they point.

use memchr::memmem;

use super::Trouble;
use super::elf::{Elf, Section};
use super::linked;
use super::listing::Listing;
use crate::scan::GapKind;

/// What the header begins with, at an address that [`ALIGNMENT`] divides.
pub(super) const MAGIC: &[u8] = b"\xff Go buildinf:";
/// How the header is aligned.
pub(super) const ALIGNMENT: u64 = 16;
/// Bytes of the header.
const HEADER_BYTES: usize = 32;
/// The flag of the newer form.
const INLINE: u8 = 2;
/// The flag of big-endian pointers.
const BIG_ENDIAN: u8 = 1;
/// Bytes of a version of Go.
const VERSION_BYTES_MAX: usize = 256;
/// Headers that are tried: other data may look like one, and following pointers takes time.
const HEADERS_MAX: usize = 64;
/// What surrounds the modules' text, on each side.
const SENTINEL_BYTES: usize = 16;
/// Name of the standard library, as advisories name it.
const STANDARD_LIBRARY: &str = "stdlib";

const SECTION: &[u8] = b".go.buildinfo\0";
/// Sections that only programs of Go have.
const SECTIONS_OF_GO: [&[u8]; 2] = [b".gopclntab\0", b".data.rel.ro.gopclntab\0"];

/// The two texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BuildInformation<'a> {
    version: &'a [u8],
    modules: &'a [u8],
}

/// What becomes of reading a header of the newer form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inline<'a> {
    /// It is none.
    No,
    /// It is of the older form.
    Pointers,
    /// It is one, as far as can be seen, and needs so many bytes in all.
    Needs(usize),
    /// All of it.
    Whole(BuildInformation<'a>),
}

/// Lists what a program says that it was built from. Nothing is said where it is no program of Go.
pub(super) fn list(elf: &Elf<'_>, listing: &mut Listing<'_>) {
    match find(elf) {
        Ok(Some(information)) => information.list(listing),
        Ok(None) => {}
        Err(trouble) => listing.gap(trouble),
    }
}

fn find<'a>(elf: &Elf<'a>) -> Result<Option<BuildInformation<'a>>, Trouble> {
    let malformed =
        |text: &str| Err((GapKind::Malformed, format!("its build information: {text}")));
    let (start, end) = match elf.section(SECTION) {
        Section::Found { start, end } => (start, end),
        Section::Absent | Section::Broken => match elf.data() {
            Some(data) if has_header(elf, data) => data,
            Some(_) | None => return none(elf),
        },
    };
    let found = headers(elf, (start, end)).take(HEADERS_MAX);
    let candidates = found.filter_map(|at| elf.bytes().get(at..));
    let mut seen = false;
    for bytes in candidates {
        seen = true;
        let information = match inline(bytes) {
            Inline::Whole(information) => Some(information),
            Inline::Pointers => by_pointers(elf, bytes),
            Inline::No | Inline::Needs(_) => None,
        };
        if information.is_some() {
            return Ok(information);
        }
    }
    if seen { malformed("it cannot be read") } else { malformed("its section has none") }
}

/// Where there is no build information: is it a program of Go all the same?
fn none<'a>(elf: &Elf<'_>) -> Result<Option<BuildInformation<'a>>, Trouble> {
    let is_of_go = |name: &&[u8]| matches!(elf.section(name), Section::Found { .. });
    if SECTIONS_OF_GO.iter().any(is_of_go) {
        let text = "a program of Go without build information: what is in it is not known";
        return Err((GapKind::Unsupported, text.to_owned()));
    }
    Ok(None)
}

fn has_header(elf: &Elf<'_>, range: (usize, usize)) -> bool {
    headers(elf, range).next().is_some()
}

/// Where headers begin. Segments and sections are loaded so that offsets in the file are aligned as
/// addresses are.
fn headers(elf: &Elf<'_>, (start, end): (usize, usize)) -> impl Iterator<Item = usize> {
    let within = elf.bytes().get(start..end).unwrap_or_default();
    memmem::find_iter(within, MAGIC).map(move |at| start + at).filter(|&at| is_aligned(at))
}

fn is_aligned(at: usize) -> bool {
    u64::try_from(at).is_ok_and(|at| at % ALIGNMENT == 0)
}

/// Reads a header and what follows it.
pub(super) fn inline(bytes: &[u8]) -> Inline<'_> {
    if !bytes.starts_with(MAGIC) {
        return Inline::No;
    }
    let Some(flags) = bytes.get(MAGIC.len() + 1) else { return Inline::Needs(HEADER_BYTES) };
    if flags & INLINE == 0 {
        return Inline::Pointers;
    }
    let found = text(bytes, HEADER_BYTES, VERSION_BYTES_MAX).and_then(|(version, next)| {
        // Before more is asked for: whoever waits for the modules' text has seen a version.
        let information = BuildInformation::new(version, &[]).ok_or(Inline::No)?;
        let (modules, _) = text(bytes, next, usize::MAX)?;
        Ok(Inline::Whole(BuildInformation { modules, ..information }))
    });
    found.unwrap_or_else(|outcome| outcome)
}

/// A text after its length, and where it ends; or why not.
fn text(bytes: &[u8], at: usize, bytes_max: usize) -> Result<(&[u8], usize), Inline<'_>> {
    /// Bytes of a number, at most.
    const NUMBER_BYTES_MAX: usize = 10;
    let (mut length, mut start) = (0_u64, at);
    for index in 0..NUMBER_BYTES_MAX {
        let Some(byte) = bytes.get(start) else { return Err(Inline::Needs(start + 1)) };
        start += 1;
        let bits = u64::from(byte & 0x7f);
        let shift = u32::try_from(index * 7).map_err(|_| Inline::No)?;
        length |= bits.checked_shl(shift).filter(|part| part >> shift == bits).ok_or(Inline::No)?;
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
            let length = length.ok_or(Inline::No)?;
            let end = start.checked_add(length).ok_or(Inline::No)?;
            return bytes.get(start..end).map(|text| (text, end)).ok_or(Inline::Needs(end));
        }
    }
    Err(Inline::No)
}

/// Follows the pointers of the older form.
fn by_pointers<'a>(elf: &Elf<'a>, header: &[u8]) -> Option<BuildInformation<'a>> {
    let pointer_bytes = *header.get(MAGIC.len())?;
    let big = header.get(MAGIC.len() + 1)? & BIG_ENDIAN != 0;
    if pointer_bytes != elf.pointer_bytes() {
        return None;
    }
    let width = usize::from(pointer_bytes);
    let number = |bytes: &[u8], index: usize| {
        let bytes = bytes.get(index * width..)?.get(..width)?;
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    };
    let text = |index: usize| {
        let pointers = header.get(HEADER_BYTES / 2..HEADER_BYTES)?;
        let text_header = elf.at(number(pointers, index)?, u64::from(pointer_bytes) * 2)?;
        match number(text_header, 1)? {
            0 => Some(&[][..]),
            length => elf.at(number(text_header, 0)?, length),
        }
    };
    BuildInformation::new(text(0)?, text(1).unwrap_or_default())
}

impl<'a> BuildInformation<'a> {
    /// `None`: a version of Go does not look like this.
    fn new(version: &'a [u8], modules: &'a [u8]) -> Option<Self> {
        let known = version.starts_with(b"go") || version.starts_with(b"devel");
        (known && !version.contains(&0)).then_some(Self { version, modules })
    }

    /// Lists the toolchain and the modules.
    pub(super) fn list(&self, listing: &mut Listing<'_>) {
        let version = String::from_utf8_lossy(self.version);
        listing.add(STANDARD_LIBRARY, toolchain_version(&version));
        let modules = unframed(self.modules);
        let text = String::from_utf8_lossy(modules);
        let mut module: Option<Module<'_>> = None;
        let (mut main, mut flags) = (None, None);
        for line in text.lines() {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap_or_default();
            match next() {
                "build" => flags = flags.or_else(|| next().strip_prefix("-ldflags=")),
                "=>" => {
                    if let Some(module) = module.take() {
                        module.list_replaced(&Module { path: next(), version: next() }, listing);
                    }
                }
                kind @ ("mod" | "dep") => {
                    let following = Module { path: next(), version: next() };
                    if kind == "mod" && !following.has_version() {
                        main = Some(following.path);
                    }
                    if let Some(module) = module.replace(following) {
                        module.list(listing);
                    }
                }
                _ => {}
            }
        }
        if let Some(module) = module {
            module.list(listing);
        }
        if let (Some(path), Some(flags)) = (main, flags)
            && let Some(version) = linked::version(flags, path)
        {
            Module { path, version: &version }.list(listing);
        }
    }
}

/// The modules' text without what surrounds it; nothing where it is not surrounded, as Go has it.
fn unframed(modules: &[u8]) -> &[u8] {
    let end = modules.len().saturating_sub(SENTINEL_BYTES);
    let text = modules.get(SENTINEL_BYTES..end).unwrap_or_default();
    if text.ends_with(b"\n") { text } else { &[] }
}

/// `1.22.3` of `go1.22.3 X:boringcrypto`. What is no release stays as it is: it cannot be compared, and
/// that has to be seen.
fn toolchain_version(text: &str) -> &str {
    let release = text.split_whitespace().next().and_then(|word| word.strip_prefix("go"));
    release.filter(|version| !version.is_empty()).unwrap_or(text)
}

/// A module and its version.
struct Module<'a> {
    path: &'a str,
    version: &'a str,
}

impl Module<'_> {
    /// Whether it has a version: not what is built from a working copy, nor what stands for "whatever
    /// replaces it".
    fn has_version(&self) -> bool {
        let stand_in =
            self.version == "v0.0.0" || self.version.starts_with("v0.0.0-00010101000000-");
        !self.version.is_empty() && self.version != "(devel)" && !stand_in
    }

    fn list(&self, listing: &mut Listing<'_>) {
        if self.has_version() {
            listing.add(self.path, self.version);
        }
    }

    /// Another module in its place is what is in the program. A directory in its place has no version;
    /// then what was asked for is the best that is known.
    fn list_replaced(&self, replacement: &Module<'_>, listing: &mut Listing<'_>) {
        if replacement.has_version() { replacement.list(listing) } else { self.list(listing) }
    }
}
