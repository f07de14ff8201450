//! What rules ask to have attested.

use std::fmt;

use super::document::WantedText;
use super::problem::{FileNumber, Position};

/// Something that must be attested about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRule {
    /// What kind of statement.
    pub kind: AttestationType,
    /// By how many distinct signers; between 1 and the number of `signers`.
    pub at_least: usize,
    /// By whom: names of signers of the policy; no name twice.
    pub signers: Vec<String>,
    /// Who must have built it, for provenance.
    pub builder: Option<WantedText>,
    /// What must hold of the statement, in CEL. That it is an expression is not checked here.
    pub condition: Option<String>,
    pub(super) position: Position,
    pub(super) path: String,
}

impl AttestationRule {
    /// Where the policy has it, for messages about it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The key path of `part` in its file, for messages about it.
    pub fn path_of(&self, part: &str) -> String {
        format!("{}.{part}", self.path)
    }

    /// What tells `part` of it apart from everything else in all files of the policy.
    pub fn key_of(&self, part: &str) -> (FileNumber, String) {
        (self.position.file, self.path_of(part))
    }
}

/// A kind of statement, by the name that tools give it or by its URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationType {
    name: String,
    uri: String,
    /// Whether the URI may go on with a version.
    versions: bool,
}

/// The names that cosign knows, and those that people write: with the URI, and whether it goes on with
/// a version.
const NAMES: [(&str, &str, bool); 11] = [
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2", false),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2", false),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1", false),
    ("spdx", "https://spdx.dev/Document", true),
    ("spdxjson", "https://spdx.dev/Document", true),
    ("cyclonedx", "https://cyclonedx.org/bom", true),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1", false),
    ("openvex", "https://openvex.dev/ns", true),
    ("vsa", "https://slsa.dev/verification_summary/v1", false),
    ("test-result", "https://in-toto.io/attestation/test-result/v0.1", false),
    ("release", "https://in-toto.io/attestation/release/v0.1", false),
];

impl AttestationType {
    /// The kind that `text` names; `None` when it is neither a known name nor a URI.
    pub(super) fn named(text: &str) -> Option<Self> {
        let known = NAMES.iter().find(|(name, ..)| *name == text);
        let (uri, versions) = match known {
            Some((_, uri, versions)) => (*uri, *versions),
            None if text.contains("://") => (text, false),
            None => return None,
        };
        Some(Self { name: text.to_owned(), uri: uri.to_owned(), versions })
    }

    /// The names that may be written.
    pub(super) fn names() -> String {
        NAMES.map(|(name, ..)| name).join(", ")
    }

    /// Whether a statement of the type `uri` is of this kind.
    pub fn takes(&self, uri: &str) -> bool {
        let rest = uri.strip_prefix(&self.uri);
        rest.is_some_and(|rest| rest.is_empty() || self.versions && rest.starts_with("/v"))
    }

    /// The URI of statements of this kind, without a version.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether statements of this kind say who built something.
    pub fn is_provenance(&self) -> bool {
        self.uri.starts_with("https://slsa.dev/provenance/")
    }
}

impl fmt::Display for AttestationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
