//! Deciding: which decisions there are for an image, and what each means, before it is taken.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};

use super::dossier::Shown;
use super::words::{ago, until};
use crate::http::admin::problem::Problem;
use crate::mirror::desk::inventory::RunsBrief;
use crate::mirror::desk::view::{StandingView, VotesView};
use crate::mirror::desk::{self, REASON_LENGTH_MAX, Verb};
use crate::text::count;
use crate::time::Timestamp;

/// How long an approval may hold: days, and what that is called. No days is until it is undone.
pub(super) const TERMS: [(&str, &str); 5] = [
    ("", "until it is undone"),
    ("7", "for 7 days"),
    ("30", "for 30 days"),
    ("90", "for 90 days"),
    ("365", "for a year"),
];
/// Longest form of what was shown that is looked at, in bytes.
const SHOWN_LENGTH_MAX: usize = 32 * 1024;

/// A decision that was not taken, to be shown with what was typed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) verb: Verb,
    pub(super) reason: String,
    pub(super) term: String,
    pub(super) problem: Problem,
    /// What changed since the page was shown, when that is why.
    pub(super) changes: Vec<String>,
}

impl Refused {
    pub(super) fn status(&self) -> StatusCode {
        let status = StatusCode::from_u16(self.problem.view().status);
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The word of a decision in forms.
pub(super) const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "approve",
        Verb::Reinstate => "reinstate",
        Verb::Reject => "reject",
        Verb::Revoke => "revoke",
    }
}

/// The decision that `text` is the word of.
pub(super) fn verb(text: &str) -> Option<Verb> {
    let all = [Verb::Approve, Verb::Reinstate, Verb::Reject, Verb::Revoke];
    all.into_iter().find(|verb| word(*verb) == text)
}

/// What is said after a decision; only of those that there are.
pub(super) fn done(text: &str) -> Option<&'static str> {
    Some(match text {
        "approved" => {
            "Approved. Whoever waits for it gets it at the next try, within about 5 minutes."
        }
        "reinstated" => "Reinstated. The rule decides about it again, from the next pull on.",
        "rejected" => "Rejected. It is refused until somebody approves it.",
        "revoked" => {
            "Revoked. It is refused from the next pull on; what runs already is not stopped."
        }
        "voted" => "Your yes is on record. It is not enough alone: who is missing is said below.",
        "question" => "Your question is on record. Whoever may ask for images can answer it.",
        "answer" => "Your answer is on record.",
        "already" => "That had been decided before; nothing was changed.",
        _ => return None,
    })
}

/// What was shown, as a form carries it.
pub(super) fn packed(shown: &desk::Shown) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(shown).unwrap_or_default())
}

