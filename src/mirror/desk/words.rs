//! What the texts of bodies look like, for the schema of the API: as strict as what reads them.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::REASON_LENGTH_MAX;
use crate::ledger::{RequestId, Role};
use crate::oci::ImageReference;

/// Everything but control characters.
const SHOWN: &str = "[^\\u0000-\\u001f\\u007f-\\u009f]";
/// What is neither a control character nor a space.
const INKED: &str = "[^\\s\\u0000-\\u001f\\u007f-\\u009f]";

/// What a decision is aimed at.
pub(super) fn target(generator: &mut SchemaGenerator) -> Schema {
    let request = generator.subschema_for::<RequestId>();
    let image = generator.subschema_for::<ImageReference>();
    json_schema!({"anyOf": [request, image]})
}

/// Why something is decided.
pub(super) fn reason(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": REASON_LENGTH_MAX,
        "pattern": format!("^\\s*{INKED}({SHOWN}*{INKED})?\\s*$"),
        "examples": ["base image, reviewed"],
    })
}

/// The name of a token, a person or a group.
pub(super) fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[A-Za-z0-9._@-]{1,64}$", "examples": ["alice"]})
}

/// The groups of somebody.
pub(super) fn groups(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": name(generator), "maxItems": 32})
}

/// The groups of somebody, or nothing said of them.
pub(super) fn maybe_groups(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["array", "null"], "items": name(generator), "maxItems": 32})
}

/// The repositories that a token is for.
pub(super) fn patterns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 256},
        "maxItems": 32,
        "examples": [["ghcr.io/acme/**"]],
    })
}

/// A role that people may have; the others are for tokens.
pub(super) fn role_of_person(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": roles_of_people(), "examples": [Role::Approver.as_str()]})
}

/// A role that people may have, or nothing said of it.
pub(super) fn maybe_role_of_person(_: &mut SchemaGenerator) -> Schema {
    let words = roles_of_people().into_iter().map(Some).chain([None]);
    json_schema!({"type": ["string", "null"], "enum": words.collect::<Vec<Option<&str>>>()})
}

fn roles_of_people() -> Vec<&'static str> {
    Role::ALL.into_iter().filter(|role| *role != Role::Discover).map(Role::as_str).collect()
}
