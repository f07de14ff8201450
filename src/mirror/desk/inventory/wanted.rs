//! What is sought, and whether an image that runs has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::family::Family;
use super::view::{Match, SoughtAs};
use crate::gate::{ReadyPolicy, Subject};
use crate::ledger::Record;
use crate::mirror::desk::dossier::facts::images_of;
use crate::mirror::desk::learn::Looking;
use crate::mirror::desk::target::image;
use crate::mirror::desk::{Desk, Error};
use crate::oci::{Digest, ImageReference, Name, Tag};
use crate::policy::learned::{SeenSignatures, SeenSigner};
use crate::scan::{Finding, Fix};

/// How long images are looked into; what is left then is not known.
const LOOKING_MAX: Duration = Duration::from_mins(1);
/// Most images of one index that are looked into.
const IMAGES_MAX: usize = 16;
/// Most findings of one image that are named.
const NAMED_MAX: usize = 3;

/// What is sought.
pub(super) enum Sought {
    /// A digest, wherever.
    Digest(Digest),
    /// A digest in a repository.
    Subject(Subject),
    /// A repository; with a tag, what is written so and what that stands for.
    Repository { name: Name, tag: Option<(Tag, Family)> },
    /// A finding, in lower case.
    Finding { id: String, until: Instant },
    /// Somebody who signed, exactly or by how they begin.
    Signer { text: String, looking: Looking },
}

/// What an image came to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// It has what is sought.
    Is(Match, Option<String>),
    /// It does not.
    Not,
    /// That is not known.
    NotKnown,
}

/// What was found out so far.
#[derive(Default)]
pub(super) struct Memory {
    families: HashMap<Name, Arc<Family>>,
    outcomes: HashMap<(Name, Digest), Outcome>,
}

/// An image that runs or lies somewhere.
pub(super) struct Item<'a> {
    pub(super) name: Option<&'a Name>,
    pub(super) written: Option<&'a str>,
    pub(super) digest: Option<&'a Digest>,
    pub(super) config: Option<&'a Digest>,
}

impl Desk {
    /// What `text` means, sought as `sought_as`.
    pub(super) async fn sought(&self, text: &str, sought_as: SoughtAs) -> Result<Sought, Error> {
        Ok(match sought_as {
            SoughtAs::Digest => {
                let digest = text.parse::<Digest>();
                Sought::Digest(digest.map_err(|error| Error::Image {
                    text: text.to_owned(),
                    source: error.into(),
                })?)
            }
            SoughtAs::Target => Sought::Subject(self.target(text).await?.subject),
            SoughtAs::Image => {
                let ImageReference { name, tag, digest } = image(text)?;
                match (digest, tag) {
                    (Some(digest), _) => Sought::Subject(Subject { name, digest }),
                    (None, None) => Sought::Repository { name, tag: None },
                    (None, Some(tag)) => {
                        let moves = self.mirror.ledger().tag_history(&name, &tag).await?;
                        let family = match moves.last() {
                            Some(last) => self.family(&name, &last.digest).await?,
                            None => Family::default(),
                        };
                        Sought::Repository { name, tag: Some((tag, family)) }
                    }
                }
            }
            SoughtAs::Finding => {
                Sought::Finding { id: text.to_lowercase(), until: Instant::now() + LOOKING_MAX }
            }
            SoughtAs::Signer => {
                let policy = self.mirror.policy();
                let roots = Arc::from(policy.sigstore_roots());
                // A signer of the policy hides by its name whom a certificate names.
                let by_name = policy.signers().iter().any(|signer| signer.name() == text);
                let policy = if by_name { policy } else { Arc::new(ReadyPolicy::built_in()) };
                let until = Instant::now() + LOOKING_MAX;
                Sought::Signer { text: text.to_owned(), looking: Looking { policy, roots, until } }
            }
        })
    }

    /// Whether `item` has what is `sought`.
    pub(super) async fn has(
        &self,
        item: &Item<'_>,
        sought: &Sought,
        memory: &mut Memory,
    ) -> Result<Outcome, Error> {
        let name = item.name.map(|name| self.seen_as(name));
        let of = |matched: Option<Match>| {
            matched.map_or(Outcome::Not, |matched| Outcome::Is(matched, None))
        };
        match sought {
            Sought::Digest(digest) => {
                if item.digest == Some(digest) {
                    return Ok(Outcome::Is(Match::Same, None));
                }
                let Some(name) = name else {
                    return Ok(of((item.config == Some(digest)).then_some(Match::Config)));
                };
                let family = self.family_once(&name, digest, memory).await?;
                Ok(of(family.matches(item.digest, item.config)))
            }
            Sought::Subject(subject) => {
                if name.as_ref().is_some_and(|name| *name != subject.name) {
                    return Ok(Outcome::Not);
                }
                let family = self.family_once(&subject.name, &subject.digest, memory).await?;
                Ok(of(family.matches(item.digest, item.config)))
            }
            Sought::Repository { name: wanted, tag } => {
                let is_of = name.as_ref() == Some(wanted);
                Ok(of(if is_of { written(item, tag.as_ref()) } else { None }))
            }
            Sought::Finding { .. } | Sought::Signer { .. } => {
                let (Some(name), Some(digest)) = (name, item.digest) else {
                    return Ok(Outcome::NotKnown);
                };
                let key = (name, *digest);
                if let Some(known) = memory.outcomes.get(&key) {
                    return Ok(known.clone());
                }
                let subject = Subject { name: key.0.clone(), digest: key.1 };
                let outcome = self.image_has(&subject, sought).await?;
                memory.outcomes.insert(key, outcome.clone());
                Ok(outcome)
            }
        }
    }

