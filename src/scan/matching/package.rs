//! One package after the other against the records about it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::feeds::Chosen;
use super::merge::Merged;
use super::range::{Outcome, Subject};
use super::{kernel, rpm};
use crate::scan::database::{
    Asked, Bound, Database, DatabaseError, Ecosystem, Matched, Statement, Versions, names,
    printable, without_place,
};
use crate::scan::{
    FeedNames, Finding, Gap, GapKind, Package, PackageKind, Report, Unmatched, UnmatchedKind,
};
use crate::time::Timestamp;

/// Versions and vulnerabilities that are looked at for one report.
const WORK_MAX: u64 = 50_000_000;
/// Findings of one report.
const FINDINGS_MAX: usize = 100_000;
/// Records that are named where a version cannot be compared.
const NAMED_MAX: usize = 3;

/// What is found so far.
pub(super) struct Matcher<'a> {
    database: &'a Database,
    now: Timestamp,
    findings: Vec<Finding>,
    unmatched: Vec<Unmatched>,
    /// Where not everything is in the report.
    cut_off: Option<Gap>,
    /// Of [`WORK_MAX`], what may still be done.
    left: u64,
    statement: Statement,
}

/// What is found of one package.
#[derive(Default)]
struct Found {
    vulnerabilities: BTreeMap<u32, Merged>,
    /// Records that cannot be compared with it.
    unknown: Vec<u32>,
    /// Records that were looked at.
    looked_at: Vec<u32>,
    /// Records that name it itself, when its source is looked at.
    named: HashSet<u32>,
    /// When the last of its records was published, be it in the future.
    published: Option<Timestamp>,
    /// Whether not all of its records were looked at.
    is_cut_off: bool,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(database: &'a Database, now: Timestamp, unmatched: Vec<Unmatched>) -> Self {
        Self {
            database,
            now,
            findings: Vec::new(),
            unmatched,
            cut_off: None,
            left: WORK_MAX,
            statement: Statement::default(),
        }
    }

    /// The report, its findings in no order yet.
    pub(super) fn finish(self) -> Report {
        let status = self.database.status();
        Report {
            database: self.database.id().clone(),
            exploited_as_of: status.exploited_as_of(),
            likelihood_as_of: status.likelihood_as_of(),
            findings: self.findings,
            unmatched: self.unmatched,
            gaps: self.cut_off.into_iter().collect(),
        }
    }

    /// Compares a package with the records of what was chosen for its kind, or gives what was found of the
    /// same before.
    pub(super) fn add(
        &mut self,
        package: &Package,
        chosen: &Chosen<'_>,
    ) -> Result<(), DatabaseError> {
        let database = self.database;
        let asked = Asked { ecosystems: &chosen.ecosystems, names: chosen.names, package };
        if let Some(matched) = database.before().get(&asked)
            && matched.published <= Some(self.now)
            && self.may_go_on(matched.work)
        {
            self.take(package, &matched);
            return Ok(());
        }
        let left = self.left;
        let found = self.found(package, chosen)?;
        // What is cut off, or tells otherwise on a later day, is not for the next who asks.
        let is_kept = !found.is_cut_off && found.published <= Some(self.now);
        let mut matched = self.matched(package, found)?;
        matched.work = left.saturating_sub(self.left);
        let matched = Arc::new(matched);
        self.take(package, &matched);
        if is_kept {
            database.before().keep(&asked, matched);
        }
        Ok(())
    }

