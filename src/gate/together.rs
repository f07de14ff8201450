//! What several places of a policy ask of the same kind, as one check.

use super::checks::{Checked, Finding};
use super::{CheckState, EvidenceKind, RuleId};

/// What the rule and the overlays ask of one kind, one after the other: all of it has to be met.
///
/// One that denies is enough to say no, whatever could not be had for the others.
pub(super) struct Together {
    name: &'static str,
    certain: bool,
    findings: Vec<(bool, Finding)>,
    missing: Option<EvidenceKind>,
    failed: Option<String>,
}

impl Together {
    /// Nothing yet. With `certain`, the verdict is a denial already.
    pub(super) fn new(name: &'static str, certain: bool) -> Self {
        Self { name, certain, findings: Vec::new(), missing: None, failed: None }
    }

    /// Whether the verdict is a denial by now.
    pub(super) fn is_certain(&self) -> bool {
        self.certain || self.findings.iter().any(|(_, finding)| finding.denies())
    }

    /// Adds what is asked `by` an overlay, or by the rule.
    ///
    /// What an overlay asks for dates nothing: a proof that only it wants must not make an image old or
    /// known enough for what the rule says of time.
    pub(super) fn add(&mut self, by: Option<&RuleId>, checked: Checked) {
        match checked {
            Checked::Finding(finding) => {
                let finding = match by {
                    None => finding,
                    Some(id) => labelled(id, finding),
                };
                self.findings.push((by.is_some(), finding));
            }
            Checked::Missing(kind) => self.missing = self.missing.or(Some(kind)),
            Checked::Failed(why) => {
                let by = by.map(|id| format!("overlay {id}: ")).unwrap_or_default();
                self.failed.get_or_insert_with(|| format!("{by}{why}"));
            }
            Checked::Nothing => {}
        }
    }

    /// All of it; `None` where nothing was asked.
    pub(super) fn checked(mut self) -> Option<Checked> {
        let denies = self.is_certain();
        if let Some(why) = self.failed.take().filter(|_| !denies) {
            return Some(Checked::Failed(why));
        }
        if let Some(kind) = self.missing.filter(|_| !denies) {
            return Some(Checked::Missing(kind));
        }
        // That the rule asks for nothing is no news beside what an overlay asks for.
        let says = |(_, finding): &(bool, Finding)| finding.check.state != CheckState::NotAsked;
        if self.findings.len() > 1 && self.findings.iter().any(says) {
            self.findings.retain(says);
        }
        let mut findings = self.findings.into_iter().map(|(_, finding)| finding);
        let first = findings.next()?;
        Some(Checked::Finding(findings.fold(first, |sum, next| joined(self.name, sum, next))))
    }
}

fn labelled(id: &RuleId, mut finding: Finding) -> Finding {
    finding.check.text = format!("overlay {id}: {}", finding.check.text);
    for reason in &mut finding.reasons {
        reason.text = format!("overlay {id}: {}", reason.text);
        reason.remedy = format!("{} Overlay {id} asks for it.", reason.remedy);
    }
    finding.existed_at = None;
    finding.images_existed_at.clear();
    finding
}

fn joined(name: &str, one: Finding, other: Finding) -> Finding {
    let state = worse(one.check.state, other.check.state);
    let text = format!("{}; {}", one.check.text, other.check.text);
    let mut sum = Finding::new(name, state, text);
    sum.until = one.until.into_iter().chain(other.until).min();
    sum.existed_at = one.existed_at.into_iter().chain(other.existed_at).min();
    for part in [one, other] {
        sum.reasons.extend(part.reasons);
        sum.images_existed_at.extend(part.images_existed_at);
        sum.awaits_signature.extend(part.awaits_signature);
    }
    sum
}

/// What both come to: what speaks against it comes first, then what is not known.
fn worse(one: CheckState, other: CheckState) -> CheckState {
    const ORDER: [CheckState; 6] = [
        CheckState::Fail,
        CheckState::Failed,
        CheckState::Waiting,
        CheckState::NotLooked,
        CheckState::Pass,
        CheckState::NotAsked,
    ];
    ORDER.into_iter().find(|state| [one, other].contains(state)).unwrap_or(one)
}
