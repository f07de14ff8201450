//! Versions, and which of two is lower: one file per scheme, each by the rules of what installs by it.
//!
//! Promises:
//! - An order is that of the scheme's own tool; `tests/versions/run.sh` compares with those tools.
//! - Inside a scheme the order is total: what is lower than something lower is lower.
//! - What is not a version of its scheme is [`Unparsable`], never lower, higher or equal.
//! - Numbers are compared whatever their length, unless the scheme has a bound of its own; nothing takes
//!   more than linear time, and `0` can be compared in every scheme.
//!
//! It must not: know of ranges or records, or guess a scheme from a version.

mod apk;
mod composer;
mod deb;
mod gem;
mod go;
mod maven;
mod nuget;
mod number;
mod order;
mod python;
mod rpm;
mod semantic;
#[cfg(test)]
mod tests;

use std::fmt;

use super::PackageKind;
pub(super) use order::{Landmarks, Order, Place};

/// Bytes of a version. The longest that are really in use (Go's pseudo-versions, npm's canaries) have
/// about 100.
pub(super) const VERSION_BYTES_MAX: usize = 256;

/// Bytes of a version that an error repeats.
const QUOTED_BYTES_MAX: usize = 64;

/// By whose rules versions are read and ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Scheme {
    /// Those of apk-tools.
    Apk,
    /// Semantic Versioning 2, as Cargo has it.
    Cargo,
    /// Those of composer/semver.
    Composer,
    /// Those of dpkg.
    Deb,
    /// Those of `Gem::Version`.
    Gem,
    /// Semantic Versioning 2 with a `v`, and the toolchain's own.
    Go,
    /// Those of Maven's `ComparableVersion`.
    Maven,
    /// Semantic Versioning 2, as npm has it.
    Npm,
    /// Those of `NuGetVersion`.
    Nuget,
    /// PEP 440.
    Python,
    /// Those of `rpmvercmp`, on epoch, version and release.
    Rpm,
}

impl Scheme {
    /// The scheme of a kind of package.
    pub(super) const fn of(kind: PackageKind) -> Self {
        match kind {
            PackageKind::Apk => Self::Apk,
            PackageKind::Cargo => Self::Cargo,
            PackageKind::Composer => Self::Composer,
            PackageKind::Deb => Self::Deb,
            PackageKind::Gem => Self::Gem,
            PackageKind::Go => Self::Go,
            PackageKind::Maven => Self::Maven,
            // What only another scanner tells of is never compared here.
            PackageKind::Npm | PackageKind::Other => Self::Npm,
            PackageKind::Nuget => Self::Nuget,
            PackageKind::Python => Self::Python,
            PackageKind::Rpm => Self::Rpm,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apk => "apk",
            Self::Cargo => "Cargo",
            Self::Composer => "Composer",
            Self::Deb => "dpkg",
            Self::Gem => "RubyGems",
            Self::Go => "Go",
            Self::Maven => "Maven",
            Self::Npm => "npm",
            Self::Nuget => "NuGet",
            Self::Python => "Python",
            Self::Rpm => "RPM",
        })
    }
}

/// A text that is not a version of its scheme: nothing can be said of what is lower or higher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{version:?} is not a version by the rules of {scheme}: {why}")]
pub(super) struct Unparsable {
    /// By whose rules it was read.
    pub(super) scheme: Scheme,
    /// The text, or its beginning.
    pub(super) version: String,
    /// What is wrong with it.
    pub(super) why: &'static str,
}

/// A version that was read, to be compared often.
///
/// The order means something inside a scheme only: versions of different schemes are unequal, and lie in
/// the order of their schemes. Equal versions need not be the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// Of apk-tools.
    Apk(apk::Apk),
    /// Of Cargo.
    Cargo(semantic::Semantic),
    /// Of Composer.
    Composer(composer::Composer),
    /// Of dpkg.
    Deb(deb::Deb),
    /// Of RubyGems.
    Gem(gem::Gem),
    /// Of Go modules and toolchains.
    Go(semantic::Semantic),
    /// Of Maven.
    Maven(maven::Maven),
    /// Of npm.
    Npm(semantic::Semantic),
    /// Of NuGet.
    Nuget(nuget::Nuget),
    /// Of Python distributions.
    Python(python::Python),
    /// Of RPM.
    Rpm(rpm::Rpm),
}

impl Version {
    /// Reads a version; white space around it is not part of it.
    ///
    /// # Errors
    /// When it is not one of this scheme.
    pub(super) fn parse(scheme: Scheme, text: &str) -> Result<Self, Unparsable> {
        Self::read(scheme, text).map_err(|why| Unparsable { scheme, version: quoted(text), why })
    }

    fn read(scheme: Scheme, text: &str) -> Result<Self, &'static str> {
        if text.len() > VERSION_BYTES_MAX {
            return Err("it is longer than any version");
        }
        let text = text.trim_ascii();
        // In every scheme: words alone (`latest`, `unknown`, `dev-master`) say nothing of an order.
        if !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err("it has no digit");
        }
        Ok(match scheme {
            Scheme::Apk => Self::Apk(apk::Apk::parse(text)?),
            Scheme::Cargo => Self::Cargo(semantic::Semantic::parse(text)?),
            Scheme::Composer => Self::Composer(composer::Composer::parse(text)?),
            Scheme::Deb => Self::Deb(deb::Deb::parse(text)?),
            Scheme::Gem => Self::Gem(gem::Gem::parse(text)?),
            Scheme::Go => Self::Go(go::parse(text)?),
            Scheme::Maven => Self::Maven(maven::Maven::parse(text)?),
            Scheme::Npm => Self::Npm(semantic::Semantic::parse(text)?),
            Scheme::Nuget => Self::Nuget(nuget::Nuget::parse(text)?),
            Scheme::Python => Self::Python(python::Python::parse(text)?),
            Scheme::Rpm => Self::Rpm(rpm::Rpm::parse(text)?),
        })
    }
}

impl Version {
    /// Whether this is a release of the version that `bound` names without one, as `1.2.3-4` is of
    /// `1.2.3`: whoever says that `1.2.3` is affected last speaks of all its releases, although they come
    /// after it in the order.
    pub(super) fn is_release_of(&self, bound: &Self) -> bool {
        match (self, bound) {
            (Self::Apk(own), Self::Apk(bound)) => own.is_release_of(bound),
            (Self::Deb(own), Self::Deb(bound)) => own.is_release_of(bound),
            (Self::Rpm(own), Self::Rpm(bound)) => own.is_release_of(bound),
            _ => false,
        }
    }
}

/// What an error repeats of a text of any length.
fn quoted(text: &str) -> String {
    let mut end = text.len().min(QUOTED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
