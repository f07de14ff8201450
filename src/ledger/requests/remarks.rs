//! Questions about a request, and answers to them: what whoever decides has to know first.
//!
//! A question is a mark on an open request and no decision: it holds nothing up. An answer, a vote or a
//! decision takes the mark away; what was said stays, and is on record.

use serde::{Deserialize, Serialize};

use super::{RequestId, RequestRow, reading};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::writer::Writing;
use crate::ledger::{Caller, Error, Ledger};
use crate::time::Timestamp;

/// Most questions and answers that are kept on one request.
pub const REMARKS_MAX: usize = 40;

/// A question about a request, or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Which of the two.
    pub kind: RemarkKind,
    /// Who said it, as records have it.
    pub by: String,
    /// What they are called.
    pub display: String,
    /// When.
    pub at: Timestamp,
    /// What they said.
    pub text: String,
}

/// What a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemarkKind {
    /// It answers what was asked last.
    Answer,
    /// It asks for something that whoever decides has to know.
    Question,
}

impl RemarkKind {
    /// The kind in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Question => "question",
        }
    }

    const fn audit_kind(self) -> AuditKind {
        match self {
            Self::Answer => AuditKind::QuestionAnswered,
            Self::Question => AuditKind::QuestionAsked,
        }
    }
}

impl Writing<'_> {
    fn remark(
        &mut self,
        id: RequestId,
        kind: RemarkKind,
        by: &Caller,
        text: String,
    ) -> Result<RequestRow, Error> {
        let mut row = reading::load(self.connection, id)?.ok_or(Error::NoSuchRequest(id))?;
        if !row.state.is_open() {
            return Err(Error::AlreadyDecided { request: id, state: row.state });
        }
        if kind == RemarkKind::Answer && !row.needs_info {
            return Err(Error::NothingAsked(id));
        }
        // The last place is for an answer, so that no question stays open for want of room.
        let room = if kind == RemarkKind::Question { REMARKS_MAX - 1 } else { REMARKS_MAX };
        if row.remarks.len() >= room {
            return Err(Error::TooManyRemarks { request: id, limit: REMARKS_MAX });
        }
        let mut event = AuditEvent::new(kind.audit_kind(), by.name())
            .with("image", format_args!("{} {}", row.name, row.reference));
        event.request = Some(id);
        event.subject = row.subject();
        event.reason = Some(text.clone());
        let (display, at) = (by.display.clone(), self.now);
        row.remarks.push(Remark { kind, by: by.name(), display, at, text });
        row.needs_info = kind == RemarkKind::Question;
        self.save_request(&row)?;
        self.audit(&event)?;
        Ok(row)
    }

    /// Takes the mark off the request `id`, about which somebody voted. One that is damaged stays as it is:
    /// it must not stand in the way of a vote.
    pub(in crate::ledger) fn asks_no_more(&mut self, id: RequestId) -> Result<(), Error> {
        match reading::load(self.connection, id) {
            Ok(Some(mut row)) if row.needs_info => {
                row.needs_info = false;
                self.save_request(&row)
            }
            Ok(_) | Err(Error::CorruptRow { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Ledger {
    /// Puts a question about the open request `id` on record, or an answer to the one that was asked last.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`], [`Error::AlreadyDecided`], [`Error::NothingAsked`],
    /// [`Error::TooManyRemarks`]; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, it may be on record even if the future is dropped.
    pub async fn remark(
        &self,
        id: RequestId,
        kind: RemarkKind,
        by: Caller,
        text: String,
    ) -> Result<RequestRow, Error> {
        self.write(move |writing| writing.remark(id, kind, &by, text)).await
    }
}
