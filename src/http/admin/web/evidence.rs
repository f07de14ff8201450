//! What the gates saw: checks, signatures, configuration, contents.

use maud::{Markup, html};

use super::words::{ago, count, lines, short, state as state_mark};
use crate::mirror::desk::dossier::{ImageFacts, Known, SubjectFacts};
use crate::mirror::desk::view::{ExplainView, SignaturesView};
use crate::oci::ImageConfig;
use crate::text::bytes;
use crate::time::Timestamp;

/// Signatures that are shown.
const SIGNATURES_SHOWN: usize = 20;
/// Layers that are shown of an image.
const LAYERS_SHOWN: usize = 40;

/// Every gate, what it said, and the signatures that were found.
pub(super) fn section(explained: &ExplainView, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="checks" {
            h2 #checks { "What was checked" }
            @if explained.checks.is_empty() {
                p.quiet { "Nothing: the policy decides it by its name alone." }
            } @else {
                table.checks {
                    caption.unseen { "Every gate and what it found" }
                    thead { tr { th scope="col" { "Gate" } th scope="col" { "Result" } th scope="col" { "What it saw" } } }
                    tbody {
                        @for check in &explained.checks {
                            tr {
                                th scope="row" { (check.name) }
                                td { (state_mark(&check.state)) }
                                td { bdi { (lines(&check.text)) } }
                            }
                        }
                    }
                }
            }
            p.quiet { "By policy " bdi { (explained.policy.name) } ", revision " (explained.policy.revision)
                @if let Some(at) = explained.decided_at { ", " (ago(at, now)) } "." }
            @if let Some(found) = &explained.signatures { (signatures(found)) }
        }
    }
}

fn signatures(view: &SignaturesView) -> Markup {
    let more = view.found.len().saturating_sub(SIGNATURES_SHOWN);
    html! {
        h3 { "Signatures" }
        @if view.found.is_empty() { p { "None was found." } }
        @else {
            p.quiet { "What was found, whether it counts or not; whose count is said by the gate above." }
            ul {
                @for signature in view.found.iter().take(SIGNATURES_SHOWN) {
                    li {
                        bdi { (signature.form) } " from " (short(&signature.source))
                        @if let Some(over) = &signature.over { " over " (short(over)) }
                    }
                }
                @if more > 0 { li { (count(more, "more")) } }
            }
        }
        @if !view.looked_for.is_empty() {
            details {
                summary { "Where they were looked for" }
                ul { @for place in &view.looked_for { li { bdi { (place) } } } }
            }
        }
        @if !view.skipped.is_empty() {
            p { "Could not be read:" }
            ul { @for skipped in &view.skipped { li { bdi { (skipped) } } } }
        }
    }
}

/// What the configurations say; what all images say alike is said once.
pub(super) fn configurations(facts: &SubjectFacts) -> Markup {
    html! {
        @if !facts.images.is_empty() {
            section aria-labelledby="configuration" {
                h2 #configuration { "Configuration" }
                @for image in &facts.images {
                    @if facts.images.len() > 1 { h3 { (platform(image)) } }
                    @match &image.config {
                        Known::Is(config) => (configuration(config)),
                        Known::No(why) => { p.unknown { "Not known: " bdi { (why) } "." } }
                    }
                }
            }
        }
    }
}

fn configuration(config: &ImageConfig) -> Markup {
    let secrets = config.env.iter().filter(|entry| entry.looks_like.is_some());
    let secrets: Vec<&str> = secrets.map(|entry| entry.name.as_str()).collect();
    html! {
        dl.facts {
            div { dt { "User" } dd {
                @if config.user.is_empty() { "none is named, so root" } @else { bdi { (config.user) } }
            } }
            div { dt { "Ports" } dd { (listed(config.ports.iter().map(String::as_str))) } }
            div { dt { "Environment" } dd {
                (listed(config.env.iter().map(|entry| entry.name.as_str())))
                span.quiet { "names only; values are not kept" }
            } }
            @if !secrets.is_empty() {
                div { dt { "Looks like a credential" } dd { (listed(secrets.into_iter())) } }
            }
            div { dt { "Labels" } dd { (listed(config.labels.iter().map(String::as_str))) } }
            div { dt { "Health check" } dd { @if config.has_healthcheck { "a command" } @else { "none" } } }
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Markup {
    let names: Vec<&str> = names.collect();
    html! {
        @if names.is_empty() { span.quiet { "none" } }
        @for (number, name) in names.iter().enumerate() {
            @if number > 0 { ", " }
            bdi { (name) }
        }
    }
}

/// What it is made of: images, layers, sizes.
pub(super) fn contents(
    facts: &SubjectFacts,
    explained: Option<&ExplainView>,
    now: Timestamp,
) -> Markup {
    html! {
        section aria-labelledby="contents" {
            h2 #contents { "Contents" }
            dl.facts {
                @if let Some(kind) = &facts.kind { div { dt { "Kind" } dd { bdi { (kind) } } } }
                @if let Some(size) = facts.manifest_bytes { div { dt { "Manifest" } dd { (bytes(size)) } } }
                div { dt { "Layers" } dd { (bytes(facts.content_bytes())) ", as they are transferred" } }
                div { dt { "First seen" } dd { (ago(facts.first_seen, now)) } }
            }
            @if facts.images.is_empty() {
                p.unknown { "No image of it is known: "
                    @if explained.is_some_and(|it| it.kind.is_some()) { "it lists none that nodes may get." }
                    @else { "its manifest was not read." } }
            }
            @for image in &facts.images { (layers(image)) }
            @if facts.images_left_out > 0 {
                p.unknown { (count(facts.images_left_out, "more image")) " of the index are not shown." }
            }
        }
    }
}

fn layers(image: &ImageFacts) -> Markup {
    let more = image.layers.len().saturating_sub(LAYERS_SHOWN);
    html! {
        details {
            summary { (platform(image)) ": " (count(image.layers.len(), "layer")) ", "
                (bytes(image.layers.iter().map(|(_, size)| size).sum())) }
            p.quiet { "Manifest " code.whole { (image.digest) } }
            ol.layers {
                @for (digest, size) in image.layers.iter().take(LAYERS_SHOWN) {
                    li { (short(digest)) " " span.number { (bytes(*size)) } }
                }
                @if more > 0 { li { (count(more, "more")) } }
            }
        }
    }
}

/// What an image runs on.
pub(super) fn platform(image: &ImageFacts) -> String {
    image.platform.as_ref().map_or_else(|| "no platform".to_owned(), ToString::to_string)
}
