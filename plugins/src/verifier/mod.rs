//! The verifier: one question about one image, answered by the mirror, or by what it signed before.
//!
//! containerd runs every file in the plugin's `bin_dir` and keeps an image only when all of them end
//! with 0. What this one cannot find out is a no: a mistake in the settings, a mirror that is away, a
//! call in a form that it does not know.
//!
//! Source: <https://github.com/containerd/containerd/blob/main/docs/image-verification.md>

mod asking;
mod connection;
mod question;
mod settings;
mod summary;

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use self::asking::Asked;
pub use self::question::{Misuse, Question};
pub use self::settings::{Offline, Settings, SettingsError};
pub use self::summary::{NotAdmitted, Summaries};

/// Where the settings are.
pub const SETTINGS: &str = "/etc/pratique/image-verifier.toml";
/// The variable in containerd's environment that names another place for them.
pub const SETTINGS_VARIABLE: &str = "PRATIQUE_IMAGE_VERIFIER_CONFIG";
/// Longest reason in bytes: containerd shows it to people, in one line.
const REASON_BYTES_MAX: usize = 512;

/// What containerd is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The image may be kept, and why.
    Allowed(String),
    /// It may not, and why.
    Refused(String),
    /// The question was not understood, and so the answer is no.
    Misused(String),
}

/// Answers the question in `arguments` and `stdin` by the settings at `path`.
///
/// Takes no longer than the settings' `timeout` and reads no more than a descriptor.
pub fn judge(arguments: &[OsString], stdin: impl Read, path: &Path, now: SystemTime) -> Answer {
    let question = match Question::read(arguments, stdin) {
        Ok(question) => question,
        Err(misuse) => return Answer::Misused(one_line(&misuse.to_string())),
    };
    let answer = match Settings::load(path) {
        Ok(settings) => answer(&question, &settings, now),
        Err(error) => Answer::Refused(format!("image verifier: {error}")),
    };
    match answer {
        Answer::Allowed(reason) => Answer::Allowed(one_line(&reason)),
        Answer::Refused(reason) => Answer::Refused(one_line(&reason)),
        Answer::Misused(reason) => Answer::Misused(one_line(&reason)),
    }
}

fn answer(question: &Question, settings: &Settings, now: SystemTime) -> Answer {
    if settings.direct.iter().any(|direct| direct == question.registry()) {
        return Answer::Allowed(format!("{} is declared direct", question.registry()));
    }
    match asking::ask(question, settings) {
        Asked::Admitted { by } => {
            if let Some(offline) = settings.offline.as_ref().filter(|offline| offline.remember) {
                asking::remember(question, settings, &by, &Summaries::new(offline), now);
            }
            Answer::Allowed(format!("admitted by {by}"))
        }
        Asked::Refused(reason) => Answer::Refused(reason),
        Asked::Nobody(why) => match &settings.offline {
            None => Answer::Refused(format!("no mirror answers: {why}")),
            Some(offline) => match Summaries::new(offline).admits(question, now) {
                Ok(at) => Answer::Allowed(format!("admitted {at}, by its summary ({why})")),
                Err(error) => Answer::Refused(format!("no mirror answers, and {error}: {why}")),
            },
        },
    }
}

/// What the settings at `path` say, whether every mirror in them answers, and whether all is good.
pub fn check(path: &Path) -> (String, bool) {
    let settings = match Settings::load(path) {
        Ok(settings) => settings,
        Err(error) => return (format!("{error}\nevery image is refused"), false),
    };
    let mut lines = Vec::new();
    let mut is_good = true;
    let mut line = |line: std::fmt::Arguments<'_>| lines.push(line.to_string());
    for mirror in &settings.mirrors {
        match asking::is_ready(mirror, &settings) {
            Ok(()) => line(format_args!("{:8} {mirror}", "ready")),
            Err(error) => {
                is_good = false;
                line(format_args!("{:8} {mirror}: {error}", "away"));
            }
        }
    }
    for direct in &settings.direct {
        line(format_args!("{:8} {direct}: not asked about", "direct"));
    }
    match &settings.offline {
        None => {
            line(format_args!("{:8} with every mirror away, every image is refused", "offline"));
        }
        Some(offline) => match Summaries::new(offline).usable() {
            Ok(count) => line(format_args!(
                "{:8} {count} summaries in {}, {} keys",
                "offline",
                offline.summaries.display(),
                offline.keys.len()
            )),
            Err(error) => {
                is_good = false;
                line(format_args!("{:8} {error}", "offline"));
            }
        },
    }
    (lines.join("\n"), is_good)
}

/// `text` as one bounded line of plain characters.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        let shown = if character.is_ascii_graphic() { character } else { ' ' };
        if line.len() == REASON_BYTES_MAX {
            break;
        }
        if shown != ' ' || !line.ends_with(' ') {
            line.push(shown);
        }
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line() {
        assert_eq!(one_line(" a\r\n\tb\u{1b}[31m\u{202e} c "), "a b [31m c");
        assert_eq!(one_line(&"x".repeat(2_000)).len(), REASON_BYTES_MAX);
    }
}
