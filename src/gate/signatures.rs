//! Whether enough of the wanted signers signed the subject.

use std::collections::BTreeSet;

use super::checks::{Finding, reason};
use super::distinct::distinct;
use super::text::few;
use super::{
    CheckState, Context, Evidence, Gathered, Reason, ReasonCode, SignatureSearch, Subject,
};
use crate::oci::Name;
use crate::policy::{Rule, SignatureRule, Trust};
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
    let (at_least, of) = match rule.signatures() {
        None => return not_asked("not asked for".to_owned()),
        Some(SignatureRule::None { reason }) => {
            return not_asked(format!("not asked for: {reason}"));
        }
        Some(SignatureRule::Quorum { at_least, of }) => (*at_least, of),
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
        let finding = quorum(&names_of(subject, context), search, at_least, of, context);
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

fn quorum(
    subject: &[Subject],
    search: &SignatureSearch,
    at_least: usize,
    of: &[String],
    context: &Context<'_>,
) -> Finding {
    let names: Vec<&str> = of.iter().map(String::as_str).collect();
    let mut signed = Vec::new();
    let mut people = Vec::new();
    let mut refusals = BTreeSet::new();
    let mut until: Option<Timestamp> = None;
    for name in &names {
        let Some(verifier) = context.policy.verifier(name) else { continue };
        let SignedBy { people: by, until: end, told } =
            signed_by(subject, search, verifier, context.now);
        if by.is_empty() {
            refusals.extend(told);
        } else {
            signed.push(*name);
            people.push(by);
            until = until.into_iter().chain(end).min();
        }
    }
    let wanted = format!("needs {at_least} of [{}]", names.join(", "));
    let found = match search.found.len() {
        0 => "no signature found".to_owned(),
        1 => "found 1 signature".to_owned(),
        count => format!("found {count} signatures"),
    };
    let mut text = format!("{wanted}; {found}");
    if !signed.is_empty() {
        text = format!("{text}, valid by {}", signed.join(", "));
    }
    // Counted by who signed: whatever a policy calls somebody, it is one signer.
    let count = distinct(&people);
    if at_least > 0 && count >= at_least {
        return Finding { until, ..Finding::new(NAME, CheckState::Pass, text) };
    }
    let refusals: Vec<&str> = refusals.iter().map(String::as_str).collect();
    if !refusals.is_empty() {
        text = format!("{text}; {}", few(&refusals));
    }
    if !search.skipped.is_empty() {
        let skipped: Vec<&str> = search.skipped.iter().map(String::as_str).collect();
        text = format!("{text}; could not be read: {}", few(&skipped));
    }
    failing(text, lacking(search, at_least, &names, &signed, &refusals))
}

fn lacking(
    search: &SignatureSearch,
    at_least: usize,
    names: &[&str],
    signed: &[&str],
    refusals: &[&str],
) -> Reason {
    let missing: Vec<&str> = names.iter().filter(|name| !signed.contains(name)).copied().collect();
    let mut text = match (missing.as_slice(), signed.len()) {
        ([only], _) => format!("not signed by {only}"),
        (_, 0) if at_least == 1 => format!("not signed by any of {}", few(&missing)),
        (_, count) => format!("signed by {count} of {at_least} needed, not by {}", few(&missing)),
    };
    if let [only] = refusals {
        text = format!("{text} ({only})");
    }
    let code = if search.found.is_empty() { ReasonCode::Unsigned } else { ReasonCode::WrongSigner };
    let more = at_least.saturating_sub(signed.len());
    let looked = if search.looked_for.is_empty() {
        String::new()
    } else {
        let places: Vec<&str> = search.looked_for.iter().map(String::as_str).collect();
        format!(" Looked in {}.", few(&places))
    };
    let whom = if more >= missing.len() { String::new() } else { format!("{more} more of ") };
    let remedy = format!("It would have to be signed by {whom}{}.{looked}", few(&missing));
    reason(code, &text, remedy)
}

fn failing(text: String, reason: Reason) -> Finding {
    let mut finding = Finding::new(NAME, CheckState::Fail, text);
    finding.reasons.push(reason);
    finding
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
