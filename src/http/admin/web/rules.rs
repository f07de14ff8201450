//! "Make this a rule": the changes of the policy that would have made a decision needless.

use maud::{Markup, html};

use super::words::request_path;
use crate::mirror::desk::propose::{FiguresView, RuleProposalView, RuleProposalsView};
use crate::mirror::desk::simulate::{PulledView, SimulateBody, TallyView};
use crate::text::count;

/// What could be made a rule.
pub(super) fn section(view: &RuleProposalsView) -> Markup {
    let is_counted = view.options.iter().any(|it| it.figures.is_some() || it.not_counted.is_some());
    let counted = format!("{}?figures={}", request_path(&view.request), SimulateBody::DAYS);
    html! {
        section #rule aria-labelledby="make-rule" {
            h2 #make-rule { "Make this a rule" }
            @if view.options.is_empty() { p { "No change of the policy is offered for this." } }
            @else { p.quiet { "What the policy could say, so that nobody has to decide about the like of it." } }
            @for option in &view.options { (card(option)) }
            @if !view.not_offered.is_empty() {
                details {
                    summary { "What is not offered, and why" }
                    ul { @for not in &view.not_offered { li { strong { (not.id) } " " bdi { (not.why) } } } }
                }
            }
            @if !view.options.is_empty() {
                p.quiet { (view.how) }
                @if !is_counted {
                    p { a href=(counted) { "Count what each would change about what was pulled in "
                        (SimulateBody::DAYS) " days" } }
                }
            }
        }
    }
}

fn card(option: &RuleProposalView) -> Markup {
    html! {
        article.card {
            h3 { (option.id) }
            p { bdi { (option.says) } }
            @if let Some(figures) = &option.figures { (told(figures)) }
            @if let Some(why) = &option.not_counted { p.quiet { "Not counted: " bdi { (why) } } }
            details {
                summary { "The change" }
                pre.diff tabindex="0" { (option.diff) }
            }
        }
    }
}

fn told(figures: &FiguresView) -> Markup {
    html! {
        p { "Of what was pulled in " (figures.days) " days: " (tally(&figures.before, &figures.after))
            @if figures.served + figures.refused + figures.unknown == 0 { " No image is served otherwise than now." }
        }
    }
}

/// What becomes of images, before and after.
pub(super) fn tally(before: &TallyView, after: &TallyView) -> Markup {
    let pairs = [
        ("admitted", before.admitted, after.admitted),
        ("held", before.held, after.held),
        ("refused", before.refused, after.refused),
        ("not known", before.unknown, after.unknown),
    ];
    let is_nothing = |it: &PulledView| it.images == 0;
    html! {
        @for (word, before, after) in pairs {
            @if !is_nothing(&before) || !is_nothing(&after) {
                span { (word) " " (before.images) " -> " (count(after.images, "image"))
                    " (" (before.pulls) " -> " (count(after.pulls, "pull")) ")" } ". "
            }
        }
    }
}
