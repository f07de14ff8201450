//! Names of packages and ecosystems, so that what an image has and what a record says can be compared.

use std::borrow::Cow;

use crate::scan::PackageKind;

/// Ecosystems of OSV and the kind of their packages; those that no image is read for are not here.
const ECOSYSTEMS: [(&str, PackageKind); 28] = [
    ("AlmaLinux", PackageKind::Rpm),
    ("Alpaquita", PackageKind::Apk),
    ("Alpine", PackageKind::Apk),
    ("Azure Linux", PackageKind::Rpm),
    ("BellSoft Hardened Containers", PackageKind::Apk),
    ("Chainguard", PackageKind::Apk),
    ("CleanStart", PackageKind::Apk),
    ("Debian", PackageKind::Deb),
    ("Echo", PackageKind::Deb),
    ("Go", PackageKind::Go),
    ("Mageia", PackageKind::Rpm),
    ("Maven", PackageKind::Maven),
    ("MinimOS", PackageKind::Apk),
    ("NuGet", PackageKind::Nuget),
    ("Packagist", PackageKind::Composer),
    ("Photon OS", PackageKind::Rpm),
    ("PyPI", PackageKind::Python),
    ("Red Hat", PackageKind::Rpm),
    ("Rocky Linux", PackageKind::Rpm),
    ("RubyGems", PackageKind::Gem),
    ("SUSE", PackageKind::Rpm),
    ("Ubuntu", PackageKind::Deb),
    ("Wolfi", PackageKind::Apk),
    ("crates.io", PackageKind::Cargo),
    ("npm", PackageKind::Npm),
    ("openEuler", PackageKind::Rpm),
    ("openSUSE", PackageKind::Rpm),
    ("openSUSE Leap", PackageKind::Rpm),
];

/// What ends the group in a name of Maven.
pub(in crate::scan) const GROUP_END: char = ':';

/// An ecosystem without its release or repository: `Debian` of `Debian:12`.
fn base(ecosystem: &str) -> &str {
    ecosystem.split_once(':').map_or(ecosystem, |(base, _)| base)
}

/// The kind of an ecosystem's packages, if images are read for them.
pub(in crate::scan) fn kind_of(ecosystem: &str) -> Option<PackageKind> {
    let base = base(ecosystem);
    ECOSYSTEMS.iter().find(|(name, _)| *name == base).map(|(_, kind)| *kind)
}

/// The name by which an ecosystem is covered by a feed, if images are read for it: a registry of a
/// language exactly, and a distribution whatever the release.
pub(super) fn covering(ecosystem: &str) -> Option<&'static str> {
    let (name, kind) = ECOSYSTEMS.iter().find(|(name, _)| *name == base(ecosystem))?;
    (kind.is_of_distribution() || *name == ecosystem).then_some(*name)
}

/// The kind whose packages have this type in package URLs, if images are read for them.
pub(super) fn kind_of_type(name: &str) -> Option<PackageKind> {
    ECOSYSTEMS.iter().map(|(_, kind)| *kind).find(|kind| kind.purl_type() == name)
}

/// The ecosystem of a language's packages; distributions have one each.
pub(in crate::scan) const fn language(kind: PackageKind) -> Option<&'static str> {
    match kind {
        PackageKind::Apk | PackageKind::Deb | PackageKind::Other | PackageKind::Rpm => None,
        PackageKind::Cargo => Some("crates.io"),
        PackageKind::Composer => Some("Packagist"),
        PackageKind::Gem => Some("RubyGems"),
        PackageKind::Go => Some("Go"),
        PackageKind::Maven => Some("Maven"),
        PackageKind::Npm => Some("npm"),
        PackageKind::Nuget => Some("NuGet"),
        PackageKind::Python => Some("PyPI"),
    }
}

/// Whether `longer` is `shorter`, or says more after a colon.
pub(in crate::scan) fn extends(longer: &str, shorter: &str) -> bool {
    longer.strip_prefix(shorter).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// A name as names of its kind are compared.
pub(in crate::scan) fn normalised(kind: Option<PackageKind>, name: &str) -> Cow<'_, str> {
    match kind {
        Some(PackageKind::Python) => python(name),
        Some(PackageKind::Composer | PackageKind::Nuget) => lower(name),
        Some(PackageKind::Go) => go(name),
        // Old names of npm differ by case alone, and are different packages; the others are exact.
        Some(
            PackageKind::Apk
            | PackageKind::Cargo
            | PackageKind::Deb
            | PackageKind::Gem
            | PackageKind::Maven
            | PackageKind::Npm
            | PackageKind::Other
            | PackageKind::Rpm,
        )
        | None => Cow::Borrowed(name),
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.chars().any(char::is_uppercase) {
        Cow::Owned(name.to_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// PEP 503: lower case, and runs of `-`, `_` and `.` are one `-`.
fn python(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_ascii_uppercase() && c != '_' && c != '.';
    if name.chars().all(is_plain) && !name.contains("--") {
        return Cow::Borrowed(name);
    }
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if plain.ends_with('-') => {}
            '-' | '_' | '.' => plain.push('-'),
            _ => plain.push(c.to_ascii_lowercase()),
        }
    }
    Cow::Owned(plain)
}

/// The module cache writes `!a` for `A`; module paths themselves never have a `!`.
fn go(name: &str) -> Cow<'_, str> {
    if !name.contains('!') {
        return Cow::Borrowed(name);
    }
    let mut plain = String::with_capacity(name.len());
    let mut escaped = false;
    for c in name.chars() {
        match c {
            '!' => escaped = true,
            _ if escaped => {
                plain.push(c.to_ascii_uppercase());
                escaped = false;
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_their_kind_does() {
        let same = |kind, a, b| normalised(Some(kind), a) == normalised(Some(kind), b);
        assert!(same(PackageKind::Python, "Zope.Interface", "zope-interface"));
        assert!(same(PackageKind::Python, "a__.-b", "A-b"));
        assert!(!same(PackageKind::Npm, "JSONStream", "jsonstream"));
        assert!(same(PackageKind::Go, "github.com/!azure/sdk", "github.com/Azure/sdk"));
        assert!(!same(PackageKind::Go, "github.com/Azure/sdk", "github.com/azure/sdk"));
        assert!(same(PackageKind::Nuget, "Newtonsoft.Json", "newtonsoft.json"));
        assert!(same(PackageKind::Composer, "Symfony/HTTP", "symfony/http"));
        assert!(!same(PackageKind::Deb, "Expat", "expat"));
    }

    #[test]
    fn a_beginning_counts_at_a_colon_only() {
        assert!(extends("Packagist:https://packages.drupal.org/8", "Packagist"));
        assert!(extends("npm", "npm"));
        assert!(!extends("Go", "Go:x"));
        assert!(!extends("GoX", "Go"));
    }
}
