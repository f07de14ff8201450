//! Every answer of the API is one that its description has: status, type, headers and body.

use std::sync::LazyLock;

use pratique::http::admin::API;
use pratique::http::admin::openapi::document;
use regex::Regex;
use serde_json::Value;

use super::Reply;

/// Checks `reply` to `method` and `path` against the description, if it describes them.
pub(super) fn check(method: &str, path: &str, reply: &Reply) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else { return };
    let told = format!("{method} {path} {}: {}", reply.status, reply.body.escape_ascii());
    let answer = &operation["responses"][reply.status.to_string()];
    assert!(!answer.is_null(), "a status that is not described: {told}");
    let answer = resolved(answer);
    for (name, header) in answer["headers"].as_object().into_iter().flatten() {
        let is_there = !reply.header(&name.to_lowercase()).is_empty();
        assert!(is_there || header["required"] != true, "no {name}: {told}");
    }
    let Some(content) = answer["content"].as_object() else {
        assert!(reply.body.is_empty(), "a body that is not described: {told}");
        return;
    };
    let kind = reply.header("content-type");
    let content = content.get(kind).unwrap_or_else(|| panic!("{kind} is not described: {told}"));
    if kind == "text/event-stream" {
        return;
    }
    let lines = &content["x-line-schema"];
    if !lines.is_null() {
        for line in reply.text().lines() {
            let value = serde_json::from_str(line).expect("a JSON line");
            assert_eq!(wrong(lines, &value), None, "{told}");
        }
    } else if kind.ends_with("json") {
        assert_eq!(wrong(&content["schema"], &reply.json()), None, "{told}");
    }
}

/// The operation that `method` and `path` are.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    static SEGMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{[a-z]+\}").unwrap());
    let rest = path.strip_prefix(API)?;
    let paths = document()["paths"].as_object().expect("paths");
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, _)| {
            let pattern = format!("^{}$", SEGMENT.replace_all(template, "[^/]+"));
            Regex::new(&pattern).expect("a pattern").is_match(rest)
        })
        .collect();
    found.sort_by_key(|(template, _)| template.contains('{'));
    found.first()?.1.get(method.to_ascii_lowercase())
}

fn resolved(value: &Value) -> &Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    document().pointer(reference.trim_start_matches('#')).expect("what is referred to")
}

/// What is wrong with `value` by `schema`, if something is: as much of JSON Schema as ours have.
fn wrong(schema: &Value, value: &Value) -> Option<String> {
    if *schema == Value::Bool(true) {
        return None;
    }
    if schema.get("$ref").is_some() {
        return wrong(resolved(schema), value);
    }
    for (key, rule) in schema.as_object().expect("a schema") {
        let problem = match key.as_str() {
            "type" => wrong_type(rule, value),
            "enum" => (!rule.as_array()?.contains(value)).then(|| "no word of the list".to_owned()),
            "const" => (rule != value).then(|| "not the word".to_owned()),
            "pattern" => value.as_str().and_then(|text| {
                let pattern = Regex::new(rule.as_str().expect("a pattern")).expect("a pattern");
                (!pattern.is_match(text)).then(|| format!("not of the form {rule}"))
            }),
            "required" => rule
                .as_array()
                .into_iter()
                .flatten()
                .find(|name| value.get(name.as_str().expect("a name")).is_none())
                .map(|name| format!("{name} is missing")),
            "properties" => rule.as_object().into_iter().flatten().find_map(|(name, schema)| {
                wrong(schema, value.get(name)?).map(|problem| format!("{name}: {problem}"))
            }),
            "additionalProperties" if rule.is_object() => {
                let known = schema["properties"].as_object();
                let is_other =
                    |name: &&String| known.is_none_or(|known| !known.contains_key(*name));
                let members = value.as_object().into_iter().flatten();
                members.filter(|(name, _)| is_other(name)).find_map(|(_, it)| wrong(rule, it))
            }
            "items" => value.as_array().into_iter().flatten().find_map(|item| wrong(rule, item)),
            "minItems" | "maxItems" => value.as_array().and_then(|items| {
                let bound = usize::try_from(rule.as_u64().expect("a number")).expect("a size");
                let fits =
                    if key == "minItems" { items.len() >= bound } else { items.len() <= bound };
                (!fits).then(|| format!("{} items", items.len()))
            }),
            "minimum" => (value.as_f64() < rule.as_f64() && value.is_number())
                .then(|| "too small".to_owned()),
            "maximum" => (value.as_f64() > rule.as_f64()).then(|| "too large".to_owned()),
            "anyOf" | "oneOf" => {
                let mut choices = rule.as_array().into_iter().flatten();
                let problems: Vec<_> =
                    choices.by_ref().map(|choice| wrong(choice, value)).collect();
                problems.iter().all(Option::is_some).then(|| format!("none of {problems:?}"))
            }
            "allOf" => rule.as_array().into_iter().flatten().find_map(|each| wrong(each, value)),
            "additionalProperties"
            | "description"
            | "examples"
            | "format"
            | "title"
            | "default"
            | "minLength"
            | "maxLength" => None,
            other => panic!("the check does not know {other}"),
        };
        if problem.is_some() {
            return problem.map(|problem| format!("{problem} in {value}"));
        }
    }
    None
}

fn wrong_type(rule: &Value, value: &Value) -> Option<String> {
    let is = |kind: &Value| match kind.as_str().expect("a type") {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("no type: {other}"),
    };
    let fits = rule.as_array().map_or_else(|| is(rule), |kinds| kinds.iter().any(is));
    (!fits).then(|| format!("not of type {rule}"))
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = serde_json::json!({"$ref": "#/components/schemas/PolicyName"});
    let good = serde_json::json!({"name": "site", "revision": 1, "id": "x"});
    assert_eq!(wrong(&schema, &good), None);
    for (member, bad) in
        [("name", Value::Null), ("revision", "1".into()), ("revision", (-1).into())]
    {
        let mut value = good.clone();
        value[member] = bad;
        assert!(wrong(&schema, &value).is_some(), "{value}");
    }
    assert!(wrong(&schema, &serde_json::json!({"name": "site"})).is_some());
}
