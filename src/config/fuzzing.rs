//! Fuzz target for the settings file and the units in it.

use super::environment::Environment;
use super::load::parse;
use super::units::{duration, show_duration, show_size, size};
use super::{Overrides, Settings};

/// A settings file; and its lines as durations and sizes.
pub(crate) fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        if let Ok(found) = duration(line) {
            assert_eq!(duration(&show_duration(found)), Ok(found), "{line:?}");
        }
        if let Ok(found) = size(line) {
            assert_eq!(size(&show_size(found)), Ok(found), "{line:?}");
        }
    }
    match read(text) {
        Err(problems) => {
            assert!(!problems.problems.is_empty(), "refused for no reason");
            let lines = text.split('\n').count();
            let placed = |line: Option<usize>| line.is_none_or(|line| line >= 1 && line <= lines);
            assert!(problems.problems.iter().all(|it| placed(it.line)), "{problems}");
        }
        Ok(settings) => {
            // What is shown says the same when it is read.
            let shown = shown(&settings);
            let again = read(&shown).map(|settings| self::shown(&settings));
            assert_eq!(again.as_ref(), Ok(&shown), "{shown}");
        }
    }
}

fn read(text: &str) -> Result<Settings, super::Problems> {
    parse("fuzz", text, &Overrides::default(), Environment::default(), &|_| Ok(()))
}

fn shown(settings: &Settings) -> String {
    toml::to_string(&settings.effective()).unwrap_or_default()
}
