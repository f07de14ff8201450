//! What several records say of one vulnerability in one package, as one finding.

use std::sync::Arc;

use super::kernel;
use super::range::Fixed;
use crate::scan::database::{Authority, Database, DatabaseError, Statement, Versions};
use crate::scan::{Finding, Fix, Package, Severity};
use crate::time::Timestamp;

/// How records of packages that are malicious themselves are named.
const MALWARE: &str = "MAL-";
/// Records over several vulnerabilities that are named in one finding.
const ADVISORIES_MAX: usize = 100;

/// What is known of one vulnerability in one package so far.
#[derive(Default)]
pub(super) struct Merged {
    /// The lowest version in which every record that knows of a fix says that it is fixed.
    fix: Option<Fixed>,
    given_up: bool,
    word: Option<(Authority, Severity)>,
    score: Option<u8>,
    published: Option<Timestamp>,
    /// Records that are about others, too, by number.
    advisories: Vec<u32>,
}

impl Merged {
    /// Takes in what one record says. Its own name is one of the vulnerability only where it is about
    /// this one alone.
    pub(super) fn add(
        &mut self,
        statement: &Statement,
        is_of_several: bool,
        fix: Option<Fixed>,
        published: Option<Timestamp>,
    ) {
        self.fix = self.fix.max(fix);
        self.given_up |= statement.given_up;
        self.word = self.word.max(statement.word);
        self.score = self.score.max(statement.score);
        self.published = match (self.published, published) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let is_new = is_of_several && self.advisories.last() != Some(&statement.record);
        if is_new && self.advisories.len() < ADVISORIES_MAX {
            self.advisories.push(statement.record);
        }
    }

    /// The finding. The distribution's own word on how bad it is counts before an advisory's, and that
    /// before the vectors.
    pub(super) fn finding(
        self,
        database: &Database,
        versions: Versions<'_>,
        group: u32,
        package: &Arc<Package>,
    ) -> Result<Finding, DatabaseError> {
        let vulnerability = database.vulnerability(group)?;
        let aliases = database.names_of(group)?;
        let ids = self.advisories.iter().map(|record| database.record_id(*record));
        let mut advisories = ids.collect::<Result<Vec<&str>, _>>()?;
        advisories.sort_unstable();
        advisories.dedup();
        let known = aliases.iter().map(String::as_str).chain(advisories.iter().copied());
        let malware = known.chain([vulnerability.id]).any(|name| name.starts_with(MALWARE));
        let fix = match self.fix {
            Some(fixed) => Fix::In(versions.text(fixed.number)?.to_owned()),
            None if self.given_up => Fix::WillNot,
            None => Fix::None,
        };
        Ok(Finding {
            id: vulnerability.id.to_owned(),
            aliases,
            advisories: advisories.into_iter().map(str::to_owned).collect(),
            package: Arc::clone(package),
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
