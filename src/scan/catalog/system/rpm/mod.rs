//! rpm: its three kinds of database, and the list that images without rpm have.
//!
//! A database is a bag of headers, one for each package; each kind of it has its own way to keep them.
//! Only the bag is read: rpm's indexes over it say nothing new.

mod berkeley;
mod bytes;
mod header;
mod manifest;
mod ndb;
mod sqlite;

use std::collections::HashMap;

use self::header::Header;
use super::collector::{Collector, shown, token};
use crate::scan::catalog::{Checksum, Maker};
use crate::scan::{GapKind, Package, PackageKind, SourcePackage};

/// Folders that files of one package are in. A package of a hundred thousand files has a tenth; what is
/// beyond belongs to nobody.
const FOLDERS_MAX: usize = 65_536;
/// How checksums are made, by the numbers of `OpenPGP`. Without one it is MD5.
const MD5: u32 = 1;
const SHA1: u32 = 2;
const SHA256: u32 = 8;

/// Why a database could not be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault(GapKind, String);

impl Fault {
    fn malformed(text: impl Into<String>) -> Self {
        Self(GapKind::Malformed, text.into())
    }

    fn unsupported(text: impl Into<String>) -> Self {
        Self(GapKind::Unsupported, text.into())
    }
}

/// A source package, and the epoch that it has by one package built from it.
#[derive(Debug, Default)]
struct Epochs(HashMap<String, u32>);

/// Takes the headers of a database as they are found, and what is wrong between them.
struct Headers<'a, 'b> {
    facts: &'a mut Collector<'b>,
    epochs: Epochs,
}

impl<'a, 'b> Headers<'a, 'b> {
    fn new(facts: &'a mut Collector<'b>) -> Self {
        Self { facts, epochs: Epochs::default() }
    }

    /// Whether there is no room for any more: then reading can stop.
    fn is_full(&self) -> bool {
        self.facts.is_full()
    }

    /// Takes the next header.
    fn take(&mut self, blob: &[u8]) {
        let header = match Header::read(blob) {
            Ok(header) => header,
            Err(fault) => return self.fault(fault),
        };
        let is_package = self.take_package(|path, epochs| package(&header, path, epochs));
        if is_package && let Some(maker) = maker(&header) {
            files(&header, self.facts);
            let name = header.string(header::NAME).ok().flatten().and_then(token);
            self.facts.owner(name.unwrap_or_default(), Some(maker));
        }
    }

    /// Takes the next package, or nothing where it is none; whether it is one.
    fn take_package(
        &mut self,
        read: impl FnOnce(&str, &mut Epochs) -> Result<Option<Package>, Fault>,
    ) -> bool {
        match read(self.facts.path(), &mut self.epochs) {
            Ok(Some(package)) => {
                self.facts.package(package);
                true
            }
            Ok(None) => false,
            Err(fault) => {
                self.fault(fault);
                false
            }
        }
    }

    fn fault(&mut self, Fault(kind, text): Fault) {
        self.facts.gap(kind, text);
    }

    /// Gives sources the epochs that only other packages built from them tell.
    fn finish(self) {
        for package in self.facts.packages_mut() {
            let Some(source) = &mut package.source else { continue };
            if !source.version.contains(':')
                && let Some(epoch) = self.epochs.0.get(&key(&source.name, &source.version))
            {
                source.version = format!("{epoch}:{}", source.version);
            }
            if source.name == package.name && source.version == package.version {
                package.source = None;
            }
        }
    }
}

fn key(name: &str, version: &str) -> String {
    format!("{name} {version}")
}

/// What a database is read by: it hands over each header.
type Reader = fn(&[u8], &mut Headers<'_, '_>) -> Result<(), Fault>;

fn read(reader: Reader, bytes: &[u8], facts: &mut Collector<'_>) {
    let mut headers = Headers::new(facts);
    if let Err(fault) = reader(bytes, &mut headers) {
        headers.fault(fault);
    }
    headers.finish();
}

/// Reads a database in Berkeley DB's hash format (`Packages`).
pub(super) fn read_berkeley(bytes: &[u8], facts: &mut Collector<'_>) {
    read(berkeley::read, bytes, facts);
}

/// Reads a database in rpm's own format (`Packages.db`).
pub(super) fn read_ndb(bytes: &[u8], facts: &mut Collector<'_>) {
    read(ndb::read, bytes, facts);
}

/// Reads a database in SQLite's format (`rpmdb.sqlite`).
pub(super) fn read_sqlite(bytes: &[u8], facts: &mut Collector<'_>) {
    read(sqlite::read, bytes, facts);
}

/// Reads the list of an image without rpm.
pub(super) fn read_manifest(bytes: &[u8], facts: &mut Collector<'_>) {
    let mut headers = Headers::new(facts);
    manifest::read(bytes, &mut headers);
    headers.finish();
}

/// Looks at a journal beside a SQLite database. It is empty, or what is in the database is not all.
pub(super) fn read_journal(bytes: &[u8], facts: &mut Collector<'_>) {
    // A journal whose first bytes are zero was ended in place.
    if bytes.iter().any(|&byte| byte != 0) {
        let text = "changes to the database that are not in it yet";
        facts.gap(GapKind::Unsupported, text);
    }
}

