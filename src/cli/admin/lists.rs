//! Lists and cards as people read them.

use std::fmt::Write as _;

use super::explain::{amount, decision_text, instead, line};
use super::table::{Column, Table};
use super::text::{Times, bytes, count, cut_middle, printable, short};
use crate::mirror::desk::people::PersonView;
use crate::mirror::desk::view::{
    AskedView, AuditPage, AuditView, DecidedView, ObservedPage, ObservedView, PrefetchView,
    ReasonView, RequestView, StatusView, TokenView, UpstreamView, VotesView,
};

/// What stands where there is nothing.
const NONE: &str = "-";

/// `requests`
pub(super) fn requests(views: &[RequestView], times: Times) -> String {
    if views.is_empty() {
        return "Nothing waits. Blocked pulls appear here by themselves.\n".to_owned();
    }
    let mut table = Table::new([
        Column::Fixed("ID"),
        Column::Fixed("STATE"),
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Fixed("WAITING"),
        Column::Fixed("ASKED"),
        Column::Text("WHY"),
    ]);
    for view in views {
        table.row([
            view.id.clone(),
            state_and_votes(view),
            view.image.clone(),
            view.digest.as_ref().map_or_else(|| NONE.to_owned(), crate::oci::Digest::short),
            waiting(view),
            times.past(view.last_asked),
            why_it_waits(view),
        ]);
    }
    table.render()
}

/// `pending 1 of 2 needs-info`
fn state_and_votes(view: &RequestView) -> String {
    let votes = view.votes.as_ref().map(|votes| format!(" {} of {}", votes.have, votes.needed));
    let asked = if view.needs_info { " needs-info" } else { "" };
    format!("{}{}{asked}", view.state, votes.unwrap_or_default())
}

/// Why it waits, and for whom where it says whom.
fn why_it_waits(view: &RequestView) -> String {
    let mut parts = vec![why(&view.reasons)];
    let whom = view.waits_for.as_ref().filter(|_| view.votes.is_some());
    parts.extend(whom.map(|whom| format!("waits for {whom}")));
    parts.extend(view.group.as_ref().map(|group| format!("of {group}")));
    parts.join("; ")
}

fn waiting(view: &RequestView) -> String {
    format!("{}, {}", count(view.clients, "node"), count(view.pulls, "pull"))
}

fn why(reasons: &[ReasonView]) -> String {
    reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
}

/// `show`
pub(super) fn request(view: &RequestView, times: Times) -> String {
    let mut out = format!("{}  {}  {}\n", view.id, view.state, printable(&view.image));
    if let Some(digest) = &view.digest {
        let _infallible = writeln!(out, "{:<11}{}", "image", view.name);
        let _infallible = writeln!(out, "{:<11}{digest}", "digest");
    }
    line(&mut out, "rule", view.rule.as_deref().unwrap_or("none"), "");
    for reason in &view.reasons {
        let text = match reason.remedy.as_str() {
            "" => reason.text.clone(),
            remedy => format!("{}\n{remedy}", reason.text),
        };
        line(&mut out, "why", &reason.code, &text);
    }
    let asked =
        format!("first {}, last {}", times.past(view.first_asked), times.past(view.last_asked));
    line(&mut out, "asked", &waiting(view), &asked);
    if !view.client_names.is_empty() {
        line(&mut out, "by", "", &view.client_names.join(" "));
    }
    if let Some(note) = &view.note {
        line(&mut out, "note", "", note);
    }
    for (label, text) in [("group", &view.group), ("ticket", &view.ticket)] {
        if let Some(text) = text {
            line(&mut out, label, "", text);
        }
    }
    for remark in &view.remarks {
        let by = format!("by {} {}: {}", remark.display, times.past(remark.at), remark.text);
        line(&mut out, &remark.kind, "", &by);
    }
    if let Some(standing) = &view.standing {
        line(&mut out, "decided", &standing.decision, &decision_text(standing, times));
    }
    for who in &view.requesters {
        line(&mut out, "asked by", "", who);
    }
    if let Some(votes) = &view.votes {
        out.push_str(&votes_text(votes, times));
    }
    instead(&mut out, &view.alternatives, times);
    if view.needs_info {
        line(&mut out, "next", "", &format!("pratique answer {} --text TEXT", view.id));
    }
    if view.state == "pending" {
        line(&mut out, "next", "", &format!("pratique approve {} --reason TEXT", view.id));
    }
    out
}

/// How votes stand: whom it asks, who said yes, who is missing.
pub(super) fn votes_text(view: &VotesView, times: Times) -> String {
    let mut out = String::new();
    let have = format!("{} of {}", view.have, view.needed);
    let missing = if view.missing.is_empty() {
        "nobody is missing".to_owned()
    } else {
        format!("missing: {}", view.missing)
    };
    line(&mut out, "votes", &have, &missing);
    for vote in &view.votes {
        let state = if vote.void.is_some() { "void" } else { "yes" };
        let void = vote.void.as_ref().map(|why| format!(" (counts no more: {why})"));
        let for_whom = vote.stands_for.join(", ");
        let text = format!(
            "by {} for {for_whom} {}: {}{}",
            vote.by,
            times.past(vote.at),
            vote.reason,
            void.unwrap_or_default()
        );
        line(&mut out, "", state, &text);
    }
    if view.damaged > 0 {
        let text = format!("{} on record not what was written", count(view.damaged, "vote"));
        line(&mut out, "", "damaged", &text);
    }
    out
}

