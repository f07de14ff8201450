//! Whether the ledger goes by what people decided: the last word of the chain about each subject has to
//! be what its record says.
//!
//! A row that once was there has a seal that fits, also when somebody puts it back; the chain knows that
//! people decided since.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Deserialize;

use super::super::Error;
use super::super::audit::Stored;
use super::report::{AuditFault, AuditProblem};
use crate::gate::Subject;

/// The last decision about each subject; as many as there are subjects that people decided about.
#[derive(Debug, Default)]
pub(super) struct LastWords(BTreeMap<String, Word>);

#[derive(Debug)]
struct Word {
    sequence: u64,
    /// What the record has to say; `None`: nothing.
    standing: Option<(String, String)>,
}

/// What of a record of the chain matters here.
#[derive(Deserialize)]
struct Seen {
    kind: String,
    at: String,
    #[serde(default)]
    subject: Option<Subject>,
}

impl LastWords {
    /// Hears the next record of the chain.
    pub(super) fn hear(&mut self, stored: &Stored) {
        const KINDS: [&str; 4] = ["approved", "reinstated", "rejected", "revoked"];
        if !KINDS.iter().any(|kind| stored.body.contains(kind)) {
            return;
        }
        let Ok(seen) = serde_json::from_str::<Seen>(&stored.body) else { return };
        let Some(subject) = seen.subject.filter(|_| KINDS.contains(&seen.kind.as_str())) else {
            return;
        };
        let standing = (seen.kind != "reinstated").then_some((seen.kind, seen.at));
        self.0.insert(subject.to_string(), Word { sequence: stored.sequence, standing });
    }

    /// The first decision that the records of `connection`'s database do not go by. What no decision in
    /// the chain stands behind is told with the last of the `count` records.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn contradicted(
        mut self,
        connection: &Connection,
        count: u64,
    ) -> Result<Option<AuditProblem>, Error> {
        let mut statement = connection.prepare(
            "SELECT n.name || '@' || r.digest,
                    json_extract(r.body, '$.standing.state'), json_extract(r.body, '$.standing.at')
             FROM records r JOIN repositories n ON n.id = r.repository
             WHERE json_valid(r.body)",
        )?;
        let rows = statement.query_map([], |row| {
            let standing: (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, String>(0)?, standing.0.zip(standing.1)))
        })?;
        let mut first: Option<u64> = None;
        for row in rows {
            let (subject, standing) = row?;
            let word = self.0.remove(&subject);
            let (sequence, said) =
                word.map_or((count, None), |word| (word.sequence, word.standing));
            if standing != said {
                first = Some(first.map_or(sequence, |first| first.min(sequence)));
            }
        }
        // Of what is left there is no record: that takes back an approval at most, and must not take back
        // a no.
        let denials = self
            .0
            .values()
            .filter(|word| word.standing.as_ref().is_some_and(|(state, _)| state != "approved"));
        let first = denials.map(|word| word.sequence).chain(first).min();
        Ok(first.map(|sequence| AuditProblem { sequence, fault: AuditFault::Contradicted }))
    }
}
