//! Alpine's apk: its list of what is installed, with the files of each package.

use super::collector::{Collector, lines, shown, token};
use crate::scan::{GapKind, Package, PackageKind, SourcePackage};

/// A package as far as its lines have been read.
#[derive(Debug, Default)]
struct Stanza<'a> {
    has_lines: bool,
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    /// The folder that the files on the lines after it are in.
    folder: &'a [u8],
}

/// Reads the list: packages parted by empty lines, on each line a letter, a colon and a value.
pub(super) fn read(bytes: &[u8], facts: &mut Collector<'_>) {
    let mut stanza = Stanza::default();
    let mut has_room_for_paths = true;
    for (index, line) in lines(bytes).enumerate() {
        if line.is_empty() {
            if !finish(&mut stanza, facts) {
                return;
            }
        } else if let Err(wrong) = stanza.take(line) {
            facts.malformed(format!("line {}: {wrong}: {}", index + 1, shown(line)));
        } else if has_room_for_paths && let Some(file) = line.strip_prefix(b"R:") {
            has_room_for_paths = owns(stanza.folder, file, facts);
        }
    }
    finish(&mut stanza, facts);
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
            b'F' => {
                self.folder = value;
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

fn owns(folder: &[u8], file: &[u8], facts: &mut Collector<'_>) -> bool {
    match (std::str::from_utf8(folder), std::str::from_utf8(file)) {
        (Ok(folder), Ok(file)) => facts.owns(folder, file),
        _ => true,
    }
}

fn finish(stanza: &mut Stanza<'_>, facts: &mut Collector<'_>) -> bool {
    let stanza = std::mem::take(stanza);
    if !stanza.has_lines {
        return true;
    }
    match package(&stanza, facts.path()) {
        Ok(package) => facts.package(package),
        Err(text) => {
            facts.gap(GapKind::Malformed, text);
            true
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
