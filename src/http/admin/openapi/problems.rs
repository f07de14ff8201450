//! The answers that are problems, each described once.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::schemas;
use crate::mirror::desk::view::ProblemView;

/// Every status that a problem may have, by its name in the document, and what it means.
const ALL: [(u16, &str, &str); 13] = [
    (400, "Invalid", "What was sent is not well-formed."),
    (401, "Unauthenticated", "There is no valid token."),
    (403, "Forbidden", "The token's role does not allow it, or the policy does not."),
    (404, "NotFound", "There is no such thing."),
    (408, "Timeout", "The body did not arrive in time."),
    (409, "Conflict", "Nothing was changed: something else was there before."),
    (412, "Changed", "Nothing was changed: it is not what `If-Match` names any more."),
    (413, "TooLarge", "The body is too large."),
    (415, "MediaType", "The body is not `application/json`."),
    (422, "KeyReused", "The `Idempotency-Key` belongs to another request."),
    (429, "Throttled", "Too many failed logins from this address."),
    (500, "Failed", "The mirror or its disk failed; nothing is known to be changed."),
    (503, "Undecided", "It cannot be done or known now; trying again may help."),
];

/// The schema of a problem document.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    schemas::of::<ProblemView>(generator)
}

/// All answers that are problems; `problem` is their schema.
pub(super) fn responses(problem: &Value) -> Map<String, Value> {
    let response = |(status, name, meaning): (u16, &str, &str)| {
        let mut response = json!({
            "description": meaning,
            "content": {"application/problem+json": {"schema": problem}},
        });
        if let (Some(headers), Some(object)) = (headers(status), response.as_object_mut()) {
            object.insert("headers".to_owned(), headers);
        }
        (name.to_owned(), response)
    };
    ALL.into_iter().map(response).collect()
}

fn headers(status: u16) -> Option<Value> {
    let seconds = json!({"type": "integer", "minimum": 1});
    match status {
        401 => Some(json!({"WWW-Authenticate": {"required": true, "schema": {"type": "string"}}})),
        429 | 503 => Some(json!({"Retry-After": {"required": true, "schema": seconds}})),
        _ => None,
    }
}

/// Where the answer with `status` is described.
pub(super) fn reference(status: u16) -> Option<Value> {
    let (_, name, _) = ALL.into_iter().find(|(it, _, _)| *it == status)?;
    Some(json!({"$ref": format!("#/components/responses/{name}")}))
}
