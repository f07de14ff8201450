//! Who signs files: the signers of the policy that are keys.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::gate::ReadyPolicy;
use crate::ledger::{Caller, PersonId, Role, Scope, Vote, VoteFile};
use crate::mirror::approval_file::{ApprovalFile, Said};
use crate::mirror::desk::voting::Poll;
use crate::signature::Key;
use crate::time::Timestamp;

/// By how much a clock may be ahead of ours that somebody signed by.
const AHEAD_MAX: Duration = Duration::from_mins(5);

/// Somebody who signs files.
#[derive(Debug)]
pub(super) struct FileSigner {
    pub(super) caller: Caller,
    pub(super) key: Key,
}

/// Whoever signs files as `name` by `policy`.
pub(super) fn signer(policy: &ReadyPolicy, name: &str) -> Option<FileSigner> {
    let (key, _) = policy.approver_key(name)?;
    Some(known(name, key))
}

fn known(name: &str, key: Key) -> FileSigner {
    let caller = Caller {
        id: PersonId::Signer { name: name.to_owned(), key: key.id() },
        display: name.to_owned(),
        role: Role::Approver,
        groups: BTreeSet::new(),
        // The key is part of who they are: somebody else has another.
        since: Timestamp::from_milliseconds(0),
        scope: Scope::default(),
    };
    FileSigner { caller, key }
}

/// Who signed `file`, by `policy`.
///
/// # Errors
/// Why that is nobody, in words.
pub(super) fn signer_of(
    policy: &ReadyPolicy,
    file: &ApprovalFile,
    now: Timestamp,
) -> Result<FileSigner, String> {
    let key = file.signed_by(policy, now)?;
    Ok(known(&file.statement.signer, key))
}

impl FileSigner {
    /// `file` as a vote keeps it.
    pub(super) fn keep(&self, file: &ApprovalFile) -> VoteFile {
        VoteFile {
            digest: *file.envelope.digest(),
            envelope: file.envelope.text().to_owned(),
            public_key: self.key.base64(),
        }
    }
}

impl Poll {
    /// Why `file` does not count as of now, whoever signed it.
    pub(in crate::mirror::desk) fn outdated(&self, file: &ApprovalFile) -> Option<String> {
        let statement = &file.statement;
        if statement.subject() != self.subject {
            return Some("it is about another image".to_owned());
        }
        if let Some(why) = statement.asked.differs(&self.asked) {
            return Some(why);
        }
        if statement.at > self.now.after(AHEAD_MAX) {
            return Some(format!("it was signed at {}, which is yet to come", statement.at));
        }
        if self.electorate().is_old(statement.at, self.now) {
            return Some("it was signed too long ago".to_owned());
        }
        if statement.expires.is_some_and(|expires| expires <= self.now) {
            return Some("it was to hold until a time that has passed".to_owned());
        }
        None
    }

    /// Why `vote`, which was said in `file`, does not count any more. Nothing of the database is believed: the
    /// file is verified again, by the key that the policy has now.
    pub(in crate::mirror::desk) fn changed_file(
        &self,
        vote: &Vote,
        file: &VoteFile,
    ) -> Option<String> {
        let altered = "its file is not the one that was signed: somebody changed the database";
        let Ok(read) = ApprovalFile::parse(file.envelope.as_bytes()) else {
            return Some(altered.to_owned());
        };
        let is_yes = read.statement.decision == Said::Approve;
        if *read.envelope.digest() != file.digest
            || read.statement.subject() != vote.subject
            || read.statement.expires != vote.expires
            || !is_yes
        {
            return Some(altered.to_owned());
        }
        match signer_of(&self.policy, &read, self.now) {
            Ok(signer) if signer.caller.id == vote.voter => self.outdated(&read),
            Ok(_) => Some("its signer has another key now".to_owned()),
            Err(why) => Some(why),
        }
    }
}
