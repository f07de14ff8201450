//! What was found of a package before: images have most of theirs in common, and the same database says the
//! same of the same package.

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::{Equivalent, HashMap};

use super::open::Ecosystem;
use crate::scan::{FeedNames, Finding, Fix, Package, SourcePackage};
use crate::time::Timestamp;

/// Bytes of all that is remembered, about.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// About what a finding or a package takes beside its texts.
const RECORD_BYTES: usize = 256;

/// Places of what was asked once. Two that come to have one are asked once more.
const ONCE_MAX: usize = 65_536;

/// What was found of packages that more than one image has.
#[derive(Debug, Default)]
pub(in crate::scan) struct Before(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    packages: HashMap<OwnedAsked, Arc<Matched>>,
    bytes: usize,
    /// Hashes of what was asked once, each at its place: what is never asked again takes no room.
    once: Vec<u64>,
}

/// What is asked of a package: all that what is found of it depends on.
#[derive(Debug, Clone, Copy)]
pub(in crate::scan) struct Asked<'a> {
    pub(in crate::scan) ecosystems: &'a [&'a Ecosystem],
    pub(in crate::scan) names: FeedNames,
    pub(in crate::scan) package: &'a Package,
}

/// The same, to be kept.
#[derive(Debug, PartialEq, Eq)]
struct OwnedAsked {
    /// By where their keys begin.
    ecosystems: Box<[u32]>,
    names: FeedNames,
    /// Without where it was found, and its architecture.
    package: Package,
}

/// What was found of a package.
#[derive(Debug, Default)]
pub(in crate::scan) struct Matched {
    /// Their package is without its place.
    pub(in crate::scan) findings: Vec<Finding>,
    /// Why there may be more, if there may.
    pub(in crate::scan) unmatched: Option<String>,
    /// When the last record of these was published: before that, they would be others.
    pub(in crate::scan) published: Option<Timestamp>,
    /// How much was looked at for it.
    pub(in crate::scan) work: u64,
}

impl Before {
    /// What was found when this was asked before.
    pub(in crate::scan) fn get(&self, asked: &Asked<'_>) -> Option<Arc<Matched>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).packages.get(asked).cloned()
    }

    /// Remembers what was found, if it is asked for the second time. When there is no room, all before it is
    /// forgotten.
    pub(in crate::scan) fn keep(&self, asked: &Asked<'_>, matched: Arc<Matched>) {
        let weight = weight(asked.package, &matched);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if weight > BYTES_MAX || kept.is_first(asked) {
            return;
        }
        if weight > BYTES_MAX - kept.bytes.min(BYTES_MAX) {
            (kept.packages, kept.bytes) = Default::default();
        }
        if kept.packages.insert(asked.owned(), matched).is_none() {
            kept.bytes += weight;
        }
    }
}

impl Kept {
    /// Whether this was not asked lately.
    fn is_first(&mut self, asked: &Asked<'_>) -> bool {
        let hash = self.packages.hasher().hash_one(asked);
        self.once.resize(ONCE_MAX, 0);
        let place = usize::try_from(hash).unwrap_or(usize::MAX) % ONCE_MAX;
        let known = self.once.get_mut(place).map(|known| std::mem::replace(known, hash));
        known != Some(hash)
    }
}

impl Asked<'_> {
    fn owned(self) -> OwnedAsked {
        let ecosystems = self.ecosystems.iter().map(|ecosystem| ecosystem.first_key).collect();
        OwnedAsked { ecosystems, names: self.names, package: without_place(self.package) }
    }
}

/// A package without what does not count, where it was found above all.
pub(in crate::scan) fn without_place(package: &Package) -> Package {
    Package { architecture: None, found_in: String::new(), ..package.clone() }
}

/// About how many bytes are kept. Names of a vulnerability are shared, and bounded by themselves.
fn weight(package: &Package, matched: &Matched) -> usize {
    let finding = |finding: &Finding| {
        let fix = match &finding.fix {
            Fix::In(version) => version.len(),
            Fix::None | Fix::WillNot => 0,
        };
        let advisories = finding.advisories.iter().map(|it| it.len() + size_of::<String>());
        RECORD_BYTES + finding.id.len() + fix + advisories.sum::<usize>()
    };
    let source = package.source.as_ref().map_or(0, |it| it.name.len() + it.version.len());
    let module = package.module.as_ref().map_or(0, String::len);
    // Once in the question, and once in the answer.
    let package = 2 * (RECORD_BYTES + package.name.len() + package.version.len() + source + module);
    let unmatched = matched.unmatched.as_ref().map_or(0, String::len);
    package + unmatched + matched.findings.iter().map(finding).sum::<usize>()
}

