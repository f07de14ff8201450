//! Whether what is attested about the subject is what the rule wants to hear.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{Checked, Finding, reason};
use super::condition::Facts;
use super::distinct::distinct;
use super::fresh;
use super::text::few;
use super::{
    CheckState, Context, Evidence, EvidenceKind, Gathered, ReasonCode, SignatureSearch, Subject,
};
use crate::oci::Digest;
use crate::policy::{AttestationRule, Demanded, Demands};
use crate::signature::{FoundAttestation, Proof, Refusal, Statement};
use crate::time::Timestamp;

const NAME: &str = "attestation";

/// Judges what has to be attested. With `certain`, the verdict is a denial already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    if demands.attestations().is_empty() {
        return Checked::Nothing;
    }
    if certain {
        let text = "not looked at";
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, text));
    }
    let none = SignatureSearch::default();
    let search = match &evidence.signatures {
        Gathered::Absent => &none,
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Found(search) => search,
        Gathered::NotGathered => return Checked::Missing(EvidenceKind::Signatures),
    };
    let unavailable = match &evidence.attestations {
        _ if search.attestations.is_empty() => &BTreeMap::new(),
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Found(contents) => &contents.unavailable,
        Gathered::Absent | Gathered::NotGathered => {
            return Checked::Missing(EvidenceKind::Attestations);
        }
    };
    let mut found = Vec::new();
    for attestation in &search.attestations {
        if unavailable.contains_key(&attestation.content) {
            continue;
        }
        match context.contents.get(&attestation.content) {
            Some(bytes) => found.push((attestation, bytes)),
            // It was here, and has been evicted since.
            None => return Checked::Missing(EvidenceKind::Attestations),
        }
    }
    let judge = Judge { subject, context, found };
    let finding = judge.finding(demands, unavailable);
    match &search.incomplete {
        // What is missing may be among what could not be fetched.
        Some(why) if finding.check.state == CheckState::Fail => Checked::Failed(why.clone()),
        _ => Checked::Finding(finding),
    }
}

struct Judge<'a> {
    subject: &'a Subject,
    context: &'a Context<'a>,
    found: Vec<(&'a FoundAttestation, &'a bytes::Bytes)>,
}

/// What came of one thing that the rule asks for.
struct Answer {
    text: String,
    /// What is lacking, if anything is.
    lacking: Option<String>,
    until: Option<Timestamp>,
    /// The earliest moment at which the subject is proven to have been there.
    existed_at: Option<Timestamp>,
}

