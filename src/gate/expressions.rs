//! Whether what the policy says in expressions holds. They are asked last, of what nothing else refuses.

use super::checks::{Checked, Finding, reason};
use super::facts::{self, Known, Looked};
use super::text::few;
use super::{CheckState, Context, Evidence, EvidenceKind, ReasonCode, Subject};
use crate::policy::{Demands, FactKinds, NamedExpression, Overlay};
use crate::time::Timestamp;

const NAME: &str = "expressions";

/// Judges by the expressions of the policy. With `certain`, the verdict is a denial already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    let expressions = demands.expressions();
    if expressions.is_empty() {
        return Checked::Nothing;
    }
    if certain {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    let kinds = expressions.iter().map(|it| it.when().facts());
    let kinds = kinds.fold(FactKinds::default(), FactKinds::and);
    match facts::look(subject, evidence, context, kinds) {
        Looked::Failed(why) => Checked::Failed(why),
        Looked::Missing(kind) => Checked::Missing(kind),
        Looked::Known(known) => {
            Checked::Finding(finding(expressions, context.now, known.until, |it| {
                known.holds(it.when().expression())
            }))
        }
        Looked::Unanswerable(why) => {
            Checked::Finding(finding(expressions, context.now, None, |_| Err(why.clone())))
        }
    }
}

fn finding(
    expressions: &[NamedExpression],
    now: Timestamp,
    until: Option<Timestamp>,
    holds: impl Fn(&NamedExpression) -> Result<bool, String>,
) -> Finding {
    const REMEDY: &str = "The image would have to be another, or the policy would have to say";
    let mut finding = Finding::new(NAME, CheckState::Pass, String::new());
    finding.until = until;
    let mut texts = Vec::new();
    for expression in expressions {
        if facts::hangs_on_time(expression.when().expression()) {
            finding.until = finding.until.into_iter().chain([facts::hour_from(now)]).min();
        }
        let why = match holds(expression) {
            Ok(true) => continue,
            Ok(false) => String::new(),
            Err(why) => format!(" ({why})"),
        };
        let (id, message) = (expression.id(), expression.message());
        let text = format!("expression {id}: {message}");
        texts.push(format!("{text}{why}"));
        let remedy = format!("{REMEDY} something else in expressions, {id}{why}.");
        finding.reasons.push(reason(ReasonCode::ExpressionNotMet, &text, remedy));
        if expression.when().facts().are_attached() {
            finding.awaits_signature.insert(ReasonCode::ExpressionNotMet);
        }
    }
    if texts.is_empty() {
        let names: Vec<&str> = expressions.iter().map(|it| it.id().as_str()).collect();
        finding.check.text = format!("{} holds", few(&names));
    } else {
        finding.check.state = CheckState::Fail;
        finding.check.text = texts.join("; ");
    }
    finding
}

/// What is known; nothing where it cannot be had.
fn known(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    kinds: FactKinds,
) -> Result<Option<Box<Known>>, EvidenceKind> {
    match facts::look(subject, evidence, context, kinds) {
        Looked::Missing(kind) => Err(kind),
        Looked::Failed(_) | Looked::Unanswerable(_) => Ok(None),
        Looked::Known(known) => Ok(Some(known)),
    }
}

/// Which overlays apply, of those that ask something of the subject first.
pub(super) struct Conditions<'a> {
    /// Those that do not.
    without: Vec<&'a Overlay>,
    /// Until when that is so.
    pub(super) until: Option<Timestamp>,
}

impl<'a> Conditions<'a> {
    /// Asks the conditions of the overlays in `demands`. What cannot be answered is taken for yes: the overlay
    /// applies.
    ///
    /// # Errors
    /// The evidence that it takes.
    pub(super) fn ask(
        subject: &Subject,
        evidence: &Evidence,
        context: &Context<'_>,
        demands: &Demands<'a>,
    ) -> Result<Self, EvidenceKind> {
        let mut conditions = Self { without: Vec::new(), until: None };
        // What one condition wants to know and cannot be had is no other one's matter.
        let mut looked: Vec<(FactKinds, Option<Box<Known>>)> = Vec::new();
        let asked = demands.overlays().iter().filter_map(|it| Some((*it, it.when()?)));
        for (overlay, when) in asked {
            let (kinds, expression) = (when.facts(), when.expression());
            if looked.iter().all(|(known, _)| *known != kinds) {
                looked.push((kinds, known(subject, evidence, context, kinds)?));
            }
            let known = looked.iter().find(|(known, _)| *known == kinds);
            let known = known.and_then(|(_, known)| known.as_deref());
            let hour = facts::hangs_on_time(expression).then(|| facts::hour_from(context.now));
            let ends = known.and_then(|known| known.until).into_iter().chain(hour);
            conditions.until = conditions.until.into_iter().chain(ends).min();
            if known.is_some_and(|known| !known.may_hold(expression)) {
                conditions.without.push(overlay);
            }
        }
        Ok(conditions)
    }

    /// Whether `overlay` applies.
    pub(super) fn let_apply(&self, overlay: &Overlay) -> bool {
        self.without.iter().all(|it| it.id() != overlay.id())
    }
}