/// What of a package counts.
fn key(package: &Package) -> impl Hash + Eq + '_ {
    let source: Option<&SourcePackage> = package.source.as_ref();
    (package.kind, &package.name, &package.version, source, &package.module)
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        key(self.package).hash(state);
    }
}

impl Hash for OwnedAsked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        key(&self.package).hash(state);
    }
}

impl Equivalent<OwnedAsked> for Asked<'_> {
    fn equivalent(&self, kept: &OwnedAsked) -> bool {
        let ecosystems = self.ecosystems.iter().map(|ecosystem| ecosystem.first_key);
        key(self.package) == key(&kept.package)
            && self.names == kept.names
            && ecosystems.eq(kept.ecosystems.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::PackageKind;

    fn ecosystem(first_key: u32) -> Ecosystem {
        Ecosystem::testing("Debian:12", PackageKind::Deb, first_key)
    }

    fn asked<'a>(ecosystems: &'a [&'a Ecosystem], package: &'a Package) -> Asked<'a> {
        Asked { ecosystems, names: FeedNames::Source, package }
    }

    #[test]
    fn the_same_is_asked_wherever_it_was_found_and_nothing_else_is() {
        let (before, bookworm, trixie) = (Before::default(), ecosystem(0), ecosystem(9));
        let (bookworm, trixie) = ([&bookworm], [&trixie]);
        let package = Package::new(PackageKind::Deb, "a", "1", "status");
        let matched = Arc::new(Matched { work: 7, ..Matched::default() });
        let work = |asked: &Asked<'_>| before.get(asked).map(|matched| matched.work);
        before.keep(&asked(&bookworm, &package), Arc::clone(&matched));
        assert_eq!(work(&asked(&bookworm, &package)), None, "one image has it");
        before.keep(&asked(&bookworm, &package), matched);
        let mut elsewhere = package.clone();
        elsewhere.found_in = "status.d/a".to_owned();
        elsewhere.architecture = Some("amd64".to_owned());
        assert_eq!(work(&asked(&bookworm, &elsewhere)), Some(7));
        let mut others = vec![package.clone(); 5];
        others[0].kind = PackageKind::Rpm;
        others[1].name = "b".to_owned();
        others[2].version = "1.0".to_owned();
        others[3].source = Some(SourcePackage { name: "a".to_owned(), version: "1".to_owned() });
        others[4].module = Some("a:1".to_owned());
        for other in &others {
            assert_eq!(work(&asked(&bookworm, other)), None, "{other:?}");
        }
        assert_eq!(work(&asked(&trixie, &package)), None);
        assert_eq!(work(&asked(&[], &package)), None);
        let by_own_name = Asked { names: FeedNames::SourceOrPackage, ..asked(&bookworm, &package) };
        assert_eq!(work(&by_own_name), None);
    }

    #[test]
    fn what_is_too_much_is_forgotten() {
        let (before, ecosystem) = (Before::default(), ecosystem(0));
        let ecosystems = [&ecosystem];
        let text = "x".repeat(BYTES_MAX / 10);
        for number in 0..25 {
            let package = Package::new(PackageKind::Deb, &format!("p{number}"), "1", "status");
            let unmatched = Some(text.clone());
            let matched = Arc::new(Matched { unmatched, ..Matched::default() });
            for _ in 0..2 {
                before.keep(&asked(&ecosystems, &package), Arc::clone(&matched));
            }
        }
        let package = Package::new(PackageKind::Deb, "large", "1", "status");
        let matched = Matched { unmatched: Some(text.repeat(11)), ..Matched::default() };
        let matched = Arc::new(matched);
        for _ in 0..2 {
            before.keep(&asked(&ecosystems, &package), Arc::clone(&matched));
        }
        let kept = before.0.read().unwrap();
        assert_eq!(kept.packages.len(), 7, "nine have room, and the large one has none");
        assert!(kept.bytes > 7 * text.len() && kept.bytes <= BYTES_MAX);
    }
}
