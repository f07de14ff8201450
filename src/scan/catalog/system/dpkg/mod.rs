//! Debian's dpkg: what its `status` file says is installed, the same in pieces as images without a
//! package manager have it (`status.d`), and which files belong to its packages.

mod stanza;

use self::stanza::{Field, Stanza};
use super::collector::{Collector, lines, shown, token};
use crate::scan::catalog::Maker;
use crate::scan::{GapKind, Package, PackageKind, SourcePackage};

/// Reads a file of stanzas, each about one package.
///
/// A package counts while files of it are on the disk, whatever dpkg wants to do with it next.
pub(super) fn read_status(bytes: &[u8], facts: &mut Collector<'_>) {
    let mut stanza = Stanza::default();
    for (index, line) in lines(bytes).enumerate() {
        if facts.is_full() {
            return;
        }
        if line.is_empty() {
            finish(&mut stanza, facts);
        } else if let Err(wrong) = stanza.take(line) {
            facts.malformed(format!("line {}: {wrong}: {}", index + 1, shown(line)));
        }
    }
    finish(&mut stanza, facts);
}

/// Reads which files a package has: a checksum and a path on each line. Its lists without checksums are
/// not read, as nothing of them says that a file is still the package's.
pub(super) fn read_checksums(bytes: &[u8], facts: &mut Collector<'_>) {
    for line in lines(bytes) {
        let file = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' '));
        if let Some((checksum, path)) = file
            && let Ok(checksum) = checksum.parse()
        {
            facts.file("", path.trim_start(), checksum);
        }
    }
    // `libc6` of `libc6:amd64.md5sums`.
    let name = facts.path().rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let package = stem.split_once(':').map_or(stem, |(package, _)| package);
    facts.owner(&package.to_ascii_lowercase(), None);
}

/// Takes what has been gathered of a stanza, and begins the next.
fn finish(stanza: &mut Stanza<'_>, facts: &mut Collector<'_>) {
    let stanza = std::mem::take(stanza);
    if stanza.is_empty() {
        return;
    }
    match package(&stanza, facts.path()) {
        Ok(Some(package)) => {
            if let Some(maker) = maker(&stanza) {
                facts.maker(&package.name, maker);
            }
            facts.package(package);
        }
        Ok(None) => {}
        Err((kind, text)) => facts.gap(kind, text),
    }
}

/// Who made the package. What makes packages for vendors writes a field that distributions' have not.
fn maker(stanza: &Stanza<'_>) -> Option<Maker> {
    let maintainer = stanza.get(Field::Maintainer).filter(|_| stanza.get(Field::Vendor).is_none());
    Maker::of_maintainer(maintainer?)
}

/// The package of a stanza, if it is installed.
fn package(stanza: &Stanza<'_>, path: &str) -> Result<Option<Package>, (GapKind, String)> {
    let Some(name) = stanza.get(Field::Package) else {
        return Err((GapKind::Malformed, "a package without a name".to_owned()));
    };
    let malformed = |what: &str, bytes: &[u8]| {
        let text = format!("package {} has {what} {}", shown(name), shown(bytes));
        (GapKind::Malformed, text)
    };
    if !is_on_disk(stanza.get(Field::Status)) {
        return Ok(None);
    }
    // As dpkg itself, which takes `OpenSSL` for `openssl`.
    let name = token(name).ok_or_else(|| malformed("the bad name", name))?.to_ascii_lowercase();
    let Some(version) = stanza.get(Field::Version) else {
        return Err((GapKind::Malformed, format!("package `{name}` has no version")));
    };
    let good = token(version).filter(|version| is_version(version));
    let version = good.ok_or_else(|| malformed("the bad version", version))?;
    let mut package = Package::new(PackageKind::Deb, &name, version, path);
    if let Some(architecture) = stanza.get(Field::Architecture) {
        let good = token(architecture).map(str::to_owned);
        package.architecture =
            Some(good.ok_or_else(|| malformed("the bad architecture", architecture))?);
    }
    if let Some(source) = stanza.get(Field::Source) {
        let read = source_package(source, version);
        let read = read.ok_or_else(|| malformed("the bad source", source))?;
        package.source = Some(read).filter(|it| it.name != name || it.version != version);
    }
    Ok(Some(package))
}

/// Whether a package in this state has files on the disk: wanted, flag and state. One without a state
/// has: the pieces in `status.d` say nothing of it. One in a state that dpkg does not have is taken to
/// have, too.
fn is_on_disk(status: Option<&[u8]>) -> bool {
    let mut words = status.unwrap_or_default().split(u8::is_ascii_whitespace);
    let state = words.nth(2).map(<[u8]>::to_ascii_lowercase);
    let is_gone = matches!(state.as_deref(), Some(b"config-files" | b"not-installed"));
    !is_gone || words.next().is_some()
}

/// `name`, or `name (version)`.
fn source_package(field: &[u8], version: &str) -> Option<SourcePackage> {
    let open = field.iter().position(|&byte| byte == b'(');
    let (name, version) = match open.and_then(|at| field.split_at_checked(at)) {
        None => (field, version),
        Some((name, parenthesis)) => {
            let inner = parenthesis.strip_prefix(b"(")?.strip_suffix(b")")?;
            (name, token(inner.trim_ascii()).filter(|version| is_version(version))?)
        }
    };
    let name = token(name.trim_ascii())?.to_ascii_lowercase();
    Some(SourcePackage { name, version: version.to_owned() })
}

/// Whether a version has the form that Debian's policy gives it (5.6.12), loosely: an epoch of digits
/// if there is one, and something beginning with a letter or digit after it. What cannot be such a
/// version cannot be compared.
fn is_version(version: &str) -> bool {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let is_epoch = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
    let begins = rest.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_epoch && begins && rest.bytes().all(is_good)
}

#[cfg(test)]
mod tests;
