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
/// What is left of the name of a rule where it has to give way to the reason, in characters.
const RULE_LENGTH_MAX: usize = 24;
/// Most reasons that a sentence lists.
const REASONS_MAX: usize = 8;

/// The reason phrase for `judgement`: printable ASCII, at most [`PHRASE_LENGTH_MAX`] characters, the
/// most important words first, the way on always whole at the end.
///
/// `request` is the id of the request that was filed (`R-42`), `link` the address to read more at.
pub fn phrase(judgement: &Judgement, request: Option<&str>, link: Option<&str>) -> String {
    let heads = match &judgement.verdict {
        Verdict::Admit => return "Admitted".to_owned(),
        Verdict::Pending(reasons) => vec![pending(reasons, request)],
        Verdict::Deny(reasons) => denied(reasons, judgement),
    };
    let end = way_on(request, link);
    // The first that fits; of the shortest, the middle is cut out.
    let room = PHRASE_LENGTH_MAX.saturating_sub(end.len());
    let fitting = heads.iter().find(|head| printable(head).trim_end().len() <= room);
    finish(fitting.or(heads.last()).map_or("Denied", String::as_str), &end)
}

/// The reason phrase of a refusal that no judgement is behind: `what` it is, and whom to ask.
pub fn refused_phrase(what: &str) -> String {
    finish(what, &way_on(None, None))
}

/// The reason phrase of an answer that may be another one later: `what` is the matter, and `when` to try again.
pub fn later_phrase(what: &str, when: &str) -> String {
    finish(what, &format!(", try again {when}"))
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

/// What is said of a denial, in ever fewer words: the reason is what it is read for, so the owner of the
/// rule goes first, and then the middle of the rule's name.
fn denied(reasons: &[Reason], judgement: &Judgement) -> Vec<String> {
    let Some(first) = reasons.first() else {
        return vec!["Denied".to_owned()];
    };
    let denials = reasons.iter().filter(|reason| !reason.code.is_waiting()).count();
    let more = match denials.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let text = &first.text;
    if matches!(first.code, ReasonCode::Rejected | ReasonCode::Revoked) {
        return vec![format!("{}{more}", capitalised(text))];
    }
    let rule = judgement.rule.as_ref().filter(|_| is_by_rule(reasons)).map(ToString::to_string);
    let Some((by, rule)) = by_rule(judgement).zip(rule) else {
        return vec![format!("Denied: {text}{more}")];
    };
    let short = cut_middle(&printable(&rule), RULE_LENGTH_MAX);
    vec![
        format!("Denied by {by}: {text}{more}"),
        format!("Denied by rule {rule}: {text}{more}"),
        format!("Denied by rule {short}: {text}{more}"),
    ]
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
