//! Approvals that end: which do soon, and that people are told of each once per step.
//!
//! What ends when is found by an index over the decisions, so that a look costs what it finds, however
//! much is on record. The index is only where to look: what counts is in the sealed rows.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::decisions::{Decided, Verb};
use super::requests::RequestId;
use super::rows::Sealed;
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::Subject;
use crate::time::Timestamp;

/// How many days before an approval ends people are told, the first time first.
pub const ENDING_STEPS_DAYS: [u64; 3] = [14, 3, 1];
/// What was pulled within so long is still pulled.
const PULLED_WITHIN: Duration = Duration::from_hours(30 * 24);
/// Most approvals that are looked at in one go.
const ENDINGS_PAGE_MAX: u32 = 1_000;
/// When a decision ends: the expression of the index `decisions_by_end`.
const END: &str = "CASE WHEN json_valid(d.body) THEN json_extract(d.body, '$.expires') END";

/// An approval that ends, of an image that is still pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What was approved.
    pub subject: Subject,
    /// Who approved it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// The request that it answered.
    pub request: Option<RequestId>,
    /// When it was last served, to the minute.
    pub last_pulled: Timestamp,
    decision: i64,
    rung: Option<u64>,
}

/// Of what people were told.
#[derive(Debug, Serialize, Deserialize)]
struct Rung {
    /// The last step, in days.
    step: u64,
    at: Timestamp,
}

/// How long `days` are.
const fn days(days: u64) -> Duration {
    Duration::from_hours(days * 24)
}

/// The step that an approval of `at` which ends at `ends` has reached by `now`; none before the first.
/// A step that lay before the approval was made is none of it: whoever approves for two days knows.
pub(super) fn step(at: Timestamp, ends: Timestamp, now: Timestamp) -> Option<u64> {
    if ends <= now {
        return None;
    }
    let reached = |step: &u64| {
        let from = ends.before(days(*step));
        from <= now && at <= from
    };
    ENDING_STEPS_DAYS.into_iter().filter(reached).min()
}

impl Ending {
    /// The step of which people have still to be told.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let step = step(self.at, self.ends, now)?;
        self.rung.is_none_or(|rung| step < rung).then_some(step)
    }
}

/// Where a look goes on: after the approval with this end and this number.
type Place = (String, i64);

/// A row of what is looked at.
struct Found {
    place: Place,
    name: String,
    digest: String,
    decided: Sealed,
    rung: Option<Sealed>,
    last_pulled: Timestamp,
}

impl Found {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let rung: Option<String> = row.get(6)?;
        let rung = rung.map(|_| Sealed::from_row(row, 6)).transpose()?;
        Ok(Self {
            place: (row.get(0)?, row.get(1)?),
            name: row.get(2)?,
            digest: row.get(3)?,
            decided: Sealed::from_row(row, 4)?,
            rung,
            last_pulled: Timestamp::from_milliseconds(row.get(8)?),
        })
    }

    /// The approval, if it is one and whole.
    fn open(&self, connection: &Tables<'_>) -> Option<Ending> {
        let subject = format!("{}@{}", self.name, self.digest);
        let decided = self.decided.open::<Decided>(connection.sealer, "decisions", &[&subject]);
        let decided = decided.inspect_err(|error| tracing::error!(%error, "left out")).ok()?;
        let ends = decided.expires.filter(|_| decided.verb == Verb::Approve)?;
        let decision = self.place.1;
        // One that is damaged is none: people are rather told twice.
        let rung = self.rung.as_ref().and_then(|sealed| {
            let key = decision.to_string();
            sealed.open::<Rung>(connection.sealer, "rings", &[&key]).ok()
        });
        Some(Ending {
            subject: decided.subject,
            by: decided.by,
            at: decided.at,
            ends,
            request: decided.request,
            last_pulled: self.last_pulled,
            decision,
            rung: rung.map(|rung| rung.step),
        })
    }
}

/// Up to `limit` approvals that end between `now` and `until`, after `place`, soonest first; and where
/// to go on if there are more.
fn look(
    connection: &Tables<'_>,
    now: Timestamp,
    until: Timestamp,
    place: Option<Place>,
    limit: u32,
) -> Result<(Vec<Ending>, Option<Place>), Error> {
    let limit = limit.min(ENDINGS_PAGE_MAX);
    let (end, after) = place.unwrap_or_else(|| (now.to_string(), i64::MAX));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {END} AS ends, d.id, n.name, r.digest, d.body, d.seal, g.body, g.seal,
             (SELECT p.minute FROM pulls p
              WHERE p.name = n.name AND p.digest = r.digest AND p.outcome = 'admitted'
              ORDER BY p.id DESC LIMIT 1) AS pulled
         FROM decisions d INDEXED BY decisions_by_end
         JOIN records r ON r.id = d.record
         JOIN repositories n ON n.id = r.repository
         LEFT JOIN rings g ON g.decision = d.id
         WHERE {END} IS NOT NULL AND {END} >= ?1 AND {END} <= ?3
           AND ({END} > ?1 OR d.id > ?2)
           AND NOT EXISTS (SELECT 1 FROM decisions l WHERE l.record = d.record AND l.id > d.id)
           AND pulled >= ?4
         ORDER BY {END}, d.id LIMIT ?5"
    ))?;
    // Texts of times with and without a fraction of a second are ordered only to the second.
    let until_text = until.after(Duration::from_secs(1)).to_string();
    let pulled = now.before(PULLED_WITHIN).milliseconds();
    let rows =
        statement.query_map(params![end, after, until_text, pulled, limit], Found::from_row)?;
    let rows = rows.collect::<rusqlite::Result<Vec<Found>>>()?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
    let next = rows.last().filter(|_| is_full).map(|last| last.place.clone());
    let within = |ending: &Ending| now < ending.ends && ending.ends <= until;
    let endings = rows.iter().filter_map(|found| found.open(connection)).filter(within);
    Ok((endings.collect(), next))
}

