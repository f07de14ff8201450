//! Whether enough of the wanted signers signed what the rule wants signed, by every quorum of it.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{Checked, Finding, reason};
use super::children;
use super::distinct::distinct;
use super::fresh;
use super::text::few;
use super::together::Together;
use super::{
    CheckState, Context, Evidence, EvidenceKind, Gathered, Reason, ReasonCode, SignatureSearch,
    Subject,
};
use crate::oci::Name;
use crate::policy::{Demands, Quorum, Quorums, Scope, SignatureRule};
use crate::signature::{Refusal, Signer};
use crate::time::Timestamp;

const NAME: &str = "signature";

/// Judges the signatures that are demanded, by the rule and by each overlay. With `certain`, the verdict is
/// a denial already, and evidence that is not there is not asked for.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    let demanded = demands.signatures();
    if demands.denies() || (demands.rule().is_none() && demanded.is_empty()) {
        return finding(CheckState::NotLooked, "not looked at");
    }
    let mut together = Together::new(NAME, certain);
    for asked in demanded {
        let certain = together.is_certain();
        let checked = match asked.what {
            SignatureRule::None { reason } => {
                finding(CheckState::NotAsked, format!("not asked for: {reason}"))
            }
            SignatureRule::Signed { by, scope } => {
                by_one(subject, evidence, *scope, &Asked { by, context, certain })
            }
        };
        together.add(asked.by, checked);
    }
    together.checked().unwrap_or_else(|| finding(CheckState::NotAsked, "not asked for"))
}

/// Judges by what one place of the policy says.
fn by_one(subject: &Subject, evidence: &Evidence, scope: Scope, asked: &Asked<'_>) -> Checked {
    let index = evidence.manifest.found().filter(|facts| facts.is_index);
    match (scope, index) {
        (Scope::Index, _) | (_, None) => itself(subject, evidence, asked),
        (Scope::EveryPlatform, Some(index)) => children::check(subject, index, evidence, asked),
        (Scope::Either, Some(index)) => {
            let own = itself(subject, evidence, asked);
            let settled = match &own {
                Checked::Failed(_) | Checked::Nothing => false,
                Checked::Finding(found) => found.check.state == CheckState::Pass,
                Checked::Missing(_) => true,
            };
            if settled {
                return own;
            }
            // What is below costs more to look at, so that is done only where it matters.
            either(own, children::check(subject, index, evidence, asked))
        }
    }
}

pub(super) fn finding(state: CheckState, text: impl Into<String>) -> Checked {
    Checked::Finding(Finding::new(NAME, state, text))
}

/// What it comes to when the index does not meet the rule, and the images below it may.
fn either(index: Checked, images: Checked) -> Checked {
    match (index, images) {
        (Checked::Finding(index), Checked::Finding(images))
            if index.denies() && images.denies() =>
        {
            let text = format!("{}; or {}", index.check.text, images.check.text);
            let reasons = index.reasons.into_iter().chain(images.reasons).collect();
            Checked::Finding(Finding { reasons, ..Finding::new(NAME, CheckState::Fail, text) })
        }
        // What the index lacks is not certain, so neither is the answer.
        (index, Checked::Finding(images)) if images.denies() => index,
        (_, images) => images,
    }
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) by: &'a Quorums,
    pub(super) context: &'a Context<'a>,
    /// Whether the verdict is a denial already.
    pub(super) certain: bool,
}

/// What the signatures over one digest come to.
pub(super) struct Answer {
    /// What was seen, in words.
    pub(super) seen: String,
    /// What is lacking; nothing when all quorums are met.
    pub(super) lacking: Vec<Reason>,
    /// Why what is lacking may be there all the same.
    pub(super) open: Option<String>,
    /// Until when it holds.
    pub(super) until: Option<Timestamp>,
    /// The earliest moment at which it is proven to have been signed, by one who counts.
    pub(super) existed_at: Option<Timestamp>,
}

/// Judges the signatures over the subject itself.
fn itself(subject: &Subject, evidence: &Evidence, asked: &Asked<'_>) -> Checked {
    let none = SignatureSearch::default();
    let search = match &evidence.signatures {
        Gathered::Absent => &none,
        Gathered::Failed(why) if asked.certain => return finding(CheckState::Failed, why),
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Found(search) => search,
        Gathered::NotGathered if asked.certain => {
            return finding(CheckState::NotLooked, "not looked at");
        }
        Gathered::NotGathered => return Checked::Missing(EvidenceKind::Signatures),
    };
    let Answer { seen, lacking, open, until, existed_at } = asked.answer(subject, search, "It");
    let text = format!("needs {}; {seen}", asked.needs());
    match open {
        Some(why) if !asked.certain => Checked::Failed(why),
        _ if lacking.is_empty() => {
            let passing = Finding::new(NAME, CheckState::Pass, text);
            Checked::Finding(Finding { until, existed_at, ..passing })
        }
        _ => {
            let failing = Finding::new(NAME, CheckState::Fail, text);
            Checked::Finding(Finding { reasons: lacking, ..failing })
        }
    }
}

