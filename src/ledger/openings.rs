//! Which openings of nodes the audit knows of. A node tells its last ones again and again; each is put on record
//! once, as what the node says.

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::rows::Sealed;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::node::openings::{Line, What};
use crate::oci::Digest;

/// The table.
const TABLE: &str = "openings";
/// Lines of one node that are remembered: several times what it tells at once.
const LINES_MAX: usize = 64;
/// Nodes that are remembered. Whose lines changed longest ago makes room, and is put on record again when it
/// tells them again.
const NODES_MAX: u32 = 10_000;

/// What a node told before: the digests of its lines.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    lines: Vec<Digest>,
}

/// What a line is told apart by: what it says.
fn identity(line: &Line) -> Result<Digest, Error> {
    Ok(Digest::sha256(super::canonical::to_canonical(line)?.as_bytes()))
}

fn event(node: &str, line: &Line, by: &str) -> AuditEvent {
    let kind = match line.what {
        What::Closed => AuditKind::NodeClosed,
        What::Opened => AuditKind::NodeOpened,
    };
    let mut event = AuditEvent::new(kind, by)
        .with("node", node)
        .with("done_at", line.at)
        .with("done_by", &line.by)
        .with("permit", &line.permit)
        .with("until", line.until);
    if !line.signers.is_empty() {
        event = event.with("signers", line.signers.join(", "));
    }
    event.reason = Some(line.reason.clone());
    event
}

impl Writing<'_> {
    fn record_openings(&mut self, node: &str, lines: &[Line], by: &str) -> Result<usize, Error> {
        let sealed = self
            .connection
            .prepare_cached("SELECT body, seal FROM openings WHERE node = ?1")?
            .query_row([node], |row| Sealed::from_row(row, 0))
            .optional()?;
        let told = sealed.map(|sealed| sealed.open(self.connection.sealer, TABLE, &[node]));
        let mut told: Told = told.transpose()?.unwrap_or_default();
        let mut count = 0;
        for line in lines {
            let identity = identity(line)?;
            if told.lines.contains(&identity) {
                continue;
            }
            self.audit(&event(node, line, by))?;
            told.lines.push(identity);
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        let too_many = told.lines.len().saturating_sub(LINES_MAX);
        told.lines.drain(..too_many);
        let sealed = Sealed::new(self.connection.sealer, TABLE, &[node], &told)?;
        // A row that changes becomes the youngest.
        self.connection.execute("DELETE FROM openings WHERE node = ?1", [node])?;
        self.connection.execute(
            "DELETE FROM openings WHERE id IN (
                 SELECT id FROM openings ORDER BY id DESC LIMIT -1 OFFSET ?1
             )",
            [NODES_MAX - 1],
        )?;
        self.connection.execute(
            "INSERT INTO openings (node, body, seal) VALUES (?1, ?2, ?3)",
            params![node, sealed.body, sealed.seal],
        )?;
        Ok(count)
    }
}

impl Ledger {
    /// Puts on record what `node` says that was opened and closed on it, as `by` reports it; what is on record
    /// already is not put there twice. Gives how many were new.
    ///
    /// # Errors
    /// When it did not reach the disk; nothing is on record then.
    pub async fn record_openings(
        &self,
        node: String,
        lines: Vec<Line>,
        by: String,
    ) -> Result<usize, Error> {
        self.write(move |writing| writing.record_openings(&node, &lines, &by)).await
    }
}
