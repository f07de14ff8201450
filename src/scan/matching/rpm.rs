//! What RPM has that others do not: streams of modules.

use crate::scan::Package;

/// What the release of a package that was built as part of a module has in it.
const OF_MODULE: &str = ".module";

/// Whether a fix is of another stream than the package: a fix in a module says nothing of packages that
/// are of none, and the other way round; and where a stream is named by the version that it has
/// (`nodejs:20`), a fix in another version is of another stream.
pub(super) fn is_of_other_stream(package: &Package, fixed: &str) -> bool {
    let is_modular = package.module.is_some() || package.version.contains(OF_MODULE);
    if is_modular != fixed.contains(OF_MODULE) {
        return true;
    }
    let stream = package.module.as_deref().and_then(|module| module.split(':').nth(1));
    stream.is_some_and(|stream| is_of(stream, &package.version) && !is_of(stream, fixed))
}

/// Whether a version is one of the stream that has its name: `1:20.18.2-1` of `20`.
fn is_of(stream: &str, version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let is_number = !stream.is_empty() && stream.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_number
        && upstream.strip_prefix(stream).is_some_and(|rest| rest.starts_with(['.', '-', '~', '^']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::PackageKind;

    fn package(version: &str, module: Option<&str>) -> Package {
        let mut package = Package::new(PackageKind::Rpm, "nodejs", version, "rpmdb.sqlite");
        package.module = module.map(str::to_owned);
        package
    }

    #[test]
    fn a_fix_counts_in_its_own_stream() {
        let of_20 =
            package("1:20.18.2-1.module_el9.5.0+137", Some("nodejs:20:9050020250101:rhel9"));
        assert!(!is_of_other_stream(&of_20, "1:20.20.0-1.module_el9.7.0+207"));
        assert!(is_of_other_stream(&of_20, "1:22.13.1-1.module_el9.5.0+139"));
        assert!(is_of_other_stream(&of_20, "1:200.1-1.module_el9.5.0+139"));
        assert!(is_of_other_stream(&of_20, "1:20.20.0-1.el9"));
        let plain = package("13.20-1.el9_5", None);
        assert!(!is_of_other_stream(&plain, "13.22-1.el9_6"));
        assert!(is_of_other_stream(&plain, "15.12-1.module_el9.5.0+140"));
    }

    #[test]
    fn where_a_stream_does_not_name_the_version_every_fix_of_modules_counts() {
        let tools = package("2:1.33.7-2.module_el8.9.0+3", Some("container-tools:rhel8:1:2"));
        assert!(!is_of_other_stream(&tools, "2:1.33.8-1.module_el8.10.0+4"));
        let part = package("3.0.1-1.module_el9.5.0+1", Some("nodejs:20:1:2"));
        assert!(!is_of_other_stream(&part, "3.0.2-1.module_el9.5.0+2"));
    }
}