    fn found(&mut self, package: &Package, chosen: &Chosen<'_>) -> Result<Found, DatabaseError> {
        let mut found = Found::default();
        let own = (package.name.as_str(), package.version.as_str());
        let source = (package.source_name(), package.source_version());
        let names_source = package.kind.is_of_distribution();
        match chosen.names {
            FeedNames::Source if names_source => {
                self.compare(package, source, &chosen.ecosystems, &mut found)?;
                if let Some((name, version)) = kernel::built_from(package) {
                    self.compare(package, (&name, &version), &chosen.ecosystems, &mut found)?;
                }
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
        Ok(found)
    }

    /// Compares a name and a version with the records of these ecosystems.
    fn compare(
        &mut self,
        package: &Package,
        (name, version): (&str, &str),
        ecosystems: &[&Ecosystem],
        found: &mut Found,
    ) -> Result<(), DatabaseError> {
        let database = self.database;
        let named = self.named(package.kind, name)?;
        let versions = database.versions(package.kind)?;
        let Some(versions) = versions.filter(|_| !named.is_empty()) else { return Ok(()) };
        let subject = Subject::new(versions, version)?;
        let mut statement = std::mem::take(&mut self.statement);
        for name in named {
            for ecosystem in ecosystems {
                let mut statements = database.statements(ecosystem, name)?;
                while statements.next(&mut statement)? {
                    if !self.may_go_on(self.work(&statement)?) {
                        self.is_too_much("WORK_MAX", package);
                        found.is_cut_off = true;
                        return Ok(());
                    }
                    if found.named.contains(&statement.record) {
                        continue;
                    }
                    found.looked_at.push(statement.record);
                    self.weigh(package, &subject, &statement, found)?;
                }
            }
        }
        self.statement = statement;
        Ok(())
    }

    /// The names in records that a package of this name may be meant by: of Java archives often only the
    /// artifact is known, and records have the group, too.
    fn named(&self, kind: PackageKind, name: &str) -> Result<Vec<u32>, DatabaseError> {
        let name = names::normalised(Some(kind), name);
        let mut named: Vec<u32> = self.database.find(&name)?.into_iter().collect();
        if kind == PackageKind::Maven && !name.contains(names::GROUP_END) {
            named.extend(self.database.with_artifact(&name)?);
        }
        Ok(named)
    }

    /// Takes `work` from what may still be done, if there is as much.
    fn may_go_on(&mut self, work: u64) -> bool {
        let left = self.left.checked_sub(work);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// How many versions are looked at for a statement, at the most.
    fn work(&self, statement: &Statement) -> Result<u64, DatabaseError> {
        let listed = match statement.list {
            Some(list) => self.database.listed(list)?,
            None => 0,
        };
        let events = u64::try_from(statement.events.len()).unwrap_or(u64::MAX);
        Ok(events.saturating_add(listed).saturating_add(1))
    }

    fn weigh(
        &mut self,
        package: &Package,
        subject: &Subject<'_>,
        statement: &Statement,
        found: &mut Found,
    ) -> Result<(), DatabaseError> {
        if package.kind == PackageKind::Rpm
            && is_of_other_stream(package, subject.versions, statement)?
        {
            return Ok(());
        }
        match subject.judge(self.database, statement)? {
            Outcome::Not => {}
            Outcome::Unknown => found.unknown.push(statement.record),
            Outcome::Affected(fix) => {
                let record = self.database.record(statement.record)?;
                let groups = record.groups.len();
                if !self.may_go_on(groups) {
                    self.is_too_much("WORK_MAX", package);
                    found.is_cut_off = true;
                    return Ok(());
                }
                let published = record.published.filter(|published| *published <= self.now);
                found.published = found.published.max(record.published);
                for group in record.groups {
                    let merged = found.vulnerabilities.entry(group?).or_default();
                    merged.add(statement, groups > 1, fix, published);
                }
            }
        }
        Ok(())
    }

    /// The versions of a kind, where something was found by them.
    fn versions_for(
        &self,
        kind: PackageKind,
        found: &Found,
    ) -> Result<Option<Versions<'a>>, DatabaseError> {
        if found.vulnerabilities.is_empty() { Ok(None) } else { self.database.versions(kind) }
    }

    /// What a report says of what was found.
    fn matched(&self, package: &Package, found: Found) -> Result<Matched, DatabaseError> {
        let mut matched = Matched { published: found.published, ..Matched::default() };
        if let Some(versions) = self.versions_for(package.kind, &found)? {
            let shared = Arc::new(without_place(package));
            // One more than are taken, so that it is seen that there are more.
            for (group, merged) in found.vulnerabilities.into_iter().take(FINDINGS_MAX + 1) {
                matched.findings.push(merged.finding(self.database, versions, group, &shared)?);
            }
        }
        if !found.unknown.is_empty() {
            let mut named = Vec::new();
            for record in found.unknown.iter().take(NAMED_MAX) {
                named.push(self.database.record_id(*record)?);
            }
            let more = found.unknown.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (version, named) = (printable(&package.version), named.join(", "));
            let text = format!("its version {version} cannot be compared with {named}{more}");
            matched.unmatched = Some(text);
        }
        Ok(matched)
    }

    /// Takes what was found of a package into the report.
    fn take(&mut self, package: &Package, matched: &Matched) {
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        if matched.findings.len() > room {
            self.is_too_much("FINDINGS_MAX", package);
        }
        if !matched.findings.is_empty() {
            let shared = Arc::new(package.clone());
            let of_this =
                |finding: &Finding| Finding { package: Arc::clone(&shared), ..finding.clone() };
            self.findings.extend(matched.findings.iter().take(room).map(of_this));
        }
        if let Some(text) = matched.unmatched.clone() {
            let package = Some(package.clone());
            self.unmatched.push(Unmatched { kind: UnmatchedKind::Version, package, text });
        }
    }

    /// Notes, once, that from this package on not everything is in the report.
    fn is_too_much(&mut self, bound: &str, package: &Package) {
        let name = printable(&package.name);
        self.cut_off.get_or_insert_with(|| Gap {
            kind: GapKind::Limit,
            path: None,
            layer: None,
            text: format!("what is known is more than {bound}: the report is cut off at {name}"),
        });
    }
}

fn is_of_other_stream(
    package: &Package,
    versions: Versions<'_>,
    statement: &Statement,
) -> Result<bool, DatabaseError> {
    let mut fixes = statement.events.iter().filter(|event| event.bound == Bound::Fixed);
    let Some(first) = fixes.next() else { return Ok(false) };
    let mut all = rpm::is_of_other_stream(package, versions.text(first.version)?);
    for fix in fixes {
        all &= rpm::is_of_other_stream(package, versions.text(fix.version)?);
    }
    Ok(all)
}
