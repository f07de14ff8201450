//! Whether enough of the wanted signers signed the subject.

use std::collections::BTreeSet;

use super::checks::{Finding, reason};
use super::text::few;
use super::{
    CheckState, Context, Evidence, Gathered, Reason, ReasonCode, SignatureSearch, Subject,
};
use crate::oci::Name;
use crate::policy::{Policy, Problem, Rule, SignatureRule, Signer, Trust};
use crate::signature::{Key, Refusal, verify};

const NAME: &str = "signature";

/// What the check came to.
pub(super) enum Checked {
    Failed(String),
    Finding(Finding),
    Missing,
}

/// The signers of `policy` whose PEM text is no key that signatures can be verified with.
///
/// A policy with such a signer must not come into force: the one who loads it calls this after
/// parsing, and reports both kinds of problems alike.
pub fn check_signers(policy: &Policy) -> Vec<Problem> {
    let wrong = policy.signers().iter().filter_map(|signer| {
        let error = Key::from_pem(signer.pem()).err()?;
        Some(Problem::new(signer.position(), signer.key_path(), error.to_string()))
    });
    wrong.collect()
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
        let signers: Vec<&Signer> = of.iter().filter_map(|name| policy.signer(name)).collect();
        let finding = quorum(&names_of(subject, context), search, at_least, &signers);
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
fn names_of(subject: &Subject, context: &Context<'_>) -> Vec<Subject> {
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
    signers: &[&Signer],
) -> Finding {
    let names: Vec<&str> = signers.iter().map(|signer| signer.name()).collect();
    let mut signed = Vec::new();
    // Counted by key: whatever a policy calls a key, it is one signer.
    let mut keys = BTreeSet::new();
    let mut refusals = BTreeSet::new();
    for signer in signers {
        match signed_by(subject, search, signer) {
            Ok(key) => {
                signed.push(signer.name());
                keys.insert(key);
            }
            Err(told) => refusals.extend(told),
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
    if at_least > 0 && keys.len() >= at_least {
        return Finding::new(NAME, CheckState::Pass, text);
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

/// The id of the signer's key if one of the signatures is by it, else what is telling about those
/// that are not.
fn signed_by(
    names: &[Subject],
    search: &SignatureSearch,
    signer: &Signer,
) -> Result<String, BTreeSet<String>> {
    let key = match Key::from_pem(signer.pem()) {
        Ok(key) => key,
        Err(error) => return Err(BTreeSet::from([format!("{}: {error}", signer.name())])),
    };
    let mut refusals = BTreeSet::new();
    for found in &search.found {
        for subject in names {
            match verify(found, &key, &subject.name, &subject.digest) {
                Ok(()) => return Ok(key.id()),
                // That somebody else signed too is no news.
                Err(Refusal::WrongKey) => {}
                Err(refusal) => {
                    refusals.insert(refusal.to_string());
                }
            }
        }
    }
    Err(refusals)
}
