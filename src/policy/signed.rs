//! What rules ask to have signed.

use std::collections::BTreeSet;

/// What a rule says about signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureRule {
    /// None are asked for, and why.
    None {
        /// Why.
        reason: String,
    },
    /// Every one of these quorums must have signed the subject.
    Signed {
        /// Who must have signed.
        by: Quorums,
    },
}

/// At least `at_least` of the signers `of`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// How many distinct signers; between 1 and the number of `of`.
    pub at_least: usize,
    /// Names of signers of the policy; no name twice.
    pub of: Vec<String>,
}

/// Quorums that must all be met, each judged by itself: never none, because nothing would be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorums(Vec<Quorum>);

impl Quorums {
    /// All of `quorums`; `None` when there are none.
    pub(super) fn new(quorums: Vec<Quorum>) -> Option<Self> {
        (!quorums.is_empty()).then_some(Self(quorums))
    }

    /// Each of them, in the order of the policy; at least one.
    pub fn as_slice(&self) -> &[Quorum] {
        &self.0
    }

    /// Everybody whom one of them names, each once.
    pub fn signers(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|quorum| &quorum.of).map(String::as_str).collect()
    }
}
