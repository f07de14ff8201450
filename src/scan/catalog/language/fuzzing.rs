//! Fuzz targets for what is read of languages: one per parser, and each with whatever it is given.
//!
//! What must hold: no panic, no package or gap beyond the bounds, gaps that can be shown, and the same
//! answer when asked again in smaller pieces.

use std::io::Read;

use super::super::FileFacts;
use super::File;
use crate::scan::Limits;

/// Small bounds, so that they are reached.
fn limits() -> Limits {
    Limits {
        packages: 1_000,
        archive_inflated_bytes: 16 * 1024 * 1024,
        archive_bytes: 4 * 1024 * 1024,
        ..Limits::default()
    }
}

/// Contents that come a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = buffer.len().min(37);
        let mut piece = self.0.take(u64::try_from(bytes).unwrap_or(0));
        let read = piece.read(buffer.get_mut(..bytes).unwrap_or_default())?;
        self.0 = self.0.get(read..).unwrap_or_default();
        Ok(read)
    }
}

/// Reads a file and checks what must hold.
pub(super) fn check(file: File, path: &str, bytes: &[u8], limits: &Limits) {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let read = |contents: &mut dyn Read| file.read(path, size, contents, limits).ok();
    let (whole, again) = (read(&mut &*bytes), read(&mut Trickle(bytes)));
    assert!(whole.is_some() && again.is_some(), "memory can be read");
    let (Some(facts), Some(again)) = (whole, again) else { return };
    assert!(facts == again, "it depends on how it arrives");
    hold(&facts, limits);
}

fn hold(facts: &FileFacts, limits: &Limits) {
    // A program may have two lists.
    assert!(facts.packages.len() <= 2 * limits.packages, "more packages than the bound");
    assert!(facts.gaps.len() <= 16, "more gaps than the bound");
    for package in &facts.packages {
        assert!(!package.name.is_empty() && !package.version.is_empty());
        assert!(package.found_in.is_empty() || package.found_in.starts_with('!'));
        let shown = [&package.name, &package.version, &package.found_in];
        assert!(!shown.iter().any(|text| text.contains(char::is_control)), "{shown:?}");
    }
    for (_, text) in &facts.gaps {
        assert!(text.is_ascii() && text.len() < 8_192, "{text}");
        assert!(!text.contains(|c: char| c.is_ascii_control()), "{text:?}");
    }
}

/// Any of what languages leave; the first byte says which.
pub(crate) fn language(bytes: &[u8]) {
    const ALL: [fn(&[u8]); 8] = [dotnet, java, node, php, program, python, ruby, path];
    let Some((kind, contents)) = bytes.split_first() else { return };
    if let Some(target) = ALL.get(usize::from(*kind) % ALL.len()) {
        target(contents);
    }
}

/// `*.deps.json`.
pub(super) fn dotnet(bytes: &[u8]) {
    check(File::DotnetDependencies, "app/a.deps.json", bytes, &limits());
}

/// Archives, with what is in them.
pub(super) fn java(bytes: &[u8]) {
    check(File::JavaArchive, "app/a.jar", bytes, &limits());
}

/// Installed packages, and all lock files.
pub(super) fn node(bytes: &[u8]) {
    check(File::NodePackage, "node_modules/a/package.json", bytes, &limits());
    check(File::NpmLock, "package-lock.json", bytes, &limits());
    check(File::PnpmLock, "pnpm-lock.yaml", bytes, &limits());
    check(File::YarnLock, "yarn.lock", bytes, &limits());
}

/// Composer's files.
pub(super) fn php(bytes: &[u8]) {
    check(File::ComposerInstalled, "vendor/composer/installed.json", bytes, &limits());
    check(File::ComposerLock, "composer.lock", bytes, &limits());
}

/// Programs, kept whole and in passing.
pub(super) fn program(bytes: &[u8]) {
    check(File::Program, "bin/a", bytes, &limits());
    check(File::Program, "bin/a", bytes, &Limits { program_bytes: 100, ..limits() });
}

/// Metadata of distributions.
pub(super) fn python(bytes: &[u8]) {
    check(File::PythonMetadata, "a/A-1.dist-info/METADATA", bytes, &limits());
    check(File::PythonMetadata, "a/a.egg-info/PKG-INFO", bytes, &limits());
}

/// Specifications and lock files.
pub(super) fn ruby(bytes: &[u8]) {
    check(File::GemInstalled, "specifications/a-1.gemspec", bytes, &limits());
    check(File::GemLock, "Gemfile.lock", bytes, &limits());
}

/// Which files are read, by paths and heads.
pub(super) fn path(bytes: &[u8]) {
    let (path, head) = bytes.split_at(bytes.len() / 2);
    let Ok(path) = std::str::from_utf8(path) else { return };
    if let Some(file) = File::of(path, head) {
        assert!(File::of(path, head) == Some(file));
        drop(file.yields_to(path));
    }
}
