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
type Said = Option<Vec<Heard>>;

/// What one column of a row has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// This.
    Says(Option<String>),
    /// Whatever a record said that was not read.
    Unheard,
}
use Heard::{Says, Unheard};

/// The last word of the chain about everything that it speaks of; as many as there are such things.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    decisions: BTreeMap<String, Word>,
    verdicts: BTreeMap<String, Word>,
    tokens: BTreeMap<String, Word>,
    people: BTreeMap<String, Word>,
    emergencies: BTreeMap<String, Word>,
    exceptions: BTreeMap<String, Word>,
    /// Whether there are records that were not heard.
    has_skipped: bool,
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

/// How much a row about a person says.
const PERSON_COLUMNS: usize = 4;
/// What rows claim: what it is about, and what they say of it.
const CLAIMS: [&str; 6] = [
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
    "SELECT 'B-' || id, CAST(json_extract(body, '$.version') AS TEXT), json_extract(body, '$.state')
     FROM emergencies WHERE json_valid(body)",
    "SELECT 'X-' || id, json_extract(body, '$.state'), json_extract(body, '$.granted.expires')
     FROM exceptions WHERE json_valid(body)",
];

impl LastWords {
    /// Hears nothing of some records. All that was said before may have been taken back by them.
    pub(super) fn skip(&mut self) {
        *self = Self { has_skipped: true, ..Self::default() };
    }

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
                let said = vec![Says(Some(seen.kind.clone())), Says(Some(seen.at.clone()))];
                put(&mut self.decisions, subject, Some(said));
            }
            "reinstated" | "approval-withdrawn" => {
                put(&mut self.decisions, subject, Some(vec![Says(None), Says(None)]));
            }
            "judged" => put(&mut self.verdicts, subject, Some(vec![Says(detail("verdict"))])),
            "token-created" => {
                put(&mut self.tokens, detail("token"), Some(vec![Says(detail("role"))]));
            }
            kind if kind.starts_with("break-glass-") => {
                let said = vec![Says(detail("version")), Says(detail("state"))];
                put(&mut self.emergencies, detail("break_glass"), Some(said));
            }
            "exception-asked" | "exception-granted" | "exception-refused" | "exception-ended" => {
                if let Some(exception) = detail("exception") {
                    let word = self.exceptions.entry(exception).or_default();
                    word.sequence = sequence;
                    hear_of_exception(&mut word.said, &seen, self.has_skipped);
                }
            }
            "token-revoked" => put(&mut self.tokens, detail("token"), None),
            kind => {
                let Some(person) = detail("person") else { return };
                let is_begun = matches!(kind, "person-created" | "person-removed");
                if self.has_skipped && !is_begun && !self.people.contains_key(&person) {
                    // Who was created by a record that was not heard is compared as far as is known.
                    let said = Some(vec![Unheard; PERSON_COLUMNS]);
                    self.people.insert(person.clone(), Word { sequence, said });
                }
                let word = self.people.entry(person).or_default();
                word.sequence = sequence;
                hear_of_person(&mut word.said, kind, &seen);
            }
        }
    }

    /// The first word that the rows of `connection`'s database do not go by. What no word in the chain
    /// stands behind is told with the last of the `count` records. And how many rows could not be compared,
    /// because their last word may be in a record that was not read.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn contradicted(
        self,
        connection: &Connection,
        count: u64,
    ) -> Result<(Option<AuditProblem>, u64), Error> {
        let (mut first, mut not_compared) = (None::<u64>, 0);
        let has_skipped = self.has_skipped;
        let words = [
            self.decisions,
            self.verdicts,
            self.tokens,
            self.people,
            self.emergencies,
            self.exceptions,
        ];
        for (sql, words) in CLAIMS.into_iter().zip(words) {
            // Records are there for what was never decided or judged; nobody comes in without a word.
            let of = |table: &str| sql.contains(&format!("FROM {table} "));
            let later = ["people", "emergencies", "exceptions"];
            let is_later = later.into_iter().find(|table| of(table));
            let needs_word = of("tokens") || is_later.is_some();
            if let Some(table) = is_later
                && !has_table(connection, table)?
            {
                continue;
            }
            let kept: &'static [&'static str] = match is_later {
                Some("emergencies") => &["open", "waiting"],
                Some("exceptions") => &["asked", "granted"],
                _ => &[],
            };
            let how = How { needs_word, has_skipped, count, kept };
            let (found, left) = against(connection, sql, words, &how)?;
            first = first.into_iter().chain(found).min();
            not_compared += left;
        }
        let fault = AuditFault::Contradicted;
        Ok((first.map(|sequence| AuditProblem { sequence, fault }), not_compared))
    }
}

