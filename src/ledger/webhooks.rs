//! How far each webhook has come in the audit chain.
//!
//! A cursor is never ahead of what was delivered, and is sealed like everything here: who writes into
//! the database cannot make a webhook skip what happened. One that is lost begins at the chain's end.

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::rows::Sealed;
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::oci::Digest;
use crate::time::Timestamp;

/// What a webhook has behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebhookCursor {
    /// The last record of the chain that was delivered, or is none of its events.
    pub sequence: u64,
    /// What was delivered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<WebhookDelivery>,
    /// The checkpoint of the audit that was delivered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Since when the receiver wants nothing more, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<WebhookPause>,
}

/// Something that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// When the receiver took it.
    pub at: Timestamp,
    /// The identity of the event.
    pub id: String,
}

/// That a receiver said that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookPause {
    /// When it said so.
    pub at: Timestamp,
    /// The hash of the address that said so: another one was not asked yet.
    pub address: Digest,
}

fn load(connection: &Tables<'_>, name: &str) -> Result<Option<WebhookCursor>, Error> {
    let sealed = connection
        .prepare_cached("SELECT body, seal FROM webhooks WHERE name = ?1")?
        .query_row([name], |row| Sealed::from_row(row, 0))
        .optional()?;
    sealed.map(|sealed| sealed.open(connection.sealer, "webhooks", &[name])).transpose()
}

fn all(connection: &Tables<'_>) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT name FROM webhooks")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<Vec<String>>>()?)
}

/// The webhook that has dealt with the fewest records, and the last of these.
///
/// # Errors
/// When one cannot be read, or is not what was written.
pub(super) fn furthest_behind(connection: &Tables<'_>) -> Result<Option<(String, u64)>, Error> {
    let mut furthest: Option<(String, u64)> = None;
    for webhook in all(connection)? {
        let Some(cursor) = load(connection, &webhook)? else { continue };
        if furthest.as_ref().is_none_or(|(_, least)| cursor.sequence < *least) {
            furthest = Some((webhook, cursor.sequence));
        }
    }
    Ok(furthest)
}

impl Writing<'_> {
    fn save_webhook_cursor(&mut self, name: &str, cursor: &WebhookCursor) -> Result<(), Error> {
        let sealed = Sealed::new(self.connection.sealer, "webhooks", &[name], cursor)?;
        self.connection
            .prepare_cached(
                "INSERT INTO webhooks (name, body, seal) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET body = excluded.body, seal = excluded.seal",
            )?
            .execute(params![name, sealed.body, sealed.seal])?;
        Ok(())
    }

    fn keep_webhooks(&mut self, names: &[String]) -> Result<Vec<String>, Error> {
        let known = all(self.connection)?;
        let gone: Vec<String> = known.into_iter().filter(|name| !names.contains(name)).collect();
        for name in &gone {
            self.connection.execute("DELETE FROM webhooks WHERE name = ?1", [name])?;
        }
        Ok(gone)
    }
}

impl Ledger {
    /// How far the webhook `name` has come; `None` when it never began.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub async fn webhook_cursor(&self, name: &str) -> Result<Option<WebhookCursor>, Error> {
        let name = name.to_owned();
        self.read(move |connection| load(connection, &name)).await
    }

    /// Notes how far the webhook `name` has come.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn save_webhook_cursor(
        &self,
        name: &str,
        cursor: WebhookCursor,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        self.write(move |writing| writing.save_webhook_cursor(&name, &cursor)).await
    }

    /// Forgets every webhook but those in `names`, and gives which these were: one that comes back
    /// begins anew.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn keep_webhooks(&self, names: Vec<String>) -> Result<Vec<String>, Error> {
        let known = self.read(all).await?;
        if known.iter().all(|name| names.contains(name)) {
            return Ok(Vec::new());
        }
        self.write(move |writing| writing.keep_webhooks(&names)).await
    }

    /// How many records the audit chain has, as it grows.
    pub fn audit_grown(&self) -> watch::Receiver<u64> {
        self.inner.writer.grown()
    }
}
