use std::collections::BTreeSet;

use super::*;
use crate::http::admin::api_routes;

#[test]
fn every_route_is_described_and_nothing_else() {
    let served: BTreeSet<(String, String)> = api_routes()
        .into_iter()
        .map(|route| (route.path.to_owned(), route.method.as_str().to_ascii_lowercase()))
        .collect();
    let mut described = BTreeSet::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(served, described);
}

#[test]
fn the_description_in_the_documents_is_the_one_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let made = serde_json::to_string_pretty(document()).unwrap() + "\n";
    assert!(kept == made, "write it anew: cargo run -- openapi > docs/openapi.json");
}

#[test]
fn a_type_that_is_read_and_written_looks_the_same_in_both() {
    let (mut read, mut written) = (Schemas::new(), Schemas::new());
    for (route, _, told) in routes::table() {
        let mut both = Schemas::new();
        operation::described(&route, &told, &mut both);
        if let Some(body) = told.body {
            read.body(body.schema);
        }
        if let told::Answer::Json(_, describe) = told.answer {
            written.answer(describe);
        }
    }
    let (read, written) = (read.into_definitions(), written.into_definitions());
    for (name, schema) in &read {
        assert!(written.get(name).is_none_or(|other| other == schema), "{name}");
    }
}

#[test]
fn nothing_in_it_speaks_of_the_code_and_every_reference_leads_somewhere() {
    let text = document().to_string();
    for odd in ["[`", "crate::", "::"] {
        assert!(!text.contains(odd), "{odd}: {}", text.split(odd).next().unwrap_or_default());
    }
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document().pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn names_of_operations_are_different() {
    let mut ids = BTreeSet::new();
    for methods in document()["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{operation}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
}
