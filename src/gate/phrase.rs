//! The words that a person reads when a pull is refused.
//!
//! Two forms of the same thing: the reason phrase of the response, which is all that most clients
//! show, and the sentence in its body. Both say what happened, which rule, why, and the way on.

use std::fmt::Display;

use super::text::{cut_middle, printable};
use super::{Judgement, Reason, ReasonCode, Verdict};

/// Longest reason phrase in characters.
pub const PHRASE_LENGTH_MAX: usize = 120;
/// Longest sentence in the body of a refusal in characters.
const MESSAGE_LENGTH_MAX: usize = 2000;
/// Room that the way on leaves for the words before it, in characters.
const HEAD_LENGTH_MIN: usize = 40;
/// Most reasons that a sentence lists.
const REASONS_MAX: usize = 8;

/// The reason phrase for `judgement`: printable ASCII, at most [`PHRASE_LENGTH_MAX`] characters, the
/// most important words first, the way on always whole at the end.
///
/// `request` is the id of the request that was filed (`R-42`), `link` the address to read more at.
pub fn phrase(judgement: &Judgement, request: Option<&str>, link: Option<&str>) -> String {
    let head = match &judgement.verdict {
        Verdict::Admit => return "Admitted".to_owned(),
        Verdict::Pending(reasons) => pending(reasons, request),
        Verdict::Deny(reasons) => denied(reasons, by_rule(judgement).as_deref()),
    };
    finish(&head, &way_on(request, link))
}

/// The reason phrase while the verdict is still being worked on.
pub fn checking_phrase(request: Option<&str>) -> String {
    let request = request.map(|request| format!(" {request}")).unwrap_or_default();
    finish(&format!("Still checking{request}"), ", try again shortly")
}

/// The reason phrase when needed evidence could not be had.
pub fn undecided_phrase(reasons: &[Reason]) -> String {
    let head = match reasons.first() {
        Some(reason) => format!("Could not decide yet: {}", reason.text),
        None => "Could not decide yet".to_owned(),
    };
    finish(&head, ", try again shortly")
}

/// The sentence for the body of a refusal of `image`: every reason, and what would have to change.
pub fn message(
    image: &dyn Display,
    judgement: &Judgement,
    request: Option<&str>,
    link: Option<&str>,
) -> String {
    let reasons = judgement.verdict.reasons();
    let texts = reasons.iter().take(REASONS_MAX).map(|reason| reason.text.as_str());
    let mut what = texts.collect::<Vec<_>>().join("; ");
    if reasons.len() > REASONS_MAX {
        what = format!("{what}; and {} more", reasons.len() - REASONS_MAX);
    }
    let state = match (&judgement.verdict, by_rule(judgement)) {
        (Verdict::Admit, _) => return printable(&format!("{image} is admitted.")),
        (Verdict::Pending(_), _) => "waits for approval".to_owned(),
        (Verdict::Deny(reasons), Some(rule)) if is_by_rule(reasons) => {
            format!("is denied by {rule}")
        }
        (Verdict::Deny(_), _) => "is denied".to_owned(),
    };
    let mut remedies: Vec<&str> = Vec::new();
    for reason in reasons.iter().take(REASONS_MAX) {
        if !remedies.contains(&reason.remedy.as_str()) {
            remedies.push(&reason.remedy);
        }
    }
    let end = match (request, link) {
        (Some(request), Some(link)) => format!(" Request {request}: see {link}"),
        (None, Some(link)) => format!(" See {link}"),
        (Some(request), None) => format!(" Request {request}: run pratique show {request}"),
        (None, None) => " Ask the admin of this mirror.".to_owned(),
    };
    let head = printable(&format!("{image} {state}: {what}. {}", remedies.join(" ")));
    let end = printable(&end);
    format!("{}{end}", cut_middle(&head, MESSAGE_LENGTH_MAX.saturating_sub(end.len())))
}

