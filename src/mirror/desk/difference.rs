//! The difference between two images: what an approver looks at first.

use std::collections::{BTreeMap, BTreeSet};

use super::dossier::{ImageFacts, Known, ScanFacts, SubjectFacts};
use crate::oci::{Digest, ImageConfig, Platform};
use crate::scan::{Finding, PackageKind};

/// What is different between an image and another that is served.
#[derive(Debug)]
pub struct Difference {
    /// Layers that both have: how many, and their bytes.
    pub layers_shared: (usize, u64),
    /// Layers that only the new one has.
    pub layers_new: (usize, u64),
    /// Layers that only the old one had.
    pub layers_gone: (usize, u64),
    /// Bytes of all layers, before and now.
    pub bytes: (u64, u64),
    /// Platforms that only the new one has.
    pub platforms_new: Vec<String>,
    /// Platforms that only the old one had.
    pub platforms_gone: Vec<String>,
    /// What the signature gate saw, before and now.
    pub signed: (Known<String>, Known<String>),
    /// For each platform that both have.
    pub images: Vec<ImageDifference>,
}

/// What is different between two images for one platform.
#[derive(Debug)]
pub struct ImageDifference {
    /// What they run on.
    pub platform: Option<Platform>,
    /// Packages.
    pub packages: Known<PackageChanges>,
    /// Findings, by the database in force now on both sides.
    pub findings: Known<FindingChanges>,
    /// What the configurations say, one after the other; only what is different.
    pub config: Known<Vec<ConfigChange>>,
}

/// Packages that came, went and changed their version.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PackageChanges {
    /// Name and version.
    pub added: Vec<(String, String)>,
    /// Name and version.
    pub removed: Vec<(String, String)>,
    /// Name, old and new version.
    pub changed: Vec<(String, String, String)>,
    /// How many are the same.
    pub same: usize,
}

/// Findings that came and went.
#[derive(Debug, Default)]
pub struct FindingChanges {
    /// Only in the new one, worst first.
    pub added: Vec<Finding>,
    /// Only in the old one, worst first.
    pub gone: Vec<Finding>,
    /// How many are in both.
    pub same: usize,
}

/// Something that the configurations say differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// What: `user`, `ports`.
    pub what: &'static str,
    /// What was said before.
    pub before: String,
    /// What is said now.
    pub now: String,
}

impl Difference {
    /// What is different in `now` from `before`.
    pub fn between(before: &SubjectFacts, now: &SubjectFacts) -> Self {
        let (old, new) = (before.contents(), now.contents());
        let sum = |of: &BTreeMap<Digest, u64>, is_in: &dyn Fn(&Digest) -> bool| {
            let found = of.iter().filter(|(digest, _)| is_in(digest));
            found.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
        };
        let platforms = |facts: &SubjectFacts| -> BTreeSet<String> {
            let platforms = facts.images.iter().filter_map(|image| image.platform.as_ref());
            platforms.map(ToString::to_string).collect()
        };
        let (had, has) = (platforms(before), platforms(now));
        let pairs = now.images.iter().filter_map(|image| {
            Some((before.images.iter().find(|it| it.platform == image.platform)?, image))
        });
        Self {
            layers_shared: sum(&new, &|digest| old.contains_key(digest)),
            layers_new: sum(&new, &|digest| !old.contains_key(digest)),
            layers_gone: sum(&old, &|digest| !new.contains_key(digest)),
            bytes: (before.content_bytes(), now.content_bytes()),
            platforms_new: has.difference(&had).cloned().collect(),
            platforms_gone: had.difference(&has).cloned().collect(),
            signed: (before.signed.clone(), now.signed.clone()),
            images: pairs.map(|(old, new)| image_difference(old, new)).collect(),
        }
    }
}

fn image_difference(before: &ImageFacts, now: &ImageFacts) -> ImageDifference {
    ImageDifference {
        platform: now.platform.clone(),
        packages: both(&before.scan, &now.scan, package_changes),
        findings: match both(&before.scan, &now.scan, finding_changes) {
            Known::Is(changes) => changes,
            Known::No(why) => Known::No(why),
        },
        config: both(&before.config, &now.config, config_changes),
    }
}