    async fn family_once(
        &self,
        name: &Name,
        digest: &Digest,
        memory: &mut Memory,
    ) -> Result<Arc<Family>, Error> {
        if let Some(known) = memory.families.get(name) {
            return Ok(Arc::clone(known));
        }
        let family = Arc::new(self.family(name, digest).await?);
        memory.families.insert(name.clone(), Arc::clone(&family));
        Ok(family)
    }

    /// Whether the image `subject`, or an index that lists it, has what is `sought`.
    async fn image_has(&self, subject: &Subject, sought: &Sought) -> Result<Outcome, Error> {
        let until = match sought {
            Sought::Finding { until, .. } => Some(*until),
            Sought::Signer { looking, .. } => Some(looking.until),
            Sought::Digest(_) | Sought::Subject(_) | Sought::Repository { .. } => None,
        };
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Outcome::NotKnown);
        }
        let ledger = self.mirror.ledger();
        let mut records: Vec<(Arc<Record>, Match)> = Vec::new();
        records.extend(ledger.record(subject).await?.map(|it| (it, Match::Same)));
        for index in ledger.listing(&subject.name, &subject.digest).await? {
            let index = Subject { name: subject.name.clone(), digest: index };
            records.extend(ledger.record(&index).await?.map(|it| (it, Match::OfIndex)));
        }
        let mut is_known = false;
        for (record, matched) in &records {
            let outcome = match sought {
                Sought::Finding { id, until } if Instant::now() < *until => {
                    self.found_in(record, &subject.digest, id).await
                }
                Sought::Signer { text, looking } if Instant::now() < looking.until => {
                    signed_by(&self.signatures_of(record, looking).await, text)
                }
                Sought::Finding { .. }
                | Sought::Signer { .. }
                | Sought::Digest(_)
                | Sought::Subject(_)
                | Sought::Repository { .. } => Outcome::NotKnown,
            };
            match outcome {
                // Found in the image itself, whichever record said so.
                Outcome::Is(found, because) => {
                    let is_finding = matches!(sought, Sought::Finding { .. });
                    let told = if is_finding { found } else { *matched };
                    return Ok(Outcome::Is(told, because));
                }
                Outcome::Not => is_known = true,
                Outcome::NotKnown => {}
            }
        }
        Ok(if is_known { Outcome::Not } else { Outcome::NotKnown })
    }

    /// Whether the finding `id` is known against `digest`, which is what `record` is about or lists.
    async fn found_in(&self, record: &Record, digest: &Digest, id: &str) -> Outcome {
        let Some(facts) = record.evidence.manifest.found() else { return Outcome::NotKnown };
        let is_whole = record.subject.digest == *digest && facts.is_index;
        let images = if is_whole {
            let policy = self.mirror.policy();
            images_of(&record.subject, facts, policy.platforms())
        } else {
            vec![(*digest, None)]
        };
        let mut is_known = !images.is_empty() && images.len() <= IMAGES_MAX;
        for (image, _) in images.iter().take(IMAGES_MAX) {
            let scan = self.scan_of(&record.evidence, image).await;
            let Some(report) = scan.known().and_then(|it| it.report.known()) else {
                is_known = false;
                continue;
            };
            let found: Vec<String> = report
                .findings
                .iter()
                .filter(|it| is_called(it, id))
                .take(NAMED_MAX)
                .map(told)
                .collect();
            if !found.is_empty() {
                let matched = if is_whole { Match::InIndex } else { Match::Same };
                return Outcome::Is(matched, Some(found.join(", ")));
            }
        }
        if is_known { Outcome::Not } else { Outcome::NotKnown }
    }
}

/// Why `item`, of the repository that is sought, counts for `tag`.
fn written(item: &Item<'_>, tag: Option<&(Tag, Family)>) -> Option<Match> {
    let plain = if item.digest.is_some() { Match::Same } else { Match::Written };
    let Some((tag, family)) = tag else { return Some(plain) };
    let written: Option<ImageReference> = item.written.and_then(|it| it.parse().ok());
    if written.and_then(|it| it.tag).as_ref() == Some(tag) {
        return Some(plain);
    }
    family.matches(item.digest, item.config)
}

/// Whether `finding` goes by the name `id`, which is in lower case.
fn is_called(finding: &Finding, id: &str) -> bool {
    let names = [&finding.id].into_iter().chain(finding.aliases.iter()).chain(&finding.advisories);
    names.into_iter().any(|name| name.eq_ignore_ascii_case(id))
}

fn told(finding: &Finding) -> String {
    let package = format!("{} {}", finding.package.name, finding.package.version);
    match &finding.fix {
        Fix::In(version) => format!("{package}, fixed in {version}"),
        Fix::None | Fix::WillNot => package,
    }
}

fn signed_by(seen: &SeenSignatures, text: &str) -> Outcome {
    let by = match seen {
        SeenSignatures::By(signers) => signers,
        SeenSignatures::Nobody => return Outcome::Not,
        SeenSignatures::Unknown(_) | SeenSignatures::Unnamed => return Outcome::NotKnown,
    };
    let is_it = |name: &str| match text.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == text,
    };
    let name = |signer: &SeenSigner| match signer {
        SeenSigner::Named(name) => name.clone(),
        SeenSigner::Identity(identity) => identity.subject.clone(),
    };
    match by.iter().map(name).find(|name| is_it(name)) {
        Some(name) => Outcome::Is(Match::Same, Some(format!("signed by {name}"))),
        None => Outcome::Not,
    }
}
