//! What becomes of a file that is there.

use std::collections::BTreeSet;

use super::super::decide::{Verb, Wish, check_reason};
use super::super::target::Target;
use super::super::voting::{Beside, Poll, check_voter};
use super::super::{Desk, Error};
use super::signers::{self, FileSigner};
use super::view::ApprovalFileState as State;
use crate::gate::{Standing, Subject};
use crate::ledger::{Record, RequestRow};
use crate::mirror::approval_file::{ApprovalFile, Said, Statement};
use crate::oci::Digest;

/// What became of a file, and why.
pub(super) type Outcome = (State, String);

fn void(why: impl Into<String>) -> Outcome {
    (State::Void, why.into())
}

fn waits(why: impl Into<String>) -> Outcome {
    (State::Waits, why.into())
}

fn counts(why: impl Into<String>) -> Outcome {
    (State::Counts, why.into())
}

impl Desk {
    /// Has `file` count if it does; `present` are all files that are there.
    pub(super) async fn count_file(
        &self,
        file: &ApprovalFile,
        present: &BTreeSet<Digest>,
    ) -> Outcome {
        let statement = &file.statement;
        let policy = self.mirror.policy();
        let signer = match signers::signer_of(&policy, file, self.mirror.now()) {
            Ok(signer) => signer,
            Err(why) => return (State::Invalid, why),
        };
        if check_reason(&statement.reason).is_err() {
            return (State::Invalid, Error::ReasonForm.to_string());
        }
        match self.count_signed(file, &signer, present).await {
            Ok(outcome) => outcome,
            Err(error @ (Error::Mirror { .. } | Error::Undecided { .. } | Error::Ledger(_))) => {
                waits(error.to_string())
            }
            Err(error) => void(error.to_string()),
        }
    }

    async fn count_signed(
        &self,
        file: &ApprovalFile,
        signer: &FileSigner,
        present: &BTreeSet<Digest>,
    ) -> Result<Outcome, Error> {
        let ledger = self.mirror.ledger();
        let (statement, subject) = (&file.statement, file.statement.subject());
        let Some(record) = ledger.record(&subject).await? else {
            return Ok(waits("nobody has asked for the image yet"));
        };
        let own = file.envelope.digest();
        if let Some(Standing::Approved { files, .. }) = &record.standing
            && files.contains(own)
        {
            let text = if record.has_run_out() {
                void("the approval that rests on it has run out; draft it again")
            } else {
                counts("the approval of the image rests on it")
            };
            return Ok(text);
        }
        if record.decisions() != statement.asked.decisions {
            return self.spent(&subject, own).await;
        }
        let request = match record.request {
            Some(id) => ledger.request(id).await?,
            None => None,
        };
        let rule = Box::pin(self.check_approvable(&subject)).await?;
        let poll = Box::pin(self.poll(&subject, &rule, request.as_ref())).await?;
        let Some(poll) = poll else {
            let text = format!("rule {rule} has no approval policy, so that no file counts for it");
            return Ok(void(text));
        };
        if let Some(why) = poll.outdated(file) {
            return Ok(void(why));
        }
        match statement.decision {
            Said::Approve => Box::pin(self.say_yes(file, signer, (&poll, request), present)).await,
            Said::Reject => self.say_no(file, signer, &poll).await,
        }
    }

    /// What to say of a file for which there are other decisions by now than it was signed for.
    async fn spent(&self, subject: &Subject, own: &Digest) -> Result<Outcome, Error> {
        let decisions = self.mirror.ledger().decisions(subject).await?;
        let last = decisions.last();
        let is_last_no =
            last.is_some_and(|it| it.verb == crate::ledger::Verb::Reject && it.files.contains(own));
        if is_last_no {
            return Ok(counts("the image is rejected by it"));
        }
        let last = last.map_or_else(String::new, |it| {
            format!(
                " ({} by {} at {})",
                super::super::explain::decision_word(it.verb),
                it.by,
                it.at
            )
        });
        Ok(void(format!("people decided about the image since it was drafted{last}")))
    }

    async fn say_yes(
        &self,
        file: &ApprovalFile,
        signer: &FileSigner,
        (poll, request): (&Poll, Option<RequestRow>),
        present: &BTreeSet<Digest>,
    ) -> Result<Outcome, Error> {
        let (ledger, subject) = (self.mirror.ledger(), &poll.subject);
        let wish = wish(&file.statement, signer);
        check_voter(poll, &wish)?;
        let own = file.envelope.digest();
        let other = ledger.votes(subject).await?.cast.into_iter().find(|it| {
            let its = it.vote.file.as_ref().map(|file| file.digest);
            it.vote.voter == signer.caller.id
                && its.is_some_and(|its| its != *own && present.contains(&its))
                && poll.counts(it)
        });
        if let Some(other) = other {
            let its = other.vote.file.map(|file| file.digest.to_string()).unwrap_or_default();
            return Ok(void(format!("another file of the same signer counts already: {its}")));
        }
        let _one_at_a_time = self.deciding.lock().await;
        let record = ledger.record(subject).await?;
        if !is_of_round(record.as_deref(), &file.statement) {
            return Ok(void("people decided about the image since it was drafted"));
        }
        let target =
            Target { subject: subject.clone(), request: request.clone(), by_request: false };
        let beside = Beside {
            request: request.as_ref(),
            record: record.as_deref(),
            file: Some(signer.keep(file)),
        };
        let view = self.vote(poll, &wish, &target, beside).await?;
        Ok(match view.votes {
            Some(votes) if view.decision == "voted" => {
                counts(format!("{} of {}; missing: {}", votes.have, votes.needed, votes.missing))
            }
            Some(_) => counts("the approval of the image rests on it"),
            None => void("the image is approved already, and that does not rest on it"),
        })
    }

    async fn say_no(
        &self,
        file: &ApprovalFile,
        signer: &FileSigner,
        poll: &Poll,
    ) -> Result<Outcome, Error> {
        let wish = wish(&file.statement, signer);
        let electorate = poll.electorate();
        if electorate.stands_for(&wish.by).is_empty() {
            let (voter, rule) = (wish.by.display, poll.ballot.rule.clone());
            return Err(Error::NotApprover { voter, rule, approval: poll.approval.to_string() });
        }
        let _one_at_a_time = self.deciding.lock().await;
        let ledger = self.mirror.ledger();
        let record = ledger.record(&poll.subject).await?;
        if !is_of_round(record.as_deref(), &file.statement) {
            return Ok(void("people decided about the image since it was drafted"));
        }
        let decision = self.decision(&wish, &poll.subject, None);
        ledger.reject_by_file(decision, signer.keep(file)).await?;
        Ok(counts("the image is rejected by it"))
    }
}

/// Whether nobody decided about `record` since `statement` was drafted.
fn is_of_round(record: Option<&Record>, statement: &Statement) -> bool {
    record.map_or(0, Record::decisions) == statement.asked.decisions
}

fn wish(statement: &Statement, signer: &FileSigner) -> Wish {
    Wish {
        verb: match statement.decision {
            Said::Approve => Verb::Approve,
            Said::Reject => Verb::Reject,
        },
        target: statement.subject().to_string(),
        by: signer.caller.clone(),
        reason: statement.reason.clone(),
        expires: statement.expires,
        seen: None,
        shown: None,
    }
}