/// What a form says was shown; `None` where it is nothing that we packed.
pub(super) fn unpacked(text: &str) -> Option<desk::Shown> {
    if text.len() > SHOWN_LENGTH_MAX {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// What people decided, and what whoever looks may decide.
pub(super) fn panel(shown: &Shown<'_>) -> Markup {
    let explained = shown.dossier.explained.as_ref();
    let standing = explained.and_then(|it| it.standing.as_ref());
    let choices = choices(shown);
    let votes = shown.dossier.request.as_ref().and_then(|request| request.votes.as_ref());
    html! {
        section.people aria-labelledby="decide" {
            h2 #decide { "Decide" }
            @if let Some(refused) = shown.refused { (told(refused)) }
            @if let Some(standing) = standing { (stands(shown, standing)) }
            @if let Some(votes) = votes { (self::votes(votes, shown.now)) }
            @if shown.dossier.subject.is_none() {
                p { "There is nothing to decide on. What would have to change is said above." }
            } @else if !shown.visitor.may_decide() {
                p { "You may look and not decide: that takes role approver." }
            } @else {
                @if choices.is_empty() {
                    p { "There is nothing to decide while it cannot be judged." }
                }
                @if choices.contains(&Verb::Approve) && votes.is_some() {
                    p.quiet { "Your yes is one of several: it opens nothing before the others are there." }
                }
                div.choices {
                    @for choice in &choices { (form(shown, *choice)) }
                }
            }
        }
    }
}

fn stands(shown: &Shown<'_>, standing: &StandingView) -> Markup {
    html! {
        p.standing {
            (capital(&standing.decision)) " by " bdi { (standing.by) } " " (ago(standing.at, shown.now))
            @if let Some(expires) = standing.expires { " until " (until(expires, shown.now)) }
            ": " q { bdi { (standing.reason) } }
        }
    }
}

/// Whom the rule asks, who said yes, and who is missing.
pub(super) fn votes(votes: &VotesView, now: Timestamp) -> Markup {
    html! {
        p.votes {
            strong { (votes.have) " of " (votes.needed) " said yes." } " "
            @if !votes.missing.is_empty() { "Missing: " bdi { (votes.missing) } "." }
        }
        @if !votes.votes.is_empty() {
            ul.votes {
                @for vote in &votes.votes {
                    li {
                        @if vote.void.is_some() { "No more: " } @else { "Yes: " }
                        bdi { (vote.display) }
                        @if vote.display != vote.by { " " span.quiet { bdi { (vote.by) } } }
                        " for " bdi { (vote.stands_for.join(", ")) } " "
                        (ago(vote.at, now)) ": " q { bdi { (vote.reason) } }
                        @if let Some(why) = &vote.void { " It does not count any more: " (why) "." }
                    }
                }
            }
        }
        @if votes.damaged > 0 {
            p.alert { (count(votes.damaged, "vote"))
                " on record not what was written: somebody changed the database." }
        }
    }
}

fn told(refused: &Refused) -> Markup {
    html! {
        div.alert role="alert" id="refused" {
            p { strong { "Nothing was changed." } " "
                @if refused.changes.is_empty() { bdi { (refused.problem.view().detail) } }
                @else { "The image is not what you were shown:" } }
            @if !refused.changes.is_empty() {
                ul { @for change in &refused.changes { li { bdi { (change) } } } }
                p { "What is shown now is as it is now. Look again, and decide again if you still want to." }
            }
        }
    }
}

/// The decisions that make sense; what the policy allows is the desk's to say when one is taken.
fn choices(shown: &Shown<'_>) -> Vec<Verb> {
    let Some(explained) = &shown.dossier.explained else {
        // Refusing must work whatever is broken.
        return vec![Verb::Reject];
    };
    let refused = explained.standing.as_ref().is_some_and(|it| it.decision != "approved");
    match (refused, explained.verdict.as_str(), shown.dossier.trust) {
        (true, _, Some("approve")) => vec![Verb::Approve],
        (true, _, Some("allow")) => vec![Verb::Reinstate],
        (true, ..) => Vec::new(),
        (false, "admit", _) => vec![Verb::Revoke],
        (false, "pending", _) => vec![Verb::Approve, Verb::Reject],
        (false, ..) => vec![Verb::Reject],
    }
}

fn form(shown: &Shown<'_>, verb: Verb) -> Markup {
    let word = word(verb);
    let kept = shown.refused.filter(|refused| refused.verb == verb);
    let target = target(shown, verb);
    let (reason, note) = (format!("{word}-reason"), format!("{word}-note"));
    let term = format!("{word}-term");
    let class = if matches!(verb, Verb::Approve | Verb::Reinstate) { "yes" } else { "no" };
    html! {
        details.choice.(class) data-verb=(word) open[kept.is_some()] {
            summary { (capital(word)) "…" }
            form action="/decisions" method="post" {
                input type="hidden" name="form_token" value=(shown.visitor.form_token());
                input type="hidden" name="verb" value=(word);
                input type="hidden" name="target" value=(target);
                @if let Some(shown) = &shown.dossier.shown {
                    input type="hidden" name="shown" value=(packed(shown));
                }
                div.meaning id=(note) { (meaning(shown, verb)) }
                label for=(reason) { "Why" }
                textarea id=(reason) name="reason" rows="2" required maxlength=(REASON_LENGTH_MAX)
                    aria-describedby=(note) { (kept.map_or("", |kept| kept.reason.as_str())) }
                @if verb == Verb::Approve {
                    label for=(term) { "It holds" }
                    select id=(term) name="term" {
                        @for (days, name) in TERMS {
                            option value=(days) selected[kept.is_some_and(|kept| kept.term == days)] { (name) }
                        }
                    }
                }
                button type="submit" { (capital(word)) }
            }
        }
    }
}

/// What a decision is bound to.
fn target(shown: &Shown<'_>, verb: Verb) -> String {
    let request = shown.dossier.request.as_ref();
    // An open request is answered by number: then it fails if somebody else was first.
    let is_open = |state: &str| matches!(state, "pending" | "denied");
    let answers = matches!(verb, Verb::Approve | Verb::Reject);
    let open = request.filter(|request| answers && is_open(&request.state));
    let subject = shown.dossier.subject.as_ref().map(ToString::to_string);
    open.map(|request| request.id.clone()).or(subject).unwrap_or_default()
}

fn meaning(shown: &Shown<'_>, verb: Verb) -> Markup {
    let digest = shown.dossier.subject.as_ref().map(|it| it.digest.short()).unwrap_or_default();
    let clients = shown.dossier.request.as_ref().map_or(0, |request| request.clients);
    html! {
        p {
            @match verb {
                Verb::Approve => {
                    "Every node may pull " code { (digest) } " in this repository from now on. It holds for \
                     this digest and no other: when the tag moves, what it moves to waits again. "
                    @if clients > 0 {
                        (count(clients, "client")) " asked; kubelet tries again by itself, \
                         within about 5 minutes."
                    }
                }
                Verb::Reinstate => {
                    "The refusal of " code { (digest) } " is taken back. Its rule asks nobody: the gates \
                     decide about it again, and admit it if they do now."
                }
                Verb::Reject => {
                    "No node gets " code { (digest) } " in this repository until somebody approves it, \
                     whatever policy and gates say."
                }
                Verb::Revoke => {
                    "No node gets " code { (digest) } " in this repository any more, from the next pull on. \
                     Pods that run already go on; nodes that have the image keep it. The tag is not served \
                     as anything older. "
                    @if let Some(runs) = shown.dossier.runs { (self::runs(runs)) }
                }
            }
        }
        p.quiet { "It is put on record for good under your name, "
            bdi { (shown.visitor.caller.display) } ", with what you write here." }
    }
}

/// How much runs what would be revoked.
fn runs(runs: RunsBrief) -> Markup {
    let clusters = count(runs.clusters, "cluster");
    html! {
        @if runs.pods == 0 {
            "Nothing runs it in " (clusters)
        } @else {
            strong { (count(runs.pods, "pod")) " of " (count(runs.workloads, "workload")) " run it now" }
            " in " (clusters)
        }
        ", as far as was reported"
        @if runs.stale > 0 { " (" (runs.stale) " stale)" }
        "."
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_is_read_back_only_if_we_packed_it() {
        for text in ["", "{}", "bm90IGpzb24", "e30", &"a".repeat(SHOWN_LENGTH_MAX + 1)] {
            assert_eq!(unpacked(text), None, "{}", text.len());
        }
    }

    #[test]
    fn every_decision_has_a_word_of_its_own() {
        for one in [Verb::Approve, Verb::Reinstate, Verb::Reject, Verb::Revoke] {
            assert_eq!(verb(word(one)), Some(one));
            assert!(done(one.done()).is_some());
        }
        assert_eq!((verb("Approve"), done("<b>")), (None, None));
    }
}
