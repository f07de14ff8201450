//! Which ecosystems a feed is of: those that nothing is missing from because their records are elsewhere.
//!
//! Records name packages of other ecosystems beside those of their own: an archive of npm's has one of
//! PyPI's here and there, and says nothing of the rest of PyPI. A feed is of an ecosystem if many of the
//! records that name it name no other, or if nearly all records of the feed name it.

use std::collections::{BTreeMap, BTreeSet};

use super::advisory::Advisory;
use super::names;

/// Of a hundred records that name an ecosystem, how many have to name it alone.
const ALONE_PERCENT_MIN: u64 = 50;
/// Or, of a hundred records of the feed, how many have to name it: those of Wolfi name Chainguard, too.
const NAMED_PERCENT_MIN: u64 = 95;
/// Records from which on a share of all of them says something.
const RECORDS_MIN: u64 = 20;

/// The records of one feed, counted by what they name.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    records: u64,
    named: BTreeMap<&'static str, Named>,
}

#[derive(Debug, Default)]
struct Named {
    records: u64,
    alone: u64,
}

impl Coverage {
    /// Counts a record.
    pub(super) fn add(&mut self, advisory: &Advisory) {
        let ecosystems = advisory.affected.iter().map(|it| names::covering(&it.ecosystem));
        let ecosystems: BTreeSet<Option<&'static str>> = ecosystems.collect();
        self.records += u64::from(!ecosystems.is_empty());
        for name in ecosystems.iter().flatten() {
            let named = self.named.entry(name).or_default();
            named.records += 1;
            named.alone += u64::from(ecosystems.len() == 1);
        }
    }

    /// What the feed is of, by name.
    pub(super) fn covered(&self) -> Vec<String> {
        let is_covered = |named: &Named| {
            let is_of_all = self.records >= RECORDS_MIN
                && named.records * 100 >= self.records * NAMED_PERCENT_MIN;
            is_of_all || named.alone * 100 >= named.records * ALONE_PERCENT_MIN
        };
        let covered = self.named.iter().filter(|(_, named)| is_covered(named));
        covered.map(|(name, _)| (*name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::database::testing::score;

    /// What a feed is of whose records name these.
    fn covered(records: &[(usize, &[&str])]) -> Vec<String> {
        let mut coverage = Coverage::default();
        for (count, ecosystems) in records {
            let affected = |ecosystem: &&str| serde_json::json!({ "package": { "ecosystem": ecosystem, "name": "x" }, "versions": ["1"] });
            let affected: Vec<_> = ecosystems.iter().map(affected).collect();
            let record = serde_json::json!({ "id": "A-1", "affected": affected }).to_string();
            let advisory = Advisory::read(record.as_bytes(), score).unwrap();
            (0..*count).for_each(|_| coverage.add(&advisory));
        }
        coverage.covered()
    }

    #[test]
    fn a_feed_is_of_what_its_records_name_alone() {
        assert_eq!(covered(&[(90, &["npm"]), (10, &["npm", "PyPI"])]), ["npm"]);
        assert_eq!(
            covered(&[(50, &["npm"]), (1, &["npm", "PyPI"]), (40, &["PyPI"])]),
            ["PyPI", "npm"]
        );
        assert_eq!(covered(&[(5, &["Debian:12", "Debian:13"]), (1, &["Debian:11"])]), ["Debian"]);
        assert_eq!(covered(&[(5, &["Hex"]), (3, &["Hex", "npm"])]), [""; 0]);
    }

    #[test]
    fn a_feed_is_of_what_nearly_all_its_records_name_if_there_are_enough() {
        assert_eq!(
            covered(&[(19, &["Wolfi", "Chainguard"]), (1, &["Wolfi"])]),
            ["Chainguard", "Wolfi"]
        );
        assert_eq!(covered(&[(18, &["Wolfi", "Chainguard"]), (2, &["Wolfi"])]), ["Wolfi"]);
        assert_eq!(covered(&[(1, &["npm", "PyPI"])]), [""; 0]);
        assert_eq!(covered(&[]), [""; 0]);
    }

    #[test]
    fn a_repository_beside_a_registry_is_not_the_registry() {
        let drupal = "Packagist:https://packages.drupal.org/8";
        assert_eq!(covered(&[(30, &[drupal])]), [""; 0]);
        assert_eq!(covered(&[(30, &[drupal]), (1, &["Packagist"])]), ["Packagist"]);
    }
}
