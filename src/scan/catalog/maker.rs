//! Who made a package of a package manager, by what the package says of itself.
//!
//! Only of what a distribution made itself do its advisories say all there is to say. So this is told
//! by what the distributions' own packages have, and what has none of it is somebody else's: then
//! its files are judged by their languages, too. Nothing here is proof; who makes an image may write
//! what he likes into it.

use serde::{Deserialize, Serialize};

/// A distribution that makes packages, and that there are advisories of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scan) enum Maker {
    AlmaLinux,
    Alpine,
    AzureLinux,
    Debian,
    Mageia,
    OpenEuler,
    Photon,
    RedHat,
    Rocky,
    Suse,
    Ubuntu,
}

/// The hosts that maintainers of distributions write from. Some of Debian's have addresses elsewhere, as
/// many of Alpine's have: what these have in their care counts as a stranger's.
const HOSTS: [(&str, Maker); 7] = [
    ("alioth-lists.debian.net", Maker::Debian),
    ("alpinelinux.org", Maker::Alpine),
    ("canonical.com", Maker::Ubuntu),
    ("debian.org", Maker::Debian),
    ("lists.alpinelinux.org", Maker::Alpine),
    ("lists.ubuntu.com", Maker::Ubuntu),
    ("ubuntu.com", Maker::Ubuntu),
];
/// Whose lists and teams have hosts below their own.
const DEBIAN_HOSTS: &str = ".debian.org";

/// How the vendors of rpm packages begin.
const VENDORS: [(&str, Maker); 11] = [
    ("AlmaLinux", Maker::AlmaLinux),
    ("Mageia.Org", Maker::Mageia),
    ("openEuler", Maker::OpenEuler),
    ("openSUSE", Maker::Suse),
    ("Red Hat, Inc.", Maker::RedHat),
    ("Rocky Enterprise Software Foundation", Maker::Rocky),
    ("Rocky Linux", Maker::Rocky),
    ("RESF", Maker::Rocky),
    ("SUSE LINUX", Maker::Suse),
    ("SUSE LLC", Maker::Suse),
    ("VMware, Inc.", Maker::Photon),
];
/// Microsoft has a distribution, and also puts packages into others' under the same name.
const MICROSOFT: &str = "Microsoft Corporation";
/// How releases end in Microsoft's own distribution.
const MICROSOFT_RELEASES: [&str; 2] = [".azl", ".cm"];

impl Maker {
    /// Who makes a distribution, by its `ID`.
    pub(in crate::scan) fn of_distribution(id: &str) -> Option<Self> {
        Some(match id {
            "almalinux" => Self::AlmaLinux,
            "alpine" => Self::Alpine,
            "azurelinux" | "mariner" => Self::AzureLinux,
            "debian" => Self::Debian,
            "mageia" => Self::Mageia,
            "openeuler" => Self::OpenEuler,
            "opensuse-leap" | "opensuse-tumbleweed" | "sled" | "sles" | "sles_sap" => Self::Suse,
            "photon" => Self::Photon,
            "rhel" => Self::RedHat,
            "rocky" => Self::Rocky,
            "ubuntu" => Self::Ubuntu,
            _ => return None,
        })
    }

    /// Who made a package of dpkg's or apk's: `Somebody <somebody@debian.org>`.
    pub(super) fn of_maintainer(maintainer: &[u8]) -> Option<Self> {
        let maintainer = std::str::from_utf8(maintainer).ok()?.trim_end();
        let (_, address) = maintainer.strip_suffix('>')?.rsplit_once('<')?;
        let host = address.rsplit_once('@')?.1.to_ascii_lowercase();
        if host.ends_with(DEBIAN_HOSTS) {
            return Some(Self::Debian);
        }
        HOSTS.iter().find(|(known, _)| host == *known).map(|(_, maker)| *maker)
    }

    /// Who made a package of rpm's.
    pub(super) fn of_vendor(vendor: &[u8], release: &[u8]) -> Option<Self> {
        if vendor.starts_with(MICROSOFT.as_bytes()) {
            let release = std::str::from_utf8(release).ok()?;
            let is_own = MICROSOFT_RELEASES.iter().any(|it| release.contains(it));
            return is_own.then_some(Self::AzureLinux);
        }
        let is_named = |(name, _): &&(&str, Self)| vendor.starts_with(name.as_bytes());
        VENDORS.iter().find(is_named).map(|(_, maker)| *maker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maintainer_is_a_distributions_by_the_whole_host() {
        for (maintainer, maker) in [
            ("Matthias Klose <doko@debian.org>", Some(Maker::Debian)),
            ("APT Development Team <deity@Lists.Debian.org>", Some(Maker::Debian)),
            ("Debian Python Team <team+python@tracker.debian.org>", Some(Maker::Debian)),
            ("OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>", Some(Maker::Debian)),
            ("Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>", Some(Maker::Ubuntu)),
            ("Natanael Copa <ncopa@alpinelinux.org>", Some(Maker::Alpine)),
            ("Jenkins <noreply@jenkins.io>", None),
            ("Google Cloud CLI Authors <https://code.google.com/p/google-cloud-sdk/>", None),
            ("Evil <x@debian.org.example.com>", None),
            ("Evil <x@notdebian.org>", None),
            ("x@debian.org", None),
            ("<x@debian.org> Evil <x@example.com>", None),
            ("", None),
        ] {
            assert_eq!(Maker::of_maintainer(maintainer.as_bytes()), maker, "{maintainer}");
        }
    }

    #[test]
    fn a_vendor_is_a_distributions_and_not_any_that_has_packages() {
        for (vendor, release, maker) in [
            ("Red Hat, Inc.", "1.el9", Some(Maker::RedHat)),
            ("SUSE LLC <https://www.suse.com/>", "1", Some(Maker::Suse)),
            ("Microsoft Corporation", "5.cm2", Some(Maker::AzureLinux)),
            ("Microsoft Corporation", "1.el9", None),
            ("NodeSource", "1nodesource", None),
            ("obs://build.opensuse.org/home:somebody", "1", None),
            ("", "", None),
        ] {
            assert_eq!(Maker::of_vendor(vendor.as_bytes(), release.as_bytes()), maker, "{vendor}");
        }
    }
}
