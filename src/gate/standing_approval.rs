//! What needs nobody's yes: a new version of a line that people let pass once, by somebody they know, and no
//! worse than what they let pass.

use super::checks::{Checked, Finding};
use super::fresh::worst;
use super::signatures::{names_of, signed_by};
use super::text::few;
use super::{CheckState, Context, Evidence, EvidenceKind, Gathered, SignatureSearch, Subject};
use crate::oci::Digest;
use crate::policy::{AllowedFindings, Demands, Rating, Rule, StandingApproval};

/// Findings that are this bad at least are compared.
const LEAST: Rating = Rating::High;

/// Whether what is admitted of a line is compared with what is new in it.
pub fn compares_line(demands: &Demands<'_>) -> bool {
    let rule = demands.rule();
    let standing = rule.map(Rule::standing_approvals).unwrap_or_default();
    standing.iter().any(|it| it.findings == AllowedFindings::NoWorse)
}

/// Whether a standing approval of `rule` covers `subject`, which nobody approved: then the finding that says
/// so. What cannot be found out leaves it to people.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: &Rule,
) -> Checked {
    for standing in rule.standing_approvals() {
        if !context.tags.iter().any(|tag| standing.tags.matches(tag)) {
            continue;
        }
        let none = SignatureSearch::default();
        let search = match &evidence.signatures {
            Gathered::Found(search) => search,
            Gathered::Absent | Gathered::Failed(_) => &none,
            Gathered::NotGathered => return Checked::Missing(EvidenceKind::Signatures),
        };
        let Some(by) = signer(standing, search, subject, context) else { continue };
        let text = match standing.findings {
            AllowedFindings::Any => format!("standing approval of what {by} signs"),
            AllowedFindings::NoWorse => match no_worse(evidence, context) {
                Some(than) => {
                    format!("standing approval: signed by {by}, and no worse than {than}")
                }
                None => continue,
            },
        };
        return Checked::Finding(Finding::new("approval", CheckState::Pass, text));
    }
    Checked::Nothing
}

fn signer<'a>(
    standing: &'a StandingApproval,
    search: &SignatureSearch,
    subject: &Subject,
    context: &Context<'_>,
) -> Option<&'a str> {
    let names = names_of(subject, context);
    let signed = |name: &&String| {
        let verifier = context.policy.verifier(name);
        let by = verifier.map(|it| signed_by(&names, search, it, context.now));
        by.is_some_and(|by| !by.people.is_empty())
    };
    standing.signers.iter().find(signed).map(String::as_str)
}

/// Than what of its line the subject is no worse: than everything that it is compared with. `None` where it is
/// worse, where there is nothing to compare with, or something of either is not known.
fn no_worse(evidence: &Evidence, context: &Context<'_>) -> Option<String> {
    let scans = context.scans;
    let known = |inventory: &Digest| scans.known.get(inventory).map(|scan| &*scan.report);
    let now = worst(evidence, known, LEAST)?;
    let before = |inventory: &Digest| scans.before.get(inventory).map(|report| &**report);
    let mut compared = Vec::new();
    for line in context.line {
        let then = worst(line.evidence, before, LEAST)?;
        if !now.is_subset(&then) {
            return None;
        }
        compared.push(line.tag.as_str());
    }
    compared.dedup();
    (!compared.is_empty()).then(|| few(&compared))
}
