//! One package after the other against the records about it.

use std::collections::{BTreeMap, HashSet};

use super::feeds::Chosen;
use super::merge::Merged;
use super::range::{Outcome, Subject};
use super::{Rules, rpm};
use crate::scan::database::{
    Bound, Database, DatabaseError, Ecosystem, Statement, names, printable,
};
use crate::scan::{FeedNames, Finding, Package, PackageKind, Unmatched, UnmatchedKind};

/// Versions that are read for one report, and what takes as long.
const WORK_MAX: u64 = 5_000_000;
/// Numbers in a list of versions that take as long to look through as a version takes to read.
const NUMBERS_PER_VERSION: u64 = 16;
/// Findings of one report.
const FINDINGS_MAX: usize = 100_000;
/// Records that are named where a version cannot be compared.
const NAMED_MAX: usize = 3;

/// What is found so far.
pub(super) struct Matcher<'a, R> {
    database: &'a Database,
    rules: &'a R,
    findings: Vec<Finding>,
    unmatched: Vec<Unmatched>,
    /// Of [`WORK_MAX`], what may still be done.
    left: u64,
    statement: Statement,
}

/// What is found of one package.
struct Found<V> {
    vulnerabilities: BTreeMap<u32, Merged<V>>,
    /// Records that cannot be compared with it.
    unknown: Vec<u32>,
    /// Records that were looked at.
    looked_at: Vec<u32>,
    /// Records that name it itself, when its source is looked at.
    named: HashSet<u32>,
}

impl<V> Found<V> {
    fn new() -> Self {
        Self {
            vulnerabilities: BTreeMap::new(),
            unknown: Vec::new(),
            looked_at: Vec::new(),
            named: HashSet::new(),
        }
    }
}

impl<'a, R: Rules> Matcher<'a, R> {
    pub(super) fn new(database: &'a Database, rules: &'a R, unmatched: Vec<Unmatched>) -> Self {
        Self {
            database,
            rules,
            findings: Vec::new(),
            unmatched,
            left: WORK_MAX,
            statement: Statement::default(),
        }
    }

    pub(super) fn finish(self) -> (Vec<Finding>, Vec<Unmatched>) {
        (self.findings, self.unmatched)
    }

    /// Compares a package with the records of what was chosen for its kind.
    pub(super) fn add(
        &mut self,
        package: &Package,
        chosen: &Chosen<'_>,
    ) -> Result<(), DatabaseError> {
        let mut found = Found::new();
        let own = (package.name.as_str(), package.version.as_str());
        let source = (package.source_name(), package.source_version());
        let names_source = package.kind.is_of_distribution();
        match chosen.names {
            FeedNames::Source if names_source => {
                self.compare(package, source, &chosen.ecosystems, &mut found)?;
            }
            FeedNames::SourceOrPackage if names_source && own != source => {
                self.compare(package, own, &chosen.ecosystems, &mut found)?;
                // What a record says of the package itself counts before what it says of its source.
                let named = std::mem::take(&mut found.looked_at);
                found.named = named.into_iter().collect();
                self.compare(package, source, &chosen.ecosystems, &mut found)?;
            }
            FeedNames::Source | FeedNames::SourceOrPackage => {
                self.compare(package, own, &chosen.ecosystems, &mut found)?;
            }
        }
        self.take(package, found)
    }

    /// Compares a name and a version with the records of these ecosystems.
    fn compare(
        &mut self,
        package: &Package,
        (name, version): (&str, &str),
        ecosystems: &[&Ecosystem],
        found: &mut Found<R::Version>,
    ) -> Result<(), DatabaseError> {
        let database = self.database;
        let name = names::normalised(Some(package.kind), name);
        let Some(name) = database.find(&name)? else { return Ok(()) };
        let mut subject = None;
        for ecosystem in ecosystems {
            let mut statements = database.statements(ecosystem, name)?;
            let mut statement = std::mem::take(&mut self.statement);
            while statements.next(&mut statement)? {
                let subject = match &mut subject {
                    Some(subject) => subject,
                    None => subject.insert(self.subject(package.kind, version)?),
                };
                let Some(left) = self.left.checked_sub(self.work(&statement)?) else {
                    self.is_too_much("WORK_MAX", package);
                    return Ok(());
                };
                self.left = left;
                if found.named.contains(&statement.record) {
                    continue;
                }
                found.looked_at.push(statement.record);
                self.weigh(package, subject, &statement, found)?;
            }
            self.statement = statement;
        }
        Ok(())
    }

