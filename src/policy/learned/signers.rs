//! Whose signatures a rule would ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::{IMAGES_FOR_TRUST, SIGNERS_MAX, SeenIdentity, SeenImage, SeenSignatures, SeenSigner};
use crate::policy::document::SubjectType;
use crate::policy::source::quoted;

/// What stands before the version in the identity of a workflow that runs for a tag.
const FOR_TAG: &str = "@refs/tags/";
/// Longest name of a signer that is made of an identity, without a number behind it.
const NAME_LENGTH_MAX: usize = 40;

/// A signer, as a policy would have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Whom {
    /// One of the policy in force.
    Named(String),
    /// Exactly this one.
    Exact(SeenIdentity),
    /// This one, in whatever version: the identity with the regular expression for its subject.
    Versions(SeenIdentity),
}

/// What a rule asks of signatures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Nobody signed any of them.
    Nobody,
    /// Nothing: what is known does not bear more.
    Nothing,
    /// So many of these.
    Signed { at_least: usize, of: Vec<Whom> },
}

/// What the signatures of a repository come to.
#[derive(Debug, Clone)]
pub(super) struct Signatures {
    pub(super) demand: Demand,
    /// Whether one signer signed all along, often enough.
    pub(super) is_one: bool,
    /// On how many images each was seen.
    pub(super) seen: BTreeMap<Whom, usize>,
    /// How many images nobody signed, and of how many it is not known or cannot be named.
    pub(super) unsigned: usize,
    pub(super) unknown: usize,
    pub(super) unnamed: usize,
    /// Why it is not known of one of them.
    pub(super) why_unknown: Option<String>,
}

impl Signatures {
    /// What those of `images` come to.
    pub(super) fn of(images: &[SeenImage]) -> Self {
        let versions = versions(images);
        let mut told = Self {
            demand: Demand::Nothing,
            is_one: false,
            seen: BTreeMap::new(),
            unsigned: 0,
            unknown: 0,
            unnamed: 0,
            why_unknown: None,
        };
        for image in images {
            match &image.signatures {
                SeenSignatures::By(signers) if !signers.iter().all(can_be_named) => {
                    told.unnamed += 1;
                }
                SeenSignatures::By(signers) => {
                    let whom: BTreeSet<Whom> =
                        signers.iter().map(|signer| whom(signer, &versions)).collect();
                    for one in whom {
                        *told.seen.entry(one).or_default() += 1;
                    }
                }
                SeenSignatures::Nobody => told.unsigned += 1,
                SeenSignatures::Unknown(why) => {
                    told.unknown += 1;
                    told.why_unknown.get_or_insert_with(|| why.clone());
                }
                SeenSignatures::Unnamed => told.unnamed += 1,
            }
        }
        told.demand = told.demanded(images.len());
        told.is_one = images.len() >= IMAGES_FOR_TRUST
            && told.seen.len() == 1
            && matches!(told.demand, Demand::Signed { .. });
        told
    }

    fn demanded(&self, images: usize) -> Demand {
        if images > 0 && self.unsigned == images {
            return Demand::Nobody;
        }
        let is_signed = self.unsigned + self.unknown + self.unnamed == 0;
        if !is_signed || self.seen.is_empty() || self.seen.len() > SIGNERS_MAX {
            return Demand::Nothing;
        }
        let on_all = self.seen.iter().filter(|(_, count)| **count == images);
        let on_all: Vec<Whom> = on_all.map(|(whom, _)| whom.clone()).collect();
        if on_all.is_empty() {
            return Demand::Signed { at_least: 1, of: self.seen.keys().cloned().collect() };
        }
        Demand::Signed { at_least: on_all.len(), of: on_all }
    }
}

fn can_be_named(signer: &SeenSigner) -> bool {
    match signer {
        SeenSigner::Named(_) => true,
        SeenSigner::Identity(identity) => identity.can_be_named(),
    }
}

