//! Versions of Python distributions: PEP 440, and nothing that came before it.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/version-specifiers/>

/// A version of a Python distribution; its numbers are bounded by what the library takes: 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Python(pep440_rs::Version);

impl Python {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| "PEP 440 does not allow it")
    }
}
