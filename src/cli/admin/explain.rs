//! `explain` as people read it.

use super::text::{Times, WIDTH, bytes, count, printable, short, wrap};
use crate::gate::Silenced;
use crate::mirror::desk::alternatives::AlternativeView;
use crate::mirror::desk::view::{CheckView, ExplainView, ReasonView, StandingView};

/// Width of the labels.
const LABEL_WIDTH: usize = 11;
/// Width of the states beside them.
const STATE_WIDTH: usize = 21;
/// Most findings that are shown which VEX documents took away.
const SILENCED_SHOWN: usize = 20;
/// Further indent of what goes on on the next line.
const HANGING: usize = 2;

/// The whole explanation.
pub(super) fn render(view: &ExplainView, times: Times) -> String {
    let mut out = String::new();
    heading(&mut out, view);
    match &view.rule {
        Some(rule) => {
            let pattern = rule.pattern.as_ref().map(|p| format!("match {p}")).unwrap_or_default();
            let text = match rule.matching {
                0 | 1 => pattern,
                many => format!("{pattern}, most specific of {many} that match"),
            };
            line(&mut out, "rule", &rule.id, &text);
            let owner = rule.owner.as_ref().map(|owner| format!(" of {owner}")).unwrap_or_default();
            if let Some(file) = &rule.file {
                line(&mut out, "", "", &format!("in {file}{owner}"));
            }
        }
        None => line(&mut out, "rule", "none", "no rule decides about it"),
    }
    for check in &view.checks {
        line(&mut out, &check.name, state(check), &check.text);
    }
    silenced(&mut out, view);
    excepted(&mut out, view, times);
    unseen(&mut out, view, times);
    signatures(&mut out, view);
    line(&mut out, "verdict", verdict(view), &verdict_text(view));
    instead(&mut out, &view.alternatives, times);
    people(&mut out, view, times);
    tag(&mut out, view, times);
    out
}

fn heading(out: &mut String, view: &ExplainView) {
    let mut facts: Vec<String> = view.kind.iter().cloned().collect();
    let platforms: Vec<String> = view.platforms.iter().map(ToString::to_string).collect();
    if !platforms.is_empty() {
        facts.push(platforms.join(" "));
    }
    let facts = if facts.is_empty() { String::new() } else { format!("  ({})", facts.join(", ")) };
    let arrow = match &view.digest {
        Some(digest) => format!("  ->  {}", short(digest)),
        None => String::new(),
    };
    let whole = printable(&format!("{}{arrow}{facts}", view.image));
    if whole.chars().count() <= WIDTH {
        out.push_str(&whole);
        out.push('\n');
        return;
    }
    let parts = [view.image.clone(), format!("{arrow}{facts}")];
    for part in parts.iter().filter(|part| !part.trim().is_empty()) {
        for text in wrap(part, WIDTH) {
            out.push_str(&text);
            out.push('\n');
        }
    }
}

fn state(check: &CheckView) -> &str {
    match check.state.as_str() {
        "fail" => "FAIL",
        "failed" => "could not tell",
        "not-asked" => "not asked for",
        "not-looked" => "not looked at",
        other => other,
    }
}

fn verdict(view: &ExplainView) -> &str {
    match view.verdict.as_str() {
        "admit" => "ADMIT",
        "deny" => "DENY",
        "pending" => "PENDING",
        _ => "UNDECIDED",
    }
}

fn verdict_text(view: &ExplainView) -> String {
    let mut parts = Vec::new();
    if let Some(by) = &view.break_glass {
        parts.push(format!("served all the same: break-glass {} until {}", by.id, by.until));
    }
    if !view.enforced && view.verdict != "admit" {
        let mode = if view.warns { "warn only warns" } else { "audit only watches" };
        parts.push(format!("served all the same: mode {mode}"));
    }
    match view.verdict.as_str() {
        "deny" | "pending" => parts.extend(to_pass(&view.reasons)),
        "admit" => {
            let watched = view.watched.iter().map(|reason| reason.text.as_str());
            let texts: Vec<&str> = watched.collect();
            if !texts.is_empty() {
                parts.push(format!("not enforced yet: {}", texts.join("; ")));
            }
        }
        _ => parts.extend(view.reasons.iter().map(|reason| reason.text.clone())),
    }
    parts.join("\n")
}

