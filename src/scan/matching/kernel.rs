//! Packages that are built from the kernel and are not it.

use crate::scan::Package;

/// Headers and documentation by their whole names.
const NAMES: [&str; 6] = [
    "kernel-doc",
    "kernel-headers",
    "linux-api-headers",
    "linux-doc",
    "linux-headers",
    "linux-libc-dev",
];
/// And by the beginning of their names.
const PREFIXES: [&str; 3] = ["linux-doc-", "linux-headers-", "linux-libc-dev-"];

/// Whether a package has nothing of the kernel but its headers or its documentation.
pub(super) fn has_only_headers(package: &Package) -> bool {
    let name = package.name.as_str();
    let source = package.source_name();
    package.kind.is_of_distribution()
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        && (source.starts_with("linux") || source.starts_with("kernel"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{PackageKind, SourcePackage};

    #[test]
    fn headers_are_told_from_the_kernel_by_name_source_and_kind() {
        let is = |kind, name: &str, source: &str| {
            let mut package = Package::new(kind, name, "6.1.1-1", "status");
            package.source =
                Some(SourcePackage { name: source.to_owned(), version: "6.1.1-1".to_owned() });
            has_only_headers(&package)
        };
        assert!(is(PackageKind::Deb, "linux-libc-dev", "linux"));
        assert!(is(PackageKind::Deb, "linux-headers-6.1.0-18-amd64", "linux-signed-amd64"));
        assert!(is(PackageKind::Rpm, "kernel-headers", "kernel"));
        assert!(is(PackageKind::Apk, "linux-headers", "linux-headers"));
        assert!(!is(PackageKind::Deb, "linux-image-6.1.0-18-amd64", "linux"));
        assert!(!is(PackageKind::Deb, "linux-headers-helper", "somebody"));
        assert!(!is(PackageKind::Npm, "linux-headers", "linux-headers"));
        assert!(!is(PackageKind::Rpm, "kernel-core", "kernel"));
    }
}
