//! In which mode something is, and until when.

use super::super::fields::{Fields, Problems};
use super::super::mode::{Mode, ModeUntil};
use super::super::problem::Position;
use super::units::day_at;
use crate::time::Timestamp;

/// What is written of a mode in one place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WrittenMode {
    pub(super) mode: Option<Mode>,
    pub(super) until: Option<(Timestamp, Position)>,
}

impl WrittenMode {
    /// What stands at `mode` and `modeUntil`.
    pub(super) fn read(fields: &mut Fields, problems: &mut Problems) -> Self {
        let mode = fields.choice("mode", &Mode::CHOICES, &[], problems);
        Self { mode, until: day_at(fields, "modeUntil", problems) }
    }

    /// What that comes to where `default` holds; `path` is that of `modeUntil`.
    pub(super) fn or(self, default: ModeUntil, path: &str, problems: &mut Problems) -> ModeUntil {
        let until = self.until.map(|(until, _)| until);
        let mode = match self.mode {
            Some(mode) => ModeUntil { mode, until },
            None => ModeUntil { until: until.or(default.until), ..default },
        };
        if let Some((_, position)) = self.until.filter(|_| mode.mode == Mode::Enforce) {
            let text = "has no effect: it enforces already; write mode: warn or mode: audit too";
            problems.add(position, path, text);
        }
        mode
    }
}

/// The mode of a rule or an overlay, where `default` is that of the policy.
pub(super) fn read(fields: &mut Fields, default: ModeUntil, problems: &mut Problems) -> ModeUntil {
    let written = WrittenMode::read(fields, problems);
    let path = fields.path_of("modeUntil");
    written.or(default, &path, problems)
}
