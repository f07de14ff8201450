//! What is wrong with the settings: all of it at once, each with its place and the way out.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from one; `None` for what stands in no file, such as a flag.
    pub line: Option<usize>,
    /// The key, such as `node.listen`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Everything that is wrong with the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// What the settings were read from: a file, or `command line`.
    pub file: String,
    /// Each of them, in the order of the lines.
    pub problems: Vec<Problem>,
    /// The policy file that the settings name, so that its mistakes can be told in the same breath.
    pub policy: Option<PathBuf>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place =
            |problem: &Problem| problem.line.map_or(String::new(), |line| format!("line {line}"));
        let widest =
            |text: fn(&Problem) -> usize| self.problems.iter().map(text).max().unwrap_or(0);
        let place_width =
            self.problems.iter().map(|problem| place(problem).len()).max().unwrap_or(0);
        let key_width = widest(|problem| problem.key.len());
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(f, "{}: {} problem{plural}", self.file, self.problems.len())?;
        self.problems.iter().try_for_each(|problem| {
            f.write_str("\n ")?;
            for (column, width) in [(place(problem), place_width), (problem.key.clone(), key_width)]
            {
                if width > 0 {
                    write!(f, " {column:<width$} ")?;
                }
            }
            write!(f, " {}", problem.text)
        })
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a document is read.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Report<'t> {
    /// An empty report on `text`.
    pub(super) fn on(text: &'t str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// Notes what is wrong with `key`, which stands at `span`.
    pub(super) fn add(&self, span: Option<Range<usize>>, key: &str, text: impl Into<String>) {
        let line = span.map(|span| self.line_of(span.start));
        self.problems.borrow_mut().push(Problem { line, key: key.to_owned(), text: text.into() });
    }

    /// Everything noted, in the order of the lines; what has none comes last.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
        problems
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}
