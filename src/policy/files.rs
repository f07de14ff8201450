//! The files of a policy that is a directory: one base file, and files for a scope each.

use super::approval::Principal;
use super::document::{Rule, RuleId, Signer};
use super::pattern::Pattern;
use super::problem::{FileNumber, Problem};
use super::{Overlay, Policy};
use crate::oci::Name;

/// The text of one file of a policy.
#[derive(Debug, Clone, Copy)]
pub struct PolicySource<'a> {
    /// Its path in the directory, with `/`; empty where the policy is one file.
    pub path: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// A file of a policy that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) revision: Option<u64>,
    pub(super) part: Option<PolicyPart>,
}

/// What a file with a scope says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolicyPart {
    pub(super) owner: Principal,
    pub(super) scope: Vec<Pattern>,
}

impl PolicyFile {
    /// Its path in the directory, with `/`; empty where the policy is one file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its name, which no other file of the policy has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its revision; a file with a scope may have none.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Who answers for it; `None` for the base file.
    pub fn owner(&self) -> Option<&Principal> {
        self.part.as_ref().map(|part| &part.owner)
    }

    /// The repositories that it may speak of; none listed is all of them, for the base file.
    pub fn scope(&self) -> &[Pattern] {
        self.part.as_ref().map_or(&[], |part| &part.scope)
    }
}

impl Policy {
    /// Its files, ordered by path; one where the policy is no directory.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// The file with that number.
    pub fn file(&self, number: FileNumber) -> Option<&PolicyFile> {
        self.files.get(usize::from(number.0))
    }

    /// `problems` with the names of their files, ordered by file and place.
    #[must_use]
    pub fn located(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        for problem in &mut problems {
            if let Some(file) = self.file(problem.number) {
                problem.file.clone_from(&file.path);
            }
        }
        problems.sort();
        problems
    }

    /// As [`Policy::file`], where the policy is a directory, so that there is something to tell.
    pub fn told_file(&self, number: FileNumber) -> Option<&PolicyFile> {
        self.file(number).filter(|file| !file.path.is_empty())
    }

    /// The file that the rule or overlay `id` stands in, where the policy is a directory.
    pub fn file_of(&self, id: &RuleId) -> Option<&PolicyFile> {
        if self.files.len() < 2 {
            return None;
        }
        let rule = self.rules.iter().find(|rule| rule.id() == id).map(Rule::file);
        let overlay = || self.overlays.iter().find(|it| it.id() == id).map(Overlay::file);
        self.file(rule.or_else(overlay)?)
    }

    /// Who answers for `rule`, where it stands in a file with a scope.
    pub fn owner_of(&self, rule: &Rule) -> Option<&Principal> {
        self.file(rule.file())?.owner()
    }

    /// The signers that everything in `file` may name: those of the base file, and its own.
    pub fn signers_in(&self, file: FileNumber) -> impl Iterator<Item = &Signer> {
        let is_base = |signer: &&Signer| {
            self.file(signer.position.file).is_none_or(|file| file.part.is_none())
        };
        self.signers.iter().filter(move |it| it.position.file == file || is_base(it))
    }

    /// The signers of the base file, which are the same for every repository.
    pub fn common_signers(&self) -> impl Iterator<Item = &Signer> {
        let base = self.files.iter().position(|file| file.part.is_none());
        let base = FileNumber(base.and_then(|it| u16::try_from(it).ok()).unwrap_or(u16::MAX));
        self.signers.iter().filter(move |it| it.position.file == base)
    }

    /// The file whose scope `name` lies in, if there is one.
    pub fn part_for(&self, name: &Name) -> Option<&PolicyFile> {
        let name = name.to_string();
        let covers = |file: &&PolicyFile| file.scope().iter().any(|it| it.matches(&name));
        self.files.iter().find(covers)
    }
}
