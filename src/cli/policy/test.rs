//! `policy test`: a table of images and expected verdicts.

use std::path::Path;

use serde::Serialize;

use super::{CliError, Exit, load, mistaken, output, read_text};
use crate::cli::admin::table::{Column, Table};
use crate::mirror::desk::view::ReasonView;
use crate::policy::{Case, RuleId};
use crate::rehearsal::{Played, Rehearsal, unknown_reasons};
use crate::time::{Clock as _, SystemClock};

/// Largest file with tests, in bytes: what its reader takes.
const TESTS_BYTES_MAX: u64 = 1 << 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy test policy.yaml tests.yaml
  pratique policy test --json policy.yaml tests.yaml | jq '.cases[] | select(.holds | not)'

A file with tests:
  apiVersion: pratique.dev/v1
  kind: PolicyTests
  cases:
  - {image: \"ghcr.io/acme/app:1.4\", signedBy: [team], findings: [], expect: admit, rule: acme}
  - {image: \"ghcr.io/acme/app:1.4\", signedBy: [], expect: deny, reasons: [unsigned]}
  - {image: \"docker.io/library/redis:7\", expect: pending, reasons: [approval-needed]}
  - {image: \"docker.io/library/redis:7\", standing: approved, expect: admit}
  - {image: \"quay.io/else/where:1\", expect: deny}

Images are judged by the gate of the mirror, with keys of the test in the place of the signers'.
What a case does not say is not known: where the verdict hangs on it, the case fails and says how it
would be written. docs/policy-tools.md lists everything that a case can say.

Exit codes: 0 all as expected, 1 not, 64 mistakes in a file, 2 not readable.";

/// What came of all cases.
#[derive(Debug, Serialize)]
struct TestsView<'a> {
    policy: &'a str,
    revision: u64,
    passed: usize,
    failed: usize,
    cases: Vec<CaseView>,
}

/// What came of one case.
#[derive(Debug, Serialize)]
struct CaseView {
    /// The line of the case in its file.
    line: usize,
    image: String,
    expected: &'static str,
    /// `admit`, `pending`, `deny`, or `undecided`.
    verdict: &'static str,
    enforced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    reasons: Vec<ReasonView>,
    holds: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

/// Tries the policy in `policy` on the cases in `tests`, prints what came of each, and gives the code.
///
/// # Errors
/// When a file has mistakes or cannot be read, or no keys can be made.
pub(super) fn run(policy: &Path, tests: &Path, json: bool) -> Result<Exit, CliError> {
    let ready = load(policy, json)?;
    let text = read_text(tests, TESTS_BYTES_MAX)?;
    let wrong = |problems| mistaken(tests, problems, json);
    let cases = Case::read_all(&text, &ready).map_err(wrong)?;
    let unknown = unknown_reasons(&cases);
    if !unknown.is_empty() {
        return Err(wrong(unknown));
    }
    let rehearsal = Rehearsal::new(&ready, SystemClock.now())
        .map_err(|error| CliError::failed("the tests cannot be run").caused_by(error))?;
    let views: Vec<CaseView> = cases.iter().map(|case| view(case, rehearsal.play(case))).collect();
    let failed = views.iter().filter(|view| !view.holds).count();
    let view = TestsView {
        policy: ready.name(),
        revision: ready.revision(),
        passed: views.len() - failed,
        failed,
        cases: views,
    };
    if json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view, tests))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn view(case: &Case, played: Played) -> CaseView {
    CaseView {
        line: case.line,
        image: case.image.to_string(),
        expected: case.expected.verdict.as_str(),
        verdict: played.verdict.map_or("undecided", crate::policy::ExpectedVerdict::as_str),
        enforced: played.enforced,
        rule: played.rule.as_ref().map(RuleId::to_string),
        holds: played.holds(),
        reasons: played.reasons.iter().map(ReasonView::from).collect(),
        differences: played.differences,
    }
}

fn render(view: &TestsView<'_>, tests: &Path) -> String {
    let mut table = Table::new([
        Column::Fixed("RESULT"),
        Column::Fixed("LINE"),
        Column::Fixed("EXPECTED"),
        Column::Fixed("IS"),
        Column::Name("IMAGE"),
        Column::Text("WHAT DIFFERS"),
    ]);
    for case in &view.cases {
        let is = if case.enforced {
            case.verdict.to_owned()
        } else {
            format!("{}, watched", case.verdict)
        };
        table.row([
            if case.holds { "pass" } else { "FAIL" }.to_owned(),
            case.line.to_string(),
            case.expected.to_owned(),
            is,
            case.image.clone(),
            case.differences.join("; "),
        ]);
    }
    let (passed, failed) = (view.passed, view.failed);
    let file = tests.display();
    format!("{}{file}: {passed} passed, {failed} failed\n", table.render())
}