/// Whether the schema is one with `table`.
fn has_table(connection: &Connection, table: &str) -> Result<bool, Error> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
    let count: i64 = connection.query_row(sql, [table], |row| row.get(0))?;
    Ok(count > 0)
}

/// What the record `seen` changes of what the row of an exception `said` has to say: its state, and until when
/// it was granted.
fn hear_of_exception(said: &mut Said, seen: &Seen, has_skipped: bool) {
    let state = Says(seen.kind.strip_prefix("exception-").map(str::to_owned));
    let granted = seen.details.get("expires").filter(|_| seen.kind == "exception-granted");
    let before = said.take().and_then(|said| said.into_iter().nth(1));
    let until = match (granted, before) {
        (Some(granted), _) => Says(Some(granted.clone())),
        (None, Some(before)) => before,
        // It may have been granted by a record that was not heard.
        (None, None) if has_skipped && seen.kind != "exception-asked" => Unheard,
        (None, None) => Says(None),
    };
    *said = Some(vec![state, until]);
}

/// What the record `seen` of `kind` changes of what the row of a person `said` has to say.
fn hear_of_person(said: &mut Said, kind: &str, seen: &Seen) {
    let detail = |key: &str| seen.details.get(key).cloned();
    let groups = || detail("groups").filter(|groups| !groups.is_empty() && groups != "none");
    match (kind, said.as_mut().map(Vec::as_mut_slice)) {
        ("person-created", _) => {
            let enabled = Some("0".to_owned());
            *said = Some(vec![Says(detail("role")), Says(groups()), Says(enabled), Says(None)]);
        }
        ("person-removed", _) => *said = None,
        ("person-changed", Some([role, in_groups, ..])) => {
            (*role, *in_groups) = (Says(detail("role")), Says(groups()));
        }
        ("person-disabled", Some([_, _, disabled, _])) => *disabled = Says(Some("1".to_owned())),
        ("person-enabled", Some([_, _, disabled, _])) => *disabled = Says(Some("0".to_owned())),
        ("signed-in", Some([.., last])) => *last = Says(Some(seen.at.clone())),
        _ => {}
    }
}

/// How rows are compared.
struct How {
    /// Whether there is no row without a word.
    needs_word: bool,
    /// Whether there are records that were not heard.
    has_skipped: bool,
    /// How many records there are.
    count: u64,
    /// The states of a row in which its records do not leave the database.
    kept: &'static [&'static str],
}

impl How {
    /// Whether the last word about a row that says `claimed` may be in a record that was not heard.
    fn may_be_unheard(&self, claimed: &[Option<String>]) -> bool {
        let mut said = claimed.iter().flatten();
        self.has_skipped && !said.any(|said| self.kept.contains(&said.as_str()))
    }
}

/// The first of `words` that the rows which `sql` reads do not go by, and how many rows could not be compared.
fn against(
    connection: &Connection,
    sql: &str,
    mut words: BTreeMap<String, Word>,
    how: &How,
) -> Result<(Option<u64>, u64), Error> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let claimed = (1..columns).map(|column| row.get::<_, Option<String>>(column));
        Ok((row.get::<_, String>(0)?, claimed.collect::<rusqlite::Result<Vec<_>>>()?))
    })?;
    let (mut first, mut not_compared) = (None::<u64>, 0);
    let mut contradicted = |sequence: u64| {
        first = Some(first.map_or(sequence, |first| first.min(sequence)));
    };
    for row in rows {
        let (key, claimed) = row?;
        match words.remove(&key) {
            Some(Word { said: Some(said), .. }) if goes_by(&said, &claimed) => {
                not_compared += u64::from(said.contains(&Unheard));
            }
            Some(word) => contradicted(word.sequence),
            None if !how.needs_word && claimed.iter().all(Option::is_none) => {}
            None if how.may_be_unheard(&claimed) => not_compared += 1,
            None => contradicted(how.count),
        }
    }
    // Of what is left there is no row: that takes back a yes at most, and must not take back a no.
    for word in words.into_values() {
        let said = word.said.unwrap_or_default();
        if said.contains(&Unheard) {
            // It may be about somebody who never was.
            continue;
        }
        let is_no = match said.first() {
            Some(Says(said)) => {
                how.needs_word || matches!(said.as_deref(), Some("rejected" | "revoked" | "deny"))
            }
            Some(Unheard) | None => false,
        };
        if is_no {
            contradicted(word.sequence);
        }
    }
    Ok((first, not_compared))
}

/// Whether a row that says `claimed` goes by all that was heard of it.
fn goes_by(said: &[Heard], claimed: &[Option<String>]) -> bool {
    said.len() == claimed.len()
        && said.iter().zip(claimed).all(|(said, claimed)| match said {
            Says(said) => said == claimed,
            Unheard => true,
        })
}
