//! Package URLs: what a package is called where packages of all kinds meet.
//!
//! Spec: <https://github.com/package-url/purl-spec/blob/main/PURL-SPECIFICATION.rst>, and for what each
//! type makes of it, <https://github.com/package-url/purl-spec/tree/main/types>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::oci::{Digest, Name, Platform};
use crate::scan::{Distribution, Package, PackageKind};

/// The parts of a package URL, as they are before they are encoded.
#[derive(Default)]
struct Parts<'a> {
    kind: &'static str,
    /// Segments between slashes; empty ones are left out.
    namespace: &'a str,
    name: &'a str,
    version: &'a str,
    /// In the order of their keys, as the specification has them.
    qualifiers: BTreeMap<&'static str, String>,
    /// Whether the type has names in lower case only.
    lower: bool,
}

/// The package URL of a `package` in an image of `distribution`; `None` where it has no name.
///
/// Qualifiers are those of the specification (`arch`, `distro`, `epoch`) and those that scanners agree
/// on: `upstream`, what it was built from, and `rpmmod`, the module stream.
pub fn package_url(package: &Package, distribution: Option<&Distribution>) -> Option<String> {
    let Package { kind, name, version, .. } = package;
    let (namespace, name) = match kind {
        PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm => {
            (distribution.map_or("", vendor), name.as_str())
        }
        PackageKind::Maven => name.split_once(':').unwrap_or(("", name)),
        PackageKind::Composer | PackageKind::Go | PackageKind::Npm => {
            name.rsplit_once('/').unwrap_or(("", name))
        }
        PackageKind::Cargo
        | PackageKind::Gem
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Python => ("", name.as_str()),
    };
    let (epoch, version) = match kind {
        PackageKind::Rpm => without_epoch(version),
        PackageKind::Apk
        | PackageKind::Cargo
        | PackageKind::Composer
        | PackageKind::Deb
        | PackageKind::Gem
        | PackageKind::Go
        | PackageKind::Maven
        | PackageKind::Npm
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Python => (None, version.as_str()),
    };
    let mut qualifiers = BTreeMap::new();
    if kind.is_of_distribution() {
        let told = [
            ("arch", package.architecture.clone()),
            ("distro", distribution.map(release)),
            ("epoch", epoch.map(str::to_owned)),
            ("rpmmod", package.module.clone()),
            ("upstream", upstream(package)),
        ];
        let told = told.into_iter().filter_map(|(key, value)| Some((key, value?)));
        qualifiers.extend(told.filter(|(_, value)| !value.is_empty()));
    }
    let lower = is_lower(*kind);
    Parts { kind: kind.purl_type(), namespace, name, version, qualifiers, lower }.url()
}

/// The package URL of an image.
pub(super) fn image_url(
    name: Option<&Name>,
    digest: &Digest,
    platform: Option<&Platform>,
) -> String {
    let repository = name.map(ToString::to_string);
    let last = repository.as_deref().map(|it| it.rsplit_once('/').map_or(it, |(_, last)| last));
    let told = [
        ("arch", platform.map(|platform| platform.architecture.clone())),
        ("repository_url", repository.clone()),
    ];
    let told = told.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let version = digest.to_string();
    let parts = Parts {
        kind: "oci",
        name: last.unwrap_or("image"),
        version: &version,
        qualifiers: told.collect(),
        lower: true,
        ..Parts::default()
    };
    parts.url().unwrap_or_default()
}

/// Who makes the distribution, by the word that package URLs have for it.
pub(super) fn vendor(distribution: &Distribution) -> &str {
    match distribution.id.as_str() {
        "rhel" => "redhat",
        id => id,
    }
}

/// `debian-12`; by the codename where there is no number yet.
fn release(distribution: &Distribution) -> String {
    let Distribution { id, version, codename, .. } = distribution;
    match version.as_ref().or(codename.as_ref()) {
        Some(release) => format!("{id}-{release}"),
        None => id.clone(),
    }
}

fn without_epoch(version: &str) -> (Option<&str>, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(epoch), rest)
        }
        Some(_) | None => (None, version),
    }
}

/// What `package` was built from, where that is something else.
fn upstream(package: &Package) -> Option<String> {
    let source = package.source.as_ref()?;
    if package.kind == PackageKind::Rpm {
        let (_, version) = without_epoch(&source.version);
        return Some(format!("{}-{version}.src.rpm", source.name));
    }
    match source.version == package.version {
        true if source.name == package.name => None,
        true => Some(source.name.clone()),
        false => Some(format!("{}@{}", source.name, source.version)),
    }
}

/// Types whose names differ in nothing but case are one name.
const fn is_lower(kind: PackageKind) -> bool {
    match kind {
        PackageKind::Apk
        | PackageKind::Composer
        | PackageKind::Deb
        | PackageKind::Go
        | PackageKind::Npm
        | PackageKind::Python => true,
        PackageKind::Cargo
        | PackageKind::Gem
        | PackageKind::Maven
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Rpm => false,
    }
}

impl Parts<'_> {
    fn url(&self) -> Option<String> {
        let cased = |text: &str| if self.lower { text.to_lowercase() } else { text.to_owned() };
        let name = self.name.trim_matches('/');
        if name.is_empty() {
            return None;
        }
        let mut url = format!("pkg:{}", self.kind);
        for segment in self.namespace.split('/').filter(|segment| !segment.is_empty()) {
            url.push('/');
            encode(&mut url, &cased(segment));
        }
        url.push('/');
        encode(&mut url, &cased(name));
        if !self.version.is_empty() {
            url.push('@');
            encode(&mut url, self.version);
        }
        for (index, (key, value)) in self.qualifiers.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(key);
            url.push('=');
            encode(&mut url, value);
        }
        Some(url)
    }
}

/// Puts `text` to `url`, every byte but the unreserved ones and the colon as `%XX`.
#[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}
