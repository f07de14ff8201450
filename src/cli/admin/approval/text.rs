//! Approval files as people read them.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::table::{Column, Table};
use super::super::text::{Times, printable};
use crate::mirror::approval_file::{ApprovalFile, Draft, Said, Statement};
use crate::mirror::desk::files::ApprovalFilesView;
use crate::signature::Key;
use crate::time::Timestamp;

/// Most findings that are shown one by one before a signature; how many there are is always said.
const FINDINGS_SHOWN: usize = 40;

/// What a file says.
#[derive(Debug, Serialize)]
pub(super) struct Says {
    decision: Said,
    image: String,
    signer: String,
    at: Timestamp,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    rule: String,
    approval: String,
    quorum: u64,
    approvers: Vec<String>,
}

impl From<&Statement> for Says {
    fn from(statement: &Statement) -> Self {
        let asked = &statement.asked;
        Self {
            decision: statement.decision,
            image: statement.subject().to_string(),
            signer: statement.signer.clone(),
            at: statement.at,
            reason: statement.reason.clone(),
            expires: statement.expires,
            rule: asked.rule.clone(),
            approval: asked.approval.clone(),
            quorum: asked.quorum,
            approvers: asked.approvers.clone(),
        }
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    let _infallible = writeln!(out, "  {name:<11}{}", printable(text));
}

/// What is signed, in plain words.
pub(super) fn signing(draft: &Draft, file: &ApprovalFile, key: &Key) -> String {
    let (statement, asked) = (&file.statement, &draft.asked);
    let word = match statement.decision {
        Said::Approve => "You say YES to",
        Said::Reject => "You say NO to",
    };
    let mut out = format!("{word} {}\n", printable(&statement.subject().to_string()));
    line(&mut out, "as", &format!("signer:{} with key {}", statement.signer, key.id()));
    line(&mut out, "because", &statement.reason);
    if let Some(expires) = statement.expires {
        line(&mut out, "until", &expires.to_string());
    }
    let each = if asked.distinct_groups { ", each from another of them" } else { "" };
    let who = format!(
        "rule {} of policy {} asks {} of {}{each} ({})",
        asked.rule,
        asked.policy,
        asked.quorum,
        asked.approvers.join(", "),
        asked.approval
    );
    line(&mut out, "asked by", &who);
    if asked.covers_children {
        line(&mut out, "covers", "the manifests that it lists, too");
    }
    if let Some(action) = &asked.on_new_finding {
        line(&mut out, "found later", action);
    }
    for reason in said_against(&draft.evidence.reasons) {
        line(&mut out, "against it", reason);
    }
    let signed = draft.evidence.signed.as_str();
    line(&mut out, "signatures", if signed.is_empty() { "nothing is known" } else { signed });
    let findings: Vec<&str> = draft.evidence.findings.lines().collect();
    line(&mut out, "findings", &findings.len().to_string());
    for finding in findings.iter().take(FINDINGS_SHOWN) {
        line(&mut out, "", finding);
    }
    if findings.len() > FINDINGS_SHOWN {
        line(&mut out, "", &format!("and {} more, in the draft", findings.len() - FINDINGS_SHOWN));
    }
    line(&mut out, "for", &format!("the decision after {} others about it", asked.decisions));
    out
}

/// The reasons without the last line, which is a number.
fn said_against(reasons: &str) -> impl Iterator<Item = &str> {
    let before_last = reasons.rsplit_once('\n').map_or("", |(before, _)| before);
    before_last.lines()
}

/// `approval verify`, for one file.
pub(super) fn verified(file: &str, why: Option<&str>, says: Option<&Says>) -> String {
    let mut out = match why {
        None => format!("{}: good\n", printable(file)),
        Some(why) => format!("{}: no: {}\n", printable(file), printable(why)),
    };
    let Some(says) = says else { return out };
    let claims = if why.is_some() { " (says so itself)" } else { "" };
    let what = format!("{} {}{claims}", says.decision.as_str(), says.image);
    line(&mut out, "says", &what);
    line(&mut out, "by", &format!("signer:{} at {}", says.signer, says.at));
    line(&mut out, "because", &says.reason);
    if let Some(expires) = says.expires {
        line(&mut out, "until", &expires.to_string());
    }
    let of = says.approvers.join(", ");
    line(
        &mut out,
        "for",
        &format!("rule {}, {} of {of} ({})", says.rule, says.quorum, says.approval),
    );
    out
}

/// `approval ls`
pub(super) fn listed(view: &ApprovalFilesView, times: Times) -> String {
    let Some(folder) = &view.folder else {
        return "There is no folder with approval files; the settings name one as [approvals] path.\n"
            .to_owned();
    };
    let mut out = format!("folder  {}\n", printable(folder));
    match view.read_at {
        Some(at) => drop(writeln!(out, "read    {}", times.past(at))),
        None => out.push_str("read    not yet\n"),
    }
    if let Some(held) = &view.held {
        let _infallible =
            writeln!(out, "HELD    {}; meanwhile nothing is taken back", printable(held));
    }
    if view.files.is_empty() {
        out.push_str("No approval files in it. Draft one: pratique approval draft --help\n");
        return out;
    }
    out.push('\n');
    let mut table = Table::new([
        Column::Fixed("STATE"),
        Column::Name("FILE"),
        Column::Fixed("SAYS"),
        Column::Fixed("SIGNER"),
        Column::Text("WHY"),
    ]);
    for it in &view.files {
        table.row([
            it.state.as_str().to_owned(),
            it.file.clone(),
            it.decision.map_or("-", Said::as_str).to_owned(),
            it.signer.clone().unwrap_or_else(|| "-".to_owned()),
            it.why.clone(),
        ]);
    }
    out.push_str(&table.render());
    out
}
