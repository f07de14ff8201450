//! What somebody was shown when they decided: a decision holds for that, and not for what it became.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dossier::{ImageFacts, SubjectFacts};
use super::target::Target;
use super::view::ExplainView;
use super::{Desk, Error, Verb};
use crate::oci::{Digest, ImageReference};
use crate::scan::{Finding, Severity};

/// Findings and reasons that are told apart one by one; of more it is only known that they changed.
const TOLD_APART_MAX: usize = 400;
/// Reasons that are told apart one by one where several images are shown at once.
const BRIEF_REASONS_MAX: usize = 12;
/// Changes that are named one by one.
const NAMED_MAX: usize = 5;

/// What a page showed, in short: enough to find out whether something changed, and what.
///
/// It comes back from the browser of whoever decides. It is no proof: whoever alters it deceives
/// themselves only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    verdict: String,
    rule: Option<String>,
    policy: String,
    standing: Option<(String, i64)>,
    /// By the hash of what each says.
    reasons: Vec<String>,
    all_reasons: String,
    signed: String,
    /// By the hash of each.
    findings: Vec<String>,
    all_findings: String,
    by_severity: BTreeMap<String, u64>,
    silenced: u64,
}

impl Shown {
    /// What a page shows of an image.
    pub(super) fn of(explained: &ExplainView, facts: &SubjectFacts) -> Self {
        let mut findings: Vec<String> =
            each(facts).map(|(image, finding)| mark(&finding_text(image, finding))).collect();
        findings.sort_unstable();
        findings.dedup();
        let all_findings = mark(&findings.join(" "));
        findings.truncate(TOLD_APART_MAX);
        let reasons: Vec<String> =
            explained.reasons.iter().map(|reason| mark(&reason.text)).collect();
        let standing = explained.standing.as_ref();
        Self {
            all_reasons: mark(&reasons.join(" ")),
            verdict: explained.verdict.clone(),
            rule: explained.rule.as_ref().map(|rule| rule.id.clone()),
            policy: explained.policy.id.clone(),
            standing: standing.map(|it| (it.decision.clone(), it.at.milliseconds())),
            reasons: reasons.into_iter().take(TOLD_APART_MAX).collect(),
            signed: mark(facts.signed.known().map_or("", String::as_str)),
            findings,
            all_findings,
            by_severity: counted(facts),
            silenced: u64::try_from(explained.silenced.len()).unwrap_or(u64::MAX),
        }
    }

    /// The same in few bytes, for a page that shows many: what changed is found out as well, and told in
    /// less detail.
    #[must_use]
    pub(super) fn brief(&self) -> Self {
        let reasons = self.reasons.iter().take(BRIEF_REASONS_MAX).cloned().collect();
        Self { reasons, findings: Vec::new(), ..self.clone() }
    }

    /// What a vote is bound to of the evidence: hashes of the findings, of what was found of signatures, and
    /// of what speaks against the image.
    pub(super) fn evidence(explained: &ExplainView, facts: &SubjectFacts) -> [String; 3] {
        Self::evidence_texts(explained, facts)
            .map(|text| Digest::sha256(text.as_bytes()).to_string())
    }

    /// What these hashes are of.
    pub(super) fn evidence_texts(explained: &ExplainView, facts: &SubjectFacts) -> [String; 3] {
        let mut findings: Vec<String> =
            each(facts).map(|(image, finding)| finding_text(image, finding)).collect();
        findings.sort_unstable();
        findings.dedup();
        let reasons = explained.reasons.iter().map(|reason| reason.text.as_str());
        let silenced = explained.silenced.len().to_string();
        let reasons: Vec<&str> = reasons.chain([silenced.as_str()]).collect();
        let signed = facts.signed.known().map_or("", String::as_str);
        [findings.join("\n"), signed.to_owned(), reasons.join("\n")]
    }

    /// What is different now, in sentences; empty when nothing is.
    fn changes(&self, now: &Self, explained: &ExplainView, facts: &SubjectFacts) -> Vec<String> {
        let mut changes = Vec::new();
        if self.standing != now.standing {
            let since = match (&now.standing, &explained.standing) {
                (Some(_), Some(standing)) => {
                    format!("{} {} it: {}", standing.by, standing.decision, standing.reason)
                }
                _ => "what people had decided about it does not stand any more".to_owned(),
            };
            changes.push(since);
        }
        if self.verdict != now.verdict {
            changes.push(format!("the verdict is {} now, it was {}", now.verdict, self.verdict));
        }
        if self.rule != now.rule {
            let rule = |rule: &Option<String>| rule.clone().unwrap_or_else(|| "none".to_owned());
            changes.push(format!("rule {} decides now, not {}", rule(&now.rule), rule(&self.rule)));
        }
        let is_whole = mark(&self.reasons.join(" ")) == self.all_reasons;
        if is_whole {
            let new = explained.reasons.iter().filter(|it| !self.reasons.contains(&mark(&it.text)));
            let told = new.take(NAMED_MAX).map(|it| format!("speaks against it now: {}", it.text));
            changes.extend(told);
        } else if self.all_reasons != now.all_reasons {
            changes.push("what speaks against it is something else".to_owned());
        }
        if self.signed != now.signed {
            changes.push("what was found of signatures is another".to_owned());
        }
        if self.all_findings != now.all_findings {
            changes.push(self.findings_changed(now));
            let is_whole = mark(&self.findings.join(" ")) == self.all_findings;
            let is_new = |(image, finding): &(&ImageFacts, &Finding)| {
                is_whole && !self.findings.contains(&mark(&finding_text(image, finding)))
            };
            let new = each(facts).filter(is_new).take(NAMED_MAX);
            changes.extend(new.map(|(_, finding)| format!("new finding: {}", in_words(finding))));
        }
        if self.silenced != now.silenced {
            let text = "VEX documents take away {} findings now, not {}";
            let text = text.replacen("{}", &now.silenced.to_string(), 1);
            changes.push(text.replacen("{}", &self.silenced.to_string(), 1));
        }
        if changes.is_empty() && self.policy != now.policy {
            changes.push("another policy is in force".to_owned());
        }
        changes
    }

