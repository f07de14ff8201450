//! Asking: on a terminal again until an answer can be used, over a pipe once.

use std::io::{self, Write as _};

use super::CliError;
use super::answers::Question;

/// How often somebody at a terminal is asked the same.
const TRIES_MAX: usize = 5;

/// The answer to `question`, the `number`th; an empty one is `default`.
///
/// # Errors
/// When nobody answers, or an answer cannot be used.
pub(super) fn ask(
    question: Question,
    number: usize,
    default: &str,
    is_terminal: bool,
    lines: &mut impl Iterator<Item = io::Result<String>>,
) -> Result<String, CliError> {
    let mut last = String::new();
    let tries = if is_terminal { TRIES_MAX } else { 1 };
    for _ in 0..tries {
        say(&format!("{number}/5 {}\n    [{default}] ", question.text()));
        let Some(line) = lines.next() else {
            let flag = question.flag();
            let text = format!("nobody answered question {number}; give {flag} or --yes");
            return Err(CliError::misused(text));
        };
        let line = line
            .map_err(|error| CliError::unreachable("the answer cannot be read").caused_by(error))?;
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(default.to_owned());
        }
        match question.check(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(text) => {
                say(&format!("    {text}\n"));
                last = text;
            }
        }
    }
    Err(CliError::misused(format!("question {number}: {last}")))
}

/// Questions are for people: they go where messages go. There is nobody to tell when they cannot.
fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}
