//! What is wrong with a document, and where.

use std::fmt;

/// A place in a text; both numbers count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong with a policy document, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// The path to the key: `rules[0].match`; empty for the document as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl Problem {
    /// The problem `text` of `key` at `position`.
    pub fn new(position: Position, key: impl Into<String>, text: impl Into<String>) -> Self {
        let Position { line, column } = position;
        Self { line, column, key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{}:{}", self.line, self.column);
        if self.key.is_empty() {
            return write!(f, "line {place:<6} {}", self.text);
        }
        write!(f, "line {place:<6} {}  {}", self.key, self.text)
    }
}
