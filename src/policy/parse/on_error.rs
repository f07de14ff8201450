//! What happens where nothing can be decided: `onError` and the bound for it, `staleVerdict`.

use std::time::Duration;

use super::super::fields::{Fields, Problems, extract};
use super::super::on_error::OnError;
use super::super::problem::Position;
use super::units;

/// What is written at `onError`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written {
    Deny,
    /// With a bound of its own, if it has one.
    Stale(Option<Duration>, Position),
}

/// What holds where a rule says nothing else, and the bound for all that say `stale`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) on_error: OnError,
    most: Option<(Duration, Position)>,
}

impl Defaults {
    /// What stands under `defaults`.
    pub(super) fn read(fields: &mut Fields, problems: &mut Problems) -> Self {
        let written = written(fields, problems);
        let position = fields.position;
        let most = units::time_at(fields, "staleVerdict", problems);
        let (path, longest) = (fields.path_of("staleVerdict"), OnError::STALE_MAX);
        if most.is_some_and(|most| most > longest) {
            problems.add(position, &path, "is more than 30d, the longest that there is");
        }
        let defaults = Self { on_error: OnError::Deny, most: most.map(|most| (most, position)) };
        let on_error = defaults.resolve(written, &fields.path_of("onError"), problems);
        Self { on_error, ..defaults }
    }

    /// What `written` comes to.
    fn resolve(self, written: Option<Written>, path: &str, problems: &mut Problems) -> OnError {
        let most = self.most.map_or(OnError::STALE_VERDICT, |(most, _)| most);
        match written {
            None => self.on_error,
            Some(Written::Deny) => OnError::Deny,
            Some(Written::Stale(None, _)) => OnError::Stale(most),
            Some(Written::Stale(Some(own), position)) => {
                if own > most {
                    let hours = most.as_secs() / 3600;
                    let text = format!(
                        "is longer than defaults.staleVerdict allows ({hours} h); write a longer one there"
                    );
                    problems.add(position, path, text);
                }
                OnError::Stale(own.min(most))
            }
        }
    }

    /// What a rule says, or else what holds for all.
    pub(super) fn of_rule(self, fields: &mut Fields, problems: &mut Problems) -> OnError {
        let written = written(fields, problems);
        self.resolve(written, &fields.path_of("onError"), problems)
    }

    /// Tells of a bound that bounds nothing, where no rule says `stale`.
    pub(super) fn unused(self, rules: impl Iterator<Item = OnError>, problems: &mut Problems) {
        let is_used = matches!(self.on_error, OnError::Stale(_))
            || rules.into_iter().any(|rule| matches!(rule, OnError::Stale(_)));
        if let Some((_, position)) = self.most.filter(|_| !is_used) {
            let text = "has no effect: nothing says onError: stale, which it is the bound for";
            problems.add(position, "defaults.staleVerdict", text);
        }
    }
}

fn written(fields: &mut Fields, problems: &mut Problems) -> Option<Written> {
    let (text, position) = fields.text("onError", problems)?;
    let own = text.strip_prefix("stale(<=").and_then(|rest| rest.strip_suffix(')'));
    match (text.as_str(), own.map(units::duration)) {
        ("deny", _) => Some(Written::Deny),
        ("stale", _) => Some(Written::Stale(None, position)),
        (_, Some(Some(own))) => Some(Written::Stale(Some(own), position)),
        _ => {
            let text = format!("\"{}\" is not deny, stale or stale(<=12h)", extract(&text));
            problems.add(position, &fields.path_of("onError"), text);
            None
        }
    }
}
