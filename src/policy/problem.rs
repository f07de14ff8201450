//! What is wrong with a document, and where.

use std::fmt;

/// A place in a text; both numbers count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// In which file of the policy; the base file, or the only one, is the first.
    pub file: FileNumber,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1, file: FileNumber::BASE };

    /// The beginning of `file`.
    pub(super) fn start_of(file: FileNumber) -> Self {
        Self { file, ..Self::START }
    }
}

/// A file of a policy, by its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileNumber(pub(super) u16);

impl FileNumber {
    /// The base file of a directory, or the only file.
    pub const BASE: Self = Self(0);
}

/// One thing that is wrong with a policy document, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as its path in the directory; empty where a policy is one file.
    pub file: String,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// The path to the key: `rules[0].match`; empty for the document as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
    pub(super) number: FileNumber,
}

impl Problem {
    /// The problem `text` of `key` at `position`.
    pub fn new(position: Position, key: impl Into<String>, text: impl Into<String>) -> Self {
        let Position { line, column, file: number } = position;
        let file = String::new();
        Self { file, line, column, key: key.into(), text: text.into(), number }
    }

    /// The problem `text` of the whole of `file`, as its path in the directory.
    pub fn of_file(file: &str, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), ..Self::new(Position::START, "", text) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{} ", self.file)?;
        }
        let place = format!("{}:{}", self.line, self.column);
        if self.key.is_empty() {
            return write!(f, "line {place:<6} {}", self.text);
        }
        write!(f, "line {place:<6} {}  {}", self.key, self.text)
    }
}