impl Judge<'_> {
    fn finding(&self, demands: &Demands<'_>, unavailable: &BTreeMap<Digest, String>) -> Finding {
        let answer = |asked: &Demanded<'_, AttestationRule>| {
            let answer = self.answer(asked.what);
            let label = asked.label();
            let lacking = answer.lacking.map(|lacking| format!("{label}{lacking}"));
            // What only an overlay wants dates nothing: see `together`.
            let existed_at = answer.existed_at.filter(|_| asked.by.is_none());
            Answer { text: format!("{label}{}", answer.text), lacking, existed_at, ..answer }
        };
        let answers: Vec<Answer> = demands.attestations().iter().map(answer).collect();
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        let mut text = texts.join("; ");
        if !unavailable.is_empty() {
            let why: Vec<&str> = unavailable.values().map(String::as_str).collect();
            text = format!("{text}; could not be read: {}", few(&why));
        }
        let lacking = answers.iter().filter_map(|answer| answer.lacking.as_deref());
        let reasons: Vec<_> = lacking
            .map(|lacking| {
                let remedy = "It would have to be attested upstream, by whom the policy names.";
                reason(ReasonCode::NotAttested, lacking, remedy)
            })
            .collect();
        let state = if reasons.is_empty() { CheckState::Pass } else { CheckState::Fail };
        let until = answers.iter().filter_map(|answer| answer.until).min();
        let existed_at = answers.iter().filter_map(|answer| answer.existed_at).min();
        Finding { reasons, until, existed_at, ..Finding::new(NAME, state, text) }
    }

    fn answer(&self, wanted: &AttestationRule) -> Answer {
        let names: Vec<&str> = wanted.signers.iter().map(String::as_str).collect();
        let mut attested = Vec::new();
        let mut people = Vec::new();
        let mut told = BTreeSet::new();
        let (mut until, mut existed_at): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        for name in &names {
            let mut by = BTreeSet::new();
            for found in &self.found {
                match self.attests(wanted, name, found) {
                    Ok(attested) => {
                        by.insert(attested.by);
                        until = until.into_iter().chain(attested.until).min();
                        existed_at = existed_at.into_iter().chain(attested.existed_at).min();
                    }
                    Err(Some(why)) => drop(told.insert(why)),
                    Err(None) => {}
                }
            }
            if !by.is_empty() {
                attested.push(*name);
                people.push(by);
            }
        }
        let (kind, needed) = (&wanted.kind, wanted.at_least);
        let whom = format!("{kind} by {needed} of [{}]", names.join(", "));
        if needed > 0 && distinct(&people) >= needed {
            let text = format!("{whom}: attested by {}", attested.join(", "));
            return Answer { text, lacking: None, until, existed_at };
        }
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let why = if told.is_empty() { String::new() } else { format!(" ({})", few(&told)) };
        let count = self.found.len();
        let text = format!("{whom}: not attested, of {count} found{why}");
        let missing: Vec<&str> =
            names.iter().filter(|name| !attested.contains(name)).copied().collect();
        let why = if told.len() == 1 { why } else { String::new() };
        let lacking = match missing.as_slice() {
            [] => format!("{kind} attested by {needed} needed, by fewer under several names"),
            _ => format!("{kind} not attested by {}{why}", few(&missing)),
        };
        Answer { text, lacking: Some(lacking), until: None, existed_at: None }
    }

    /// Who attests what is wanted by `found`, if that is the signer `name`; or why not, where that is
    /// telling.
    fn attests(
        &self,
        wanted: &AttestationRule,
        name: &str,
        (found, content): &(&FoundAttestation, &bytes::Bytes),
    ) -> Result<Proof, Option<String>> {
        let signer = self.context.policy.verifier(name).ok_or(None)?;
        let (digest, now) = (&self.subject.digest, self.context.now);
        let verified = signer.verify_attestation(content, &found.form, digest, now);
        let (proof, statement) = verified.map_err(|refusal| {
            // That somebody else said something, or an image signature lies beside it, is no news.
            let is_news = !matches!(refusal, Refusal::WrongKey | Refusal::NotAnAttestation);
            is_news.then(|| refusal.to_string())
        })?;
        if !wanted.kind.takes(&statement.predicate_type) {
            return Err(None);
        }
        if let Some(builder) = self.context.policy.builder(wanted) {
            let built_by = builder_of(&statement).ok_or("names no builder".to_owned())?;
            if !builder.takes(&built_by) {
                return Err(Some(format!("built by {}", super::text::ascii(&built_by))));
            }
        }
        if let Some(condition) = self.context.policy.condition(wanted) {
            let repository = self.subject.name.to_string();
            let facts = Facts { statement: &statement, signer: name, repository: &repository };
            match condition.holds(&facts) {
                Ok(true) => {}
                Ok(false) => return Err(Some("condition is not met".to_owned())),
                Err(why) => return Err(Some(format!("condition cannot be answered: {why}"))),
            }
        }
        let ended = built_at(&statement).filter(|_| wanted.kind.is_provenance());
        let times = proof.existed_at.into_iter().chain(ended);
        let existed_at = times.filter(|at| fresh::is_plausible(*at, now)).min();
        Ok(Proof { existed_at, ..proof })
    }
}

/// When it was built, as provenance has it in either version.
///
/// Spec: <https://slsa.dev/spec/v1.1/provenance>, <https://slsa.dev/spec/v0.2/provenance>
fn built_at(statement: &Statement) -> Option<Timestamp> {
    let places = ["/runDetails/metadata/finishedOn", "/metadata/buildFinishedOn"];
    let predicate: serde_json::Value = serde_json::from_str(statement.predicate.get()).ok()?;
    let found = places.iter().find_map(|place| predicate.pointer(place));
    found.and_then(serde_json::Value::as_str)?.parse().ok()
}

/// Who built it, as provenance has it in either version.
///
/// Spec: <https://slsa.dev/spec/v1.1/provenance>, <https://slsa.dev/spec/v0.2/provenance>
fn builder_of(statement: &Statement) -> Option<String> {
    let predicate: serde_json::Value = serde_json::from_str(statement.predicate.get()).ok()?;
    let places = ["/runDetails/builder/id", "/builder/id"];
    let found = places.iter().find_map(|place| predicate.pointer(place));
    found.and_then(serde_json::Value::as_str).map(str::to_owned)
}