impl Asked<'_> {
    /// Who is needed, in words.
    pub(super) fn needs(&self) -> String {
        let needed = |quorum: &Quorum| format!("{} of [{}]", quorum.at_least, quorum.of.join(", "));
        self.by.as_slice().iter().map(needed).collect::<Vec<_>>().join(" and ")
    }

    /// What `search` says about `subject`, which remedies call `what`. Each quorum that is not met is a
    /// reason of its own.
    pub(super) fn answer(&self, subject: &Subject, search: &SignatureSearch, what: &str) -> Answer {
        let most = self.context.policy.limits().signatures_per_image;
        if u64::try_from(search.found.len()).unwrap_or(u64::MAX) > most {
            let text = format!("{} signatures, the policy allows {most}", search.found.len());
            let remedy = "Signatures that are not needed would have to be removed upstream.";
            let lacking = vec![reason(ReasonCode::TooManySignatures, &text, remedy)];
            return Answer { seen: text, lacking, open: None, until: None, existed_at: None };
        }
        let signed = Signed::new(&names_of(subject, self.context), search, self.by, self.context);
        let quorums = self.by.as_slice().iter();
        let unmet: Vec<&Quorum> = quorums.filter(|quorum| !signed.meets(quorum)).collect();
        let mut lacking: Vec<_> = unmet.iter().map(|it| signed.lacking(it, what)).collect();
        if let Some(last) = lacking.last_mut() {
            last.remedy.push_str(&looked(search));
        }
        let open = search.incomplete.clone().filter(|_| !lacking.is_empty());
        let (until, existed_at) = (signed.until(), signed.existed_at());
        Answer { seen: signed.seen(&unmet), lacking, open, until, existed_at }
    }
}

/// Where signatures were looked for, as the end of a remedy.
fn looked(search: &SignatureSearch) -> String {
    if search.looked_for.is_empty() {
        return String::new();
    }
    let places: Vec<&str> = search.looked_for.iter().map(String::as_str).collect();
    format!(" Looked in {}.", few(&places))
}

/// The subject as its signers may call it: by its canonical name, and by the address at which the
/// configuration says that its registry is.
pub(super) fn names_of(subject: &Subject, context: &Context<'_>) -> Vec<Subject> {
    let by_address = context.address.map(|address| Subject {
        name: Name::new(address.clone(), subject.name.repository().clone()),
        digest: subject.digest,
    });
    std::iter::once(subject.clone()).chain(by_address).collect()
}

/// Who signed one digest, as far as any of the quorums asks. Every signer is asked once, whatever the
/// number of quorums that name them.
struct Signed<'a> {
    search: &'a SignatureSearch,
    /// In the order of the policy, each once.
    names: Vec<&'a str>,
    by: BTreeMap<&'a str, SignedBy>,
}

impl<'a> Signed<'a> {
    fn new(
        subject: &[Subject],
        search: &'a SignatureSearch,
        quorums: &'a Quorums,
        context: &Context<'_>,
    ) -> Self {
        let (mut names, mut by) = (Vec::new(), BTreeMap::new());
        for name in quorums.as_slice().iter().flat_map(|quorum| &quorum.of).map(String::as_str) {
            let Some(verifier) = context.policy.verifier(name) else { continue };
            by.entry(name).or_insert_with(|| {
                names.push(name);
                signed_by(subject, search, verifier, context.now)
            });
        }
        Self { search, names, by }
    }

    /// What was found, in words, and why that does not do for the quorums `unmet`.
    fn seen(&self, unmet: &[&Quorum]) -> String {
        let mut text = match self.search.found.len() {
            0 => "no signature found".to_owned(),
            1 => "found 1 signature".to_owned(),
            count => format!("found {count} signatures"),
        };
        let names = self.names.iter().filter(|name| self.is_by(name));
        let valid: Vec<&str> = names.copied().collect();
        if !valid.is_empty() {
            text = format!("{text}, valid by {}", valid.join(", "));
        }
        let told: BTreeSet<&str> = unmet.iter().flat_map(|quorum| self.told(quorum)).collect();
        if !told.is_empty() {
            text = format!("{text}; {}", few(&told.into_iter().collect::<Vec<_>>()));
        }
        if !unmet.is_empty() && !self.search.skipped.is_empty() {
            let skipped: Vec<&str> = self.search.skipped.iter().map(String::as_str).collect();
            text = format!("{text}; could not be read: {}", few(&skipped));
        }
        text
    }

