//! A package that an image has.

use serde::{Deserialize, Serialize};

/// By what a package was put there, which says how its versions are ordered and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageKind {
    /// Alpine's apk.
    Apk,
    /// Rust crates, by what `cargo auditable` leaves in programs.
    Cargo,
    /// PHP's Composer.
    Composer,
    /// Debian's dpkg.
    Deb,
    /// RubyGems.
    Gem,
    /// Go modules, by what the linker leaves in programs; the toolchain is `stdlib`.
    Go,
    /// Java, named `group:artifact`.
    Maven,
    /// npm and what is compatible with it.
    Npm,
    /// .NET.
    Nuget,
    /// Something that only another scanner tells of.
    Other,
    /// Python distributions, by their normalised name (PEP 503).
    Python,
    /// RPM.
    Rpm,
}

impl PackageKind {
    /// Whether a distribution's own package manager put it there.
    pub const fn is_of_distribution(self) -> bool {
        matches!(self, Self::Apk | Self::Deb | Self::Rpm)
    }

    /// The type in a package URL, as its specification names it.
    pub const fn purl_type(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Deb => "deb",
            Self::Gem => "gem",
            Self::Go => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Other => "generic",
            Self::Python => "pypi",
            Self::Rpm => "rpm",
        }
    }
}

/// A package, as the image's own records name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// By what it was put there.
    pub kind: PackageKind,
    /// Its name, as advisories of its kind name it.
    pub name: String,
    /// Its version, whole: with epoch and revision where the kind has them.
    pub version: String,
    /// What it was built from, where the record says so and it differs in name or version: distributions
    /// publish advisories by source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Its architecture, in the words of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The module stream of an RPM (`MODULARITYLABEL`), which advisories are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The file that says so: a path in the image, without a leading slash.
    pub found_in: String,
}

/// The source that a package was built from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Package {
    /// A package with the given name and version and nothing else to say.
    pub fn new(kind: PackageKind, name: &str, version: &str, found_in: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            source: None,
            architecture: None,
            module: None,
            found_in: found_in.to_owned(),
        }
    }

    /// The name of its source, which is its own where nothing else is said.
    pub fn source_name(&self) -> &str {
        self.source.as_ref().map_or(&self.name, |source| &source.name)
    }

    /// The version of its source, which is its own where nothing else is said.
    pub fn source_version(&self) -> &str {
        self.source.as_ref().map_or(&self.version, |source| &source.version)
    }
}
