//! Tests of a policy: cases are put before the very gate that the mirror asks.
//!
//! Facts become evidence: manifests, configurations and reports as the mirror would have gathered them,
//! and signatures that are real. So that somebody can sign for the policy's signers, each of them is
//! replaced by the holder of a key that is made for the test ([`crate::policy::Policy::with_stand_in_signers`]);
//! the gate verifies as always, and nothing in it knows of tests.
//!
//! What that leaves out is said in `docs/policy-tools.md`: certificates, logs, timestamps and revocation of
//! the real signers, VEX documents and scans that are attested, and what a tag stood for before.
//! It does no I/O, and nothing that it makes is kept.

mod configuration;
mod manifest;
mod pen;
mod scans;
mod signed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use self::pen::{NoKey, Pens};
use crate::gate::{
    Context, Evidence, EvidenceKind, Gathered, Judgement, Outcome, ReadyPolicy, Reason, ReasonCode,
    Scans, SeenFindings, Standing, Subject, Verdict, decide, refuse_by_name,
};
use crate::oci::{Digest, Reference, Tag};
use crate::policy::{Case, ExpectedVerdict, Position, Problem, RuleId, StandingFact};
use crate::time::Timestamp;

/// A policy whose tests can be run.
#[derive(Debug)]
pub struct Rehearsal {
    policy: ReadyPolicy,
    pens: Pens,
    now: Timestamp,
}

/// Why tests cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// No key could be made that stands in for a signer.
    #[error("no key can be made to stand in for signer {0}")]
    Key(String),
    /// The policy with these keys is refused.
    #[error("the policy cannot be used with stand-in keys: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Policy(Vec<Problem>),
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// The verdict; `None` where none was reached.
    pub verdict: Option<ExpectedVerdict>,
    /// Whether it is acted on.
    pub enforced: bool,
    /// The rule that decided, if one did.
    pub rule: Option<RuleId>,
    /// Why it is not admitted.
    pub reasons: Vec<Reason>,
    /// What is not as expected, in words; nothing when the case holds.
    pub differences: Vec<String>,
}

impl Played {
    /// Whether the policy says what was expected.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Rehearsal {
    /// Makes keys that stand in for the signers of `policy`; cases that say nothing else are about `now`.
    ///
    /// # Errors
    /// When a key cannot be made, or the policy cannot be used with it.
    pub fn new(policy: &ReadyPolicy, now: Timestamp) -> Result<Self, RehearsalError> {
        let names = policy.signers().iter().map(|signer| signer.name().to_owned());
        let pens = Pens::new(names).map_err(|NoKey(name)| RehearsalError::Key(name))?;
        let stand_in = policy.with_stand_in_signers(|name| pens.pem_of(name));
        let policy = ReadyPolicy::new(stand_in).map_err(RehearsalError::Policy)?;
        Ok(Self { policy, pens, now })
    }

