//! `break-glass use`, `ls`, `show`, `vote`, `end`, `review`.

use std::process::ExitCode;

use super::client::encoded;
use super::connect;
use super::explain::line;
use super::table::{Column, Table};
use super::text::Times;
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::emergencies::view::{
    BreakGlassBody, BreakGlassReviewBody, BreakGlassView, BreakGlassVoteBody,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique break-glass use ghcr.io/acme/app:1.4 --reason \"prod is down\" --ticket INC-77 --ttl 2h
  pratique break-glass use --repository ghcr.io/acme/app --reason \"prod is down\" --ticket INC-77
  pratique break-glass vote B-3 --reason \"seen with alice, prod is down\"
  pratique break-glass end B-3
  pratique break-glass review B-3 --justified --reason \"the registry of the signer was down\"

A break-glass has one image, or every image of one repository, served for a while although its rule
denies it, nobody approved it, its gates fail, or nothing could be found out about it. Who may, for what
and how long says breakGlass in the policy. It does not override the lists and bounds of the floor,
malware, what is not whole, or what people rejected or revoked. It is told loudly, put on record, and has
to be reviewed by somebody else afterwards.

Exit codes: 0 done, 1 failed, 2 not reached, 3 not allowed, 64 wrong use.";

/// What to do about break-glasses.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum BreakGlassCommand {
    /// Have an image, or a whole repository, served for a while although nothing admitted it
    Use {
        /// The image, by digest, or by a tag: what that stands for now
        #[arg(required_unless_present = "repository", conflicts_with = "repository")]
        image: Option<String>,
        /// Every image of this repository instead
        #[arg(long, value_name = "NAME")]
        repository: Option<String>,
        /// Why; it stays on record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The ticket that it belongs to
        #[arg(long, value_name = "TEXT")]
        ticket: Option<String>,
        /// For how long, as 30m or 2h; an hour if it is left out, or less if the policy allows less
        #[arg(long, value_name = "TIME")]
        ttl: Option<String>,
    },
    /// List break-glasses, newest first
    Ls,
    /// Show one
    Show {
        /// Its number, for example B-3
        id: String,
    },
    /// Say yes to one that takes several people
    Vote {
        /// Its number, for example B-3
        id: String,
        /// Why; it stays on record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End one before its time: nothing is served by it any more
    End {
        /// Its number, for example B-3
        id: String,
        /// Why; it stays on record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Say afterwards whether one was justified; not by whoever used it or said yes to it
    Review {
        /// Its number, for example B-3
        id: String,
        /// It was justified
        #[arg(long, required_unless_present = "not_justified", conflicts_with = "not_justified")]
        justified: bool,
        /// It was not justified
        #[arg(long)]
        not_justified: bool,
        /// Why; it stays on record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Runs a command about break-glasses.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: BreakGlassCommand,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let path = |id: &str| format!("/break-glass/{}", encoded(id));
    let view: BreakGlassView = match command {
        BreakGlassCommand::Use { image, repository, reason, ticket, ttl } => {
            let body = BreakGlassBody { image, repository, reason, ticket, ttl };
            client.post("/break-glass", &body).await?
        }
        BreakGlassCommand::Ls => {
            let views: Vec<BreakGlassView> = client.get_all("/break-glass").await?;
            if connection.json {
                output::print_json(&views)?;
            } else {
                output::print(list(&views, connect::times(connection)).trim_end())?;
            }
            return Ok(Exit::Done.into());
        }
        BreakGlassCommand::Show { id } => client.get(&path(&id)).await?,
        BreakGlassCommand::Vote { id, reason } => {
            let body = BreakGlassVoteBody { comment: reason };
            client.post(&format!("{}/votes", path(&id)), &body).await?
        }
        BreakGlassCommand::End { id, reason } => {
            let why = reason.map(|why| format!("?reason={}", encoded(&why))).unwrap_or_default();
            client.delete_for(&format!("{}{why}", path(&id))).await?
        }
        BreakGlassCommand::Review { id, justified, not_justified: _, reason } => {
            let verdict = if justified { "justified" } else { "not-justified" }.to_owned();
            let body = BreakGlassReviewBody { verdict, comment: reason };
            client.post(&format!("{}/review", path(&id)), &body).await?
        }
    };
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(one(&view, connect::times(connection)).trim_end())?;
    }
    Ok(Exit::Done.into())
}

/// What it is for.
fn scope(view: &BreakGlassView) -> String {
    let image = view.image.clone();
    image.unwrap_or_else(|| format!("every image of {}", view.repository))
}

/// How it stands, in a word or two.
fn state(view: &BreakGlassView) -> String {
    match (view.state.as_str(), &view.review) {
        ("waiting", _) => format!("waiting {}/{}", view.have, view.quorum),
        ("ended", Some(review)) => review.verdict.clone(),
        ("ended", None) if view.in_force_at.is_none() => "never in force".to_owned(),
        ("ended", None) if view.overdue => "UNREVIEWED".to_owned(),
        ("ended", None) => "unreviewed".to_owned(),
        (state, _) => state.to_uppercase(),
    }
}

fn list(views: &[BreakGlassView], times: Times) -> String {
    if views.is_empty() {
        return "Nobody has broken the glass.".to_owned();
    }
    let mut table = Table::new([
        Column::Fixed("ID"),
        Column::Fixed("STATE"),
        Column::Name("FOR"),
        Column::Fixed("BY"),
        Column::Fixed("ASKED"),
        Column::Text("WHY"),
    ]);
    for view in views {
        table.row([
            view.id.clone(),
            state(view),
            view.image.clone().unwrap_or_else(|| format!("{}/*", view.repository)),
            view.display.clone(),
            times.past(view.asked_at),
            view.reason.clone(),
        ]);
    }
    table.render()
}

fn one(view: &BreakGlassView, times: Times) -> String {
    let mut out = String::new();
    line(&mut out, &view.id, &state(view), &scope(view));
    let ticket = view.ticket.as_ref().map(|ticket| format!(" ({ticket})")).unwrap_or_default();
    let text = format!("by {} {}{ticket}: {}", view.by, times.past(view.asked_at), view.reason);
    line(&mut out, "used", "", &text);
    for vote in &view.votes {
        let text = format!("by {} {}: {}", vote.by, times.past(vote.at), vote.comment);
        line(&mut out, "yes", "", &text);
    }
    match (view.state.as_str(), view.until, &view.ended) {
        ("waiting", ..) => {
            let more = view.quorum.saturating_sub(view.have);
            let text = format!(
                "{more} more people have to say yes\npratique break-glass vote {}",
                view.id
            );
            line(&mut out, "waits", "", &text);
        }
        (_, _, Some(end)) => {
            let text = format!("by {} {}: {}", end.by, times.past(end.at), end.why);
            line(&mut out, "ended", "", &text);
        }
        (_, Some(until), None) => {
            let text =
                format!("in force until {until}\nend it: pratique break-glass end {}", view.id);
            line(&mut out, "until", &times.until(until), &text);
        }
        (_, None, None) => {}
    }
    if let Some(review) = &view.review {
        let text = format!("by {} {}: {}", review.by, times.past(review.at), review.comment);
        line(&mut out, "review", &review.verdict, &text);
    } else if let Some(by) = view.review_by {
        let text = format!("somebody else has to review it by {by}");
        line(&mut out, "review", if view.overdue { "OVERDUE" } else { "due" }, &text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn view(state: &str) -> BreakGlassView {
        serde_json::from_value(serde_json::json!({
            "id": "B-3", "state": state, "repository": "up.test/a", "by": "user:alice",
            "display": "alice", "reason": "prod is down", "ticket": "INC-77", "ttl_seconds": 3600,
            "quorum": 2, "have": 1, "asked_at": "2026-11-20T10:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn what_waits_names_the_next_step_and_what_is_over_who_has_to_look_at_it() {
        let times = Times::new("2026-11-20T10:04:00Z".parse::<Timestamp>().unwrap(), true);
        let waiting = one(&view("waiting"), times);
        assert!(waiting.starts_with("B-3"), "{waiting}");
        assert!(waiting.contains("pratique break-glass vote B-3"), "{waiting}");
        assert!(waiting.contains("(INC-77): prod is down"), "{waiting}");
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let over = BreakGlassView {
            in_force_at: at("2026-11-20T10:00:00Z"),
            review_by: at("2026-11-20T10:03:00Z"),
            overdue: true,
            ..view("ended")
        };
        assert!(one(&over, times).contains("OVERDUE"), "{}", one(&over, times));
        assert!(list(&[over], times).contains("UNREVIEWED"));
        assert_eq!(list(&[], times), "Nobody has broken the glass.");
    }
}
