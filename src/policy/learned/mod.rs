//! A policy that says what was so: proposed from what was pulled, for a cluster that runs already. Pure.
//!
//! Promises: what is proposed is a policy that parses, whatever upstream wrote into names and identities;
//! what is not known is said to be so and never taken for absent; nobody is trusted without people for what a
//! single image shows; and every bound has a name.

mod groups;
mod scans;
pub(in crate::policy) mod signers;
mod tags;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::SubjectType;
use super::scanned::Rating;
use super::source::Source;
use crate::oci::{Digest, Name, Platform, Tag};
use crate::time::Timestamp;

/// Most repositories that rules are proposed for; those with the fewest pulls are left out.
pub const REPOSITORIES_MAX: usize = 500;
/// Most tags of one image that are looked at.
pub const TAGS_MAX: usize = 100;
/// Most tags, or forms of tags, that one rule names; a rule of more names none.
pub const FORMS_MAX: usize = 20;
/// Most signers that one rule names; a rule of more asks for none.
pub const SIGNERS_MAX: usize = 8;
/// Longest issuer or subject that is named, in bytes: as a regular expression it still fits a policy.
pub const IDENTITY_BYTES_MAX: usize = 400;
/// Most repositories that are listed as having too little history.
pub const LEFT_OUT_MAX: usize = 100;
/// Least images that have to be signed by one signer, and all of them, before nobody is asked any more.
pub const IMAGES_FOR_TRUST: usize = 2;

/// All that was pulled.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By repository, in any order.
    pub repositories: Vec<SeenRepository>,
    /// What nodes fetched manifests for.
    pub platforms: BTreeSet<Platform>,
}

/// What was pulled of one repository.
#[derive(Debug, Clone)]
pub struct SeenRepository {
    /// Which.
    pub name: Name,
    /// Its images, none of them part of another.
    pub images: Vec<SeenImage>,
    /// Who pulled them.
    pub clients: BTreeSet<String>,
}

impl SeenRepository {
    fn pulls(&self) -> u64 {
        self.images.iter().fold(0, |sum, image| sum.saturating_add(image.pulls))
    }
}

/// One image that was pulled.
#[derive(Debug, Clone)]
pub struct SeenImage {
    /// Which.
    pub digest: Digest,
    /// The tags that were seen to stand for it.
    pub tags: Vec<Tag>,
    /// How often it was pulled.
    pub pulls: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// Who signed it.
    pub signatures: SeenSignatures,
    /// What is known against it.
    pub scan: SeenScan,
}

/// Who signed an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenSignatures {
    /// These did, each proven.
    By(BTreeSet<SeenSigner>),
    /// Nobody did: all places were searched.
    Nobody,
    /// It is not known; why, in words.
    Unknown(String),
    /// Somebody did whom neither the policy nor a trust root can name.
    Unnamed,
}

/// Somebody who signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenSigner {
    /// A signer of the policy in force.
    Named(String),
    /// Whoever a certificate names.
    Identity(SeenIdentity),
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenIdentity {
    /// The trust root whose certificate it is.
    pub root: String,
    /// The identity provider.
    pub issuer: String,
    /// Whom it vouches for.
    pub subject: String,
    /// Whether that is a URI; else it is an e-mail address.
    pub is_uri: bool,
}

impl SeenIdentity {
    /// Whether a policy can name it: its texts are short enough, and of one line.
    pub(in crate::policy) fn can_be_named(&self) -> bool {
        let fits = |text: &str| {
            !text.trim().is_empty()
                && text.len() <= IDENTITY_BYTES_MAX
                && !text.chars().any(char::is_control)
        };
        fits(&self.issuer) && fits(&self.subject)
    }

    const fn kind(&self) -> SubjectType {
        if self.is_uri { SubjectType::Uri } else { SubjectType::Email }
    }
}

/// What is known against an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenScan {
    /// It is no image, in which nothing can be found.
    NoImage,
    /// It was not scanned; why, in words.
    NotScanned(String),
    /// It was read, and compared with the database in force.
    Read(SeenFindings),
}

/// What was found in an image, in all of its platforms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenFindings {
    /// How bad the worst is; one that nobody rated counts as critical, as a gate has it.
    pub worst: Option<Rating>,
    /// The same of those that have a fix.
    pub worst_fixable: Option<Rating>,
    /// Whether one is known to be exploited; `None` where the database does not say which are.
    pub exploited: Option<bool>,
    /// The worst in words.
    pub worst_told: Option<String>,
    /// Malware, by its name.
    pub malware: Option<String>,
    /// Not all of it could be read.
    pub is_incomplete: bool,
    /// About some of it nothing is known.
    pub has_unknown: bool,
}

