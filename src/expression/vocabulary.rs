//! What expressions may speak of: the names of facts, and what each of them is.

use std::fmt;

/// What a fact is, as far as it is checked when an expression is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything: nothing about it is checked.
    Any,
    /// Yes or no.
    Bool,
    /// A whole number, times among them.
    Int,
    /// A list of these.
    List(Of),
    /// These fields, and no other.
    Record(&'static [(&'static str, Kind)]),
    /// A text.
    Text,
}

/// What the items of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Anything.
    Any,
    /// Whole numbers.
    Int,
    /// Records with these fields.
    Record(&'static [(&'static str, Kind)]),
    /// Texts.
    Text,
}

impl Of {
    /// What one item is.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Any => Kind::Any,
            Self::Int => Kind::Int,
            Self::Record(fields) => Kind::Record(fields),
            Self::Text => Kind::Text,
        }
    }

    /// What a list is whose items are `kind`.
    pub(super) fn item(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int,
            Kind::Record(fields) => Self::Record(fields),
            Kind::Text => Self::Text,
            Kind::Any | Kind::Bool | Kind::List(_) => Self::Any,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anything",
            Self::Bool => "yes or no",
            Self::Int => "a number",
            Self::List(_) => "a list",
            Self::Record(_) => "a record",
            Self::Text => "a text",
        })
    }
}

/// What may be spoken of.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// The facts.
    pub facts: &'static [(&'static str, Kind)],
    /// What people may look for and does not exist, each with why.
    pub absent: &'static [(&'static str, &'static str)],
    /// Whether it is checked what everything is, and that the answer is yes or no. Conditions on what others
    /// attest are read as they always were.
    pub is_typed: bool,
    /// How a moment is read, in whole seconds since 1970-01-01 UTC, where times may be reckoned with: `-`,
    /// `duration` and `timestamp`.
    pub moment: Option<fn(&str) -> Option<i64>>,
}

impl Vocabulary {
    pub(super) fn names(&self) -> String {
        self.facts.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}
