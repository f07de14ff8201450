//! A policy proposed from what was pulled, and what it would do to that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::connect;
use super::simulate::{self, Answer};
use super::table::{Column, Table};
use super::text::{count, printable};
use crate::cli::{CliError, Connection, output};
use crate::mirror::desk::learn::ProposalView;
use crate::mirror::desk::simulate::{FlipView, SimulateBody, SimulationView, TallyView};

/// Most images that are told of that would not be admitted.
const TOLD_MAX: usize = 20;
/// What stands where there is nothing.
const NONE: &str = "-";

/// From what to learn, and how to say it.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Wanted {
    pub(in crate::cli) days: u32,
    pub(in crate::cli) min_pulls: u64,
    pub(in crate::cli) explain: bool,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    view: &'a ProposalView,
    proof: Answer<'a>,
}

/// Asks for the proposal and has it tried on what was pulled; prints it, and on standard error what it would
/// do to that.
///
/// # Errors
/// When the server cannot be reached, says no, or cannot bring it to an end.
pub(in crate::cli) async fn run(connection: &Connection, wanted: Wanted) -> Result<(), CliError> {
    let Wanted { days, min_pulls, explain } = wanted;
    let path = format!("/policy/proposal?days={days}&min_pulls={min_pulls}");
    let client = connect::client(connection)?;
    let asking = client.get::<ProposalView>(&path);
    let view = output::with_progress("the mirror", "looking into what was pulled", asking).await?;
    let (policy, files) = (view.proposal.policy.clone(), view.files.clone());
    let body = SimulateBody { policy, directory: BTreeMap::new(), files, days };
    let (proof, flips) = simulate::ask(connection, &body).await?;
    if connection.json {
        let proof = Answer { view: &proof, flips: &flips };
        output::print_json(&Told { view: &view, proof })?;
    } else if explain {
        output::print(&explained(&view))?;
    } else {
        output::print(&view.proposal.policy)?;
    }
    output::message(&proven(&view, &proof, &flips));
    Ok(())
}

/// The rules as a table.
fn explained(view: &ProposalView) -> String {
    let mut table = Table::new([
        Column::Name("RULE"),
        Column::Fixed("TRUST"),
        Column::Fixed("IMAGES"),
        Column::Fixed("PULLS"),
        Column::Fixed("NODES"),
        Column::Name("FOR"),
        Column::Text("WHY"),
    ]);
    for rule in &view.proposal.rules {
        let mut why = rule.why.iter().skip(1).map(String::as_str).collect::<Vec<_>>();
        let signers = format!("Asks for {}.", rule.signers.join(", "));
        if !rule.signers.is_empty() {
            why.push(&signers);
        }
        table.row([
            rule.id.clone(),
            rule.trust.clone(),
            rule.pulled_images.to_string(),
            rule.pulls.to_string(),
            rule.nodes.to_string(),
            printable(&rule.images.join(" ")),
            printable(&why.join(" ")),
        ]);
    }
    for left in &view.proposal.left_out {
        table.row([
            NONE.to_owned(),
            NONE.to_owned(),
            left.images.to_string(),
            left.pulls.to_string(),
            NONE.to_owned(),
            printable(&left.repository),
            "Too little history for a rule.".to_owned(),
        ]);
    }
    let mut out = table.render();
    if view.proposal.left_out_more > 0 {
        _ = writeln!(out, "and {} more with too little history", view.proposal.left_out_more);
    }
    out
}

/// What it would do to what was pulled.
fn proven(view: &ProposalView, proof: &SimulationView, flips: &[FlipView]) -> String {
    let TallyView { admitted, held, refused, unknown } = proof.after;
    let mut out = format!(
        "{}, learnt from {} of {} in {} days.\n",
        count(u64::try_from(view.proposal.rules.len()).unwrap_or(u64::MAX), "rule"),
        count(view.pulls, "pull"),
        count(view.images, "image"),
        view.days,
    );
    if view.truncated {
        out.push_str("More images were pulled than are looked at; those with the fewest pulls are not in it.\n");
    }
    out.push_str("Of what is on record it would\n");
    for (what, of) in
        [("admit", admitted), ("hold", held), ("refuse", refused), ("not know yet", unknown)]
    {
        let (images, pulls) = (count(of.images, "image"), count(of.pulls, "pull"));
        _ = writeln!(out, "{what:>14}  {images}, {pulls}");
    }
    let not_admitted: Vec<&FlipView> = flips.iter().filter(|it| it.after != "admit").collect();
    for flip in not_admitted.iter().take(TOLD_MAX) {
        let why = flip.reasons.first().map_or("", |reason| reason.text.as_str());
        let (image, after) = (simulate::image(flip), &flip.after);
        _ = writeln!(out, "{after:>14}  {image}  {}: {why}", count(flip.pulls, "pull"));
    }
    let more = u64::try_from(not_admitted.len().saturating_sub(TOLD_MAX)).unwrap_or(u64::MAX);
    if more.saturating_add(proof.not_listed) > 0 {
        out.push_str("                and more: pratique policy diff FILE --against-history\n");
    }
    printable_lines(&out)
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}