/// What came of `approve`, `reject`, `revoke` and `reinstate`.
pub(super) fn decided(view: &DecidedView, times: Times) -> String {
    let until = view.expires.map(|at| format!(" until {}", times.until(at))).unwrap_or_default();
    let already = if view.already { "already " } else { "" };
    let image = format!("{}@{}", view.name, view.digest);
    let when = if view.already { format!(" {}", times.past(view.at)) } else { String::new() };
    let done = if view.decision == "voted" { "voted for" } else { view.decision.as_str() };
    let mut out = format!("{already}{done} {image} by {}{when}{until}\n", view.by);
    if let Some(votes) = &view.votes {
        out.push_str(&votes_text(votes, times));
    }
    if let Some(replaced) = &view.replaced {
        let text =
            format!("in place of: {} {}\n", replaced.decision, decision_text(replaced, times));
        out.push_str(&printable(text.trim_end()));
        out.push('\n');
    }
    if view.verdict.as_deref() == Some("admit") && !view.already && view.clients > 0 {
        let waits = if view.clients == 1 { "is" } else { "are" };
        let nodes = count(view.clients, "node");
        let retry = if view.clients == 1 { "it retries" } else { "they retry" };
        let _infallible = writeln!(out, "{nodes} {waits} waiting; {retry} within 5 minutes.");
    }
    out
}

/// `observed`
pub(super) fn observed(page: &ObservedPage, times: Times) -> String {
    if page.refused.is_empty() {
        return format!(
            "Enforcing would have refused nothing of the {} seen so far.\n",
            count(page.examined, "image")
        );
    }
    let mut table = Table::new([
        Column::Fixed("VERDICT"),
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Fixed("SEEN"),
        Column::Text("WHY"),
    ]);
    for view in &page.refused {
        table.row([
            view.verdict.clone(),
            observed_image(view),
            view.digest.short(),
            times.past(view.first_seen),
            why(&view.reasons),
        ]);
    }
    let refused = u64::try_from(page.refused.len()).unwrap_or(u64::MAX);
    let more = if page.truncated { ", and there are more" } else { "" };
    let seen = count(page.examined, "image");
    format!("{}{refused} of {seen} would have been refused{more}.\n", table.render())
}

fn observed_image(view: &ObservedView) -> String {
    match view.tags.last() {
        Some(tag) => format!("{}:{tag}", view.name),
        None => view.name.to_string(),
    }
}

/// `audit`
pub(super) fn audit(page: &AuditPage, times: Times) -> String {
    let mut table = Table::new([
        Column::Fixed("NO"),
        Column::Fixed("WHEN"),
        Column::Fixed("WHO"),
        Column::Fixed("WHAT"),
        Column::Name("IMAGE"),
        Column::Text("WHY"),
    ]);
    for record in &page.records {
        let subject = record.subject.as_deref().unwrap_or(NONE);
        table.row([
            record.sequence.to_string(),
            times.past(record.at),
            cut_middle(&record.by, 20),
            record.action.clone(),
            short_subject(subject),
            record.reason.clone().unwrap_or_default(),
        ]);
    }
    let mut out = table.render();
    if let Some(next) = page.next {
        let _infallible = writeln!(out, "more: pratique audit --from {next}");
    }
    out
}

/// One record of `audit --follow`.
pub(super) fn audit_line(record: &AuditView, times: Times) -> String {
    let at = times.past(record.at);
    let (by, subject) = (cut_middle(&record.by, 20), record.subject.as_deref().unwrap_or(NONE));
    let (action, subject) = (&record.action, short_subject(subject));
    let reason = record.reason.as_deref().map(printable).unwrap_or_default();
    format!("{:<6}  {at}  {by}  {action}  {subject}  {reason}", record.sequence)
}

/// `name@sha256:9f1c03ab77de...`
fn short_subject(subject: &str) -> String {
    match subject.split_once('@').and_then(|(name, digest)| Some((name, digest.parse().ok()?))) {
        Some((name, digest)) => format!("{name}@{}", short(&digest)),
        None => subject.to_owned(),
    }
}

/// `token ls`
pub(super) fn tokens(views: &[TokenView], times: Times) -> String {
    let mut table = Table::new([
        Column::Fixed("NAME"),
        Column::Fixed("ROLE"),
        Column::Fixed("MADE"),
        Column::Fixed("ENDS"),
        Column::Text("WHOSE, GROUPS, REPOSITORIES"),
    ]);
    for view in views {
        let ends = match view.expires_at {
            Some(at) if view.expired => format!("EXPIRED {}", times.past(at)),
            Some(at) => at.to_string(),
            None => NONE.to_owned(),
        };
        let more = view.of.iter().chain(&view.groups).chain(&view.repositories);
        let more: Vec<&str> = more.map(String::as_str).collect();
        let made = times.past(view.created_at);
        table.row([view.name.clone(), view.role.clone(), made, ends, more.join(" ")]);
    }
    table.render()
}

