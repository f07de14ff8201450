//! One route as an operation of the document.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::events::EVENT_STREAM;
use super::super::idempotency::{KEY_LENGTH_MAX, Keys};
use super::super::routes::{Route, knows_scopes};
use super::problems;
use super::schemas::Schemas;
use super::told::{Answer, Told};

/// What `route` takes and gives.
pub(super) fn described(route: &Route, told: &Told, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": id(route),
        "summary": told.summary,
        "tags": [tag(route.path)],
        "parameters": parameters(route, told, schemas),
        "responses": responses(route, told, schemas),
    });
    let Some(members) = operation.as_object_mut() else { return operation };
    if let Some(needs) = route.needs {
        let role = needs.least_role();
        members.insert("security".to_owned(), json!([{"token": [role]}]));
        members.insert("description".to_owned(), json!(who(route, role.as_str())));
    }
    if let Some(body) = told.body {
        let schema = schemas.body(body.schema);
        members.insert(
            "requestBody".to_owned(),
            json!({
                "required": true,
                "description": format!("At most {} bytes.", body.bytes_max),
                "content": {"application/json": {"schema": schema}},
            }),
        );
    }
    operation
}

/// A name for `route` that stays: `get_requests_id`.
fn id(route: &Route) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path: String = route.path.replace(['{', '}'], "").chars().map(word).collect();
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

fn tag(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or(path)
}

fn who(route: &Route, role: &str) -> String {
    let scope = if knows_scopes(route.path) {
        " A token for some repositories is let in, and sees those."
    } else {
        ""
    };
    format!("Takes role {role}, or one that may do more.{scope}")
}

fn parameters(route: &Route, told: &Told, schemas: &mut Schemas) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let (Some(describe), Some(name)) = (told.segment, segment(route.path)) {
        let schema = schemas.body(describe);
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    parameters.extend(told.query.map(|it| schemas.parameters(it)).unwrap_or_default());
    if told.is_conditional {
        parameters.push(json!({
            "name": "If-Match",
            "in": "header",
            "required": false,
            "description": "The `ETag` of the request that was looked at.",
            "schema": {"type": "string", "pattern": "^\"[!#-~]*\"$"},
        }));
    }
    if told.keys(&route.method) == Keys::Heeded {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "The same request with the same key gets the first answer again, for a day.",
            "schema": {"type": "string", "pattern": format!("^[!#-\\[\\]-~]{{1,{KEY_LENGTH_MAX}}}$")},
        }));
    }
    if matches!(told.answer, Answer::Events(_)) {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "required": false,
            "description": "The last event that was seen; those after it come first.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        }));
    }
    parameters
}

/// The name of the segment of `path` that varies.
fn segment(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once('{')?;
    rest.split_once('}').map(|(name, _)| name)
}

fn responses(route: &Route, told: &Told, schemas: &mut Schemas) -> Map<String, Value> {
    let mut responses = Map::new();
    let (status, answer) = answer(told, schemas);
    responses.insert(status.as_u16().to_string(), answer);
    for status in statuses(route, told) {
        if let Some(reference) = problems::reference(status) {
            responses.insert(status.to_string(), reference);
        }
    }
    responses
}

/// The statuses of all problems that `route` may give.
fn statuses(route: &Route, told: &Told) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = told.problems.iter().copied().collect();
    if route.needs.is_some() {
        statuses.extend([401, 403, 429]);
    }
    if told.segment.is_some() || told.query.is_some() || told.is_conditional {
        statuses.insert(400);
    }
    if told.is_conditional {
        statuses.insert(412);
    }
    if told.body.is_some() {
        statuses.extend([400, 408, 413, 415]);
    }
    match told.keys(&route.method) {
        Keys::Heeded => statuses.extend([400, 408, 409, 413, 422, 500, 503]),
        Keys::Refused => statuses.extend([400]),
        Keys::NotAsked => {}
    }
    if matches!(told.answer, Answer::Events(_)) {
        statuses.extend([400, 503]);
    }
    statuses
}

fn answer(told: &Told, schemas: &mut Schemas) -> (StatusCode, Value) {
    let (status, content) = match told.answer {
        Answer::Nothing => (StatusCode::NO_CONTENT, None),
        Answer::Bytes(kind) => (StatusCode::OK, Some((kind, json!({})))),
        Answer::Json(status, describe) => {
            (status, Some(("application/json", json!({"schema": schemas.answer(describe)}))))
        }
        Answer::Events(describe) => {
            let events = json!({
                "schema": {"type": "string"},
                "x-event-schema": schemas.answer(describe),
            });
            (StatusCode::OK, Some((EVENT_STREAM, events)))
        }
        Answer::Lines(kind, describe) => {
            let lines = json!({
                "schema": {"type": "string"},
                "x-line-schema": schemas.answer(describe),
            });
            (StatusCode::OK, Some((kind, lines)))
        }
    };
    let mut answer = json!({"description": description(status)});
    if let Some(members) = answer.as_object_mut() {
        if let Some((kind, content)) = content {
            members.insert("content".to_owned(), json!({kind: content}));
        }
        if let Some(headers) = headers(told) {
            members.insert("headers".to_owned(), headers);
        }
    }
    (status, answer)
}

const fn description(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "It was made.",
        StatusCode::NO_CONTENT => "It is gone.",
        _ => "Done.",
    }
}

fn headers(told: &Told) -> Option<Value> {
    let text = json!({"type": "string"});
    if told.is_versioned {
        let about = "The version of it, for `If-Match`.";
        return Some(json!({"ETag": {"description": about, "required": true, "schema": text}}));
    }
    if told.is_paged {
        let about = "Where the list goes on, as `rel=\"next\"`; none at its end.";
        return Some(json!({"Link": {"description": about, "schema": text}}));
    }
    None
}