/// What would have to change, each thing once; remedies are sentences.
fn to_pass(reasons: &[ReasonView]) -> Option<String> {
    let mut remedies: Vec<&str> = Vec::new();
    for reason in reasons {
        let remedy = reason.remedy.as_str();
        if !remedy.is_empty() && !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    (!remedies.is_empty()).then(|| format!("to pass: {}", remedies.join(" ")))
}

/// What does not count because of an exception: a line for each, up to a bound.
fn excepted(out: &mut String, view: &ExplainView, times: Times) {
    for one in view.excepted.iter().take(SILENCED_SHOWN) {
        let until = times.until(one.until);
        let by = if one.by.is_empty() {
            "of the policy".to_owned()
        } else {
            format!("granted by {}", one.by.join(", "))
        };
        let text = format!("takes out {}\n{by}, until {until}", one.described());
        line(out, "exception", &one.exception, &text);
    }
    if view.excepted.len() > SILENCED_SHOWN {
        let more = view.excepted.len() - SILENCED_SHOWN;
        line(out, "exception", "", &format!("{more} more; --json lists them all"));
    }
}

/// What nobody was shown who approved it: a line for each, up to a bound.
fn unseen(out: &mut String, view: &ExplainView, times: Times) {
    for unseen in view.unseen.iter().take(SILENCED_SHOWN) {
        let since = times.past(unseen.since);
        line(out, "new", "not shown", &format!("{}, since {since}", unseen.finding));
    }
    if view.unseen.len() > SILENCED_SHOWN {
        let more = view.unseen.len() - SILENCED_SHOWN;
        line(out, "new", "", &format!("{more} more; --json lists them all"));
    }
}

/// What does not count because somebody says so: a line for each, up to a bound.
fn silenced(out: &mut String, view: &ExplainView) {
    for silenced in view.silenced.iter().take(SILENCED_SHOWN) {
        let Silenced { vulnerability, package, version, status, why, by, .. } = silenced;
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("{vulnerability} in {package} {version}\nby {by}{why}");
        line(out, "vex", &status.to_string(), &text);
    }
    if view.silenced.len() > SILENCED_SHOWN {
        let more = view.silenced.len() - SILENCED_SHOWN;
        line(out, "vex", "", &format!("{more} more; --json lists them all"));
    }
}

fn signatures(out: &mut String, view: &ExplainView) {
    let Some(search) = &view.signatures else { return };
    let number = u64::try_from(search.found.len()).unwrap_or(u64::MAX);
    let mut lines = Vec::new();
    if number == 0 {
        lines.push(format!("looked for: {}", search.looked_for.join(", ")));
    }
    let from = |found: &crate::mirror::desk::view::SignatureView| {
        let over = found.over.as_ref().map(|image| format!(" over {}", short(image)));
        format!("{} from {}{}", found.form, short(&found.source), over.unwrap_or_default())
    };
    lines.extend(search.found.iter().map(from));
    lines.extend(search.skipped.iter().map(|skipped| format!("could not read {skipped}")));
    line(out, "found", &count(number, "signature"), &lines.join("\n"));
}

fn people(out: &mut String, view: &ExplainView, times: Times) {
    if let Some(request) = &view.request {
        line(out, "request", request, &format!("see it with: pratique show {request}"));
    }
    for decided in &view.history {
        line(out, "decided", &decided.decision, &decision_text(decided, times));
    }
    if view.history.is_empty()
        && let Some(standing) = &view.standing
    {
        line(out, "decided", &standing.decision, &decision_text(standing, times));
    }
}

/// What may be pulled instead.
pub(super) fn instead(out: &mut String, alternatives: &[AlternativeView], times: Times) {
    for other in alternatives {
        let since = times.past(other.since);
        let why = match &other.approved_by {
            Some(by) => format!("approved by {by} {since}"),
            None => format!("admitted here, known {since}"),
        };
        let text = format!("{} ({}), {why}: use {}", other.relation, other.step, other.image);
        line(out, "instead", other.tag.as_str(), &text);
    }
}

/// `by alice 4 min ago until 2027-02-21: reason`
pub(super) fn decision_text(decided: &StandingView, times: Times) -> String {
    let until = decided.expires.map(|at| format!(" until {}", times.until(at))).unwrap_or_default();
    format!("by {} {}{until}: {}", decided.by, times.past(decided.at), decided.reason)
}

fn tag(out: &mut String, view: &ExplainView, times: Times) {
    if let Some(stale) = &view.stale {
        let (until, since) = (times.until(stale.until), times.past(stale.since));
        let text = format!("served as admitted before until {until}; not confirmed since {since}");
        line(out, "meanwhile", "stale", &text);
    }
    if let Some(digest) = &view.served_instead {
        let text = "is served under this tag: it was admitted last";
        line(out, "meanwhile", &digest.short(), text);
    }
    for (place, moved) in view.tag_history.iter().enumerate() {
        let label = if place == 0 { "tag" } else { "before" };
        let seen = format!("seen {}", times.past(moved.seen_at));
        line(out, label, &moved.digest.short(), &seen);
    }
}

/// One line of label, state and text; what does not fit goes on below the text, indented.
pub(super) fn line(out: &mut String, label: &str, state: &str, text: &str) {
    let indent = LABEL_WIDTH + STATE_WIDTH;
    let state = printable(state);
    let label = printable(label);
    let mut first = format!("{label:<LABEL_WIDTH$}{state:<STATE_WIDTH$}");
    let mut texts = Vec::new();
    for paragraph in text.lines() {
        let hanging = if texts.is_empty() { 0 } else { HANGING };
        let mut wrapped = wrap(paragraph, WIDTH - indent - HANGING).into_iter();
        texts.extend(wrapped.next().map(|text| (hanging, text)));
        texts.extend(wrapped.map(|text| (HANGING, text)));
    }
    let mut texts = texts.into_iter();
    // A state longer than its column, such as a long rule id, has a line of its own.
    if state.chars().count() < STATE_WIDTH
        && let Some((_, text)) = texts.next()
    {
        first.push_str(&text);
    }
    out.push_str(first.trim_end());
    out.push('\n');
    for (hanging, text) in texts {
        out.extend(std::iter::repeat_n(' ', indent + hanging));
        out.push_str(&text);
        out.push('\n');
    }
}

/// Blobs and bytes: `7 blobs, 31.2 MB`.
pub(super) fn amount(blobs: u64, size: u64) -> String {
    format!("{}, {}", count(blobs, "blob"), bytes(size))
}