fn whom(signer: &SeenSigner, versions: &BTreeMap<SeenIdentity, SeenIdentity>) -> Whom {
    match signer {
        SeenSigner::Named(name) => Whom::Named(name.clone()),
        SeenSigner::Identity(identity) => match versions.get(identity) {
            Some(form) => Whom::Versions(form.clone()),
            None => Whom::Exact(identity.clone()),
        },
    }
}

/// The identities that differ from others in the version that a workflow ran for, and in nothing else, with
/// what they have in common. One image shows nothing of the kind, whatever it is signed by.
fn versions(images: &[SeenImage]) -> BTreeMap<SeenIdentity, SeenIdentity> {
    let mut by_form: BTreeMap<SeenIdentity, (BTreeSet<SeenIdentity>, usize)> = BTreeMap::new();
    for image in images {
        let SeenSignatures::By(signers) = &image.signatures else { continue };
        let mut of_image: BTreeMap<SeenIdentity, Vec<SeenIdentity>> = BTreeMap::new();
        for signer in signers {
            let SeenSigner::Identity(identity) = signer else { continue };
            if !identity.can_be_named() {
                continue;
            }
            let Some(subject) = version_form(&identity.subject) else { continue };
            let form = SeenIdentity { subject, ..identity.clone() };
            of_image.entry(form).or_default().push(identity.clone());
        }
        for (form, identities) in of_image {
            let (all, images) = by_form.entry(form).or_default();
            all.extend(identities);
            *images += 1;
        }
    }
    let shown = by_form.into_iter().filter(|(_, (all, images))| *images > 1 && all.len() > 1);
    shown.flat_map(|(form, (all, _))| all.into_iter().map(move |it| (it, form.clone()))).collect()
}

/// The regular expression for `subject` in whatever version, where it is a workflow that ran for the tag of one.
fn version_form(subject: &str) -> Option<String> {
    let (workflow, version) = subject.rsplit_once(FOR_TAG)?;
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !parts.iter().all(is_number) {
        return None;
    }
    let lead = if numbers.len() == version.len() { "" } else { "v" };
    let numbers = vec!["[0-9]+"; parts.len()].join(r"\.");
    Some(format!("{}{FOR_TAG}{lead}{numbers}", regex::escape(workflow)))
}

impl Whom {
    /// The signer as a policy has it; nothing for one that a policy has already.
    pub(in crate::policy) fn yaml(&self) -> Option<String> {
        let (identity, subject) = match self {
            Self::Named(_) => return None,
            Self::Exact(identity) => (identity, "subject"),
            Self::Versions(identity) => (identity, "subjectRegexp"),
        };
        let kind = match identity.kind() {
            SubjectType::Email => "email",
            SubjectType::Uri => "uri",
        };
        Some(format!(
            "{{keyless: {{root: {}, issuer: {}, {subject}: {}, subjectType: {kind}}}}}",
            quoted(&identity.root),
            quoted(&identity.issuer),
            quoted(&identity.subject),
        ))
    }

    /// Who it is, in words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Named(name) => format!("signer {name}"),
            Self::Exact(it) => format!("{} by {}", it.subject, it.issuer),
            Self::Versions(it) => format!("whoever matches {} by {}", it.subject, it.issuer),
        }
    }

    /// What it could be called.
    pub(in crate::policy) fn name(&self) -> String {
        let subject = match self {
            Self::Named(name) => return name.clone(),
            Self::Exact(it) | Self::Versions(it) => it.subject.replace('\\', ""),
        };
        let text = subject.split_once("://").map_or(subject.as_str(), |(_, rest)| rest);
        let text = text.split('@').next().unwrap_or_default();
        let words = text.split('/').filter(|it| !it.starts_with('.') && *it != "workflows");
        let words: Vec<&str> = words.collect();
        // A host says little where something follows it.
        let from = usize::from(words.len() > 1);
        plain(&words.get(from..).unwrap_or_default().join("-"), "signer")
    }
}

/// A plain name like `text`, or `otherwise`.
pub(in crate::policy) fn plain(text: &str, otherwise: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = text.chars().take(NAME_LENGTH_MAX).map(plain).collect();
    let words = name.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let name = words.join("-");
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}
