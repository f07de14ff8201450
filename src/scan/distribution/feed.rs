//! Whose advisories a distribution's packages are compared with.
//!
//! A feed is a set of OSV's ecosystems. Only `ID` and the release choose it, never `ID_LIKE`: the fixed
//! versions of one distribution say nothing about the packages of another.
//!
//! Spec: <https://ossf.github.io/osv-schema/#affectedpackage-field>, ecosystems as of 2026-07-01.

use std::fmt;

use super::Distribution;

/// The advisories for a distribution's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The ecosystem's name before any colon.
    family: &'static str,
    release: Release,
    names: FeedNames,
}

/// Which of a family's ecosystems are for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Release {
    /// All: it has no releases.
    All,
    /// The one with this suffix.
    Exact(String),
    /// `22.04`, with or without `:LTS`; not the paid `Pro`.
    Ubuntu(String),
    /// `enterprise_linux:9`, of any minor release and any repository.
    RedHat(String),
    /// The base product of that name (`15 SP5`) and all its modules, in any phase of its life.
    Suse(String),
}

/// By which name of a package a feed's advisories go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedNames {
    /// The source's, with the source's version.
    Source,
    /// The package's own with its own version, or the source's with the source's: records have either,
    /// whatever the schema says of the family.
    SourceOrPackage,
}

impl Feed {
    /// The ecosystem's name before any colon: `Debian`.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// By which names its records go.
    pub fn names(&self) -> FeedNames {
        self.names
    }

    /// Whether a record's ecosystem is of this feed: `Debian:12`. One that names no release is about all.
    pub fn covers(&self, ecosystem: &str) -> bool {
        let Some(suffix) = ecosystem.strip_prefix(self.family) else { return false };
        let Some(suffix) = suffix.strip_prefix(':') else { return suffix.is_empty() };
        match &self.release {
            Release::All => false,
            Release::Exact(release) => suffix == release,
            Release::Ubuntu(release) => suffix
                .strip_prefix(release.as_str())
                .is_some_and(|rest| matches!(rest, "" | ":LTS")),
            Release::RedHat(major) => {
                let rest = suffix.strip_prefix("enterprise_linux:");
                let rest = rest.and_then(|rest| rest.strip_prefix(major.as_str()));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
            }
            Release::Suse(product) => {
                let Some((before, after)) = suffix.rsplit_once(product.as_str()) else {
                    return false;
                };
                let is_phase = after.is_empty() || (after.starts_with('-') && !after.contains(' '));
                before.starts_with("Linux Enterprise ") && before.ends_with(' ') && is_phase
            }
        }
    }
}

/// As the ecosystem is written, or the narrowest that says all of it.
impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.release {
            Release::All => f.write_str(self.family),
            Release::Ubuntu(release) if is_ubuntu_lts(release) => {
                write!(f, "{}:{release}:LTS", self.family)
            }
            Release::Exact(release) | Release::Ubuntu(release) => {
                write!(f, "{}:{release}", self.family)
            }
            Release::RedHat(major) => write!(f, "{}:enterprise_linux:{major}", self.family),
            Release::Suse(product) => write!(f, "{}:Linux Enterprise {product}", self.family),
        }
    }
}

/// Each April of an even year.
fn is_ubuntu_lts(release: &str) -> bool {
    let (year, month) = release.split_once('.').unwrap_or((release, ""));
    month == "04" && year.parse::<u16>().is_ok_and(|year| year % 2 == 0)
}

/// The feed of a distribution.
pub(super) fn of(distribution: &Distribution) -> Option<Feed> {
    use FeedNames::{Source, SourceOrPackage};
    let version = || distribution.version.clone().filter(|version| !version.is_empty());
    let major = || distribution.major().map(str::to_owned);
    let exact = |release: Option<String>| release.map(Release::Exact);
    let (family, names, release) = match distribution.id.as_str() {
        "almalinux" => ("AlmaLinux", SourceOrPackage, exact(major())),
        "alpaquita" => ("Alpaquita", Source, exact(version())),
        // `edge` has no ecosystem: its packages are newer than any release's.
        "alpine" => {
            let release = distribution.minor().map(|minor| format!("v{minor}"));
            ("Alpine", Source, exact(release))
        }
        // It was called Mariner up to its second release.
        "azurelinux" | "mariner" => ("Azure Linux", SourceOrPackage, exact(major())),
        "bellsoft-hardened-containers" => {
            ("BellSoft Hardened Containers", Source, exact(version()))
        }
        "chainguard" => ("Chainguard", SourceOrPackage, Some(Release::All)),
        "cleanstart" | "clnstrt" => ("CleanStart", SourceOrPackage, Some(Release::All)),
        "debian" => ("Debian", Source, exact(distribution.debian_release().map(str::to_owned))),
        "mageia" => ("Mageia", SourceOrPackage, exact(major())),
        "minimos" => ("MinimOS", SourceOrPackage, Some(Release::All)),
        "openeuler" => ("openEuler", SourceOrPackage, exact(openeuler_release(distribution))),
        "opensuse-leap" => {
            ("openSUSE", SourceOrPackage, exact(version().map(|it| format!("Leap {it}"))))
        }
        "opensuse-tumbleweed" => {
            ("openSUSE", SourceOrPackage, exact(Some("Tumbleweed".to_owned())))
        }
        "photon" => ("Photon OS", SourceOrPackage, exact(version())),
        "rhel" => ("Red Hat", SourceOrPackage, major().map(Release::RedHat)),
        "rocky" => ("Rocky Linux", SourceOrPackage, exact(major())),
        "sled" | "sles" | "sles_sap" => {
            ("SUSE", SourceOrPackage, suse_product(distribution).map(Release::Suse))
        }
        "ubuntu" => {
            let release = distribution.minor().map(|minor| Release::Ubuntu(minor.to_owned()));
            ("Ubuntu", Source, release)
        }
        "wolfi" => ("Wolfi", SourceOrPackage, Some(Release::All)),
        _ => return None,
    };
    Some(Feed { family, release: release?, names })
}

