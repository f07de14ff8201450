//! Ruby gems: their installed specifications, and what Bundler would install.

use super::super::FileFacts;
use super::listing::Listing;
use super::{File, is_in};
use crate::scan::{Limits, PackageKind};

/// What a specification in a directory is, if it is one of an installed gem.
pub(super) fn of(directory: &str) -> Option<File> {
    if is_in(directory, "specifications") {
        return Some(File::GemInstalled);
    }
    directory.ends_with("specifications/default").then_some(File::GemDefault)
}

/// What a specification says: in the line that RubyGems itself reads first, else in its text, else in
/// its file name. It is Ruby, so that what it computes is unknown; then the file name counts.
pub(super) fn specification(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Gem, path, limits);
    let text = String::from_utf8_lossy(bytes);
    let said =
        stub(&text).or_else(|| Some((assigned(&text, "name")?, assigned(&text, "version")?)));
    match said.or_else(|| named_by(path)) {
        Some((name, version)) => listing.add(name, version),
        None => listing.malformed("it does not say name and version in a way that can be read"),
    }
    listing.done()
}

/// `# stub: NAME VERSION PLATFORM PATHS`.
fn stub(text: &str) -> Option<(&str, &str)> {
    let line = text.lines().take(4).find_map(|line| line.trim().strip_prefix("# stub:"))?;
    let mut words = line.split_whitespace();
    let found = (words.next()?, words.next()?);
    is_version(found.1).then_some(found)
}

/// `s.FIELD = "VALUE".freeze`, `spec.FIELD = Gem::Version.new("VALUE")`.
fn assigned<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (target, value) = line.split_once('=')?;
        let (_, target) = target.trim().split_once('.')?;
        if target != field {
            return None;
        }
        let start = value.find(['"', '\''])?;
        let quote = value.get(start..)?.chars().next()?;
        let value = value.get(start + 1..)?.split(quote).next()?;
        (!value.is_empty() && !value.contains("#{")).then_some(value)
    })
}

/// `NAME-VERSION.gemspec` or `NAME-VERSION-PLATFORM.gemspec`.
pub(super) fn named_by(path: &str) -> Option<(&str, &str)> {
    let file = path.rsplit('/').next()?.strip_suffix(".gemspec")?;
    let hyphens = file.match_indices('-').map(|(at, _)| at);
    hyphens.filter_map(|at| file.split_at_checked(at)).find_map(|(name, rest)| {
        let version = rest.get(1..)?;
        let version = version.split_once('-').map_or(version, |(version, _)| version);
        (!name.is_empty() && is_version(version)).then_some((name, version))
    })
}

/// Digits, letters and dots, beginning with a digit.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// The gems of `Gemfile.lock`: lines of four spaces below `specs:`, `NAME (VERSION-PLATFORM)`.
pub(super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Gem, path, limits);
    let text = String::from_utf8_lossy(bytes);
    let mut section = "";
    let mut sections = 0_usize;
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.trim_end();
            sections += usize::from(matches!(section, "GEM" | "GIT" | "PATH" | "DEPENDENCIES"));
        } else if let ("GEM" | "GIT", Some(spec)) = (section, line.strip_prefix("    "))
            && !spec.starts_with(' ')
        {
            let (name, version) = spec.split_once(" (").unwrap_or((spec, ""));
            let version = version.trim_end().trim_end_matches(')');
            listing.add(name, version.split('-').next().unwrap_or_default());
        }
    }
    if sections == 0 && !text.trim().is_empty() {
        listing.malformed("it has no section that a lock file has");
    }
    listing.done()
}
