//! Packages that are built from the kernel: those that are not it, and those that are built from another
//! source by its name.

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
pub(in crate::scan) fn has_only_headers(package: &Package) -> bool {
    let name = package.name.as_str();
    let source = package.source_name();
    package.kind.is_of_distribution()
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        && (source.starts_with("linux") || source.starts_with("kernel"))
}

/// Sources that sign a kernel which another source builds, and those that only depend on one.
const SIGNED: &str = "linux-signed";
const LISTED: &str = "linux-meta";
/// What Debian appends to the name of the former.
const ARCHITECTURES: [&str; 3] = ["-amd64", "-arm64", "-i386"];

/// The source of the kernel that a package of dpkg has although it names another one, with its version:
/// advisories are about `linux`, and the kernel that is installed is of `linux-signed-amd64`.
pub(super) fn built_from(package: &Package) -> Option<(String, String)> {
    let source = package.source_name();
    let is_of = |prefix: &str| -> Option<&str> {
        let rest = source.strip_prefix(prefix)?;
        let rest = ARCHITECTURES.iter().find_map(|it| rest.strip_suffix(it)).unwrap_or(rest);
        (rest.is_empty() || rest.starts_with('-')).then_some(rest)
    };
    // The package is signed in the version in which it was built; its source counts on its own.
    if let Some(rest) = is_of(SIGNED) {
        return Some((format!("linux{rest}"), package.version.clone()));
    }
    let rest = is_of(LISTED)?;
    Some((format!("linux{rest}"), listed(&package.version)?))
}

/// `5.15.0-100.9999` of `5.15.0.100.97`: the third number counts the kernels of a version, and what
/// follows is not the kernel's own.
fn listed(version: &str) -> Option<String> {
    let mut parts = version.splitn(5, '.');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let [major, minor, patch, build] = [next()?, next()?, next()?, next()?];
    Some(format!("{major}.{minor}.{patch}-{build}.9999"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{PackageKind, SourcePackage};

    #[test]
    fn a_signed_kernel_is_of_the_source_that_was_signed() {
        for (source, version, built) in [
            ("linux-signed-amd64", "6.1.76-1", Some(("linux", "6.1.76-1"))),
            ("linux-signed-6.1-arm64", "6.1.90-1~deb11u1", Some(("linux-6.1", "6.1.90-1~deb11u1"))),
            ("linux-signed", "5.15.0-100.110", Some(("linux", "5.15.0-100.110"))),
            ("linux-signed-aws-5.15", "5.15.0-1.2", Some(("linux-aws-5.15", "5.15.0-1.2"))),
            ("linux-meta", "5.15.0.100.97", Some(("linux", "5.15.0-100.9999"))),
            ("linux-meta-aws", "5.15.0.1050.56", Some(("linux-aws", "5.15.0-1050.9999"))),
            ("linux-meta", "5", None),
            ("linux-signedness", "1", None),
            ("linux", "6.1.76-1", None),
        ] {
            let mut package = Package::new(PackageKind::Deb, "linux-image", version, "status");
            package.source =
                Some(SourcePackage { name: source.to_owned(), version: "6.1.76+1".to_owned() });
            let built = built.map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(built_from(&package), built, "{source}");
        }
    }

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
