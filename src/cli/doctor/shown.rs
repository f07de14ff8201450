//! What was found, as people read it: the state in a word first, the worst first.

use crate::cli::admin::table::{Column, Table};
use crate::doctor::{Finding, Report, State};

/// The table of a node, and in a line what it comes to.
pub(super) fn table(report: &Report) -> String {
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|it| std::cmp::Reverse(it.state));
    let mut table = Table::new([
        Column::Fixed("STATE"),
        Column::Fixed("WAY"),
        Column::Fixed("BY"),
        Column::Name("ABOUT"),
        Column::Text("SAW"),
    ]);
    for finding in &findings {
        let saw = match &finding.remedy {
            Some(remedy) => format!("{}; {remedy}", finding.saw),
            None => finding.saw.clone(),
        };
        table.row([
            finding.state.as_str().to_owned(),
            finding.way.as_str().to_owned(),
            finding.by.clone(),
            finding.about.clone(),
            saw,
        ]);
    }
    let mut text = table.render();
    text.extend([format!("{}: {}\n", report.node, summary(report))]);
    text
}

fn summary(report: &Report) -> String {
    let of = |state: State| report.findings.iter().filter(|it| it.state == state).count();
    let mut counts = Vec::new();
    for state in [State::Open, State::Untried, State::Weak, State::Declared, State::Closed] {
        let number = of(state);
        if number > 0 {
            counts.push(format!("{number} {}", state.as_str()));
        }
    }
    let verdict = match report.state() {
        State::Open => "pods can be served past the mirror",
        State::Untried => "not proven closed",
        State::Weak => "closed for pods, with weaknesses",
        State::Declared => "closed but for what was declared open",
        State::Closed => "closed",
    };
    format!("{verdict} ({})", counts.join(", "))
}
