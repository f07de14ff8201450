//! Tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words;
use crate::ledger::Role;
use crate::time::Timestamp;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name, which the audit carries.
    pub name: String,
    /// What whoever holds it may do.
    #[schemars(with = "Role")]
    pub role: String,
    /// The groups that whoever holds it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it has.
    #[serde(default)]
    pub expired: bool,
    /// The repositories that it is for; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Whose it is, where it is a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// A token that was just made; the only time its secret is told.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NewTokenView {
    /// Its name.
    pub name: String,
    /// Its role.
    #[schemars(with = "Role")]
    pub role: String,
    /// The secret.
    pub token: String,
}

impl std::fmt::Debug for NewTokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewTokenView {{ name: {:?}, token: [redacted] }}", self.name)
    }
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Its name.
    #[schemars(schema_with = "words::name")]
    pub name: String,
    /// What whoever holds it may do.
    #[schemars(with = "Role")]
    pub role: String,
    /// The groups that whoever holds it is in.
    #[schemars(schema_with = "words::groups")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The repositories that it is for, as the policy's `match` has them; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "words::patterns")]
    pub repositories: Vec<String>,
    /// Whose it is, as the audit calls them (`user:alice`); what is done with it is done by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}
