//! How requests come to be, change and close.

use rusqlite::params;

use super::{Filing, REQUESTERS_MAX, RequestId, RequestRow, RequestState, bounded, desk, reading};
use crate::gate::Subject;
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::caller::PersonId;
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger, Settings};
use crate::oci::Reference;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long nobody must have asked for an open request for it to make room for another.
const REQUEST_IDLE_MAX: Duration = Duration::from_hours(14 * 24);
/// Most requests that lapse at a time.
const LAPSE_MAX: u32 = 256;

/// What a person's decision leaves on a request.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Closing {
    pub(in crate::ledger) by: String,
    pub(in crate::ledger) reason: String,
}

impl Filing {
    fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => super::reference_key(&self.name, &self.reference),
        }
    }
}

impl Writing<'_> {
    fn file_request(&mut self, filing: &Filing, limits: &Settings) -> Result<RequestId, Error> {
        let key = filing.key();
        let latest = reading::latest(self.connection, &key)?;
        let standing = latest.filter(|row| match row.state {
            RequestState::Denied | RequestState::Pending => true,
            RequestState::Rejected | RequestState::Revoked => filing.state == RequestState::Denied,
            RequestState::Approved | RequestState::Lapsed => false,
        });
        match standing {
            Some(row) => self.file_again(row, filing),
            None => self.file_new(&key, filing, limits),
        }
    }

    fn file_again(&mut self, mut row: RequestRow, filing: &Filing) -> Result<RequestId, Error> {
        let (id, client, now) = (row.id, bounded(&filing.client), self.now);
        if desk::changes(&row, filing) {
            if row.state.is_open() {
                row.state = filing.state;
                row.rule.clone_from(&filing.rule);
                row.reasons.clone_from(&filing.reasons);
            }
            if let Some(person) =
                filing.requester.as_ref().filter(|it| !row.requesters.contains(it))
            {
                if row.requesters.len() >= REQUESTERS_MAX {
                    return Err(Error::TooManyRequesters(row.requesters.len()));
                }
                row.requesters.push(person.clone());
            }
            row.tag = filing.tag.clone().or(row.tag);
            row.note = filing.note.clone().or(row.note);
            row.group = filing.group.clone().or(row.group);
            row.ticket = filing.ticket.clone().or(row.ticket);
        }
        self.save_request(&row)?;
        // Counted in memory alone, where earlier pulls may not be written yet.
        self.after_commit(move |memory| {
            let mut desk = memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
            desk.count_on(&row.key(), id, &client, now);
        });
        Ok(id)
    }

    fn file_new(
        &mut self,
        key: &str,
        filing: &Filing,
        limits: &Settings,
    ) -> Result<RequestId, Error> {
        let client = bounded(&filing.client);
        self.make_room(&client, limits)?;
        let id = self.connection.query_row(
            "INSERT INTO requests (key, name, state, filed_by, last_asked, body, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, '', x'') RETURNING id",
            params![
                key,
                filing.name.to_string(),
                filing.state.as_str(),
                client,
                self.now.milliseconds()
            ],
            |row| row.get(0),
        )?;
        let mut row = RequestRow {
            id: RequestId(unsigned(id)),
            name: filing.name.clone(),
            reference: filing.reference.clone(),
            digest: filing.digest,
            tag: filing.tag.clone(),
            state: filing.state,
            rule: filing.rule.clone(),
            reasons: filing.reasons.clone(),
            note: filing.note.clone(),
            requesters: self.requesters(key, filing)?,
            group: filing.group.clone(),
            ticket: filing.ticket.clone(),
            remarks: Vec::new(),
            needs_info: false,
            filed_by: client.clone(),
            first_asked: self.now,
            last_asked: self.now,
            pulls: 0,
            clients: Vec::new(),
            unlisted_pulls: 0,
            decided_by: None,
            decided_at: None,
            decision_reason: None,
        };
        row.count(&client, self.now);
        self.save_request(&row)?;
        let mut event = AuditEvent::new(AuditKind::RequestFiled, client)
            .with("image", format_args!("{} {}", row.name, row.reference))
            .with("state", row.state);
        for (key, value) in [("group", &row.group), ("ticket", &row.ticket)] {
            if let Some(value) = value {
                event = event.with(key, value);
            }
        }
        event.request = Some(row.id);
        event.subject = row.subject();
        event.reason.clone_from(&row.note);
        self.audit(&event)?;
        if let Some(subject) = row.subject() {
            self.link_request(&subject, row.id)?;
            self.supersede(&row, filing)?;
        }
        Ok(row.id)
    }

    /// Who asks by `filing`, and who asked before for the same, also while its digest was not known.
    fn requesters(&self, key: &str, filing: &Filing) -> Result<Vec<PersonId>, Error> {
        let references = [Some(filing.reference.clone()), filing.tag.clone().map(Reference::Tag)];
        let references = references.into_iter().flatten();
        let keys = references.map(|reference| super::reference_key(&filing.name, &reference));
        let mut requesters: Vec<PersonId> = filing.requester.iter().cloned().collect();
        for key in keys.chain([key.to_owned()]) {
            let before = reading::latest_readable(self.connection, &key)?;
            for person in before.into_iter().flat_map(|row| row.requesters) {
                if requesters.len() < REQUESTERS_MAX && !requesters.contains(&person) {
                    requesters.push(person);
                }
            }
        }
        Ok(requesters)
    }

    /// Notes the request on the record of its subject, if there is one.
    fn link_request(&mut self, subject: &Subject, id: RequestId) -> Result<(), Error> {
        if let Some(mut loaded) = crate::ledger::records::load(self.connection, subject)? {
            loaded.record.request = Some(id);
            self.save_record(&Arc::new(loaded.record))?;
        }
        Ok(())
    }

    /// Closes the request that stood for the same tag while its digest was not known.
    fn supersede(&mut self, row: &RequestRow, filing: &Filing) -> Result<(), Error> {
        let references = [Some(filing.reference.clone()), filing.tag.clone().map(Reference::Tag)];
        for reference in references.into_iter().flatten() {
            let key = super::reference_key(&row.name, &reference);
            self.close_requests(&key, RequestState::Lapsed, None)?;
        }
        Ok(())
    }

    fn make_room(&mut self, client: &str, limits: &Settings) -> Result<(), Error> {
        let (all, own) = (limits.open_requests_max, limits.open_requests_per_client_max);
        if self.open_requests(None)? >= all || self.open_requests(Some(client))? >= own {
            self.lapse_idle()?;
        }
        if self.open_requests(None)? >= all {
            return Err(Error::TooManyRequests { client: None, limit: all });
        }
        if self.open_requests(Some(client))? >= own {
            let client = Some(format!("of {client}"));
            return Err(Error::TooManyRequests { client, limit: own });
        }
        Ok(())
    }

    fn open_requests(&self, client: Option<&str>) -> Result<u64, Error> {
        let count = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM requests WHERE state IN ('denied', 'pending')
                 AND (?1 IS NULL OR filed_by = ?1)",
            )?
            .query_row([client], |row| row.get(0))?;
        Ok(unsigned(count))
    }

    fn lapse_idle(&mut self) -> Result<(), Error> {
        let idle_max = i64::try_from(REQUEST_IDLE_MAX.as_millis()).unwrap_or(i64::MAX);
        let before = self.now.milliseconds().saturating_sub(idle_max);
        let idle = {
            let mut statement = self.connection.prepare_cached(
                "SELECT key FROM requests
                 WHERE state IN ('denied', 'pending') AND last_asked < ?1
                 ORDER BY last_asked LIMIT ?2",
            )?;
            let keys = statement.query_map(params![before, LAPSE_MAX], |row| row.get(0))?;
            keys.collect::<rusqlite::Result<Vec<String>>>()?
        };
        for key in idle {
            self.close_requests(&key, RequestState::Lapsed, None)?;
        }
        Ok(())
    }

    /// Closes the open request of `key`, if there is one, as `state`. One that is damaged stays as it
    /// is: it must not stand in the way of a verdict.
    pub(in crate::ledger) fn close_requests(
        &mut self,
        key: &str,
        state: RequestState,
        closing: Option<&Closing>,
    ) -> Result<(), Error> {
        match reading::latest_readable(self.connection, key)? {
            Some(row) if row.state.is_open() => self.settle_request(row, state, closing),
            Some(_) | None => Ok(()),
        }
    }

    /// Puts `row` into `state`.
    pub(in crate::ledger) fn settle_request(
        &mut self,
        mut row: RequestRow,
        state: RequestState,
        closing: Option<&Closing>,
    ) -> Result<(), Error> {
        row.state = state;
        row.needs_info = false;
        row.decided_at = Some(self.now);
        row.decided_by = closing.map(|closing| closing.by.clone());
        row.decision_reason = closing.map(|closing| closing.reason.clone());
        self.save_request(&row)
    }

    /// Writes `row` and has it shown in memory.
    pub(in crate::ledger) fn save_request(&mut self, row: &RequestRow) -> Result<(), Error> {
        let sealed = Sealed::new(
            self.connection.sealer,
            "requests",
            &[&row.id.to_string(), &row.key()],
            row,
        )?;
        self.connection
            .prepare_cached(
                "UPDATE requests SET key = ?2, state = ?3, last_asked = ?4, body = ?5, seal = ?6
                 WHERE id = ?1",
            )?
            .execute(params![
                integer(row.id.0),
                row.key(),
                row.state.as_str(),
                row.last_asked.milliseconds(),
                sealed.body,
                sealed.seal
            ])?;
        let row = row.clone();
        self.after_commit(move |memory| {
            memory.desk.lock().unwrap_or_else(PoisonError::into_inner).put(row);
        });
        Ok(())
    }

    /// Writes the counts that memory has ahead.
    pub(in crate::ledger) fn save_counts(&mut self, ahead: &[RequestRow]) -> Result<(), Error> {
        for counted in ahead {
            if let Some(mut row) = reading::load(self.connection, counted.id)?
                && row.pulls < counted.pulls
            {
                row.take_counts(counted);
                self.save_request(&row)?;
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Files a refused pull, or a person's wish, and gives the number of the request that stands
    /// for it: one per subject, or per reference while the digest is not known. Something filed
    /// again as it stands is counted in memory, without waiting for the disk.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when the caps are reached; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the request may be filed even if the future is dropped.
    pub async fn file_request(&self, filing: Filing) -> Result<RequestId, Error> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let counted = {
            let mut desk = inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
            desk.count(&filing.key(), &filing, now)
        };
        if let Some(id) = counted {
            return Ok(id);
        }
        let limits = inner.settings.clone();
        let id = self.write(move |writing| writing.file_request(&filing, &limits)).await;
        self.show_open_requests();
        id
    }

    /// How many requests ceased to be open since the start: while it is the same, those that were open are.
    pub fn requests_closed(&self) -> u64 {
        self.inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner).closed()
    }

    /// Brings the gauge of open requests up to date.
    pub(in crate::ledger) fn show_open_requests(&self) {
        let desk = self.inner.memory.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let open = i64::try_from(desk.open()).unwrap_or(i64::MAX);
        self.inner.metrics.open_requests.set(open);
    }
}
