//! What an emergency grant makes of a verdict: something that is served although it is not admitted, and
//! what is not served even then.
//!
//! The verdict stays what it is. Beside it stands that it is served by the grant, and until when; so
//! nothing that asks whether a subject was admitted ever takes it for that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::checks::{self, Checked, Finding};
use super::decide::{Applicable, as_shown, judgement, undecided};
use super::{
    Check, CheckState, Context, Evidence, EvidenceKind, Gathered, Judgement, Outcome, Reason,
    ReasonCode, Standing, Subject, Verdict,
};
use super::{attestations, configured, continuity, expressions, fresh, scan, signatures};
use crate::policy::{Answer, BreakGlass, Demands, Kept, Mode, ScanGate};
use crate::time::Timestamp;

/// What the check is called.
const NAME: &str = "break-glass";
const MALWARE_REMEDY: &str = "Nothing overrides that it is known to be malicious.";

/// The number of a break-glass: `B-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmergencyId(u64);

impl EmergencyId {
    /// The id with that number, which is not 0.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for EmergencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "B-{}", self.0)
    }
}

impl JsonSchema for EmergencyId {
    fn schema_name() -> Cow<'static, str> {
        "BreakGlassId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([Bb]-)?[1-9][0-9]{0,17}$",
            "description": "The number of a break-glass.",
            "examples": ["B-3"],
        })
    }
}

/// A text is no number of a break-glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the number of a break-glass as B-3")]
pub struct EmergencyIdError;

impl FromStr for EmergencyId {
    type Err = EmergencyIdError;

    fn from_str(text: &str) -> Result<Self, EmergencyIdError> {
        let digits = text.strip_prefix(['B', 'b']).and_then(|rest| rest.strip_prefix('-'));
        let digits = digits.unwrap_or(text);
        let plain = (1..=18).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| plain);
        number.and_then(Self::new).ok_or(EmergencyIdError)
    }
}

impl TryFrom<String> for EmergencyId {
    type Error = EmergencyIdError;

    fn try_from(text: String) -> Result<Self, EmergencyIdError> {
        text.parse()
    }
}

impl From<EmergencyId> for String {
    fn from(id: EmergencyId) -> Self {
        id.to_string()
    }
}

/// A break-glass that is in force for the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emergency {
    /// Which.
    pub id: EmergencyId,
    /// From when on it counts no more.
    pub until: Timestamp,
}

/// What a break-glass came to beside a verdict that does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByEmergency {
    /// Which.
    pub id: EmergencyId,
    /// Until when that holds.
    pub until: Timestamp,
    /// Whether the subject is served by it.
    pub serves: bool,
}

/// `outcome` with what the emergency in `context` makes of it, if there is one.
pub(super) fn apply(
    outcome: Outcome,
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
) -> Outcome {
    let policy = context.policy;
    let Some(emergency) = context.emergency else { return outcome };
    let is_over = emergency.until <= context.now;
    let allowed = policy.break_glass().filter(|it| it.covers(&subject.name) && !is_over);
    let Some(allowed) = allowed else { return seen(outcome, emergency) };
    let refused_by_people =
        matches!(context.standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. }));
    // What is not enforced is served anyhow, and what people refused, people take back.
    if policy.mode_for(&subject.name, context.now) != Mode::Enforce || refused_by_people {
        return seen(outcome, emergency);
    }
    let reasons = match &outcome {
        Outcome::Missing(_) => return outcome,
        Outcome::Decided(found) if found.admits() || !found.enforced => return outcome,
        Outcome::Decided(found) => found.reasons().to_vec(),
        Outcome::Undecided(reasons) => reasons.clone(),
    };
    match (Asking { subject, evidence, context, allowed }).holds(&reasons) {
        Err(open) => *open,
        Ok(holds) => {
            let mut found = told(outcome, &reasons, &holds, emergency);
            if let Some(facts) = evidence.manifest.found().filter(|it| it.malformed.is_none()) {
                let demands = policy.demands(&subject.name, facts.artifact(), context.tags);
                found.rule = found.rule.or_else(|| demands.rule().map(|rule| rule.id().clone()));
            }
            // It was compared with that, whatever the rule asked for.
            found.database = found.database.or_else(|| context.scans.database());
            Outcome::Decided(found)
        }
    }
}