/// What names a package.
struct Identity<'a> {
    name: &'a [u8],
    version: &'a [u8],
    release: &'a [u8],
    epoch: Option<u32>,
    source_rpm: Option<&'a [u8]>,
}

impl Identity<'_> {
    /// The package of that name and version, with what it was built from.
    fn package(&self, path: &str, epochs: &mut Epochs) -> Result<Package, Fault> {
        let bad = |what: &str, bytes: &[u8]| {
            let name = shown(self.name);
            Fault::malformed(format!("package {name} has the bad {what} {}", shown(bytes)))
        };
        let part = |what: &str, bytes| {
            token(bytes).filter(|it| is_version(it)).ok_or_else(|| bad(what, bytes))
        };
        let name = token(self.name).ok_or_else(|| bad("name", self.name))?;
        let version = part("version", self.version)?;
        let release = part("release", self.release)?;
        let whole = format!("{version}-{release}");
        let epoch = self.epoch.filter(|&epoch| epoch != 0);
        let with_epoch = epoch.map_or_else(|| whole.clone(), |epoch| format!("{epoch}:{whole}"));
        let mut package = Package::new(PackageKind::Rpm, name, &with_epoch, path);
        if let Some(rpm) = self.source_rpm {
            let (source, version) = source_parts(rpm).ok_or_else(|| bad("source", rpm))?;
            // Only a package that has its source's version is sure to have its epoch.
            if version == whole
                && let Some(epoch) = epoch
            {
                epochs.0.insert(key(source, version), epoch);
            }
            let (name, version) = (source.to_owned(), version.to_owned());
            package.source = Some(SourcePackage { name, version });
        }
        Ok(package)
    }
}

/// The package that a header is of; `None` for a key, which rpm keeps among the packages.
fn package(header: &Header<'_>, path: &str, epochs: &mut Epochs) -> Result<Option<Package>, Fault> {
    let string = |tag, what: &str| {
        header.string(tag)?.ok_or_else(|| Fault::malformed(format!("a package without a {what}")))
    };
    let name = string(header::NAME, "name")?;
    if name == b"gpg-pubkey" {
        return Ok(None);
    }
    let identity = Identity {
        name,
        version: string(header::VERSION, "version")?,
        release: string(header::RELEASE, "release")?,
        epoch: header.number(header::EPOCH)?,
        source_rpm: header.string(header::SOURCE_RPM)?,
    };
    let mut package = identity.package(path, epochs)?;
    let optional = |tag, what: &str| {
        let Some(value) = header.string(tag)?.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let bad = || format!("package {} has the bad {what} {}", shown(name), shown(value));
        token(value).map(str::to_owned).map(Some).ok_or_else(|| Fault::malformed(bad()))
    };
    package.architecture = optional(header::ARCHITECTURE, "architecture")?;
    package.module = optional(header::MODULARITY_LABEL, "module")?;
    Ok(Some(package))
}

/// Whether a version or release is one: rpm parts them by hyphens, so they have none.
fn is_version(part: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~^%{}".contains(&byte);
    part.bytes().all(is_good) && part.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Name and version of `name-version-release.src.rpm`.
fn source_parts(rpm: &[u8]) -> Option<(&str, &str)> {
    let rpm = token(rpm)?;
    let stem = rpm.strip_suffix(".src.rpm").or_else(|| rpm.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let is_good = !name.is_empty() && is_version(version) && is_version(release);
    let version = stem.get(name.len().checked_add(1)?..)?;
    is_good.then_some((name, version))
}

/// Who made a package, by what it says of itself.
fn maker(header: &Header<'_>) -> Option<Maker> {
    let text = |tag| header.string(tag).ok().flatten().unwrap_or_default();
    Maker::of_vendor(text(header::VENDOR), text(header::RELEASE))
}

/// Takes the files of a package, with their checksums where these are of a kind that is computed.
fn files(header: &Header<'_>, facts: &mut Collector<'_>) {
    let folders = header.strings(header::DIRECTORY_NAMES).take(FOLDERS_MAX);
    let folders: Vec<Option<&str>> = folders.map(|folder| facts.folder(folder)).collect();
    let algorithm = header.number(header::FILE_DIGEST_ALGORITHM).ok().flatten();
    let names = header.strings(header::BASE_NAMES).zip(header.numbers(header::DIRECTORY_INDEXES));
    for ((name, index), digest) in names.zip(header.strings(header::FILE_DIGESTS)) {
        let folder = usize::try_from(index).ok().and_then(|index| *folders.get(index)?);
        if let (Some(folder), Ok(name)) = (folder, std::str::from_utf8(name))
            && let Some(checksum) = checksum(algorithm, digest)
        {
            facts.file(folder, name, checksum);
        }
    }
}

/// A file's checksum, if it is made as the header says. Directories and links have none.
fn checksum(algorithm: Option<u32>, digest: &[u8]) -> Option<Checksum> {
    let checksum = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let expected = match checksum {
        Checksum::Md5(_) => MD5,
        Checksum::Sha1(_) => SHA1,
        Checksum::Sha256(_) => SHA256,
    };
    (algorithm.unwrap_or(MD5) == expected).then_some(checksum)
}

#[cfg(test)]
mod tests;
