//! The schema of policies, for editors: which keys there are, what they take and what they mean.
//!
//! It says what is well formed, not what is right: that names refer to something, that patterns do not
//! tie and that keys are keys is for `pratique policy check` to say. The tests hold it against the
//! parser, key by key and word by word.

/// The schema of a policy: JSON Schema, draft 2020-12.
///
/// Spec: <https://json-schema.org/draft/2020-12/json-schema-core>
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
pub(super) mod seen;
#[cfg(test)]
mod tests;
