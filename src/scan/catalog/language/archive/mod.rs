//! Java archives, and the archives in them.
//!
//! All that Maven left in an archive counts: an archive that others were shaded into has several. Where
//! none of it is the archive's own, manifest and name say who it is; nothing may, and then it is an
//! application. What was found in an archive within one is in `outer.jar!BOOT-INF/lib/inner.jar`.

mod identity;
mod zip;

use std::borrow::Cow;
use std::collections::BTreeMap;

use identity::{Identity, Manifest};
use zip::{Entry, Zip};

use super::super::FileFacts;
use super::Trouble;
use super::listing::{Listing, quoted};
use crate::scan::{GapKind, Limits, PackageKind};

/// What archives of Java are called: of libraries and applications, enterprise archives and plug-ins.
const SUFFIXES: [&str; 8] = ["jar", "war", "ear", "par", "sar", "jpi", "hpi", "lpkg"];
/// What every entry begins with.
const HEAD: &[u8] = b"PK\x03\x04";
/// Where the name of the first entry is.
const NAME_AT: usize = 30;
/// What the first entry is in, in all archives that Java's own tools made.
const FIRST_IN: &[u8] = b"META-INF/";
/// Bytes of a manifest or of what Maven left.
const TEXT_BYTES_MAX: u64 = 10 * 1024 * 1024;

const MANIFEST: &str = "META-INF/MANIFEST.MF";
const MAVEN: &str = "META-INF/maven/";
const PROPERTIES: &str = "/pom.properties";

/// Whether files with a suffix are archives of Java.
pub(super) fn has_suffix(suffix: &str) -> bool {
    suffix.len() <= 4 && SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known))
}

/// Whether a file begins as only archives of Java do.
pub(super) fn is_head(head: &[u8]) -> bool {
    let name = || head.get(NAME_AT..).is_some_and(|name| name.starts_with(FIRST_IN));
    head.starts_with(HEAD) && name()
}

/// Name and version of the archive that a path alone names.
pub(super) fn named_by(path: &str) -> Option<(String, String)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    identity::of_archive(name, None).map(|identity| (identity.name(), identity.version))
}

/// What a whole archive says.
pub(super) fn look_into(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let listing = Listing::new(PackageKind::Maven, path, limits);
    let mut walk = Walk { limits, listing, read_bytes: 0, kept_bytes: 0, entries: 0 };
    walk.archive(bytes, path, 0);
    walk.listing.done()
}

/// The way through an archive and all that are in it.
struct Walk<'a> {
    limits: &'a Limits,
    listing: Listing<'a>,
    /// Bytes that were read of entries so far.
    read_bytes: u64,
    /// Bytes of the archives that are kept at the moment.
    kept_bytes: u64,
    /// Entries that were seen so far.
    entries: u64,
}

/// What is known of one archive.
#[derive(Default)]
struct Known {
    /// Artifacts that Maven left something of.
    by_maven: Vec<String>,
    manifest: Option<Manifest>,
    /// Where the entries are that were read: their ends by their beginnings.
    ranges: BTreeMap<usize, usize>,
    /// Whether two of them share bytes.
    overlaps: bool,
}

impl Known {
    fn take(&mut self, (start, end): (usize, usize)) {
        let before = self.ranges.range(..=start).next_back();
        let after = self.ranges.range(start..).next();
        self.overlaps |= before.is_some_and(|(_, before_end)| *before_end > start)
            || after.is_some_and(|(after_start, _)| *after_start < end);
        self.ranges.insert(start, end);
    }
}

