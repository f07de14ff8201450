//! Approval files: people's word from a folder, which may be a checkout of git.
//!
//! A file that counts is a vote as any other: by the same rules, on the same record, in the same transaction. It
//! counts while it is there. What is read is of one moment ([`folder`]); what that means is done at once
//! ([`counting`]) where it is a yes or a no, and after several looks ([`following`]) where something is gone; a
//! folder that cannot be read whole, or is empty, takes nothing back.

mod counting;
mod folder;
mod following;
mod signers;
mod view;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub use view::{ApprovalFileState, ApprovalFileView, ApprovalFilesView, DraftTarget};

use super::{Desk, Error, Shown};
use crate::ledger::{Caller, PersonId};
use crate::mirror::approval_file::Draft;
use crate::oci::ImageReference;

/// What was found at the last look.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<ApprovalFilesView>);

impl Board {
    fn show(&self, change: impl FnOnce(&mut ApprovalFilesView)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Desk {
    /// What was found in the folder with approval files, and what became of each.
    pub fn approval_files(&self) -> ApprovalFilesView {
        self.files.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the approval files in the folder `path` until shutdown.
    pub fn follow_approval_files(&self, path: PathBuf) {
        self.files.show(|view| view.folder = Some(path.display().to_string()));
        let desk = self.clone();
        drop(self.mirror.tasks().spawn(async move { following::follow(desk, path).await }));
    }

    /// What a file about `target` (`R-42`, `IMAGE@DIGEST`, `IMAGE:TAG`) would be bound to now.
    ///
    /// # Errors
    /// Where people are not asked about it, or not in files; as [`decide`](Self::decide).
    pub async fn approval_draft(&self, target: &str) -> Result<Draft, Error> {
        let target = self.target(target).await?;
        let subject = target.subject;
        let rule = Box::pin(self.check_approvable(&subject)).await?;
        let request = target.request;
        let poll = Box::pin(self.poll(&subject, &rule, request.as_ref())).await?;
        let none = |approval: String| Error::NoFileApprovers { rule: rule.clone(), approval };
        let poll = poll.ok_or_else(|| none("whoever may decide".to_owned()))?;
        if poll.approval.signers().next().is_none() {
            return Err(none(format!("approval policy {}", poll.approval.name())));
        }
        let tag = request.as_ref().and_then(|row| row.tag.clone());
        let digest = tag.is_none().then_some(subject.digest);
        let image = ImageReference { name: subject.name.clone(), tag, digest };
        let explained = Box::pin(self.explain_subject(&image, &subject)).await?;
        let facts = self.facts_of(&subject).await?;
        let evidence = facts.map(|facts| Shown::evidence_texts(&explained, &facts));
        let request = request.map(|row| row.id.to_string());
        let image = subject.to_string();
        let draft = Draft::new(subject, request, poll.asked, evidence.unwrap_or_default());
        // What was looked at twice must be the same twice.
        draft.check().map_err(|error| Error::Stale { image, changes: vec![error.to_string()] })?;
        Ok(draft)
    }

    /// Who somebody is as of now, those who sign files among them.
    pub(super) fn voter_now(&self, id: &PersonId) -> Option<Caller> {
        match id {
            PersonId::Signer { name, .. } => {
                let signer = signers::signer(&self.mirror.policy(), name)?;
                (signer.caller.id == *id).then_some(signer.caller)
            }
            PersonId::Local { .. } | PersonId::Oidc { .. } | PersonId::Token { .. } => {
                self.mirror.ledger().caller(id)
            }
        }
    }
}