    /// When the first of the signatures that count ends.
    fn until(&self) -> Option<Timestamp> {
        self.by.values().filter_map(|by| by.until).min()
    }

    /// The earliest moment at which one who counts is proven to have signed.
    fn existed_at(&self) -> Option<Timestamp> {
        self.by.values().filter_map(|by| by.existed_at).min()
    }

    fn is_by(&self, name: &str) -> bool {
        self.by.get(name).is_some_and(|by| !by.people.is_empty())
    }

    /// How many signed for `quorum`. Counted by who signed: whatever a policy calls somebody, it is
    /// one signer. What they count for in another quorum is that one's matter.
    fn count(&self, quorum: &Quorum) -> usize {
        let by = quorum.of.iter().filter_map(|name| self.by.get(name.as_str()));
        let people: Vec<_> = by.map(|by| by.people.clone()).filter(|it| !it.is_empty()).collect();
        distinct(&people)
    }

    fn meets(&self, quorum: &Quorum) -> bool {
        quorum.at_least > 0 && self.count(quorum) >= quorum.at_least
    }

    /// What is telling about signatures by none of those whom `quorum` names.
    fn told(&self, quorum: &Quorum) -> BTreeSet<&str> {
        let silent = quorum.of.iter().filter(|name| !self.is_by(name));
        let by = silent.filter_map(|name| self.by.get(name.as_str()));
        by.flat_map(|by| by.told.iter().map(String::as_str)).collect()
    }

    /// Why `what` does not meet `quorum`.
    fn lacking(&self, quorum: &Quorum, what: &str) -> Reason {
        let at_least = quorum.at_least;
        let names = quorum.of.iter().map(String::as_str);
        let missing: Vec<&str> = names.filter(|name| !self.is_by(name)).collect();
        let count = self.count(quorum);
        let mut text = match (missing.as_slice(), count) {
            ([only], _) => format!("not signed by {only}"),
            ([], _) => format!("signed by {count} of {at_least} needed, under several names"),
            (_, 0) if at_least == 1 => format!("not signed by any of {}", few(&missing)),
            (_, count) => {
                format!("signed by {count} of {at_least} needed, not by {}", few(&missing))
            }
        };
        let told: Vec<&str> = self.told(quorum).into_iter().collect();
        if let [only] = told.as_slice() {
            text = format!("{text} ({only})");
        }
        let found = &self.search.found;
        let code = if found.is_empty() { ReasonCode::Unsigned } else { ReasonCode::WrongSigner };
        let more = at_least.saturating_sub(count);
        let whom = if more >= missing.len() { String::new() } else { format!("{more} more of ") };
        let remedy = match missing.as_slice() {
            [] => format!("{what} would have to be signed by {more} more people."),
            _ => format!("{what} would have to be signed by {whom}{}.", few(&missing)),
        };
        reason(code, &text, remedy)
    }
}

/// Who signed for one signer of the policy.
#[derive(Default)]
pub(super) struct SignedBy {
    pub(super) people: BTreeSet<String>,
    /// When the first of the signatures that count ends.
    pub(super) until: Option<Timestamp>,
    /// The earliest moment at which one of them is proven to have been there.
    pub(super) existed_at: Option<Timestamp>,
    /// What is telling about the signatures that are by nobody whom the signer takes.
    told: BTreeSet<String>,
}

pub(super) fn signed_by(
    names: &[Subject],
    search: &SignatureSearch,
    signer: &Signer,
    now: Timestamp,
) -> SignedBy {
    let mut so_far = SignedBy::default();
    for found in &search.found {
        for subject in names {
            match signer.verify(found, &subject.name, &subject.digest, now) {
                Ok(proof) => {
                    so_far.people.insert(proof.by);
                    so_far.until = so_far.until.into_iter().chain(proof.until).min();
                    let proven = proof.existed_at.filter(|at| fresh::is_plausible(*at, now));
                    let existed_at = so_far.existed_at.into_iter().chain(proven);
                    so_far.existed_at = existed_at.min();
                    break;
                }
                // That somebody else signed too is no news.
                Err(Refusal::WrongKey) => {}
                Err(refusal) => {
                    so_far.told.insert(refusal.to_string());
                }
            }
            if !found.form().names_repository() {
                break;
            }
        }
    }
    so_far
}
