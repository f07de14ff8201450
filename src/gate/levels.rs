//! What decides in earnest, and what only watches: the levels at which a subject is judged.

use crate::policy::{Demands, Mode};
use crate::time::Timestamp;

/// Everything that is in one mode, or in a stricter one.
pub(super) struct Level<'a> {
    pub(super) mode: Mode,
    /// Whether the rule is heard, with the floor and with people.
    pub(super) has_rule: bool,
    /// What is asked for at this level.
    pub(super) demands: Demands<'a>,
}

/// The levels of what is demanded, the strictest first. `mode` is that of the rule.
///
/// Each level has all that the one before it has. So what the first ones say holds whatever those in a
/// weaker mode come to, and the last one has everything. Where no overlay is in another mode than the rule,
/// there is one level.
pub(super) fn levels<'a>(mode: Mode, demands: &Demands<'a>, now: Timestamp) -> Vec<Level<'a>> {
    let overlays = demands.overlays().iter().map(|overlay| overlay.mode(now));
    let mut modes: Vec<Mode> = overlays.chain([mode]).collect();
    modes.sort_unstable_by(|one, other| other.cmp(one));
    modes.dedup();
    let level = |level: Mode| {
        let has_rule = mode >= level;
        let demands =
            if has_rule { demands.at_least(level, now) } else { demands.of_overlays(level, now) };
        Level { mode: level, has_rule, demands }
    };
    modes.into_iter().map(level).collect()
}
