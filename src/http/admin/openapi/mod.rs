//! The description of the API as `OpenAPI` 3.1 has it, made from the table of its routes.
//!
//! Promises: what is served is in it and the reverse, because both come from one table; the schemas are
//! those of the types that are read and written. What it says of problems is what a route can give.
//!
//! Spec: <https://spec.openapis.org/oas/v3.1.1.html>

mod operation;
mod problems;
mod schemas;
mod told;

use std::sync::LazyLock;

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::routes::{self, API};
use schemas::Schemas;
pub(super) use told::{Told, says};

/// The document, as it is served.
static DOCUMENT: LazyLock<Value> = LazyLock::new(made);

/// `GET /openapi.json`
pub(super) async fn show() -> Response {
    super::body::json(&*DOCUMENT)
}

/// The description of the API: the document of `OpenAPI`.
pub fn document() -> &'static Value {
    &DOCUMENT
}

fn made() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for (route, _, told) in routes::table() {
        let operation = operation::described(&route, &told, &mut schemas);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let problem = schemas.answer(problems::schema);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Pratique",
            "summary": "The admin API of a trusted registry mirror.",
            "description": "What waits for people, what they decide, and what is on record. \
                docs/api.md tells how to use it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": API}],
        "paths": paths,
        "components": {
            "schemas": schemas.into_definitions(),
            "responses": problems::responses(&problem),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token, as `pratique token new` makes it.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