    /// Has the gate judge the image of `case`, and compares what it says.
    pub fn play(&self, case: &Case) -> Played {
        // By digest nobody is refused for a tag.
        let asked_by = match case.image.reference() {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let now = case.facts.now.unwrap_or(self.now);
        let (policy, name) = (&self.policy, &case.image.name);
        if let Some(judgement) = refuse_by_name(policy, name, asked_by.as_ref(), now) {
            return played(case, &judgement);
        }
        match self.outcome(case, asked_by.as_ref().or(case.image.tag.as_ref())) {
            Outcome::Decided(judgement) => played(case, &judgement),
            Outcome::Missing(kinds) => open(missing(&kinds), Vec::new()),
            Outcome::Undecided(reasons) => {
                let texts: Vec<&str> = reasons.iter().map(|it| it.text.as_str()).collect();
                open(format!("could not be decided: {}", texts.join("; ")), reasons)
            }
        }
    }

    fn outcome(&self, case: &Case, tag: Option<&Tag>) -> Outcome {
        let subject = Subject { name: case.image.name.clone(), digest: case.digest() };
        let now = case.facts.now.unwrap_or(self.now);
        let facts = manifest::facts(case, &subject, &self.policy);
        let mut contents: BTreeMap<Digest, Bytes> = BTreeMap::new();
        let mut evidence = Evidence { gathered_at: Some(now), ..Evidence::default() };
        signed::put(case, &subject, &facts, &self.pens, &mut evidence, &mut contents);
        evidence.configs = configuration::of(case, &subject, &facts);
        let (scan, scans) = scans::of(case, &subject, &facts, &self.policy, now);
        evidence.scan = scan;
        evidence.manifest = Gathered::Found(facts);
        let tags: BTreeSet<&Tag> = case.facts.tags.iter().chain(tag).collect();
        let tags: Vec<Tag> = tags.into_iter().cloned().collect();
        let standing = case.facts.standing.map(|fact| standing(fact, now, (&evidence, &scans)));
        let context = Context {
            policy: &self.policy,
            tags: &tags,
            standing: standing.as_ref(),
            elsewhere: &[],
            address: None,
            now,
            before: &[],
            emergency: None,
            line: &[],
            contents: &contents,
            scans: &scans,
            first_seen: case.facts.known_for.map(|time| before(now, time)),
            waited: false,
            passed: None,
            silenced: &[],
            unseen: &BTreeMap::new(),
            granted: &[],
        };
        decide(&subject, &evidence, &context)
    }
}

/// Every code among the expected reasons of `cases` that no reason has.
pub fn unknown_reasons(cases: &[Case]) -> Vec<Problem> {
    let reasons = cases.iter().filter_map(|case| case.expected.reasons.as_ref()).flatten();
    let unknown = reasons.filter(|(code, ..)| code_of(code).is_none());
    let problem = |(code, position, path): &(String, Position, String)| {
        let text = format!("\"{code}\" is no code of a reason; pratique explain --json shows them");
        Problem::new(*position, path.clone(), text)
    };
    unknown.map(problem).collect()
}

fn code_of(word: &str) -> Option<ReasonCode> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// The word of `code`, as tests and the API write it.
pub fn word_of(code: ReasonCode) -> String {
    let value = serde_json::to_value(code).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_milliseconds(now.milliseconds().saturating_sub(time))
}

/// Whoever approved it was shown all that is found in the case.
fn standing(
    fact: StandingFact,
    now: Timestamp,
    (evidence, scans): (&Evidence, &Scans),
) -> Standing {
    let (by, reason) = ("the test".to_owned(), "as the test says".to_owned());
    match fact {
        StandingFact::Approved { expires } => {
            let seen = SeenFindings::of(evidence, scans).map(Box::new);
            Standing::Approved {
                by,
                at: now,
                expires,
                reason,
                voters: Vec::new(),
                seen,
                files: Vec::new(),
            }
        }
        StandingFact::Rejected => Standing::Rejected { by, at: now, reason },
        StandingFact::Revoked => Standing::Revoked { by, at: now, reason },
    }
}

fn verdict_of(judgement: &Judgement) -> ExpectedVerdict {
    match judgement.verdict {
        Verdict::Admit => ExpectedVerdict::Admit,
        Verdict::Deny(_) => ExpectedVerdict::Deny,
        Verdict::Pending(_) => ExpectedVerdict::Pending,
    }
}

/// What the case does not say, and how it would.
fn missing(kinds: &[EvidenceKind]) -> String {
    let hint = |kind: &EvidenceKind| match kind {
        EvidenceKind::Manifest => "what the manifest says",
        EvidenceKind::Signatures | EvidenceKind::Attestations => {
            "who signed it; write signedBy: [NAME], or signedBy: []"
        }
        EvidenceKind::ChildSignatures | EvidenceKind::ChildAttestations => {
            "who signed the images that it lists; write imagesSignedBy: [NAME], or imagesSignedBy: []"
        }
        EvidenceKind::Scan => {
            "what a scan finds; write findings: [{id: ..., package: ...}], or findings: []"
        }
        EvidenceKind::Configs => {
            "what its configuration says; write config: {user: ...}, or config: {}"
        }
    };
    let hints: BTreeSet<&str> = kinds.iter().map(hint).collect();
    let hints: Vec<&str> = hints.into_iter().collect();
    format!("the verdict hangs on {}", hints.join(", and on "))
}

fn open(difference: String, reasons: Vec<Reason>) -> Played {
    let (verdict, rule, differences) = (None, None, vec![difference]);
    Played { verdict, enforced: true, rule, reasons, differences }
}

fn played(case: &Case, judgement: &Judgement) -> Played {
    let verdict = verdict_of(judgement);
    let mut differences = Vec::new();
    let expected = &case.expected;
    if verdict != expected.verdict {
        let (verdict, expected) = (verdict.as_str(), expected.verdict.as_str());
        let texts: Vec<&str> = judgement.reasons().iter().map(|it| it.text.as_str()).collect();
        let why = if texts.is_empty() { String::new() } else { format!(": {}", texts.join("; ")) };
        differences.push(format!("is {verdict}, not {expected}{why}"));
    }
    if let Some(reasons) = &expected.reasons {
        let wanted: BTreeSet<&str> = reasons.iter().map(|(code, ..)| code.as_str()).collect();
        let found: BTreeSet<String> =
            judgement.reasons().iter().map(|it| word_of(it.code)).collect();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        if wanted != found {
            let list = |set: &BTreeSet<&str>| {
                format!("[{}]", set.iter().copied().collect::<Vec<_>>().join(", "))
            };
            differences.push(format!("reasons are {}, not {}", list(&found), list(&wanted)));
        }
    }
    if let Some(rule) = expected.rule.as_ref().filter(|rule| judgement.rule.as_ref() != Some(rule))
    {
        let found = judgement.rule.as_ref().map_or("no rule", RuleId::as_str);
        differences.push(format!("{found} decides, not {rule}"));
    }
    Played {
        verdict: Some(verdict),
        enforced: judgement.enforced,
        rule: judgement.rule.clone(),
        reasons: judgement.reasons().to_vec(),
        differences,
    }
}
