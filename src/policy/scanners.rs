//! Which scanners a gate asks.

use std::fmt;

/// The scanners that a gate asks, and how what they say is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanners {
    /// How.
    pub combined: Combined,
    /// Their names, at least one, no name twice: [`Scanners::EMBEDDED`], [`Scanners::ATTESTED`], or one of
    /// the settings.
    names: Vec<String>,
}

/// How what several scanners say is put together. What any of them knows to be malware is refused in
/// each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combined {
    /// Every one has to have looked, and nothing that any of them found may be refused.
    All,
    /// One has to have looked at everything and found nothing that is refused.
    Any,
    /// One has to have looked; nothing that any of those found that did may be refused.
    Worst,
}

impl Combined {
    /// Their names.
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("all", Self::All), ("any", Self::Any), ("worst", Self::Worst)];
}

impl fmt::Display for Combined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::CHOICES.iter().find(|(_, combined)| combined == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

impl Scanners {
    /// The scanner inside.
    pub const EMBEDDED: &str = "pratique";
    /// Scans that signers of the policy attest.
    pub const ATTESTED: &str = "attested";
    /// Names that no scanner of the settings has.
    pub const RESERVED: [&str; 2] = [Self::EMBEDDED, Self::ATTESTED];
    /// Most scanners that one gate asks.
    pub const MAX: usize = 8;

    /// `names`, combined; `None` where there is none.
    pub(super) fn new(combined: Combined, names: Vec<String>) -> Option<Self> {
        (!names.is_empty()).then_some(Self { combined, names })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The names of those that are not the scanner inside.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| *name != Self::EMBEDDED)
    }

    /// The names of those of the settings.
    pub fn of_settings(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !Self::RESERVED.contains(name))
    }

    /// Whether a scanner is asked here, and not only those who attest what theirs found.
    pub fn are_asked_here(&self) -> bool {
        self.names().any(|name| name != Self::ATTESTED)
    }

    /// Whether nothing can be decided without the scanner inside.
    pub fn need_embedded(&self) -> bool {
        let is_asked = self.names().any(|name| name == Self::EMBEDDED);
        is_asked && (self.combined == Combined::All || self.names.len() == 1)
    }
}

impl Default for Scanners {
    /// The scanner inside, alone.
    fn default() -> Self {
        Self { combined: Combined::All, names: vec![Self::EMBEDDED.to_owned()] }
    }
}

impl fmt::Display for Scanners {
    /// In a form that stays the same whatever the order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names.clone();
        names.sort();
        write!(f, "{} of {}", self.combined, names.join(" and "))
    }
}
