//! Package URLs, and which packages of an image they name.
//!
//! Spec: <https://github.com/package-url/purl-spec/blob/v1.0.0/PURL-SPECIFICATION.rst>

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::oci::Digest;
use crate::scan::database::names;
use crate::scan::{Distribution, Package, PackageKind};

/// Longest package URL that is read, in bytes.
const PURL_BYTES_MAX: usize = 2_000;
/// Most qualifiers of one.
const QUALIFIERS_MAX: usize = 32;
/// The types whose versions are digests of manifests.
const IMAGE_TYPES: [&str; 2] = ["oci", "docker"];

/// A package URL, taken apart and decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Purl {
    /// The type, in lower case: `deb`.
    kind: String,
    /// What stands between type and name; `debian`, `github.com/acme`.
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    /// By lower-case key.
    qualifiers: Vec<(String, String)>,
    /// Whether it names only a part of the package.
    has_subpath: bool,
}

/// Why a text is no package URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no package URL that can be read")]
pub struct PurlError;

impl std::str::FromStr for Purl {
    type Err = PurlError;

    fn from_str(text: &str) -> Result<Self, PurlError> {
        if text.len() > PURL_BYTES_MAX || text.contains(char::is_control) {
            return Err(PurlError);
        }
        let rest = text.strip_prefix("pkg:").ok_or(PurlError)?.trim_start_matches('/');
        let (rest, subpath) = cut(rest, '#');
        let (rest, qualifiers) = cut(rest, '?');
        let (kind, rest) = rest.split_once('/').ok_or(PurlError)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        if kind.is_empty() || !kind.bytes().all(plain) {
            return Err(PurlError);
        }
        let rest = rest.trim_matches('/');
        // The sign may stand in a namespace, too: `@acme/app`.
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (namespace, name) = (rest.get(..last), rest.get(last..).ok_or(PurlError)?);
        let (name, version) = match name.rsplit_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let namespace = namespace.map(|it| it.trim_matches('/')).filter(|it| !it.is_empty());
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            namespace: namespace.map(decoded).transpose()?,
            name: decoded(name)?,
            version: version.map(decoded).transpose()?,
            qualifiers: qualifiers.map(pairs).transpose()?.unwrap_or_default(),
            has_subpath: subpath.is_some_and(|it| !it.trim_matches('/').is_empty()),
        })
    }
}

/// What stands before and after the last `sign`.
fn cut(text: &str, sign: char) -> (&str, Option<&str>) {
    match text.rsplit_once(sign) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn decoded(text: &str) -> Result<String, PurlError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| PurlError)?;
    if decoded.is_empty() || decoded.contains(char::is_control) {
        return Err(PurlError);
    }
    Ok(decoded.into_owned())
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, PurlError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(PurlError)?;
        let key = key.to_ascii_lowercase();
        // A key without a value is as if it were not there; one that is there twice is two things.
        if value.is_empty() {
            continue;
        }
        if key.is_empty() || pairs.len() >= QUALIFIERS_MAX || pairs.iter().any(|it| it.0 == key) {
            return Err(PurlError);
        }
        pairs.push((key, decoded(value)?));
    }
    Ok(pairs)
}

impl Purl {
    /// Whether it is of a type that images have.
    pub fn is_image(&self) -> bool {
        IMAGE_TYPES.contains(&self.kind.as_str())
    }

    /// The digest of the image that it names, if it names one by its digest.
    pub fn image_digest(&self) -> Option<Digest> {
        self.version.as_ref().filter(|_| self.is_image())?.parse().ok()
    }

    /// The same in `version` only; `None` where it says another.
    pub(super) fn at(&self, version: &str) -> Option<Self> {
        let is_other = self.version.as_deref().is_some_and(|own| own != version);
        (!is_other).then(|| Self { version: Some(version.to_owned()), ..self.clone() })
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let pair = |(key, value): &(String, String)| {
            size_of::<(String, String)>() + key.len() + value.len()
        };
        let texts = self.kind.len() + self.name.len() + text(&self.namespace) + text(&self.version);
        size_of::<Self>() + texts + self.qualifiers.iter().map(pair).sum::<usize>()
    }

    fn qualifier(&self, key: &str) -> Option<&str> {
        let pair = self.qualifiers.iter().find(|(name, _)| name == key)?;
        Some(&pair.1)
    }

