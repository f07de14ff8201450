//! What is wrong with a file of a node: all of it at once, each with its line.

use std::fmt;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from one.
    pub line: usize,
    /// The key; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Everything that is wrong with a file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: String,
    /// Each of them, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |length: fn(&Problem) -> usize| self.problems.iter().map(length).max();
        let line_width = widest(|problem| problem.line.to_string().len()).unwrap_or(0);
        let key_width = widest(|problem| problem.key.len()).unwrap_or(0);
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(f, "{}: {} problem{plural}", self.file, self.problems.len())?;
        self.problems.iter().try_for_each(|Problem { line, key, text }| {
            write!(f, "\n  line {line:<line_width$}  {key:<key_width$}  {text}")
        })
    }
}

impl std::error::Error for Problems {}

/// The line of `offset` in `text`, from one.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