impl Walk<'_> {
    /// Looks into the archive at `place`.
    fn archive(&mut self, bytes: &[u8], place: &str, depth: usize) {
        let zip = match Zip::open(bytes) {
            Ok(Some(zip)) => zip,
            // Java would not open it, either.
            Ok(None) if !bytes.starts_with(HEAD) => return,
            Ok(None) => return self.gap(place, (GapKind::Malformed, "it has no end".to_owned())),
            Err(trouble) => return self.gap(place, trouble),
        };
        if zip.is_preceded() && bytes.starts_with(HEAD) {
            let text = "it begins like an archive that its end knows nothing of";
            self.gap(place, (GapKind::Malformed, text.to_owned()));
        }
        if zip.is_disputed() {
            let text = "its end has two directories, and readers differ in which they take";
            self.gap(place, (GapKind::Malformed, text.to_owned()));
        }
        let mut known = Known::default();
        for entry in zip.entries() {
            self.entries += 1;
            if self.entries > self.limits.entries {
                let text = format!("it has more than entries = {} entries", self.limits.entries);
                self.gap(place, (GapKind::Limit, text));
                break;
            }
            let outcome =
                entry.and_then(|entry| self.entry(&zip, &entry, place, depth, &mut known));
            if let Err(trouble) = outcome {
                self.gap(place, trouble);
            }
            if known.overlaps {
                // From here on there may be as many as there are bytes, of one and the same.
                self.gap(place, (GapKind::Malformed, "entries overlap in it".to_owned()));
                break;
            }
            if self.listing.is_full() {
                break;
            }
        }
        self.list(&known, place);
    }

    fn entry(
        &mut self,
        zip: &Zip<'_>,
        entry: &Entry<'_>,
        place: &str,
        depth: usize,
        known: &mut Known,
    ) -> Result<(), Trouble> {
        if entry.is_directory() {
            return Ok(());
        }
        let name = String::from_utf8_lossy(entry.name);
        let named = |(kind, text): Trouble| (kind, format!("{}: {text}", quoted(&name)));
        if name.eq_ignore_ascii_case(MANIFEST) {
            let text = self.text(zip, entry, known).map_err(named)?;
            known.manifest.get_or_insert_with(|| Manifest::read(&text));
        } else if name.starts_with(MAVEN) && name.ends_with(PROPERTIES) {
            let text = self.text(zip, entry, known).map_err(named)?;
            let identity = identity::of_properties(&name, &text);
            let no_version = || named((GapKind::Malformed, "it has no version".to_owned()));
            let identity = identity.ok_or_else(no_version)?;
            self.listing.add_in(&identity.name(), &identity.version, place);
            known.by_maven.push(identity.artifact);
        } else if name.rsplit_once('.').is_some_and(|(_, suffix)| has_suffix(suffix)) {
            self.nested(zip, entry, &format!("{place}!{}", shown(&name)), depth, known)
                .map_err(named)?;
        }
        Ok(())
    }

    /// A small entry.
    fn text(
        &mut self,
        zip: &Zip<'_>,
        entry: &Entry<'_>,
        known: &mut Known,
    ) -> Result<String, Trouble> {
        if entry.bytes > TEXT_BYTES_MAX {
            let text = format!("it has more than TEXT_BYTES_MAX = {TEXT_BYTES_MAX} bytes");
            return Err((GapKind::Limit, text));
        }
        let bytes = self.bytes(zip, entry, known)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn nested(
        &mut self,
        zip: &Zip<'_>,
        entry: &Entry<'_>,
        place: &str,
        depth: usize,
        known: &mut Known,
    ) -> Result<(), Trouble> {
        let Limits { archive_depth, archive_bytes, path_bytes, .. } = self.limits;
        if depth >= *archive_depth {
            return Err((
                GapKind::Limit,
                format!("it is deeper than archive_depth = {archive_depth}"),
            ));
        }
        if place.len() > *path_bytes {
            return Err((
                GapKind::Limit,
                format!("its name has more than path_bytes = {path_bytes}"),
            ));
        }
        if entry.bytes.saturating_add(self.kept_bytes) > *archive_bytes {
            let text =
                format!("it and what it is in have more than archive_bytes = {archive_bytes}");
            return Err((GapKind::Limit, text));
        }
        let bytes = self.bytes(zip, entry, known)?;
        let kept = if matches!(bytes, Cow::Owned(_)) { entry.bytes } else { 0 };
        self.kept_bytes += kept;
        self.archive(&bytes, place, depth + 1);
        self.kept_bytes -= kept;
        Ok(())
    }

    /// What is in an entry, as far as there is room for it.
    fn bytes<'z>(
        &mut self,
        zip: &Zip<'z>,
        entry: &Entry<'z>,
        known: &mut Known,
    ) -> Result<Cow<'z, [u8]>, Trouble> {
        let bound = self.limits.archive_inflated_bytes;
        self.read_bytes = self.read_bytes.saturating_add(entry.bytes);
        if self.read_bytes > bound {
            let text = format!(
                "all that is in the archive has more than archive_inflated_bytes = {bound}"
            );
            return Err((GapKind::Limit, text));
        }
        let packed = zip.packed(entry)?;
        known.take(packed.range);
        packed.read()
    }

    fn list(&mut self, known: &Known, place: &str) {
        let file_name = place.rsplit(['/', '!']).next().unwrap_or(place);
        let own = identity::of_archive(file_name, known.manifest.as_ref());
        let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        let is_own =
            |artifact: &String, own: &Identity| [stem, &own.artifact].contains(&artifact.as_str());
        let is_known = |own: &Identity| known.by_maven.iter().any(|it| is_own(it, own));
        if let Some(own) = own.filter(|own| !is_known(own)) {
            self.listing.add_in(&own.name(), &own.version, place);
        }
    }

    /// Notes what is wrong with the archive at `place`.
    fn gap(&mut self, place: &str, (kind, text): Trouble) {
        let inner = place.split_once('!').map(|(_, inner)| inner);
        self.listing
            .gap((kind, inner.map_or(text.clone(), |inner| format!("{}: {text}", quoted(inner)))));
    }
}

/// A name as a part of a path, on one line.
fn shown(name: &str) -> Cow<'_, str> {
    if name.contains(char::is_control) {
        return Cow::Owned(name.escape_default().to_string());
    }
    Cow::Borrowed(name)
}
