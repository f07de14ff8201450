//! What speaks against an image, each thing once, by whomever it was found.

use std::collections::BTreeMap;

use super::checks::reason;
use super::{Reason, ReasonCode};

/// Reasons of one kind that are told one by one.
pub(super) const REASONS_MAX: usize = 20;

/// Things of one kind that speak against it, in the order in which they were found.
#[derive(Default)]
pub(super) struct Against<'a> {
    found: Vec<One<'a>>,
    /// Where each stands, by what is said.
    places: BTreeMap<String, usize>,
}

struct One<'a> {
    code: ReasonCode,
    text: String,
    remedy: String,
    /// By whom, where that is told.
    by: Vec<&'a str>,
}

impl<'a> Against<'a> {
    /// Notes what `by` found. What was said before keeps the remedy that it has.
    pub(super) fn add(
        &mut self,
        (code, text, remedy): (ReasonCode, String, String),
        by: Option<&'a str>,
    ) {
        let place = self.places.get(&text).and_then(|place| self.found.get_mut(*place));
        if let Some(known) = place {
            let news = by.filter(|by| !known.by.contains(by));
            known.by.extend(news);
            return;
        }
        self.places.insert(text.clone(), self.found.len());
        self.found.push(One { code, text, remedy, by: Vec::from_iter(by) });
    }

    /// The reasons, which say after `word` who found them if there is one; of many only the first, and how
    /// many more, with where those are told.
    pub(super) fn reasons(self, word: Option<&str>, rest: &str) -> Vec<Reason> {
        let more = self.found.len().saturating_sub(REASONS_MAX);
        let last = self.found.first().map(|first| first.code).filter(|_| more > 0);
        let told = |One { code, text, remedy, by }: One<'_>| {
            let text = match word.filter(|_| !by.is_empty()) {
                Some(word) => format!("{text}, {word} {}", by.join(" and ")),
                None => text,
            };
            reason(code, &text, remedy)
        };
        let mut reasons: Vec<Reason> = self.found.into_iter().take(REASONS_MAX).map(told).collect();
        if let Some(code) = last {
            let text = format!("{more} more like these");
            reasons.push(reason(code, &text, rest));
        }
        reasons
    }
}
