//! What pulls on a node, and its version.

use std::fmt;
use std::str::FromStr;

/// Why a text names no runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The name is not known.
    #[error("{0:?} is no runtime that is known; the known ones are {names}", names = Kind::names())]
    Kind(String),
    /// What follows `@` is no version.
    #[error("{0:?} is no version; write it like 1.7.24 or 2.1")]
    Version(String),
}

/// What pulls, or what configures what pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// containerd, by `hosts.toml`.
    Containerd,
    /// CRI-O, by `registries.conf`.
    Crio,
    /// podman and skopeo, by `registries.conf`.
    Podman,
    /// buildah, by `registries.conf`.
    Buildah,
    /// Docker Engine, by `daemon.json`: cannot be closed.
    Docker,
    /// k3s, by its `registries.yaml`.
    K3s,
    /// RKE2, by its `registries.yaml`.
    Rke2,
    /// Talos, by a patch of the machine configuration.
    Talos,
    /// Bottlerocket, by user data.
    Bottlerocket,
    /// `OpenShift`, by mirror sets.
    OpenShift,
    /// `BuildKit`, by `buildkitd.toml`.
    BuildKit,
    /// kaniko, by its flags.
    Kaniko,
}

impl Kind {
    /// Each of them with its name.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Containerd, "containerd"),
        (Self::Crio, "crio"),
        (Self::Podman, "podman"),
        (Self::Buildah, "buildah"),
        (Self::Docker, "docker"),
        (Self::K3s, "k3s"),
        (Self::Rke2, "rke2"),
        (Self::Talos, "talos"),
        (Self::Bottlerocket, "bottlerocket"),
        (Self::OpenShift, "openshift"),
        (Self::BuildKit, "buildkit"),
        (Self::Kaniko, "kaniko"),
    ];

    /// The name that people write.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| *name)
    }

    /// All names, with commas.
    fn names() -> String {
        Self::ALL.map(|(_, name)| name).join(", ")
    }

    /// Whether it reads `registries.conf`.
    pub fn reads_registries_conf(self) -> bool {
        matches!(self, Self::Crio | Self::Podman | Self::Buildah)
    }
}

/// A version as far as it is known: `2.1`, `1.7.24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third, when it was said.
    pub patch: Option<u32>,
}

impl Version {
    /// Whether this is certainly `major.minor.patch` or later: what is not known counts as the first.
    pub fn is_at_least(self, major: u32, minor: u32, patch: u32) -> bool {
        (self.major, self.minor, self.patch.unwrap_or(0)) >= (major, minor, patch)
    }
}

impl FromStr for Version {
    type Err = RuntimeError;

    /// Reads what programs print too: `v1.7.24~ds1`, `2.1.9+unknown`.
    fn from_str(text: &str) -> Result<Self, RuntimeError> {
        let wrong = || RuntimeError::Version(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let end = plain.find(['~', '+', '-']).unwrap_or(plain.len());
        let mut numbers = plain.get(..end).unwrap_or(plain).split('.');
        let mut next = || numbers.next().map(str::parse::<u32>).transpose().map_err(|_| wrong());
        let version = Self {
            major: next()?.ok_or_else(wrong)?,
            minor: next()?.ok_or_else(wrong)?,
            patch: next()?,
        };
        if numbers.next().is_some() { Err(wrong()) } else { Ok(version) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// A runtime, and its version when that is known: `containerd@1.7.24`, `crio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Runtime {
    /// Which it is.
    pub kind: Kind,
    /// Its version; `None` stands for every one that may be there.
    pub version: Option<Version>,
}

impl Runtime {
    /// Whether it is certainly `major.minor.patch` or later.
    pub fn is_at_least(self, major: u32, minor: u32, patch: u32) -> bool {
        self.version.is_some_and(|version| version.is_at_least(major, minor, patch))
    }
}

impl From<Kind> for Runtime {
    fn from(kind: Kind) -> Self {
        Self { kind, version: None }
    }
}

impl FromStr for Runtime {
    type Err = RuntimeError;

    fn from_str(text: &str) -> Result<Self, RuntimeError> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse()?)),
            None => (text, None),
        };
        let known = Kind::ALL.iter().find(|(_, known)| *known == name);
        let kind =
            known.map(|(kind, _)| *kind).ok_or_else(|| RuntimeError::Kind(name.to_owned()))?;
        Ok(Self { kind, version })
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        self.version.map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_read_as_it_is_written_and_as_programs_print_it() {
        for (text, shown) in [
            ("containerd", "containerd"),
            ("containerd@2.1", "containerd@2.1"),
            ("containerd@v1.7.24~ds1", "containerd@1.7.24"),
            ("containerd@2.1.9+unknown", "containerd@2.1.9"),
            ("containerd@2.3.0-beta.1", "containerd@2.3.0"),
            ("crio@1.30.4", "crio@1.30.4"),
        ] {
            assert_eq!(text.parse::<Runtime>().unwrap().to_string(), shown);
        }
        for bad in
            ["", "docker-ce", "containerd@", "containerd@2", "containerd@1.2.3.4", "crio@x.y"]
        {
            assert!(bad.parse::<Runtime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_of_a_version_is_not_taken_for_late() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.7.32").is_at_least(1, 7, 32));
        assert!(version("2.0").is_at_least(1, 7, 32));
        assert!(!version("1.7").is_at_least(1, 7, 32));
        assert!(!Runtime::from(Kind::Containerd).is_at_least(1, 6, 0));
    }
}