    /// Whether it names `package`, of an image of `distribution`.
    ///
    /// Type, namespace and name have to be the same; a version has to be the package's, and none is any.
    /// Architecture and distribution are compared where both say them. `arch=source` names the source
    /// that a distribution's package was built from. What names a part of a package names none.
    pub fn names(&self, package: &Package, distribution: Option<&Distribution>) -> bool {
        if self.kind != package.kind.purl_type() || self.has_subpath {
            return false;
        }
        let arch = self.qualifier("arch");
        let is_source = package.kind.is_of_distribution() && matches!(arch, Some("source" | "src"));
        let (name, version) = if is_source {
            (package.source_name(), package.source_version())
        } else {
            (package.name.as_str(), package.version.as_str())
        };
        self.is_called(package.kind, name, distribution)
            && self.is_version(package.kind, version)
            && (is_source || agrees(arch, package.architecture.as_deref()))
            && self.is_of(distribution)
    }

    fn is_called(
        &self,
        kind: PackageKind,
        name: &str,
        distribution: Option<&Distribution>,
    ) -> bool {
        let namespace = self.namespace.as_deref();
        let with = |separator: char| match namespace {
            Some(namespace) => Cow::Owned(format!("{namespace}{separator}{}", self.name)),
            None => Cow::Borrowed(self.name.as_str()),
        };
        let same =
            |own: &str| names::normalised(Some(kind), own) == names::normalised(Some(kind), name);
        match kind {
            PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm => {
                let is_of = |distribution: &Distribution| {
                    namespace.is_some_and(|it| namespaces(&distribution.id).contains(&it))
                };
                distribution.is_some_and(is_of) && same(&self.name)
            }
            PackageKind::Composer | PackageKind::Npm => same(&with('/')),
            // Hosts and most forges know no case, and the type's own rules write it low.
            PackageKind::Go => with('/').eq_ignore_ascii_case(name) || same(&with('/')),
            PackageKind::Maven => same(&with(':')),
            PackageKind::Cargo | PackageKind::Gem | PackageKind::Nuget | PackageKind::Python => {
                namespace.is_none() && same(&self.name)
            }
            // By which of its names it would be called is not known.
            PackageKind::Other => false,
        }
    }

    fn is_version(&self, kind: PackageKind, version: &str) -> bool {
        let Some(own) = self.version.as_deref() else { return true };
        match kind {
            // Some write the `v` and some do not, and it means nothing.
            PackageKind::Go => plain(own) == plain(version),
            PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm => {
                let epoch = self.qualifier("epoch").filter(|_| !own.contains(':'));
                let own = match epoch {
                    Some(epoch) => Cow::Owned(format!("{epoch}:{own}")),
                    None => Cow::Borrowed(own),
                };
                without_zero(&own) == without_zero(version)
            }
            PackageKind::Cargo
            | PackageKind::Composer
            | PackageKind::Gem
            | PackageKind::Maven
            | PackageKind::Npm
            | PackageKind::Nuget
            | PackageKind::Other
            | PackageKind::Python => own == version,
        }
    }

    /// Whether it is of that distribution, as far as both say.
    fn is_of(&self, distribution: Option<&Distribution>) -> bool {
        let (Some(wanted), Some(distribution)) = (self.qualifier("distro"), distribution) else {
            return true;
        };
        let release = namespaces(&distribution.id)
            .into_iter()
            .find_map(|name| wanted.strip_prefix(name)?.strip_prefix('-'))
            .unwrap_or(wanted);
        let names_no_release = namespaces(&distribution.id).contains(&release);
        if names_no_release || distribution.codename.as_deref() == Some(release) {
            return true;
        }
        let Some(version) = distribution.version.as_deref() else {
            return distribution.codename.is_none();
        };
        // One may say the minor release and the other not.
        version.split('.').zip(release.split('.')).all(|(a, b)| a == b)
    }
}

/// How package URLs call a distribution that calls itself `id`.
fn namespaces(id: &str) -> Vec<&str> {
    let others: &[&str] = match id {
        "rhel" => &["redhat"],
        "sles" | "sled" | "sle_hpc" => &["suse"],
        "opensuse-leap" | "opensuse-tumbleweed" => &["opensuse", "suse"],
        "almalinux" => &["alma"],
        "ol" => &["oracle", "oraclelinux"],
        "amzn" => &["amazon"],
        "azurelinux" | "mariner" => &["azl", "cbl-mariner", "azurelinux"],
        _ => &[],
    };
    std::iter::once(id).chain(others.iter().copied()).collect()
}

fn agrees(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

fn plain(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

fn without_zero(version: &str) -> &str {
    version.strip_prefix("0:").unwrap_or(version)
}
