//! What the floor refuses of findings, under every rule.

use super::super::super::fields::{Fields, Problems, Words};
use super::super::super::scanned::{Answer, FindingCondition, Rating, ScanGate, ScanLimits};
use super::super::super::scanners::Scanners;
use super::super::super::yaml::Node;
use super::{answer, later};

const VULNERABILITIES: Words = Words {
    known: &["denyKEV", "denyMalware", "unknown", "incomplete", "onNewFinding"],
    later: &[],
};
/// What refusals call it.
const NAME: &str = "floor.vulnerabilities";

/// The gate that `node` puts before every rule: no exception and no rule loosens it. Artifacts that are
/// no images pass it, because there is nothing in them that it speaks of.
pub(in crate::policy::parse) fn of_floor(node: Node, problems: &mut Problems) -> Option<ScanGate> {
    let mut fields = Fields::of(node, NAME, VULNERABILITIES, problems)?;
    let truth = [("true", true), ("false", false)];
    let mut said = |key| fields.choice(key, &truth, &[], problems).unwrap_or(false);
    let (exploited, malware) = (said("denyKEV"), said("denyMalware"));
    if !exploited && !malware && problems.0.iter().all(|it| !it.key.starts_with(NAME)) {
        let text = "refuses nothing; write denyKEV: true, denyMalware: true, or remove it";
        problems.add(fields.position, NAME, text);
    }
    let exploited_denies =
        FindingCondition { exploited: Some(true), ..FindingCondition::default() };
    let unknown = answer(&mut fields, "unknown", problems);
    let incomplete = answer(&mut fields, "incomplete", problems);
    Some(ScanGate {
        name: NAME.to_owned(),
        overlay: None,
        part: None,
        // Malware refuses under every gate.
        deny: Vec::from_iter(exploited.then_some(exploited_denies)),
        unrated: Rating::Critical,
        unknown,
        incomplete,
        not_applicable: Answer::Allow,
        counts_kernel_headers: false,
        on_new_finding: later::read(&mut fields, problems),
        limits: ScanLimits::default(),
        is_floor: true,
        vex: None,
        scanners: Scanners::default(),
        attested_by: Vec::new(),
        report_age_max: ScanGate::REPORT_AGE_MAX,
        database_age_warn: ScanGate::DATABASE_AGE_WARN,
        database_age_max: ScanGate::DATABASE_AGE_MAX,
        sbom_from: Vec::new(),
    })
}
