//! Whether enough of the wanted signers signed the subject, by every quorum of the rule.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{Finding, reason};
use super::distinct::distinct;
use super::text::few;
use super::{
    CheckState, Context, Evidence, Gathered, Reason, ReasonCode, SignatureSearch, Subject,
};
use crate::oci::Name;
use crate::policy::{Quorum, Quorums, Rule, SignatureRule, Trust};
use crate::signature::{Refusal, Signer};
use crate::time::Timestamp;

const NAME: &str = "signature";

/// What the check came to.
pub(super) enum Checked {
    Failed(String),
    Finding(Finding),
    Missing,
}

/// Judges the signatures that `rule` asks for. With `certain`, the verdict is a denial already, and
/// evidence that is not there is not asked for.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: Option<&Rule>,
    certain: bool,
) -> Checked {
    let policy = context.policy;
    let not_looked = |why: &str| Checked::Finding(Finding::new(NAME, CheckState::NotLooked, why));
    let Some(rule) = rule.filter(|rule| rule.trust() != Trust::Deny) else {
        return not_looked("not looked at");
    };
    let not_asked = |text: String| Checked::Finding(Finding::new(NAME, CheckState::NotAsked, text));
    let by = match rule.signatures() {
        None => return not_asked("not asked for".to_owned()),
        Some(SignatureRule::None { reason }) => {
            return not_asked(format!("not asked for: {reason}"));
        }
        Some(SignatureRule::Signed { by }) => by,
    };
    let none = SignatureSearch::default();
    let search = match &evidence.signatures {
        Gathered::Absent => &none,
        Gathered::Failed(why) if certain => {
            return Checked::Finding(Finding::new(NAME, CheckState::Failed, why));
        }
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Found(search) => search,
        Gathered::NotGathered if certain => return not_looked("not looked at"),
        Gathered::NotGathered => return Checked::Missing,
    };
    let most = policy.limits().signatures_per_image;
    Checked::Finding(if u64::try_from(search.found.len()).unwrap_or(u64::MAX) > most {
        let text = format!("{} signatures, the policy allows {most}", search.found.len());
        let remedy = "Signatures that are not needed would have to be removed upstream.";
        failing(text.clone(), reason(ReasonCode::TooManySignatures, &text, remedy))
    } else {
        let finding = finding(&Signed::new(&names_of(subject, context), search, by, context), by);
        match &search.incomplete {
            // What is missing may be among what could not be fetched.
            Some(why) if !certain && finding.check.state == CheckState::Fail => {
                return Checked::Failed(why.clone());
            }
            _ => finding,
        }
    })
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

/// What all quorums come to: each that is not met is a reason of its own.
fn finding(signed: &Signed<'_>, by: &Quorums) -> Finding {
    let search = signed.search;
    let needs: Vec<String> = by.as_slice().iter().map(needed).collect();
    let found = match search.found.len() {
        0 => "no signature found".to_owned(),
        1 => "found 1 signature".to_owned(),
        count => format!("found {count} signatures"),
    };
    let mut text = format!("needs {}; {found}", needs.join(" and "));
    let valid: Vec<&str> = signed.names.iter().filter(|name| signed.is_by(name)).copied().collect();
    if !valid.is_empty() {
        text = format!("{text}, valid by {}", valid.join(", "));
    }
    let unmet: Vec<&Quorum> = by.as_slice().iter().filter(|quorum| !signed.meets(quorum)).collect();
    if unmet.is_empty() {
        let until = signed.by.values().filter_map(|by| by.until).min();
        return Finding { until, ..Finding::new(NAME, CheckState::Pass, text) };
    }
    let told: BTreeSet<&str> = unmet.iter().flat_map(|quorum| signed.told(quorum)).collect();
    if !told.is_empty() {
        text = format!("{text}; {}", few(&told.into_iter().collect::<Vec<_>>()));
    }
    if !search.skipped.is_empty() {
        let skipped: Vec<&str> = search.skipped.iter().map(String::as_str).collect();
        text = format!("{text}; could not be read: {}", few(&skipped));
    }
    let mut finding = Finding::new(NAME, CheckState::Fail, text);
    finding.reasons = unmet.into_iter().map(|quorum| signed.lacking(quorum)).collect();
    if let Some(last) = finding.reasons.last_mut() {
        last.remedy.push_str(&looked(search));
    }
    finding
}

fn needed(quorum: &Quorum) -> String {
    format!("{} of [{}]", quorum.at_least, quorum.of.join(", "))
}

/// Where signatures were looked for, as the end of a remedy.
fn looked(search: &SignatureSearch) -> String {
    if search.looked_for.is_empty() {
        return String::new();
    }
    let places: Vec<&str> = search.looked_for.iter().map(String::as_str).collect();
    format!(" Looked in {}.", few(&places))
}

fn failing(text: String, reason: Reason) -> Finding {
    let mut finding = Finding::new(NAME, CheckState::Fail, text);
    finding.reasons.push(reason);
    finding
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

    /// Why `quorum` is not met.
    fn lacking(&self, quorum: &Quorum) -> Reason {
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
            [] => format!("It would have to be signed by {more} more people."),
            _ => format!("It would have to be signed by {whom}{}.", few(&missing)),
        };
        reason(code, &text, remedy)
    }
}

/// Who signed for one signer of the policy.
#[derive(Default)]
pub(super) struct SignedBy {
    pub(super) people: BTreeSet<String>,
    /// When the first of the signatures that count ends.
    until: Option<Timestamp>,
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
