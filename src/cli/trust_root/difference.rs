//! What one trust root has and another has not, and what of it speaks against taking the new one.

use crate::signature::Part;
use crate::time::{Timestamp, Window};

/// What one root has and another has not.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Everything, in words.
    pub(super) changes: Vec<String>,
    /// What speaks against taking the new one for a newer one.
    pub(super) worse: Vec<String>,
}

impl Difference {
    /// What is different between the parts of an `old` root and a `new` one.
    pub(super) fn between(old: &[Part], new: &[Part]) -> Self {
        let mut found = Self::default();
        let same = |part: &Part, parts: &[Part]| -> Option<Window> {
            let is = |it: &&Part| it.kind == part.kind && it.fingerprint == part.fingerprint;
            parts.iter().find(is).map(|it| it.window)
        };
        let said = |sign: char, part: &Part| {
            format!("{sign} {} {} ({})", part.kind, part.name, part.fingerprint.short())
        };
        let start = |parts: &[Part]| parts.iter().filter_map(|part| part.window.start).max();
        if let (Some(old), Some(new)) = (start(old), start(new))
            && new < old
        {
            found.worse.push(format!("its newest part begins at {new}, and one there at {old}"));
        }
        for part in new {
            match same(part, old) {
                None => found.changes.push(said('+', part)),
                Some(before) if before != part.window => {
                    let (kind, name, now) = (part.kind, &part.name, part.window);
                    found.changes.push(format!("~ {kind} {name} counts {now}, was {before}"));
                    if is_wider(now, before) {
                        let why = format!("{kind} {name} would count longer than it does");
                        found.worse.push(why);
                    }
                }
                Some(_) => {}
            }
        }
        for part in old.iter().filter(|part| same(part, new).is_none()) {
            found.changes.push(said('-', part));
            found.worse.push(format!("{} {} is missing", part.kind, part.name));
        }
        found
    }
}

/// Whether `now` has a moment in it that `before` has not: an end that has been set stays.
fn is_wider(now: Window, before: Window) -> bool {
    let later = |now: Option<Timestamp>, before: Option<Timestamp>| {
        before.is_some_and(|before| now.is_none_or(|now| now > before))
    };
    let earlier = before.start.is_some_and(|before| now.start.is_none_or(|now| now < before));
    later(now.end, before.end) || earlier
}
