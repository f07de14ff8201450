//! Which packages a distribution made itself: only of those its advisories say all there is to say.

use super::super::collector::token;
use super::header::{self, Header};

/// How distributions call themselves in their packages.
const VENDORS: [&str; 17] = [
    "AlmaLinux",
    "Amazon Linux",
    "Amazon.com",
    "CentOS",
    "CloudLinux",
    "Fedora Project",
    "Mageia.Org",
    "openEuler",
    "openSUSE",
    "Oracle America",
    "Red Hat, Inc.",
    "Rocky Enterprise Software Foundation",
    "Rocky Linux",
    "RESF",
    "SUSE LINUX",
    "SUSE LLC",
    "VMware, Inc.",
];
/// Microsoft has a distribution, and also puts packages into others' under the same name.
const MICROSOFT: &str = "Microsoft Corporation";
/// How releases end in Microsoft's own distribution.
const MICROSOFT_RELEASES: [&str; 2] = [".azl", ".cm"];

/// Whether a distribution made the package, by what the package says of itself.
pub(super) fn is_distribution(header: &Header<'_>) -> bool {
    let text = |tag| header.string(tag).ok().flatten().unwrap_or_default();
    let vendor = text(header::VENDOR);
    let is_named = |name: &&str| vendor.starts_with(name.as_bytes());
    let release = token(text(header::RELEASE)).unwrap_or_default();
    VENDORS.iter().any(is_named)
        || (is_named(&MICROSOFT) && MICROSOFT_RELEASES.iter().any(|it| release.contains(it)))
}
