//! How two patterns lie to each other: whether a text is covered by both, whether one covers the other.

use super::{Pattern, Token, set};

impl Pattern {
    /// Whether some text is covered by both patterns. Exact.
    pub(in crate::policy) fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.steps(), other.steps());
        let width = theirs.len() + 1;
        // Row by row: whether the two can have read the same text when `ours` is at the row's step
        // and `theirs` at the column's.
        let mut row = vec![false; width];
        if let Some(start) = row.first_mut() {
            *start = true;
        }
        for index in 0..=ours.len() {
            let our = ours.get(index).copied();
            let mut next = vec![false; width];
            for column in 0..width {
                if !row.get(column).copied().unwrap_or(false) {
                    continue;
                }
                let their = theirs.get(column).copied();
                let (down, right, diagonal) = moves(our, their);
                if right {
                    set(&mut row, column + 1);
                }
                if down {
                    set(&mut next, column);
                }
                if diagonal {
                    set(&mut next, column + 1);
                }
            }
            if index == ours.len() {
                return row.last().copied().unwrap_or(false);
            }
            row = next;
        }
        false
    }

    /// Whether every text that the pattern covers is plainly covered by `outer`: each of its characters and
    /// wildcards is one that `outer` has, or that a wildcard of `outer` stands for. Yes is always right;
    /// no may also mean that it cannot be seen in this way.
    pub(in crate::policy) fn is_within(&self, outer: &Self) -> bool {
        let outer = outer.steps();
        // The set of places in `outer` that the steps so far can have led to.
        let mut reached = vec![false; outer.len() + 1];
        set(&mut reached, 0);
        skip_wildcards(&outer, &mut reached);
        for step in self.steps() {
            let mut next = vec![false; reached.len()];
            for (place, theirs) in outer.iter().enumerate() {
                if !reached.get(place).copied().unwrap_or(false) {
                    continue;
                }
                if theirs.takes(step) {
                    set(&mut next, if theirs.is_wildcard() { place } else { place + 1 });
                }
            }
            skip_wildcards(&outer, &mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }

    /// Whether it can be seen from their first characters that no text is covered by both.
    pub(in crate::policy) fn is_apart(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.literal_prefix(), other.literal_prefix());
        !ours.starts_with(theirs) && !theirs.starts_with(ours)
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.text.len());
        for token in &self.tokens {
            match token {
                Token::Any => steps.push(Step::Any),
                Token::InSegment => steps.push(Step::InSegment),
                Token::Literal(text) => steps.extend(text.bytes().map(Step::Byte)),
            }
        }
        steps
    }
}

/// One character or wildcard of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Any,
    Byte(u8),
    InSegment,
}

impl Step {
    fn is_wildcard(self) -> bool {
        matches!(self, Self::Any | Self::InSegment)
    }

    /// Whether whatever `inner` stands for is, whole, something that this one stands for: for a wildcard,
    /// among other things.
    fn takes(self, inner: Self) -> bool {
        match (self, inner) {
            (Self::Any, _) | (Self::InSegment, Self::InSegment) => true,
            (Self::InSegment, Self::Byte(byte)) => byte != b'/',
            (Self::Byte(ours), Self::Byte(theirs)) => ours == theirs,
            (Self::InSegment | Self::Byte(_), _) => false,
        }
    }

    /// Whether this is a wildcard that can stand for what `other` stands for.
    fn stands_for(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Byte(_)) => true,
            (Self::InSegment, Self::Byte(byte)) => byte != b'/',
            _ => false,
        }
    }
}

/// Which ways lead on when two patterns read one text: past our step, past theirs, past both.
fn moves(our: Option<Step>, their: Option<Step>) -> (bool, bool, bool) {
    let both = |test: fn(Step, Step) -> bool| our.zip(their).is_some_and(|(a, b)| test(a, b));
    let down = our.is_some_and(Step::is_wildcard) || both(|a, b| b.stands_for(a));
    let right = their.is_some_and(Step::is_wildcard) || both(Step::stands_for);
    let diagonal = both(|a, b| a == b && !a.is_wildcard());
    (down, right, diagonal)
}

/// Adds to the places `reached` in `steps` those that lie behind a wildcard, which may stand for nothing.
fn skip_wildcards(steps: &[Step], reached: &mut [bool]) {
    for (place, step) in steps.iter().enumerate() {
        if step.is_wildcard() && reached.get(place).copied().unwrap_or(false) {
            set(reached, place + 1);
        }
    }
}
