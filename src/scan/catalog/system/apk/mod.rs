//! Alpine's apk: its list of what is installed, with the files of each package.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::collector::{Collector, lines, shown, token};
use crate::scan::catalog::{Checksum, Maker};
use crate::scan::{Package, PackageKind, SourcePackage};

/// A package as far as its lines have been read.
#[derive(Debug)]
struct Stanza<'a> {
    has_lines: bool,
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    /// The folder that the files on the lines after it are in, if it is one.
    folder: Option<&'a str>,
    /// The file that the next checksum is of.
    file: Option<&'a str>,
}

/// Reads the list: packages parted by empty lines, on each line a letter, a colon and a value.
pub(super) fn read(bytes: &[u8], facts: &mut Collector<'_>) {
    let mut stanza = Stanza::default();
    for (index, line) in lines(bytes).enumerate() {
        if facts.is_full() {
            return;
        }
        if line.is_empty() {
            finish(&mut stanza, facts);
        } else if let Err(wrong) = stanza.take(line) {
            facts.malformed(format!("line {}: {wrong}: {}", index + 1, shown(line)));
        } else {
            file(line, &mut stanza, facts);
        }
    }
    finish(&mut stanza, facts);
}

/// Takes a line about the files of a package: a folder, a file in it, or the file's checksum.
fn file<'a>(line: &'a [u8], stanza: &mut Stanza<'a>, facts: &mut Collector<'_>) {
    match line {
        [b'F', b':', folder @ ..] => (stanza.folder, stanza.file) = (facts.folder(folder), None),
        [b'R', b':', file @ ..] => stanza.file = std::str::from_utf8(file).ok(),
        [b'Z', b':', checksum @ ..] => {
            if let (Some(folder), Some(file)) = (stanza.folder, stanza.file.take())
                && let Some(checksum) = read_checksum(checksum)
            {
                facts.file(folder, file, checksum);
            }
        }
        _ => {}
    }
}

/// `Q1` and a SHA-1, or `Q2` and a SHA-256, in base 64.
fn read_checksum(text: &[u8]) -> Option<Checksum> {
    let digits = text.strip_prefix(b"Q1").or_else(|| text.strip_prefix(b"Q2"))?;
    Checksum::of_bytes(&BASE64.decode(digits).ok()?)
}

impl Default for Stanza<'_> {
    fn default() -> Self {
        let folder = Some("");
        Self {
            has_lines: false,
            name: None,
            version: None,
            architecture: None,
            origin: None,
            maintainer: None,
            folder,
            file: None,
        }
    }
}

impl<'a> Stanza<'a> {
    fn take(&mut self, line: &'a [u8]) -> Result<(), &'static str> {
        self.has_lines = true;
        let (key, value) = match line {
            [key, b':', value @ ..] if key.is_ascii_alphabetic() => (*key, value),
            _ => return Err("no field"),
        };
        let slot = match key {
            b'P' => &mut self.name,
            b'V' => &mut self.version,
            b'A' => &mut self.architecture,
            b'o' => &mut self.origin,
            b'm' => {
                // It says whose the package is, and not which it is.
                self.maintainer = Some(value);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if slot.is_some() {
            return Err("a second field of the name");
        }
        *slot = Some(value);
        Ok(())
    }
}

/// Takes what has been gathered of a package, and begins the next.
fn finish(stanza: &mut Stanza<'_>, facts: &mut Collector<'_>) {
    let stanza = std::mem::take(stanza);
    if !stanza.has_lines {
        return;
    }
    match package(&stanza, facts.path()) {
        Ok(package) => {
            match stanza.maintainer.and_then(Maker::of_maintainer) {
                Some(maker) => facts.owner(&package.name, Some(maker)),
                None => facts.no_owner(),
            }
            facts.package(package);
        }
        Err(text) => {
            facts.no_owner();
            facts.malformed(text);
        }
    }
}

fn package(stanza: &Stanza<'_>, path: &str) -> Result<Package, String> {
    let name = stanza.name.ok_or("a package without a name")?;
    let bad =
        |what: &str, bytes: &[u8]| format!("package {} has {what} {}", shown(name), shown(bytes));
    let version =
        stanza.version.ok_or_else(|| format!("package {} has no version", shown(name)))?;
    let version = token(version).ok_or_else(|| bad("the bad version", version))?;
    let name = token(name).ok_or_else(|| bad("the bad name", name))?;
    let mut package = Package::new(PackageKind::Apk, name, version, path);
    if let Some(architecture) = stanza.architecture.filter(|it| !it.is_empty()) {
        let good = token(architecture).map(str::to_owned);
        package.architecture = Some(good.ok_or_else(|| bad("the bad architecture", architecture))?);
    }
    // A package without an origin was built alone, from what has its own name.
    if let Some(origin) = stanza.origin.filter(|it| !it.is_empty()) {
        let origin = token(origin).ok_or_else(|| bad("the bad origin", origin))?;
        let source = SourcePackage { name: origin.to_owned(), version: version.to_owned() };
        package.source = Some(source).filter(|source| source.name != name);
    }
    Ok(package)
}

#[cfg(test)]
mod tests;