/// `outcome` with the note that the emergency changes nothing about it.
fn seen(mut outcome: Outcome, Emergency { id, until }: Emergency) -> Outcome {
    if let Outcome::Decided(found) = &mut outcome
        && !found.admits()
    {
        found.by_emergency = Some(Box::new(ByEmergency { id, until, serves: false }));
    }
    outcome
}

/// The verdict of `outcome`, for `reasons`, with what the emergency makes of it: it serves if nothing `holds`.
fn told(outcome: Outcome, reasons: &[Reason], holds: &[Reason], emergency: Emergency) -> Judgement {
    let Emergency { id, until } = emergency;
    let mut found = match outcome {
        Outcome::Decided(found) => found,
        Outcome::Undecided(_) | Outcome::Missing(_) => {
            let text = reasons.first().map_or("", |reason| reason.text.as_str());
            let mut open =
                judgement(None, vec![Finding::new("evidence", CheckState::Failed, text)]);
            open.verdict = Verdict::Deny(reasons.to_vec());
            open
        }
    };
    let serves = holds.is_empty();
    let (state, text) = if serves {
        (CheckState::Pass, format!("admitted by break-glass {id} until {until}"))
    } else {
        let texts: Vec<&str> = holds.iter().map(|reason| reason.text.as_str()).collect();
        (CheckState::Fail, format!("break-glass {id} does not override: {}", texts.join("; ")))
    };
    if !serves {
        let rest = reasons.iter().filter(|reason| !holds.contains(reason)).cloned();
        found.verdict = Verdict::Deny(holds.iter().cloned().chain(rest).collect());
    }
    found.checks.push(Check { name: NAME.to_owned(), state, text });
    found.good_until = found.good_until.into_iter().chain([until]).min();
    found.by_emergency = Some(Box::new(ByEmergency { id, until, serves }));
    found
}

/// What is asked of a subject even in an emergency.
struct Asking<'a> {
    subject: &'a Subject,
    evidence: &'a Evidence,
    context: &'a Context<'a>,
    allowed: &'a BreakGlass,
}

type Open = Box<Outcome>;