impl SeenFindings {
    /// Adds what was found in another platform.
    pub fn add(&mut self, other: Self) {
        if self.worst_told.is_none() || other.worst > self.worst {
            self.worst_told = other.worst_told;
        }
        self.worst = self.worst.max(other.worst);
        self.worst_fixable = self.worst_fixable.max(other.worst_fixable);
        self.exploited = self.exploited.zip(other.exploited).map(|(one, two)| one || two);
        self.malware = self.malware.take().or(other.malware);
        self.is_incomplete |= other.is_incomplete;
        self.has_unknown |= other.has_unknown;
    }
}

/// From when on there is enough history for a rule.
#[derive(Debug, Clone, Copy)]
pub struct Enough {
    /// In how many days it was looked for.
    pub days: u32,
    /// Least pulls of a repository.
    pub pulls: u64,
}

/// What the proposal begins with.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// The name of the policy in force.
    pub name: &'a str,
    /// Its revision.
    pub revision: u64,
    /// How it is written.
    pub source: &'a Source,
    /// When it is proposed.
    pub now: Timestamp,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Learned {
    /// The text of the policy.
    pub policy: String,
    /// Its rules, with what they rest on.
    pub rules: Vec<LearnedRule>,
    /// Repositories with too little history for a rule, those that were pulled most first.
    pub left_out: Vec<LeftOut>,
    /// How many more of these there are.
    pub left_out_more: u64,
}

/// A rule that is proposed, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LearnedRule {
    /// Its name.
    pub id: String,
    /// The patterns of its repositories.
    pub images: Vec<String>,
    /// The repositories that were pulled.
    pub repositories: Vec<String>,
    /// `allow`, where one signer signed all along, or else `approve`.
    pub trust: String,
    /// The tags that it speaks of, in words; none is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// The signers that it asks for, by their names in the proposal.
    pub signers: Vec<String>,
    /// How many images of them were pulled.
    pub pulled_images: u64,
    /// How often.
    pub pulls: u64,
    /// By how many nodes.
    pub nodes: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// Why it is as it is, in words.
    pub why: Vec<String>,
}

/// A repository that no rule is proposed for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which.
    pub repository: String,
    /// How many images of it were pulled.
    pub images: u64,
    /// How often.
    pub pulls: u64,
}

/// The policy that says what was `seen`.
pub fn learn(mut seen: Seen, present: &Present<'_>, enough: Enough) -> Learned {
    seen.repositories.retain(|it| !it.images.is_empty());
    // The most pulled first: those at the end are left out.
    seen.repositories.sort_by(|a, b| b.pulls().cmp(&a.pulls()).then_with(|| a.name.cmp(&b.name)));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for repository in &seen.repositories {
        let has_enough = repository.pulls() >= enough.pulls && taken.len() < REPOSITORIES_MAX;
        if has_enough { taken.push(repository) } else { left.push(repository) }
    }
    let drafts = groups::grouped(&taken, &left);
    let left_out_more = count(left.len().saturating_sub(LEFT_OUT_MAX));
    let left_out: Vec<LeftOut> = left.iter().take(LEFT_OUT_MAX).map(|it| left_out(it)).collect();
    let proposal = written::Proposal {
        present,
        enough,
        platforms: &seen.platforms,
        left_out: &left_out,
        left_out_more,
    };
    let (policy, rules) = proposal.text(&drafts);
    Learned { policy, rules, left_out, left_out_more }
}

/// The tags like `tag`, as a rule has them: of a version all of its line from it on, of a form with numbers all of
/// that form, and else this one.
pub(in crate::policy) fn tags_like(tag: &Tag) -> String {
    let never = Timestamp::from_milliseconds(0);
    let image = SeenImage {
        digest: Digest::sha256(b""),
        tags: vec![tag.clone()],
        pulls: 0,
        first: never,
        last: never,
        signatures: SeenSignatures::Nobody,
        scan: SeenScan::NoImage,
    };
    tags::Tags::of(&[image]).yaml().unwrap_or_default()
}

fn left_out(repository: &SeenRepository) -> LeftOut {
    LeftOut {
        repository: repository.name.to_string(),
        images: count(repository.images.len()),
        pulls: repository.pulls(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