/// `24.03-LTS-SP1` of `openEuler 24.03 (LTS-SP1)`: the number alone does not tell.
fn openeuler_release(distribution: &Distribution) -> Option<String> {
    let version = distribution.version.as_deref()?;
    let (_, rest) = distribution.pretty.as_deref()?.rsplit_once('(')?;
    let (phase, _) = rest.split_once(')')?;
    phase.starts_with("LTS").then(|| format!("{version}-{phase}"))
}

/// `15 SP5` of `15.5`, and `16.0` as it is.
fn suse_product(distribution: &Distribution) -> Option<String> {
    let version = distribution.version.as_deref()?;
    let (major, pack) = version.split_once('.').unwrap_or((version, "0"));
    let [major, pack] = [major, pack].map(|part| part.parse::<u32>().ok());
    match (major?, pack?) {
        (16.., _) => Some(version.to_owned()),
        (major, 0) => Some(major.to_string()),
        (major, pack) => Some(format!("{major} SP{pack}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::distribution;
    use super::*;
    use crate::scan::database::names;

    #[test]
    fn each_distribution_has_the_feed_of_its_release() {
        for (id, version, pretty, feed) in [
            ("almalinux", "9.4", "", Some("AlmaLinux:9")),
            ("alpaquita", "23", "", Some("Alpaquita:23")),
            ("alpine", "3.20.1", "", Some("Alpine:v3.20")),
            ("alpine", "3.21.0_alpha20240807", "Alpine Linux edge", None),
            ("alpine", "", "Alpine Linux edge", None),
            ("amzn", "2023", "", None),
            ("azurelinux", "3.0", "", Some("Azure Linux:3")),
            ("mariner", "2.0", "", Some("Azure Linux:2")),
            ("centos", "7", "", None),
            ("chainguard", "20230214", "", Some("Chainguard")),
            ("clnstrt", "", "", Some("CleanStart")),
            ("minimos", "", "", Some("MinimOS")),
            ("bellsoft-hardened-containers", "1", "", Some("BellSoft Hardened Containers:1")),
            ("debian", "12", "", Some("Debian:12")),
            ("debian", "12.5", "", Some("Debian:12")),
            ("debian", "", "", None),
            ("fedora", "44", "", None),
            ("mageia", "9", "", Some("Mageia:9")),
            ("ol", "9.4", "", None),
            ("openeuler", "24.03", "openEuler 24.03 (LTS-SP1)", Some("openEuler:24.03-LTS-SP1")),
            ("openeuler", "24.03", "openEuler 24.03 (LTS)", Some("openEuler:24.03-LTS")),
            ("openeuler", "24.09", "openEuler 24.09", None),
            ("opensuse-leap", "15.6", "", Some("openSUSE:Leap 15.6")),
            ("opensuse-tumbleweed", "20240801", "", Some("openSUSE:Tumbleweed")),
            ("photon", "5.0", "", Some("Photon OS:5.0")),
            ("rhel", "9.4", "", Some("Red Hat:enterprise_linux:9")),
            ("rocky", "8.10", "", Some("Rocky Linux:8")),
            ("sles", "15.5", "", Some("SUSE:Linux Enterprise 15 SP5")),
            ("sles", "15", "", Some("SUSE:Linux Enterprise 15")),
            ("sles", "16.0", "", Some("SUSE:Linux Enterprise 16.0")),
            ("ubuntu", "22.04", "", Some("Ubuntu:22.04:LTS")),
            ("ubuntu", "23.04", "", Some("Ubuntu:23.04")),
            ("ubuntu", "22.10", "", Some("Ubuntu:22.10")),
            ("wolfi", "20230201", "", Some("Wolfi")),
            ("linux", "", "", None),
            ("Debian", "12", "", None),
        ] {
            let found = distribution(id, version, pretty).feed();
            assert_eq!(found.as_ref().map(Feed::to_string).as_deref(), feed, "{id} {version}");
            // Without a kind nothing of it could be compared.
            let kind = found.map(|feed| names::kind_of(feed.family()));
            assert!(kind.is_none_or(|kind| kind.is_some()), "{id} {version}");
        }
    }

    #[test]
    fn a_testing_debian_is_told_by_its_codename() {
        for (codename, feed) in [
            ("bookworm", Some("Debian:12")),
            ("forky", Some("Debian:14")),
            ("sid", Some("Debian:sid")),
            ("jammy", None),
        ] {
            let codename = Some(codename.to_owned());
            let testing = Distribution { codename, ..distribution("debian", "", "") };
            assert_eq!(testing.feed().map(|feed| feed.to_string()).as_deref(), feed);
            // A number that makes no sense is not mended by a name.
            let other = Distribution { version: Some("x".to_owned()), ..testing };
            assert_eq!(other.feed(), None);
        }
    }

    #[test]
    fn a_likeness_never_chooses() {
        let like = vec!["debian".to_owned(), "ubuntu".to_owned()];
        let mint = Distribution {
            like,
            codename: Some("bookworm".to_owned()),
            ..distribution("linuxmint", "22", "")
        };
        assert_eq!((mint.feed(), mint.end_of_life()), (None, super::super::EndOfLife::Unknown));
    }

    #[test]
    fn a_feed_covers_its_ecosystems_and_no_other() {
        let covers = |id: &str, version: &str, ecosystem: &str| {
            distribution(id, version, "").feed().unwrap().covers(ecosystem)
        };
        for (id, version, ecosystem) in [
            ("debian", "12", "Debian:12"),
            ("debian", "12", "Debian"),
            ("alpine", "3.2.0", "Alpine:v3.2"),
            ("ubuntu", "22.04", "Ubuntu:22.04:LTS"),
            ("ubuntu", "22.04", "Ubuntu:22.04"),
            ("rhel", "9.4", "Red Hat:enterprise_linux:9::appstream"),
            ("rhel", "9.4", "Red Hat:enterprise_linux:9::baseos"),
            ("rhel", "10.1", "Red Hat:enterprise_linux:10.0"),
            ("sles", "15.5", "SUSE:Linux Enterprise Module for Basesystem 15 SP5"),
            ("sles", "15.5", "SUSE:Linux Enterprise Server 15 SP5-LTSS"),
            ("sles", "15", "SUSE:Linux Enterprise Server 15"),
            ("sles", "12.5", "SUSE:Linux Enterprise Server LTSS Extended Security 12 SP5"),
            ("wolfi", "", "Wolfi"),
        ] {
            assert!(covers(id, version, ecosystem), "{id} {version}: {ecosystem}");
        }
        for (id, version, ecosystem) in [
            ("debian", "12", "Debian:1"),
            ("debian", "12", "Debian:120"),
            ("debian", "12", "Debian:"),
            ("debian", "12", "Debianish"),
            ("debian", "12", "Ubuntu:12"),
            ("alpine", "3.2.0", "Alpine:v3.20"),
            ("alpine", "3.20.0", "Alpine:v3.2"),
            ("ubuntu", "22.04", "Ubuntu:Pro:22.04:LTS"),
            ("ubuntu", "22.04", "Ubuntu:22.04:LTS:for:NVIDIA-BlueField"),
            ("rhel", "9.4", "Red Hat:enterprise_linux:90"),
            ("rhel", "1.4", "Red Hat:enterprise_linux:10.0"),
            ("rhel", "9.4", "Red Hat:rhel_eus:9.4::appstream"),
            ("rhel", "9.4", "Red Hat:openshift:4.9"),
            ("rhel", "9.4", "Red Hat:openstack:9::el9"),
            ("sles", "15.5", "SUSE:Linux Enterprise Module for Basesystem 15 SP4"),
            ("sles", "15", "SUSE:Linux Enterprise Server 15 SP5"),
            ("sles", "15.5", "SUSE:Manager Server 4.3 15 SP5"),
            ("sles", "16.0", "SUSE:Linux Enterprise Server 16.0.1"),
            ("opensuse-leap", "15.5", "openSUSE:Leap 15.6"),
            ("wolfi", "", "Wolfi:1"),
            ("chainguard", "", "Wolfi"),
        ] {
            assert!(!covers(id, version, ecosystem), "{id} {version}: {ecosystem}");
        }
    }
}
