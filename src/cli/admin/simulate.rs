//! What a draft of a policy would change, as the mirror says it.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::connect;
use super::table::{Column, Table};
use super::text::{Times, count, printable};
use crate::cli::{CliError, Connection, output};
use crate::mirror::desk::simulate::{
    Effect, FlipView, SimulateBody, SimulationLine, SimulationView,
};

/// How often people are told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// All of an answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    #[serde(flatten)]
    pub(super) view: &'a SimulationView,
    pub(super) flips: &'a [FlipView],
}

/// Asks, prints the answer, and gives whether anything that is served now would be refused, or may be.
///
/// # Errors
/// When the server cannot be reached, says no, or cannot bring it to an end.
pub(in crate::cli) async fn run(
    connection: &Connection,
    body: &SimulateBody,
) -> Result<bool, CliError> {
    let (view, flips) = ask(connection, body).await?;
    if connection.json {
        output::print_json(&Answer { view: &view, flips: &flips })?;
    } else {
        output::print(&render(&view, &flips, connect::times(connection)))?;
    }
    Ok(view.refused > 0 || view.unknown > 0 || view.tag_forbidden > 0)
}

/// What the mirror says of the draft in `body`, and the images that change.
///
/// # Errors
/// When the server cannot be reached, says no, or cannot bring it to an end.
pub(super) async fn ask(
    connection: &Connection,
    body: &SimulateBody,
) -> Result<(SimulationView, Vec<FlipView>), CliError> {
    let client = connect::client(connection)?;
    let (answer, client) = client.post_open("/simulate", body).await?;
    let (mut flips, mut done) = (Vec::new(), None);
    let mut told_at = Instant::now();
    let each = |line: SimulationLine| {
        match line {
            SimulationLine::Examined(examined) if told_at.elapsed() >= PROGRESS_EVERY => {
                told_at = Instant::now();
                output::message(&format!("{} looked at", count(examined, "image")));
            }
            SimulationLine::Examined(_) => {}
            SimulationLine::Flip(flip) => flips.push(*flip),
            SimulationLine::Done(view) => done = Some(*view),
            SimulationLine::Failed(why) => {
                let text = format!("the server could not bring it to an end: {why}");
                return Err(CliError::unreachable(text));
            }
        }
        Ok(())
    };
    client.lines(answer.into_body(), each).await?;
    let view = done.ok_or_else(|| CliError::unreachable("the server's answer has no end"))?;
    Ok((view, flips))
}

const fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Refused => "REFUSED",
        Effect::Unknown => "unknown",
        Effect::Served => "served",
        Effect::Otherwise => "otherwise",
        Effect::TagForbidden => "TAG",
    }
}

fn render(view: &SimulationView, flips: &[FlipView], times: Times) -> String {
    let mut out = String::new();
    if !flips.is_empty() {
        let mut table = Table::new([
            Column::Fixed("WOULD BE"),
            Column::Fixed("NOW"),
            Column::Fixed("THEN"),
            Column::Fixed("PULLS"),
            Column::Fixed("LAST"),
            Column::Fixed("DIGEST"),
            Column::Name("IMAGE"),
            Column::Text("WHY"),
        ]);
        for flip in flips {
            let why: Vec<&str> = flip.reasons.iter().map(|reason| reason.text.as_str()).collect();
            table.row([
                word(flip.effect).to_owned(),
                flip.before.clone(),
                flip.after.clone(),
                flip.pulls.to_string(),
                flip.last_pull.map_or_else(|| "-".to_owned(), |at| times.past(at)),
                flip.digest.short(),
                image(flip),
                because(flip, &why.join("; ")),
            ]);
        }
        out = table.render();
    }
    let days = view.days;
    let _infallible = writeln!(
        out,
        "{} on record, {} in {days} days; nothing was changed.",
        count(view.examined, "image"),
        count(view.pulls, "pull"),
    );
    for (number, pulls, text) in [
        (view.refused, Some(view.pulls_refused), "would be refused"),
        (
            view.unknown,
            Some(view.pulls_unknown),
            "hang on what nobody has gathered: unknown until asked for",
        ),
        (view.served, None, "would be served that are not now"),
        (view.tag_forbidden, None, "could not be asked for by a tag any more"),
        (view.otherwise, None, "have another verdict, rule or reason, with the same effect"),
        (view.not_listed, None, "of these are not listed"),
    ] {
        let pulls = pulls.filter(|_| number > 0);
        let pulls = pulls.map(|pulls| format!(" ({})", count(pulls, "pull"))).unwrap_or_default();
        if number > 0 {
            let _infallible = writeln!(out, "{number:>8} {text}{pulls}");
        }
    }
    if flips.is_empty() {
        out.push_str("It would change nothing about them.\n");
    }
    out
}

/// The image, by a tag where it has one.
pub(super) fn image(flip: &FlipView) -> String {
    let (name, _) = flip.image.split_once('@').unwrap_or((&flip.image, ""));
    let tag = flip.tags.first().map(|tag| format!(":{tag}")).unwrap_or_default();
    printable(&format!("{name}{tag}"))
}

fn because(flip: &FlipView, why: &str) -> String {
    let rule = |rule: &Option<String>| rule.clone().unwrap_or_else(|| "no rule".to_owned());
    if flip.rule_before == flip.rule_after {
        return why.to_owned();
    }
    let moved = format!("rule {} -> {}", rule(&flip.rule_before), rule(&flip.rule_after));
    if why.is_empty() { moved } else { format!("{moved}; {why}") }
}
