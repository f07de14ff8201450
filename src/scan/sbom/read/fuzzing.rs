//! Fuzz target for bills of materials of others.

use super::{Attested, AttestedBill, Entry, locator};
use crate::scan::sbom::{SbomFormat, package_url};
use crate::scan::{Distribution, Gap, GapKind, Inventory, Limits, Package, PackageKind};

const PACKAGES_MAX: usize = 64;
/// Longest package URL that is still read when every byte of it was encoded, in bytes.
const URL_BYTES_MAX: usize = 1_000;

/// A bill in either form, or a package URL; the first byte says which. A bill adds packages and takes none
/// away, fills no gap, and everything that it adds is told; a package URL that is understood is written as
/// one that means the same.
pub(crate) fn bill(bytes: &[u8]) {
    let Some((&kind, contents)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(contents) else { return };
    match kind % 3 {
        0 => document(SbomFormat::CycloneDx, text),
        1 => document(SbomFormat::Spdx, text),
        _ => url(text),
    }
}

fn document(format: SbomFormat, text: &str) {
    let limits = Limits { packages: PACKAGES_MAX, ..Limits::default() };
    let read = || AttestedBill::read(format, text, "a bill", &limits);
    let Ok(bill) = read() else { return };
    assert!(read().as_ref() == Ok(&bill), "two answers");
    assert!(bill.packages() <= PACKAGES_MAX, "a bound is passed");
    let gap = Gap { kind: GapKind::Limit, path: None, layer: None, text: "x".to_owned() };
    let before = Inventory {
        distribution: Some(Distribution { id: "debian".to_owned(), ..Distribution::default() }),
        packages: vec![Package::new(PackageKind::Deb, "openssl", "3.0.11-1", "status")],
        gaps: vec![gap],
    };
    let (mut after, mut attested) = (before.clone(), Attested::default());
    bill.add_to(&mut after, &mut attested, "team", &limits);
    assert_eq!(after.gaps, before.gaps, "a gap is filled");
    assert_eq!(after.distribution, before.distribution, "it is another distribution");
    let is_kept = |package| after.packages.contains(package);
    assert!(before.packages.iter().all(is_kept), "a package is taken away");
    assert!(after.packages.len() <= PACKAGES_MAX, "a bound is passed");
    let is_told =
        |package: &Package| attested.by.contains_key(package) || before.packages.contains(package);
    assert!(after.packages.iter().all(is_told), "a package comes from nowhere");
}

fn url(text: &str) {
    let read = |url: &str| locator::package(url, &Entry::default(), "a bill");
    let Ok(Some(listed)) = read(text) else { return };
    if text.len() > URL_BYTES_MAX {
        return;
    }
    let package = listed.package;
    // What a distribution's are called depends on the image.
    if package.kind.is_of_distribution() {
        return;
    }
    let written = package_url(&package, None);
    let again = written.as_deref().and_then(|url| read(url).ok().flatten());
    let same = |it: &Package| {
        it.kind == package.kind
            && it.version == package.version
            && it.name.to_lowercase() == package.name.to_lowercase()
    };
    assert!(
        again.is_some_and(|it| same(&it.package)),
        "{text}: {package:?} is written {written:?}"
    );
}