    fn findings_changed(&self, now: &Self) -> String {
        let mut counts = Vec::new();
        for word in ["critical", "high", "medium", "low", "unrated"] {
            let count = |shown: &Self| shown.by_severity.get(word).copied().unwrap_or(0);
            if count(self) != count(now) {
                counts.push(format!("{word} {} to {}", count(self), count(now)));
            }
        }
        if counts.is_empty() {
            return "the findings are others".to_owned();
        }
        format!("the findings are others: {}", counts.join(", "))
    }
}

impl Desk {
    /// Refuses a decision of somebody who was shown something else than there is now.
    ///
    /// A no must work whatever is broken: where the evidence cannot be looked at again, it is taken.
    pub(super) async fn check_unchanged(
        &self,
        shown: &Shown,
        target: &Target,
        verb: Verb,
    ) -> Result<(), Error> {
        let tag = target.request.as_ref().and_then(|row| row.tag.clone());
        let digest = tag.is_none().then_some(target.subject.digest);
        let image = ImageReference { name: target.subject.name.clone(), tag, digest };
        let looked = Box::pin(self.explain_subject(&image, &target.subject)).await;
        let facts = self.facts_of(&target.subject).await;
        let (explained, facts) = match (looked, facts) {
            (Ok(explained), Ok(Some(facts))) => (explained, facts),
            _ if matches!(verb, Verb::Reject | Verb::Revoke) => return Ok(()),
            (Err(error), _) | (Ok(_), Err(error)) => return Err(error),
            (Ok(_), Ok(None)) => return Ok(()),
        };
        let now = Shown::of(&explained, &facts);
        if now == *shown || now.brief() == *shown {
            return Ok(());
        }
        let changes = shown.changes(&now, &explained, &facts);
        if changes.is_empty() {
            return Ok(());
        }
        Err(Error::Stale { image: target.subject.to_string(), changes })
    }
}

/// How many findings of each word of [`severity_word`] there are.
fn counted(facts: &SubjectFacts) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, finding) in each(facts) {
        *counts.entry(severity_word(finding).to_owned()).or_insert(0) += 1;
    }
    counts
}

/// The same, where every image of it was scanned; nothing else is a count of what there is.
pub(super) fn severities(facts: &SubjectFacts) -> Option<BTreeMap<String, u64>> {
    let is_known =
        |image: &ImageFacts| image.scan.known().is_some_and(|it| it.report.known().is_some());
    let all = !facts.images.is_empty() && facts.images.iter().all(is_known);
    all.then(|| counted(facts))
}

fn each(facts: &SubjectFacts) -> impl Iterator<Item = (&ImageFacts, &Finding)> {
    let scanned = facts.images.iter().filter_map(|image| Some((image, image.scan.known()?)));
    let reported = scanned.filter_map(|(image, scan)| Some((image, scan.report.known()?)));
    reported.flat_map(|(image, report)| report.findings.iter().map(move |it| (image, it)))
}

fn finding_text(image: &ImageFacts, finding: &Finding) -> String {
    let (package, severity) = (&finding.package, severity_word(finding));
    format!("{} {} {} {} {severity}", image.digest, finding.id, package.name, package.version)
}

fn in_words(finding: &Finding) -> String {
    let (package, severity) = (&finding.package, severity_word(finding));
    format!("{} ({severity}) in {} {}", finding.id, package.name, package.version)
}

/// How bad `finding` is, in one word.
pub(super) fn severity_word(finding: &Finding) -> &'static str {
    match finding.severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "high",
        Some(Severity::Medium) => "medium",
        Some(Severity::Low | Severity::None) => "low",
        None => "unrated",
    }
}

/// Sixteen hexadecimal digits that stand for `text`.
fn mark(text: &str) -> String {
    Digest::sha256(text.as_bytes()).hex().chars().take(16).collect()
}