fn pending(reasons: &[Reason], request: Option<&str>) -> String {
    let request = request.map(|request| format!(" {request}")).unwrap_or_default();
    match reasons.first() {
        Some(reason)
            if matches!(
                reason.code,
                ReasonCode::ApprovalExpired
                    | ReasonCode::FoundSinceApproval
                    | ReasonCode::SignerChanged
            ) =>
        {
            format!("Pending approval{request}: {}", reason.text)
        }
        _ => format!("Pending approval{request}"),
    }
}

/// The rule that speaks, with who answers for it where that is somebody: `rule shop-apps of group:shop`.
fn by_rule(judgement: &Judgement) -> Option<String> {
    let rule = judgement.rule.as_ref()?;
    Some(match &judgement.owner {
        Some(owner) => format!("rule {rule} of {owner}"),
        None => format!("rule {rule}"),
    })
}

fn denied(reasons: &[Reason], rule: Option<&str>) -> String {
    let Some(first) = reasons.first() else {
        return "Denied".to_owned();
    };
    let mut head = match (first.code, rule) {
        (ReasonCode::Rejected | ReasonCode::Revoked, _) => capitalised(&first.text),
        (_, Some(rule)) if is_by_rule(reasons) => format!("Denied by {rule}: {}", first.text),
        _ => format!("Denied: {}", first.text),
    };
    let denials = reasons.iter().filter(|reason| !reason.code.is_waiting()).count();
    if denials > 1 {
        head = format!("{head} (and {} more)", denials - 1);
    }
    head
}

/// Whether it is the rule that speaks in the first reason, and not the floor, people or upstream.
fn is_by_rule(reasons: &[Reason]) -> bool {
    reasons.first().is_some_and(|reason| match reason.code {
        ReasonCode::ConfigNotAllowed
        | ReasonCode::ConfigUnreadable
        | ReasonCode::CoolingDown
        | ReasonCode::DeniedByRule
        | ReasonCode::ExpressionNotMet
        | ReasonCode::Malware
        | ReasonCode::NotAttested
        | ReasonCode::NotScannable
        | ReasonCode::ScanIncomplete
        | ReasonCode::ScanUnknown
        | ReasonCode::TooManySignatures
        | ReasonCode::TooOld
        | ReasonCode::Undated
        | ReasonCode::Unsigned
        | ReasonCode::Vulnerable
        | ReasonCode::WrongSigner => true,
        ReasonCode::ApprovalExpired
        | ReasonCode::ApprovalNeeded
        | ReasonCode::DeniedImage
        | ReasonCode::EvidenceUnavailable
        | ReasonCode::ForbiddenTag
        | ReasonCode::ForeignLayer
        | ReasonCode::FoundSinceApproval
        | ReasonCode::ImageTooLarge
        | ReasonCode::Malformed
        | ReasonCode::ManifestTooLarge
        | ReasonCode::NoRule
        | ReasonCode::NotFound
        | ReasonCode::PlatformNotAllowed
        | ReasonCode::RegistryNotAllowed
        | ReasonCode::Rejected
        | ReasonCode::Revoked
        | ReasonCode::Schema1
        | ReasonCode::SignerChanged
        | ReasonCode::TooManyLayers => false,
    })
}

fn way_on(request: Option<&str>, link: Option<&str>) -> String {
    let fits = |end: &String| end.len() <= PHRASE_LENGTH_MAX - HEAD_LENGTH_MIN;
    let by_link = link.map(|link| format!(", see {}", printable(link)));
    let by_command = request.map(|request| format!(", run: pratique show {}", printable(request)));
    let ways = [by_link, by_command].into_iter().flatten();
    ways.into_iter().find(fits).unwrap_or_else(|| ", ask the admin of this mirror".to_owned())
}

fn finish(head: &str, end: &str) -> String {
    let room = PHRASE_LENGTH_MAX.saturating_sub(end.len());
    format!("{}{end}", cut_middle(printable(head).trim_end(), room))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
