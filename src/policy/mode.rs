//! What becomes of what is refused: it is not served, or it is and somebody hears of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Whether verdicts are acted on; the stricter one is the greater.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Verdicts are only written down; everything is served, and no pull waits for one.
    Audit,
    /// Everything is served; what would be refused is served with a warning to whoever pulls it.
    Warn,
    /// Only what is admitted is served.
    #[default]
    Enforce,
}

impl Mode {
    /// The words of the policy, the strictest first.
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("enforce", Self::Enforce), ("warn", Self::Warn), ("audit", Self::Audit)];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::CHOICES.iter().find(|(_, mode)| mode == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// A mode, and until when it is that: from then on it is [`Mode::Enforce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModeUntil {
    pub(super) mode: Mode,
    pub(super) until: Option<Timestamp>,
}

impl ModeUntil {
    /// The mode at `now`.
    pub fn at(&self, now: Timestamp) -> Mode {
        if self.until.is_some_and(|until| until <= now) { Mode::Enforce } else { self.mode }
    }

    /// When the mode becomes another, if that is still to come at `now`.
    pub fn changes_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// The mode until then.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// From when on it enforces by itself, where that is said.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_enforces_from_the_very_moment_on() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = moment("2027-01-31T00:00:00Z");
        for mode in [Mode::Audit, Mode::Warn] {
            let timed = ModeUntil { mode, until: Some(until) };
            let before = moment("2027-01-30T23:59:59.999Z");
            assert_eq!((timed.at(before), timed.changes_after(before)), (mode, Some(until)));
            assert_eq!((timed.at(until), timed.changes_after(until)), (Mode::Enforce, None));
            let later = moment("2030-01-01T00:00:00Z");
            assert_eq!(timed.at(later), Mode::Enforce);
            assert_eq!(ModeUntil { mode, until: None }.at(later), mode);
        }
        assert!(Mode::Enforce > Mode::Warn && Mode::Warn > Mode::Audit);
    }
}