/// `user ls`
pub(super) fn people(views: &[PersonView], times: Times) -> String {
    let mut table = Table::new([
        Column::Name("NAME"),
        Column::Fixed("ROLE"),
        Column::Fixed("STATE"),
        Column::Fixed("SIGNED IN"),
        Column::Text("GROUPS, ID"),
    ]);
    for view in views {
        let signed_in = view.signed_in_at.map_or_else(|| NONE.to_owned(), |at| times.past(at));
        let own = format!("user:{}", view.name);
        let id = Some(&view.id).filter(|id| **id != own);
        let more: Vec<&str> = view.groups.iter().chain(id).map(String::as_str).collect();
        table.row([
            view.name.clone(),
            view.role.clone(),
            view.state.clone(),
            signed_in,
            more.join(" "),
        ]);
    }
    table.render()
}

/// `request`
pub(super) fn asked(views: &[AskedView]) -> String {
    let mut table = Table::new([
        Column::Fixed("STATE"),
        Column::Fixed("ID"),
        Column::Name("IMAGE"),
        Column::Fixed("DIGEST"),
        Column::Text("WHY"),
    ]);
    for view in views {
        table.row([
            view.state.clone(),
            view.request.clone().unwrap_or_else(|| NONE.to_owned()),
            view.image.clone(),
            view.digest.as_ref().map_or_else(|| NONE.to_owned(), crate::oci::Digest::short),
            why(&view.reasons),
        ]);
    }
    table.render()
}

/// One line of `prefetch`.
pub(super) fn prefetched(view: &PrefetchView) -> String {
    let image = printable(&view.image);
    match view.state.as_str() {
        "done" => format!("done     {image}  {}", amount(view.blobs, view.bytes)),
        state => {
            let why = view.why.as_deref().map(printable).unwrap_or_default();
            format!("{state:<8} {image}  {why}").trim_end().to_owned()
        }
    }
}

/// `status`
pub(super) fn status(view: &StatusView, times: Times) -> String {
    let mut out = format!("pratique {}  started {}\n", view.version, times.past(view.started_at));
    let policy = &view.policy;
    let id = policy.id.split_once(':').map_or(policy.id.as_str(), |(_, hex)| hex);
    let id: String = id.chars().take(12).collect();
    line(&mut out, "policy", &policy.name, &format!("revision {}, {id}", policy.revision));
    line(&mut out, "requests", &format!("{} pending", view.pending_requests), "");
    let (asked, granted) = (view.asked_exceptions, view.granted_exceptions);
    if asked + granted > 0 {
        let what = format!("{asked} waiting, {granted} in force");
        line(&mut out, "exceptions", &what, "see pratique exception ls");
    }
    let glass = [
        (view.open_break_glass, "in force"),
        (view.waiting_break_glass, "waiting"),
        (view.unreviewed_break_glass, "to be reviewed"),
    ];
    let glass = glass.iter().filter(|(count, _)| *count > 0);
    let glass: Vec<String> = glass.map(|(count, what)| format!("{count} {what}")).collect();
    if !glass.is_empty() {
        line(&mut out, "glass", &glass.join(", "), "see pratique break-glass ls");
    }
    if view.rejudgement_waits {
        let what = "verdicts of an earlier version hold; see pratique rejudge --dry-run";
        line(&mut out, "rejudge", "waits", what);
    }
    if let Some(first) = view.endings.first() {
        let many = u64::try_from(view.endings.len()).unwrap_or(u64::MAX);
        let soon = if many == 1 { "1 ends".to_owned() } else { format!("{many} end") };
        let soon = format!("{soon} within 14 days");
        let next = format!("{} first, {}", printable(&first.image), times.until(first.ends));
        line(&mut out, "approvals", &soon, &next);
    }
    let store = &view.store;
    let index =
        if store.index_available { "" } else { "without its index: slower, otherwise whole" };
    line(
        &mut out,
        "cache",
        &format!("{}, {}", count(store.blobs, "blob"), bytes(store.bytes)),
        index,
    );
    for upstream in &view.upstreams {
        line(&mut out, "upstream", &upstream.registry, &upstream_text(upstream, times));
    }
    out
}

fn upstream_text(view: &UpstreamView, times: Times) -> String {
    let mut text = view.state.clone();
    if let (Some(left), Some(limit)) = (view.rate_remaining, view.rate_limit) {
        let _infallible = write!(text, ", {left} of {limit} pulls left");
    }
    if let Some(at) = view.rate_exhausted_at {
        let _infallible = write!(text, ", none left by {} at this rate", times.until(at));
    }
    if view.credentials_refused > 0 {
        let refused = count(view.credentials_refused, "credential");
        let _infallible = write!(text, ", {refused} refused");
    }
    if let Some(at) = view.last_success {
        let _infallible = write!(text, ", answered {}", times.past(at));
    }
    if let Some(at) = view.last_failure {
        let _infallible = write!(text, ", failed {}", times.past(at));
    }
    text
}