    /// How many versions are read for a statement, at the most, or what takes as long.
    fn work(&self, statement: &Statement) -> Result<u64, DatabaseError> {
        let listed = match statement.list {
            Some(list) => self.database.listed(list)?,
            None => 0,
        };
        let events = u64::try_from(statement.events.len()).unwrap_or(u64::MAX);
        let of_list = if events == 0 { listed } else { listed / NUMBERS_PER_VERSION };
        Ok(events.saturating_add(of_list).saturating_add(1))
    }

    fn subject(&self, kind: PackageKind, text: &str) -> Result<Subject<R::Version>, DatabaseError> {
        let mut numbers: Vec<u32> = self.database.find(text)?.into_iter().collect();
        // Modules of Go have a `v`, and records leave it out.
        if let (PackageKind::Go, Some(plain)) = (kind, text.strip_prefix('v')) {
            numbers.extend(self.database.find(plain)?);
        }
        Ok(Subject { kind, version: self.rules.version(kind, text), numbers })
    }

    fn weigh(
        &self,
        package: &Package,
        subject: &Subject<R::Version>,
        statement: &Statement,
        found: &mut Found<R::Version>,
    ) -> Result<(), DatabaseError> {
        if package.kind == PackageKind::Rpm && self.is_of_other_stream(package, statement)? {
            return Ok(());
        }
        match subject.judge(self.rules, self.database, statement)? {
            Outcome::Not => {}
            Outcome::Unknown => found.unknown.push(statement.record),
            Outcome::Affected(fix) => {
                let record = self.database.record(statement.record)?;
                for group in record.groups {
                    let merged = found.vulnerabilities.entry(group).or_insert_with(Merged::new);
                    merged.add(statement, fix.clone(), record.published);
                }
            }
        }
        Ok(())
    }

    fn is_of_other_stream(
        &self,
        package: &Package,
        statement: &Statement,
    ) -> Result<bool, DatabaseError> {
        let mut fixes = statement.events.iter().filter(|event| event.bound == Bound::Fixed);
        let Some(first) = fixes.next() else { return Ok(false) };
        let mut all = rpm::is_of_other_stream(package, self.database.string(first.version)?);
        for fix in fixes {
            all &= rpm::is_of_other_stream(package, self.database.string(fix.version)?);
        }
        Ok(all)
    }

    fn take(&mut self, package: &Package, found: Found<R::Version>) -> Result<(), DatabaseError> {
        for (group, merged) in found.vulnerabilities {
            if self.findings.len() >= FINDINGS_MAX {
                self.is_too_much("FINDINGS_MAX", package);
                break;
            }
            self.findings.push(merged.finding(self.database, group, package)?);
        }
        if found.unknown.is_empty() {
            return Ok(());
        }
        let mut named = Vec::new();
        for record in found.unknown.iter().take(NAMED_MAX) {
            named.push(self.database.record(*record)?.id);
        }
        let more = found.unknown.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let version = printable(&package.version);
        let text =
            format!("its version {version} cannot be compared with {}{more}", named.join(", "));
        let package = Some(package.clone());
        self.unmatched.push(Unmatched { kind: UnmatchedKind::Version, package, text });
        Ok(())
    }

    /// Notes, once, that from this package on not everything is in the report.
    fn is_too_much(&mut self, bound: &str, package: &Package) {
        if self.unmatched.iter().any(|one| one.kind == UnmatchedKind::Limit) {
            return;
        }
        let text = format!("what is known is more than {bound}: the report is cut off");
        let package = Some(package.clone());
        self.unmatched.push(Unmatched { kind: UnmatchedKind::Limit, package, text });
    }
}
