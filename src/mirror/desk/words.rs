//! What the texts of bodies look like, for the schema of the API: as strict as what reads them.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{GROUP_LENGTH_MAX, REASON_LENGTH_MAX, TICKET_LENGTH_MAX};
use crate::ledger::{RequestId, Role};
use crate::oci::ImageReference;
use crate::scan::vex::JUSTIFICATIONS;

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

/// What requests belong to, or nothing said of it.
pub(super) fn group(_: &mut SchemaGenerator) -> Schema {
    label(GROUP_LENGTH_MAX, "flux 2.4")
}

/// Where else a request is spoken of, or nothing said of it.
pub(super) fn ticket(_: &mut SchemaGenerator) -> Schema {
    label(TICKET_LENGTH_MAX, "SEC-991")
}

fn label(most: usize, example: &str) -> Schema {
    json_schema!({
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": most,
        "pattern": format!("^\\s*{INKED}({SHOWN}*{INKED})?\\s*$"),
        "examples": [example],
    })
}

/// The name of a vulnerability or a package.
pub(super) fn one_word(_: &mut SchemaGenerator) -> Schema {
    let most = super::exceptions::NAME_BYTES_MAX;
    json_schema!({
        "type": "string",
        "pattern": format!("^[!-~]{{1,{most}}}$"),
        "examples": ["CVE-2026-1234"],
    })
}

/// The name of a package, or nothing said of it.
pub(super) fn maybe_one_word(_: &mut SchemaGenerator) -> Schema {
    let most = super::exceptions::NAME_BYTES_MAX;
    json_schema!({
        "type": ["string", "null"],
        "pattern": format!("^[!-~]{{1,{most}}}$"),
        "examples": ["openssl"],
    })
}

/// A reference to a ticket, or none.
pub(super) fn maybe_ticket(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": super::exceptions::TICKET_LENGTH_MAX,
        "pattern": format!("^{SHOWN}+$"),
        "examples": ["SEC-123"],
    })
}

/// A word of `OpenVEX` for why a finding does no harm, or none.
pub(super) fn maybe_justification(_: &mut SchemaGenerator) -> Schema {
    let words = JUSTIFICATIONS.into_iter().map(Some).chain([None]);
    json_schema!({"type": ["string", "null"], "enum": words.collect::<Vec<Option<&str>>>()})
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
    Role::ALL.into_iter().filter(|role| !role.is_for_tokens()).map(Role::as_str).collect()
}
