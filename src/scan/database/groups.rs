//! Which names are names of one vulnerability.
//!
//! Records say so by `aliases`, and by `upstream` where that names one thing. Two CVEs are never one
//! vulnerability, whatever is said: an exception for one would silence the other.

use std::collections::HashMap;

use super::advisory::is_cve;
use super::intern::Strings;

/// The names of one record, by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) id: u32,
    pub(super) aliases: &'a [u32],
    pub(super) upstream: &'a [u32],
}

/// Vulnerabilities, each with all its names.
#[derive(Debug, Default)]
pub(super) struct Groups {
    nodes: HashMap<u32, u32>,
    names: Vec<u32>,
    parents: Vec<u32>,
    /// Of a root: the one CVE among its names.
    cves: Vec<Option<u32>>,
}

impl Groups {
    /// Takes in what a record says of names.
    pub(super) fn add(&mut self, strings: &Strings, record: Names<'_>) {
        let cves = cves(strings, record);
        if is_of_several(&cves, record) {
            for name in cves.iter().chain(record.upstream) {
                self.node(strings, *name);
            }
            return;
        }
        // The CVE first: where others contradict it, it is what the record is of.
        let id = self.node(strings, record.id);
        for name in cves.iter().chain(record.aliases).chain(record.upstream) {
            let other = self.node(strings, *name);
            self.join(id, other);
        }
    }

    /// The vulnerabilities that a record is about, by their roots; each record is about one at least.
    pub(super) fn of(&mut self, strings: &Strings, record: Names<'_>) -> Vec<u32> {
        let cves = cves(strings, record);
        let several: Vec<u32> = if is_of_several(&cves, record) {
            cves.iter().chain(record.upstream).copied().collect()
        } else {
            vec![record.id]
        };
        let mut roots: Vec<u32> = Vec::with_capacity(several.len());
        for name in several {
            let node = self.node(strings, name);
            roots.push(self.root(node));
        }
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// The names of every vulnerability, by root.
    pub(super) fn names(&mut self) -> HashMap<u32, Vec<u32>> {
        let mut named: HashMap<u32, Vec<u32>> = HashMap::new();
        for node in 0..u32::try_from(self.names.len()).unwrap_or(u32::MAX) {
            let root = self.root(node);
            named.entry(root).or_default().extend(at(&self.names, node));
        }
        named
    }

    fn node(&mut self, strings: &Strings, name: u32) -> u32 {
        if let Some(node) = self.nodes.get(&name) {
            return *node;
        }
        let node = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name);
        self.parents.push(node);
        self.cves.push(is_cve(strings.text(name)).then_some(name));
        self.nodes.insert(name, node);
        node
    }

    fn root(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = at(&self.parents, node).unwrap_or(node);
            if parent == node {
                return node;
            }
            // Halves the way for the next who asks.
            let above = at(&self.parents, parent).unwrap_or(parent);
            set(&mut self.parents, node, above);
            node = above;
        }
    }

    /// Makes two names one, unless they are of different CVEs.
    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (at(&self.cves, a).flatten(), at(&self.cves, b).flatten());
        let differ = first.zip(second).is_some_and(|(first, second)| first != second);
        if a == b || differ {
            return;
        }
        let (low, high) = (a.min(b), a.max(b));
        set(&mut self.parents, high, low);
        set(&mut self.cves, low, first.or(second));
    }
}

/// Whether a record is about several vulnerabilities, as advisories of distributions are.
fn is_of_several(cves: &[u32], record: Names<'_>) -> bool {
    cves.len() > 1 || (cves.is_empty() && record.upstream.len() > 1)
}

fn cves(strings: &Strings, record: Names<'_>) -> Vec<u32> {
    let names = std::iter::once(&record.id).chain(record.aliases).chain(record.upstream);
    let mut cves: Vec<u32> = names.copied().filter(|name| is_cve(strings.text(*name))).collect();
    cves.sort_unstable();
    cves.dedup();
    cves
}

