//! Where the readers put what they read: bounded.

use std::mem::size_of;

use serde_json::Value;

use super::{Document, Statement, VexError};
use crate::scan::database::printable;
use crate::time::Timestamp;

/// Statements of one document.
const STATEMENTS_MAX: usize = 100_000;
/// Names and identifiers of one document: of vulnerabilities, products and subcomponents.
pub(super) const NAMES_MAX: usize = 500_000;
/// Bytes of products that are said once and kept for each statement or product that they are of.
const REPEATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one name of a vulnerability, or of one label.
const NAME_BYTES_MAX: usize = 200;
/// Bytes of a name of a document.
const ID_BYTES_MAX: usize = 2_000;
/// Characters that are kept of a text for people.
const TEXT_LENGTH_MAX: usize = 300;
/// Problems of one document that are told.
const PROBLEMS_MAX: usize = 20;

/// A document that is being read.
pub(super) struct Sink {
    document: Document,
    names: usize,
    repeated_bytes: usize,
    more: usize,
}

impl Sink {
    /// An empty document of that name and version.
    pub(super) fn new(id: Option<&str>, version: u64) -> Self {
        let id = id.filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX).map(str::to_owned);
        let document = Document { id, version, ..Document::default() };
        Self { document, names: 0, repeated_bytes: 0, more: 0 }
    }

    /// Notes that so many more names were read.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn count(&mut self, names: usize) -> Result<(), VexError> {
        self.names += names;
        if self.names > NAMES_MAX {
            return Err(VexError::TooLarge { what: "names", most: NAMES_MAX });
        }
        Ok(())
    }

    /// Notes that what is said once in so many bytes is kept once more.
    ///
    /// # Errors
    /// When all of that comes to too much: a short document could else take any amount of memory.
    pub(super) fn repeat(&mut self, bytes: usize) -> Result<(), VexError> {
        self.repeated_bytes += bytes;
        if self.repeated_bytes > REPEATED_BYTES_MAX {
            let (what, most) = ("bytes of products", REPEATED_BYTES_MAX);
            return Err(VexError::TooLarge { what, most });
        }
        Ok(())
    }

    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, statement: Statement) -> Result<(), VexError> {
        if self.document.statements.len() >= STATEMENTS_MAX {
            return Err(VexError::TooLarge { what: "statements", most: STATEMENTS_MAX });
        }
        self.document.statements.push(statement);
        Ok(())
    }

    /// Notes what was not understood.
    pub(super) fn problem(&mut self, text: &str) {
        let text = printable(text);
        if self.document.problems.contains(&text) {
            return;
        }
        if self.document.problems.len() < PROBLEMS_MAX {
            self.document.problems.push(text);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn finish(mut self) -> Document {
        if self.more > 0 {
            self.document.problems.push(format!("{} more like these", self.more));
        }
        self.document
    }

    /// The moment at `key` of an object, if it has one that can be read.
    pub(super) fn moment(&mut self, of: &Value, key: &str, what: &str) -> Option<Timestamp> {
        let value = of.get(key)?;
        if value.is_null() {
            return None;
        }
        let at = value.as_str().and_then(|text| text.parse().ok());
        if at.is_none() {
            self.problem(&format!("{what}: its {key} is no time"));
        }
        at
    }
}

/// A name, if `value` is one.
pub(super) fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let is_name = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    (is_name && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// A text for people, if `value` is one that says something.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?.trim();
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    (!text.is_empty()).then(|| text.chars().take(TEXT_LENGTH_MAX).map(shown).collect())
}

/// A version, as a number or as its digits.
pub(super) fn version(value: Option<&Value>) -> u64 {
    let Some(value) = value else { return 0 };
    let digits = || value.as_str().and_then(|text| text.trim().parse().ok());
    value.as_u64().or_else(digits).unwrap_or(0)
}

// What a document may come to in memory: these bounds are of things of this size.
const _: () = assert!(size_of::<Statement>() <= 256, "a statement is small");
