//! The difference to what is served now: the first thing an approver looks at.

use maud::{Markup, html};

use super::findings::item;
use super::words::{ago, count, lines, linked, state as state_mark};
use crate::mirror::desk::difference::{
    Difference, FindingChanges, ImageDifference, PackageChanges,
};
use crate::mirror::desk::dossier::{Before, Dossier, Known, TagEvent, TagEventKind};
use crate::text::bytes;
use crate::time::Timestamp;

/// Packages and findings that are listed of each kind of change.
const LISTED_MAX: usize = 50;

/// What is different, or that there is nothing to compare with.
pub(super) fn section(dossier: &Dossier, now: Timestamp) -> Markup {
    let facts = dossier.facts.as_ref();
    html! {
        @if let Some(facts) = facts {
            section.difference aria-labelledby="difference" {
                h2 #difference { "What is different" }
                @match &dossier.before {
                    Some(before) => {
                        (against(before, now))
                        (told(&Difference::between(&before.facts, facts)))
                    }
                    None => { p.quiet { (nothing(dossier)) } }
                }
            }
        }
    }
}

fn nothing(dossier: &Dossier) -> String {
    let admitted = dossier.explained.as_ref().is_some_and(|it| it.verdict == "admit");
    let own = dossier.subject.as_ref().map(|subject| subject.digest);
    let is_last = |event: &TagEvent| {
        event.what == TagEventKind::Moved { is_admitted: true } && Some(event.digest) == own
    };
    match &dossier.tag {
        Some(tag) if admitted => format!("This is what {tag} is served as."),
        Some(tag) if dossier.events.iter().any(is_last) => {
            format!("This is what {tag} was served as last; nothing else was admitted since.")
        }
        Some(tag) => {
            format!("Nothing to compare with: {tag} was never served, and no tag near it.")
        }
        None => "Nothing to compare with: it is known by no tag.".to_owned(),
    }
}

fn against(before: &Before, now: Timestamp) -> Markup {
    let subject = &before.facts.subject;
    html! {
        p {
            "Compared with "
            @if before.is_same_tag { "what " strong { bdi { (before.tag) } } " is served as" }
            @else { strong { bdi { (before.tag) } } ", the nearest tag that was served" }
            ": " (linked(&subject.name, &subject.digest)) ", first seen " (ago(before.facts.first_seen, now))
            @match before.facts.verdict {
                Some("admit") => ".",
                Some(word) => { ". It was admitted last, and is not now: " (state_mark(word)) "." }
                None => { ". Whether it is admitted now is decided at the next pull." }
            }
        }
    }
}

fn told(difference: &Difference) -> Markup {
    let Difference { layers_shared, layers_new, layers_gone, bytes: (old, new), .. } = difference;
    html! {
        dl.facts {
            div { dt { "Layers" } dd {
                (count(layers_new.0, "new layer")) " (" (bytes(layers_new.1)) "), "
                (layers_shared.0) " shared (" (bytes(layers_shared.1)) "), "
                (layers_gone.0) " gone (" (bytes(layers_gone.1)) ")"
            } }
            div { dt { "Size" } dd { (bytes(*old)) " → " (bytes(*new)) } }
            @if !difference.platforms_new.is_empty() {
                div { dt { "Platforms" } dd { "new: " bdi { (difference.platforms_new.join(", ")) } } }
            }
            @if !difference.platforms_gone.is_empty() {
                div { dt { "Platforms" } dd { "gone: " bdi { (difference.platforms_gone.join(", ")) } } }
            }
            div { dt { "Signers" } dd { (signers(&difference.signed)) } }
        }
        @if difference.images.is_empty() {
            p.unknown { "They have no platform in common, so packages, findings and configurations are not \
                         compared." }
        }
        @for image in &difference.images { (of_image(image, difference.images.len() > 1)) }
    }
}

fn signers((before, now): &(Known<String>, Known<String>)) -> Markup {
    html! {
        @match (before, now) {
            (Known::Is(before), Known::Is(now)) if before == now => { "same: " bdi { (lines(now)) } }
            (Known::Is(before), Known::Is(now)) => {
                "before: " bdi { (lines(before)) } br; "now: " bdi { (lines(now)) }
            }
            (Known::No(why), _) => { span.unknown { "not known of the one before: " bdi { (why) } } }
            (_, Known::No(why)) => { span.unknown { "not known of this one: " bdi { (why) } } }
        }
    }
}

fn of_image(image: &ImageDifference, is_one_of_many: bool) -> Markup {
    html! {
        @if is_one_of_many {
            h3 { @match &image.platform { Some(platform) => (platform), None => "no platform" } }
        }
        dl.facts {
            div { dt { "Configuration" } dd {
                @match &image.config {
                    Known::No(why) => { span.unknown { "not known " bdi { (why) } } }
                    Known::Is(changes) if changes.is_empty() => {
                        "same user, ports, labels, health check and names of variables"
                    }
                    Known::Is(changes) => {
                        @for (number, change) in changes.iter().enumerate() {
                            @if number > 0 { br; }
                            (change.what) ": " bdi { (change.before) } " → " strong { bdi { (change.now) } }
                        }
                    }
                }
            } }
            div { dt { "Packages" } dd {
                @match &image.packages {
                    Known::No(why) => { span.unknown { "not known " bdi { (why) } } }
                    Known::Is(changes) => (packages(changes)),
                }
            } }
            div { dt { "Findings" } dd {
                @match &image.findings {
                    Known::No(why) => { span.unknown { "not known " bdi { (why) } } }
                    Known::Is(changes) => (findings(changes)),
                }
            } }
        }
    }
}

fn packages(changes: &PackageChanges) -> Markup {
    let PackageChanges { added, removed, changed, same } = changes;
    let total = added.len() + removed.len() + changed.len();
    html! {
        (added.len()) " added, " (removed.len()) " removed, " (changed.len()) " changed, " (same) " same"
        @if total > 0 {
            details open[total <= 12] {
                summary { "Which" }
                ul.changes {
                    @for (name, version) in added.iter().take(LISTED_MAX) {
                        li.added { span.sign { "+" } " " bdi { (name) } " " bdi { (version) } }
                    }
                    @for (name, version) in removed.iter().take(LISTED_MAX) {
                        li.gone { span.sign { "−" } " " bdi { (name) } " " bdi { (version) } }
                    }
                    @for (name, before, now) in changed.iter().take(LISTED_MAX) {
                        li { span.sign { "~" } " " bdi { (name) } " " bdi { (before) } " → " bdi { (now) } }
                    }
                    @if total > left(added.len()) + left(removed.len()) + left(changed.len()) {
                        li.quiet { "and more: the first " (LISTED_MAX) " of each kind are shown" }
                    }
                }
            }
        }
    }
}

/// How many of `number` are listed.
fn left(number: usize) -> usize {
    number.min(LISTED_MAX)
}

fn findings(changes: &FindingChanges) -> Markup {
    let FindingChanges { added, gone, same } = changes;
    html! {
        strong { (added.len()) " new" } ", " (gone.len()) " gone, " (same) " same"
        @for (title, findings) in [("New", added), ("Gone", gone)] {
            @if !findings.is_empty() {
                details open[title == "New"] {
                    summary { (title) }
                    ul.changes {
                        @for finding in findings.iter().take(LISTED_MAX) { (item(finding)) }
                        @if findings.len() > LISTED_MAX {
                            li.quiet { (count(findings.len() - LISTED_MAX, "more")) }
                        }
                    }
                }
            }
        }
    }
}
