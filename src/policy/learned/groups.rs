//! One rule for each repository, or for several that are alike.

use std::collections::{BTreeMap, BTreeSet};

use super::scans::{Gate, Scans};
use super::signers::{Demand, Signatures};
use super::tags::Tags;
use super::{SeenRepository, count};
use crate::oci::Name;
use crate::time::Timestamp;

/// Least repositories of one folder that have one rule together.
const TOGETHER_MIN: usize = 3;

/// A rule before it is written.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub(super) patterns: Vec<String>,
    pub(super) members: Vec<&'a SeenRepository>,
    pub(super) tags: Tags,
    pub(super) is_trusted: bool,
    pub(super) signatures: Vec<Signatures>,
    pub(super) scans: Vec<Scans>,
    pub(super) demand: Demand,
    pub(super) gate: Option<Gate>,
}

/// What repositories have to have in common, beside the folder, to have a rule together.
type Alike = (String, Tags, bool, Demand, Option<Gate>);

/// The rules for `taken`. No pattern covers one of `left`, which have too little history.
pub(super) fn grouped<'a>(
    taken: &[&'a SeenRepository],
    left: &[&SeenRepository],
) -> Vec<Draft<'a>> {
    let mut alike: BTreeMap<Alike, Vec<Draft<'a>>> = BTreeMap::new();
    for repository in taken {
        let draft = alone(repository);
        let key = (
            folder(&repository.name),
            draft.tags.clone(),
            draft.is_trusted,
            draft.demand.clone(),
            draft.gate.clone(),
        );
        alike.entry(key).or_default().push(draft);
    }
    let mut in_folder: BTreeMap<String, usize> = BTreeMap::new();
    for repository in taken.iter().chain(left) {
        *in_folder.entry(folder(&repository.name)).or_default() += 1;
    }
    let mut drafts = Vec::new();
    for ((folder, ..), alone) in alike {
        if alone.len() < TOGETHER_MIN {
            drafts.extend(alone);
            continue;
        }
        let is_all_of_it = in_folder.get(&folder) == Some(&alone.len());
        drafts.extend(together(&folder, is_all_of_it, alone));
    }
    drafts.sort_by(|a, b| a.patterns.cmp(&b.patterns));
    drafts
}

fn folder(name: &Name) -> String {
    let text = name.to_string();
    text.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

fn alone(repository: &SeenRepository) -> Draft<'_> {
    let images = &repository.images;
    let (signatures, scans) = (Signatures::of(images), Scans::of(images));
    Draft {
        patterns: vec![repository.name.to_string()],
        members: vec![repository],
        tags: Tags::of(images),
        is_trusted: signatures.is_one,
        demand: signatures.demand.clone(),
        gate: scans.gate.clone(),
        signatures: vec![signatures],
        scans: vec![scans],
    }
}

/// One rule for all of `alone`: by their folder, where that has no others.
fn together<'a>(folder: &str, is_all_of_it: bool, alone: Vec<Draft<'a>>) -> Option<Draft<'a>> {
    let one = alone.into_iter().reduce(|mut all, next| {
        all.patterns.extend(next.patterns);
        all.members.extend(next.members);
        all.signatures.extend(next.signatures);
        all.scans.extend(next.scans);
        all
    });
    one.map(|mut draft| {
        if is_all_of_it {
            draft.patterns = vec![format!("{folder}/*")];
        }
        draft.patterns.sort();
        draft
    })
}

impl Draft<'_> {
    /// What it could be called: by its one repository, or by the folder of all.
    pub(super) fn name(&self) -> String {
        let text = match self.members.as_slice() {
            [one] => one.name.repository().to_string(),
            [first, ..] => folder(&first.name),
            [] => String::new(),
        };
        super::signers::plain(&text, "rule")
    }

    pub(super) fn images(&self) -> u64 {
        self.members.iter().fold(0, |sum, it| sum + count(it.images.len()))
    }

    pub(super) fn pulls(&self) -> u64 {
        self.members.iter().fold(0, |sum, it| it.pulls().saturating_add(sum))
    }

    pub(super) fn nodes(&self) -> u64 {
        let clients: BTreeSet<&String> = self.members.iter().flat_map(|it| &it.clients).collect();
        count(clients.len())
    }

    /// The first and the last pull.
    pub(super) fn time(&self) -> (Timestamp, Timestamp) {
        let images = || self.members.iter().flat_map(|it| &it.images);
        let never = Timestamp::from_milliseconds(0);
        let first = images().map(|image| image.first).min().unwrap_or(never);
        (first, images().map(|image| image.last).max().unwrap_or(never))
    }
}
