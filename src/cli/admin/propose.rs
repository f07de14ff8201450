//! The changes of the policy that would have made a decision needless, as the mirror offers them.

use std::fmt::Write as _;

use super::client::encoded;
use super::connect;
use super::text::{count, printable};
use crate::cli::{CliError, Connection, output};
use crate::mirror::desk::propose::{FiguresView, RuleProposalView, RuleProposalsView};
use crate::mirror::desk::simulate::PulledView;

/// What to ask for.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Wanted {
    pub(in crate::cli) request: String,
    pub(in crate::cli) days: u32,
    pub(in crate::cli) option: Option<String>,
}

/// Asks and prints; with one option named, its diff and nothing else.
///
/// # Errors
/// When the server cannot be reached or says no, or there is no such option.
pub(in crate::cli) async fn run(connection: &Connection, wanted: Wanted) -> Result<(), CliError> {
    let Wanted { request, days, option } = wanted;
    // A diff alone needs no figures.
    let query = if option.is_some() { String::new() } else { format!("?days={days}") };
    let path = format!("/requests/{}/proposal{query}", encoded(&request));
    let client = connect::client(connection)?;
    let asking = client.get::<RuleProposalsView>(&path);
    let view = output::with_progress("the mirror", "counting what would change", asking).await?;
    let Some(id) = option else {
        return if connection.json {
            output::print_json(&view)
        } else {
            output::print(&rendered(&view))
        };
    };
    match view.options.iter().find(|it| it.id == id) {
        Some(found) => output::print(&found.diff),
        None => Err(CliError::misused(format!("{}: {}", printable(&id), why_not(&view, &id)))),
    }
}

fn why_not(view: &RuleProposalsView, id: &str) -> String {
    if let Some(not) = view.not_offered.iter().find(|it| it.id == id) {
        return printable(&not.why);
    }
    let known: Vec<&str> = view.options.iter().map(|it| it.id.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("is not offered for {}; there are: {known}", view.request)
}

fn rendered(view: &RuleProposalsView) -> String {
    let mut out = format!("{} {}\n", view.request, printable(&view.image));
    for option in &view.options {
        let RuleProposalView { id, says, diff, figures, not_counted } = option;
        _ = writeln!(out, "\n{id}\n  {}", printable(says));
        if let Some(figures) = figures {
            out.push_str(&told(figures));
        }
        if let Some(why) = not_counted {
            _ = writeln!(out, "  not counted: {}", printable(why));
        }
        for line in diff.lines() {
            _ = writeln!(out, "    {}", printable(line));
        }
    }
    for not in &view.not_offered {
        _ = writeln!(out, "\nnot offered: {}: {}", printable(&not.id), printable(&not.why));
    }
    if !view.options.is_empty() {
        _ = writeln!(out, "\n{}", printable(&view.how));
        _ = writeln!(
            out,
            "One alone: pratique policy propose {} --option NAME > change.diff",
            view.request
        );
    }
    out
}

fn told(figures: &FiguresView) -> String {
    let FiguresView { days, before, after, .. } = figures;
    let mut out = format!("  Of what was pulled in {days} days, now and then:\n");
    for (word, was, is) in [
        ("admitted", before.admitted, after.admitted),
        ("held", before.held, after.held),
        ("refused", before.refused, after.refused),
        ("unknown", before.unknown, after.unknown),
    ] {
        if (was, is) != (PulledView::default(), PulledView::default()) {
            let (images, pulls) = (count(is.images, "image"), count(is.pulls, "pull"));
            _ = writeln!(out, "    {word:<9} {} -> {images}, {} -> {pulls}", was.images, was.pulls);
        }
    }
    out
}