impl Asking<'_> {
    /// What holds against it, whatever the emergency; `reasons` are those of the verdict.
    ///
    /// # Errors
    /// What is missing to say so, or could not be had.
    fn holds(&self, reasons: &[Reason]) -> Result<Vec<Reason>, Open> {
        let Self { subject, evidence, context, .. } = self;
        let policy = context.policy;
        let mut holds: Vec<Reason> =
            reasons.iter().filter(|reason| reason.code.outlasts_emergency()).cloned().collect();
        let outright = policy.refuses_outright(&subject.name, context.now);
        add(&mut holds, checks::floor(subject, evidence, policy, outright.as_ref()).reasons);
        // The lists refuse without a look at anything.
        if !holds.is_empty() {
            return Ok(holds);
        }
        let facts = match &evidence.manifest {
            Gathered::NotGathered => {
                return Err(Box::new(Outcome::Missing(vec![EvidenceKind::Manifest])));
            }
            Gathered::Failed(why) => return Err(Box::new(undecided("manifest", why))),
            Gathered::Absent | Gathered::Found(_) => evidence.manifest.found(),
        };
        add(&mut holds, checks::manifest(&evidence.manifest, policy).reasons);
        let Some(facts) = facts.filter(|_| holds.is_empty()) else { return Ok(holds) };
        let demands = policy.demands(&subject.name, facts.artifact(), context.tags);
        self.kept(&demands, &mut holds)?;
        self.scans(&demands, &mut holds)?;
        Ok(holds)
    }

    /// What the gate of the floor says, and what anybody knows of malware.
    fn scans(&self, demands: &Demands<'_>, holds: &mut Vec<Reason>) -> Result<(), Open> {
        let Self { subject, evidence, context, allowed } = self;
        // What was admitted before is judged here as if it were new.
        let context = Context { passed: None, ..**context };
        let ask = |gates: Vec<ScanGate>| {
            let demands = Demands::of_gates(gates.into_iter().map(std::sync::Arc::new).collect());
            scan::check(subject, evidence, &context, &demands, false)
        };
        match allowed.floor_gate() {
            Some(gate) => settled("scan", ask(vec![ScanGate::clone(gate)]), holds)?,
            None if demands.gates().is_empty() => {}
            // Only what is known to be malicious holds, and that nothing is known holds not.
            None => match ask(demands.gates().iter().map(|gate| only_malware(gate)).collect()) {
                Checked::Finding(finding) => {
                    let is_malware = |reason: &Reason| reason.code == ReasonCode::Malware;
                    add(holds, finding.reasons.into_iter().filter(is_malware).collect());
                }
                Checked::Missing(kind) => return Err(Box::new(Outcome::Missing(vec![kind]))),
                Checked::Failed(_) | Checked::Nothing => {}
            },
        }
        if context.scans.has_malware() && holds.is_empty() {
            let text = "a package in it is known to be malicious";
            holds.push(checks::reason(ReasonCode::Malware, text, MALWARE_REMEDY));
        }
        Ok(())
    }

    /// What the policy does not let be overridden.
    fn kept(&self, demands: &Demands<'_>, holds: &mut Vec<Reason>) -> Result<(), Open> {
        let Self { subject, evidence, context, allowed } = self;
        let applicable = demands.rule().map_or(Applicable::None, Applicable::Rule);
        let mut existed = (None, BTreeMap::default());
        if allowed.keeps(Kept::Rules) {
            let outright = context.policy.refuses_outright(&subject.name, context.now);
            add(holds, checks::allowlist(subject, applicable, outright.as_ref()).reasons);
            let denying = checks::overlays(subject, evidence, context, demands, false);
            settled("overlays", denying, holds)?;
        }
        if allowed.keeps(Kept::Signatures) {
            match signatures::check(subject, evidence, context, demands, false) {
                Checked::Finding(finding) => {
                    existed = (finding.existed_at, finding.images_existed_at);
                    add(holds, finding.reasons);
                }
                open @ (Checked::Failed(_) | Checked::Missing(_) | Checked::Nothing) => {
                    settled("signatures", open, holds)?;
                }
            }
            let lasting = continuity::check(subject, evidence, context, demands, false);
            settled("signatures", lasting, holds)?;
        }
        if allowed.keeps(Kept::Attestations) {
            let attested = attestations::check(subject, evidence, context, demands, false);
            settled("attestations", attested, holds)?;
        }
        if allowed.keeps(Kept::Gates) {
            let (existed_at, images_existed_at) = existed;
            let so_far = fresh::Found { certain: false, existed_at, images_existed_at };
            let configured = configured::check(subject, evidence, context, demands, false);
            settled("configuration", configured, holds)?;
            settled("scan", scan::check(subject, evidence, context, demands, false), holds)?;
            let fresh = fresh::check(subject, evidence, context, demands, &so_far);
            settled("configuration", fresh, holds)?;
        }
        if allowed.keeps(Kept::Expressions) {
            let said = expressions::check(subject, evidence, context, demands, false);
            settled("facts", said, holds)?;
        }
        if allowed.keeps(Kept::Approval) {
            let said = checks::approval(applicable, context.standing, context.now);
            let of = (*subject, *evidence, *context);
            let said = as_shown(said, (context.standing, None), of, demands, &[]);
            add(holds, said.reasons);
        }
        Ok(())
    }
}

/// `gate` as far as it refuses malware and nothing else.
fn only_malware(gate: &ScanGate) -> ScanGate {
    ScanGate {
        deny: Vec::new(),
        unknown: Answer::Allow,
        incomplete: Answer::Allow,
        not_applicable: Answer::Allow,
        vex: None,
        sbom_from: Vec::new(),
        ..gate.clone()
    }
}

/// Adds what `checked` holds against it.
///
/// # Errors
/// What is missing, or could not be had.
fn settled(what: &str, checked: Checked, holds: &mut Vec<Reason>) -> Result<(), Open> {
    match checked {
        Checked::Finding(finding) => add(holds, finding.reasons),
        Checked::Nothing => {}
        Checked::Missing(kind) => return Err(Box::new(Outcome::Missing(vec![kind]))),
        Checked::Failed(why) => return Err(Box::new(undecided(what, &why))),
    }
    Ok(())
}

/// Adds `more` to `holds`, each once.
fn add(holds: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !holds.contains(&reason) {
            holds.push(reason);
        }
    }
}
