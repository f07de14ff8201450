//! What several records say of one vulnerability in one package, as one finding.

use super::kernel;
use crate::scan::database::{Authority, Database, DatabaseError, Statement};
use crate::scan::{Finding, Fix, Package, Severity};
use crate::time::Timestamp;

/// How records of packages that are malicious themselves are named.
const MALWARE: &str = "MAL-";

/// What is known of one vulnerability in one package so far.
pub(super) struct Merged<V> {
    /// The lowest version in which every record that knows of a fix says that it is fixed.
    fix: Option<(V, u32)>,
    given_up: bool,
    word: Option<(Authority, Severity)>,
    score: Option<u8>,
    published: Option<Timestamp>,
    /// Records, by number.
    records: Vec<u32>,
}

impl<V: Ord> Merged<V> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self {
            fix: None,
            given_up: false,
            word: None,
            score: None,
            published: None,
            records: Vec::new(),
        }
    }

    /// Takes in what one record says.
    pub(super) fn add(
        &mut self,
        statement: &Statement,
        fix: Option<(V, u32)>,
        published: Option<Timestamp>,
    ) {
        self.fix = match (self.fix.take(), fix) {
            (Some(a), Some(b)) => Some(if a.0 >= b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
        self.given_up |= statement.given_up;
        self.word = self.word.max(statement.word);
        self.score = self.score.max(statement.score);
        self.published = match (self.published, published) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if !self.records.contains(&statement.record) {
            self.records.push(statement.record);
        }
    }

    /// The finding. The distribution's own word on how bad it is counts before an advisory's, and that
    /// before the vectors.
    pub(super) fn finding(
        self,
        database: &Database,
        group: u32,
        package: &Package,
    ) -> Result<Finding, DatabaseError> {
        let vulnerability = database.vulnerability(group)?;
        let mut names = vulnerability.names;
        for record in &self.records {
            names.push(database.record_id(*record)?);
        }
        names.retain(|name| *name != vulnerability.id);
        names.sort_unstable();
        names.dedup();
        let malware = names.iter().chain([&vulnerability.id]).any(|name| name.starts_with(MALWARE));
        let fix = match self.fix {
            Some((_, version)) => Fix::In(database.string(version)?.to_owned()),
            None if self.given_up => Fix::WillNot,
            None => Fix::None,
        };
        Ok(Finding {
            id: vulnerability.id.to_owned(),
            aliases: names.into_iter().map(str::to_owned).collect(),
            package: package.clone(),
            severity: self.word.map(|(_, word)| word).or(self.score.map(Severity::from_score)),
            score: self.score,
            fix,
            published: self.published,
            exploited: vulnerability.exploited,
            likelihood: vulnerability.likelihood,
            malware,
            kernel_headers: kernel::has_only_headers(package),
        })
    }
}