fn at<T: Copy>(list: &[T], index: u32) -> Option<T> {
    usize::try_from(index).ok().and_then(|index| list.get(index)).copied()
}

fn set<T>(list: &mut [T], index: u32, value: T) {
    let place = usize::try_from(index).ok().and_then(|index| list.get_mut(index));
    if let Some(place) = place {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said = (&'static str, &'static [&'static str], &'static [&'static str]);

    /// For each record, the names of each vulnerability that it is about.
    fn grouped(records: &[Said]) -> Vec<Vec<Vec<String>>> {
        let (mut strings, mut groups) = (Strings::default(), Groups::default());
        let mut numbers = |names: &[&str]| -> Vec<u32> {
            names.iter().map(|name| strings.number(name).unwrap()).collect()
        };
        let said: Vec<_> = records
            .iter()
            .map(|(id, aliases, upstream)| (numbers(&[id])[0], numbers(aliases), numbers(upstream)))
            .collect();
        for (id, aliases, upstream) in &said {
            groups.add(&strings, Names { id: *id, aliases, upstream });
        }
        let of = |(id, aliases, upstream): &(u32, Vec<u32>, Vec<u32>)| {
            let roots = groups.of(&strings, Names { id: *id, aliases, upstream });
            let names = groups.names();
            let mut all: Vec<Vec<String>> = roots
                .iter()
                .map(|root| names[root].iter().map(|n| strings.text(*n).to_owned()).collect())
                .collect();
            for names in &mut all {
                names.sort();
            }
            all.sort();
            all
        };
        said.iter().map(of).collect()
    }

    #[test]
    fn names_are_joined_over_any_number_of_records_and_circles_end() {
        let records: [Said; 4] = [
            ("GHSA-1", &["CVE-1", "PYSEC-1"], &[]),
            ("PYSEC-1", &["GHSA-1"], &[]),
            ("DEBIAN-CVE-1", &[], &["CVE-1"]),
            ("GHSA-2", &["GHSA-2", "X-1"], &["X-1"]),
        ];
        let found = grouped(&records);
        let first = vec![["CVE-1", "DEBIAN-CVE-1", "GHSA-1", "PYSEC-1"].map(String::from).to_vec()];
        assert_eq!(found[..3], [first.clone(), first.clone(), first]);
        assert_eq!(found[3], [["GHSA-2", "X-1"].map(String::from).to_vec()]);
    }

    #[test]
    fn an_advisory_over_several_is_about_each_and_joins_none() {
        let records: [Said; 3] = [
            ("DSA-1", &[], &["CVE-1", "CVE-2", "GHSA-2"]),
            ("DLA-2", &[], &["CVE-2", "CVE-3"]),
            ("GHSA-2", &["CVE-2"], &[]),
        ];
        let found = grouped(&records);
        let two = vec!["CVE-2".to_owned(), "GHSA-2".to_owned()];
        assert_eq!(found[0], [vec!["CVE-1".to_owned()], two.clone()]);
        assert_eq!(found[1], [two.clone(), vec!["CVE-3".to_owned()]]);
        assert_eq!(found[2], [two]);
    }

    #[test]
    fn two_cves_are_never_one_whatever_lies_between() {
        let records: [Said; 3] = [
            ("GHSA-1", &["CVE-1"], &[]),
            ("PYSEC-2", &["GHSA-1", "CVE-2"], &[]),
            ("GO-3", &["CVE-1", "CVE-2"], &[]),
        ];
        let found = grouped(&records);
        assert_eq!(found[0], [["CVE-1", "GHSA-1"].map(String::from).to_vec()]);
        assert_eq!(found[1], [["CVE-2", "PYSEC-2"].map(String::from).to_vec()]);
        assert_eq!(found[2].len(), 2);
    }

    #[test]
    fn upstreams_without_a_cve_are_each_one() {
        let found = grouped(&[("USN-1", &[], &["X-1", "X-2"])]);
        assert_eq!(found[0], [["X-1".to_owned()].to_vec(), ["X-2".to_owned()].to_vec()]);
    }
}