/// `compare` of both, or which of them is not known and why.
fn both<T, R>(before: &Known<T>, now: &Known<T>, compare: impl Fn(&T, &T) -> R) -> Known<R> {
    match (before, now) {
        (Known::Is(before), Known::Is(now)) => Known::Is(compare(before, now)),
        (Known::No(why), Known::Is(_)) => Known::No(format!("of the one before: {why}")),
        (Known::Is(_), Known::No(why)) => Known::No(format!("of this one: {why}")),
        (Known::No(_), Known::No(why)) => Known::No(format!("of both: {why}")),
    }
}

fn package_changes(before: &ScanFacts, now: &ScanFacts) -> PackageChanges {
    type Versions<'a> = BTreeMap<(PackageKind, &'a str), BTreeSet<&'a str>>;
    let versions = |scan: &'_ ScanFacts| -> BTreeMap<(PackageKind, String), BTreeSet<String>> {
        let mut versions: Versions<'_> = BTreeMap::new();
        for package in &scan.inventory.packages {
            let key = (package.kind, package.name.as_str());
            versions.entry(key).or_default().insert(&package.version);
        }
        let owned = versions.into_iter().map(|((kind, name), versions)| {
            ((kind, name.to_owned()), versions.into_iter().map(str::to_owned).collect())
        });
        owned.collect()
    };
    let (old, new) = (versions(before), versions(now));
    let listed =
        |versions: &BTreeSet<String>| versions.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut changes = PackageChanges::default();
    for (key, versions) in &new {
        match old.get(key) {
            None => changes.added.push((key.1.clone(), listed(versions))),
            Some(same) if same == versions => changes.same += 1,
            Some(other) => {
                changes.changed.push((key.1.clone(), listed(other), listed(versions)));
            }
        }
    }
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
    changes.removed.extend(gone.map(|(key, versions)| (key.1.clone(), listed(versions))));
    changes
}

fn finding_changes(before: &ScanFacts, now: &ScanFacts) -> Known<FindingChanges> {
    both(&before.report, &now.report, |before, now| {
        let keys = |findings: &[Finding]| -> BTreeSet<(String, String)> {
            findings.iter().map(|it| (it.id.clone(), it.package.name.clone())).collect()
        };
        let (old, new) = (keys(&before.findings), keys(&now.findings));
        let only = |findings: &[Finding], other: &BTreeSet<(String, String)>| -> Vec<Finding> {
            let is_only =
                |it: &&Finding| !other.contains(&(it.id.clone(), it.package.name.clone()));
            findings.iter().filter(is_only).cloned().collect()
        };
        FindingChanges {
            added: only(&now.findings, &old),
            gone: only(&before.findings, &new),
            same: new.intersection(&old).count(),
        }
    })
}

fn config_changes(before: &ImageConfig, now: &ImageConfig) -> Vec<ConfigChange> {
    let user = |config: &ImageConfig| match config.user.as_str() {
        "" => "root, as nothing is said".to_owned(),
        user => user.to_owned(),
    };
    let healthcheck =
        |config: &ImageConfig| if config.has_healthcheck { "a command" } else { "none" }.to_owned();
    let env = |config: &ImageConfig| names(config.env.iter().map(|entry| entry.name.as_str()));
    let ports = |config: &ImageConfig| names(config.ports.iter().map(String::as_str));
    let labels = |config: &ImageConfig| names(config.labels.iter().map(String::as_str));
    let said = |what, read: &dyn Fn(&ImageConfig) -> String| ConfigChange {
        what,
        before: read(before),
        now: read(now),
    };
    let all = [
        said("user", &user),
        said("ports", &ports),
        said("names of environment variables", &env),
        said("names of labels", &labels),
        said("health check", &healthcheck),
    ];
    all.into_iter().filter(|change| change.before != change.now).collect()
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}
