//! Whether the ledger goes by its chain: the last word about each subject, token and person has to be what
//! their rows say.
//!
//! A row that once was there has a seal that fits, also when somebody puts it back; the chain knows what
//! happened since.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Deserialize;

use super::super::Error;
use super::super::audit::Stored;
use super::report::{AuditFault, AuditProblem};
use crate::gate::Subject;

/// What a row has to say, in the order in which [`CLAIMS`] reads it; `None`: there must be no row.
type Said = Option<Vec<Option<String>>>;

/// The last word of the chain about everything that it speaks of; as many as there are such things.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    decisions: BTreeMap<String, Word>,
    verdicts: BTreeMap<String, Word>,
    tokens: BTreeMap<String, Word>,
    people: BTreeMap<String, Word>,
}

#[derive(Debug, Clone, Default)]
struct Word {
    sequence: u64,
    said: Said,
}

/// What of a record of the chain matters here.
#[derive(Deserialize)]
struct Seen {
    kind: String,
    at: String,
    #[serde(default)]
    subject: Option<Subject>,
    #[serde(default)]
    details: BTreeMap<String, String>,
}

/// What rows claim: what it is about, and what they say of it.
const CLAIMS: [&str; 4] = [
    "SELECT n.name || '@' || r.digest,
            json_extract(r.body, '$.standing.state'), json_extract(r.body, '$.standing.at')
     FROM records r JOIN repositories n ON n.id = r.repository WHERE json_valid(r.body)",
    "SELECT n.name || '@' || r.digest, json_extract(r.body, '$.announced.verdict')
     FROM records r JOIN repositories n ON n.id = r.repository WHERE json_valid(r.body)",
    "SELECT name, json_extract(body, '$.row.role') FROM tokens WHERE json_valid(body)",
    "SELECT key, json_extract(body, '$.person.role'),
            (SELECT group_concat(value, ', ') FROM json_each(body, '$.person.groups')),
            CAST(json_extract(body, '$.person.is_disabled') AS TEXT),
            json_extract(body, '$.person.signed_in_at')
     FROM people WHERE json_valid(body)",
];

impl LastWords {
    /// Hears the next record of the chain.
    pub(super) fn hear(&mut self, stored: &Stored) {
        let Ok(seen) = serde_json::from_str::<Seen>(&stored.body) else { return };
        let sequence = stored.sequence;
        let detail = |key: &str| seen.details.get(key).cloned();
        let subject = seen.subject.as_ref().map(ToString::to_string);
        let put = |words: &mut BTreeMap<String, Word>, key: Option<String>, said| {
            words.extend(key.map(|key| (key, Word { sequence, said })));
        };
        match seen.kind.as_str() {
            "approved" | "rejected" | "revoked" => {
                let said = vec![Some(seen.kind.clone()), Some(seen.at.clone())];
                put(&mut self.decisions, subject, Some(said));
            }
            "reinstated" => put(&mut self.decisions, subject, Some(vec![None, None])),
            "judged" => put(&mut self.verdicts, subject, Some(vec![detail("verdict")])),
            "token-created" => {
                put(&mut self.tokens, detail("token"), Some(vec![detail("role")]));
            }
            "token-revoked" => put(&mut self.tokens, detail("token"), None),
            kind => {
                if let Some(person) = detail("person") {
                    let word = self.people.entry(person).or_default();
                    word.sequence = sequence;
                    hear_of_person(&mut word.said, kind, &seen);
                }
            }
        }
    }

    /// The first word that the rows of `connection`'s database do not go by. What no word in the chain
    /// stands behind is told with the last of the `count` records.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn contradicted(
        self,
        connection: &Connection,
        count: u64,
    ) -> Result<Option<AuditProblem>, Error> {
        let mut first: Option<u64> = None;
        let words = [self.decisions, self.verdicts, self.tokens, self.people];
        for (sql, words) in CLAIMS.into_iter().zip(words) {
            // Records are there for what was never decided or judged; nobody comes in without a word.
            let needs_word = sql.contains("FROM tokens") || sql.contains("FROM people");
            if sql.contains("FROM people") && !has_people(connection)? {
                continue;
            }
            let found = against(connection, sql, words, (needs_word, count))?;
            first = first.into_iter().chain(found).min();
        }
        Ok(first.map(|sequence| AuditProblem { sequence, fault: AuditFault::Contradicted }))
    }
}

/// Whether the schema is one with people.
fn has_people(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'people'";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(count > 0)
}

/// What the record `seen` of `kind` changes of what the row of a person `said` has to say.
fn hear_of_person(said: &mut Said, kind: &str, seen: &Seen) {
    let detail = |key: &str| seen.details.get(key).cloned();
    let groups = || detail("groups").filter(|groups| !groups.is_empty() && groups != "none");
    match (kind, said.as_mut().map(Vec::as_mut_slice)) {
        ("person-created", _) => {
            *said = Some(vec![detail("role"), groups(), Some("0".to_owned()), None]);
        }
        ("person-removed", _) => *said = None,
        ("person-changed", Some([role, in_groups, ..])) => {
            (*role, *in_groups) = (detail("role"), groups());
        }
        ("person-disabled", Some([_, _, disabled, _])) => *disabled = Some("1".to_owned()),
        ("person-enabled", Some([_, _, disabled, _])) => *disabled = Some("0".to_owned()),
        ("signed-in", Some([.., last])) => *last = Some(seen.at.clone()),
        _ => {}
    }
}

/// The first of `words` that the rows which `sql` reads do not go by.
fn against(
    connection: &Connection,
    sql: &str,
    mut words: BTreeMap<String, Word>,
    (needs_word, count): (bool, u64),
) -> Result<Option<u64>, Error> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let claimed = (1..columns).map(|column| row.get::<_, Option<String>>(column));
        Ok((row.get::<_, String>(0)?, claimed.collect::<rusqlite::Result<Vec<_>>>()?))
    })?;
    let mut first: Option<u64> = None;
    let mut contradicted = |sequence: u64| {
        first = Some(first.map_or(sequence, |first| first.min(sequence)));
    };
    for row in rows {
        let (key, claimed) = row?;
        match words.remove(&key) {
            Some(Word { said: Some(said), .. }) if said == claimed => {}
            Some(word) => contradicted(word.sequence),
            None if needs_word || claimed.iter().any(Option::is_some) => contradicted(count),
            None => {}
        }
    }
    // Of what is left there is no row: that takes back a yes at most, and must not take back a no.
    for word in words.into_values() {
        let is_no = word.said.as_ref().is_some_and(|said| {
            let first = said.first().and_then(Option::as_deref);
            needs_word || matches!(first, Some("rejected" | "revoked" | "deny"))
        });
        if is_no {
            contradicted(word.sequence);
        }
    }
    Ok(first)
}