impl Writing<'_> {
    /// Tells of `ending` that it has reached `step`, unless people decided or were told since.
    fn ring(&mut self, ending: &Ending, step: u64) -> Result<bool, Error> {
        let key = ending.decision.to_string();
        let superseded: bool = self
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM decisions d JOIN decisions l ON l.record = d.record
                 WHERE d.id = ?1 AND l.id > d.id)",
            )?
            .query_row([ending.decision], |row| row.get(0))?;
        let rung = self
            .connection
            .prepare_cached("SELECT body, seal FROM rings WHERE decision = ?1")?
            .query_row([ending.decision], |row| Sealed::from_row(row, 0))
            .optional()?;
        let rung = rung
            .and_then(|sealed| sealed.open::<Rung>(self.connection.sealer, "rings", &[&key]).ok());
        if superseded || rung.is_some_and(|rung| rung.step <= step) {
            return Ok(false);
        }
        let rung = Rung { step, at: self.now };
        let sealed = Sealed::new(self.connection.sealer, "rings", &[&key], &rung)?;
        self.connection
            .prepare_cached(
                "INSERT INTO rings (decision, body, seal) VALUES (?1, ?2, ?3)
                 ON CONFLICT (decision) DO UPDATE SET body = excluded.body, seal = excluded.seal",
            )?
            .execute(params![ending.decision, sealed.body, sealed.seal])?;
        let mut event = AuditEvent::new(AuditKind::ApprovalExpiring, "server")
            .about(&ending.subject)
            .with("approved_by", &ending.by)
            .with("days", step)
            .with("expires", ending.ends);
        event.request = ending.request;
        self.audit(&event)?;
        Ok(true)
    }
}

impl Ledger {
    /// Approvals that end within `within` of `now` and whose image was served within the last 30 days,
    /// soonest first, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn endings(
        &self,
        now: Timestamp,
        within: Duration,
        limit: u32,
    ) -> Result<Vec<Ending>, Error> {
        let until = now.after(within);
        let found = self.read(move |connection| look(connection, now, until, None, limit));
        Ok(found.await?.0)
    }

    /// Puts on record, once for each step of [`ENDING_STEPS_DAYS`], that an approval ends; gives how
    /// many records that were, and how many approvals end within the first step.
    ///
    /// # Errors
    /// When the database fails; what was put on record stays so.
    pub async fn ring_endings(&self, now: Timestamp) -> Result<(u64, u64), Error> {
        let first = ENDING_STEPS_DAYS.into_iter().max().unwrap_or(0);
        let until = now.after(days(first));
        let (mut rung, mut ending, mut place) = (0, 0, None);
        loop {
            let from = place.take();
            let page =
                self.read(move |connection| look(connection, now, until, from, ENDINGS_PAGE_MAX));
            let (endings, next) = page.await?;
            ending += u64::try_from(endings.len()).unwrap_or(u64::MAX);
            let due: Vec<(Ending, u64)> = endings
                .into_iter()
                .filter_map(|ending| ending.due(now).map(|step| (ending, step)))
                .collect();
            if !due.is_empty() {
                rung += self.write(move |writing| writing.ring_all(&due)).await?;
            }
            if next.is_none() {
                return Ok((rung, ending));
            }
            place = next;
        }
    }
}

impl Writing<'_> {
    fn ring_all(&mut self, due: &[(Ending, u64)]) -> Result<u64, Error> {
        let mut rung = 0;
        for (ending, step) in due {
            rung += u64::from(self.ring(ending, *step)?);
        }
        Ok(rung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_step_is_reached_as_its_day_comes_and_counts_only_within_the_approval() {
        let (made, ends) = (at("2026-10-01T00:00:00Z"), at("2026-11-20T12:00:00Z"));
        for (now, expected) in [
            ("2026-11-06T11:59:59Z", None),
            ("2026-11-06T12:00:00Z", Some(14)),
            ("2026-11-17T11:59:59Z", Some(14)),
            ("2026-11-17T12:00:00Z", Some(3)),
            ("2026-11-19T12:00:00Z", Some(1)),
            ("2026-11-20T11:59:59Z", Some(1)),
            ("2026-11-20T12:00:00Z", None),
        ] {
            assert_eq!(step(made, ends, at(now)), expected, "{now}");
        }
        let short = at("2026-11-18T12:00:00Z");
        assert_eq!(step(short, ends, at("2026-11-18T13:00:00Z")), None, "made for two days");
        assert_eq!(step(short, ends, at("2026-11-19T12:00:00Z")), Some(1));
    }
}
