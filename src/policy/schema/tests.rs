//! The schema is what the parser reads: every key, every word, and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use super::super::Policy;
use super::{SCHEMA, seen};

/// Policies that have, together, everything that may be written anywhere.
const EVERYTHING: [&str; 2] = [include_str!("everything.yaml"), include_str!("otherwise.yaml")];

fn files(path: &Path) -> std::io::Result<Vec<u8>> {
    let of = |bytes: &[u8]| Ok(bytes.to_vec());
    match path.to_str() {
        Some("key.pub") => of(include_bytes!("../../../tests/fixtures/signatures/p256.pub")),
        Some("root.json") => {
            of(include_bytes!("../../../tests/fixtures/signatures/keyless/trusted-root.json"))
        }
        Some("any") => of(b"x"),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("JSON")
}

/// What `node` refers to.
fn deref<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    let Some(reference) = node["$ref"].as_str() else { return node };
    let pointer = reference.strip_prefix('#').expect("a place in the schema itself");
    schema.pointer(pointer).unwrap_or_else(|| panic!("{reference} is nowhere"))
}

/// The forms that a value may have.
fn forms<'a>(schema: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    let node = deref(schema, node);
    match node["anyOf"].as_array() {
        Some(forms) => forms.iter().flat_map(|form| self::forms(schema, form)).collect(),
        None => vec![node],
    }
}

/// The steps of a path of the parser: `rules[0].match` is `rules`, an item, `match`.
fn steps(path: &str) -> Vec<Option<String>> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split('[');
        steps.push(pieces.next().map(str::to_owned));
        steps.extend(pieces.map(|_item| None));
    }
    steps
}

/// All that the schema says of the place `path` of a document.
fn at<'a>(schema: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut nodes = forms(schema, schema);
    for step in steps(path) {
        let next: Vec<&Value> = nodes
            .iter()
            .filter_map(|node| match &step {
                None => node.get("items"),
                Some(key) => node["properties"]
                    .get(key)
                    .or_else(|| node.get("additionalProperties").filter(|inner| inner.is_object())),
            })
            .collect();
        assert!(!next.is_empty(), "the schema knows nothing of {path}");
        nodes = next.into_iter().flat_map(|node| forms(schema, node)).collect();
    }
    nodes
}

/// Reads everything that may be written, and gives what the parser knows, by place.
fn everything() -> seen::Seen {
    let _before = seen::take();
    for text in EVERYTHING {
        if let Err(problems) = Policy::parse(text, &files) {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", problems.join("\n"));
        }
    }
    seen::take()
}

#[test]
fn every_key_of_the_parser_is_in_the_schema_and_the_reverse() {
    let schema = schema();
    let mut told = HashMap::new();
    for (path, keys) in everything().maps {
        let maps: Vec<&Value> =
            at(&schema, &path).into_iter().filter(|node| node["properties"].is_object()).collect();
        let [map] = maps.as_slice() else { panic!("{path} is {} maps", maps.len()) };
        assert_eq!(map["additionalProperties"], Value::Bool(false), "{path}");
        let known: BTreeSet<&str> =
            map["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        // What is written elsewhere, and only told to be there.
        let misplaced: &[&str] = if path.starts_with("trustRoots.") && steps(&path).len() == 2 {
            &["minLogs", "requireTSA"]
        } else {
            &[]
        };
        let keys: BTreeSet<&str> =
            keys.into_iter().filter(|key| !misplaced.contains(key)).collect();
        assert_eq!(known, keys, "{path}: left is the schema, right the parser");
        told.insert(std::ptr::from_ref(*map), path);
    }
    // The reverse: no map of the schema that the parser was not seen to read.
    let mut unseen = Vec::new();
    look(&schema, "", &mut |map, place| {
        if !told.contains_key(&std::ptr::from_ref(map)) {
            unseen.push(place.to_owned());
        }
    });
    assert_eq!(unseen, Vec::<String>::new(), "maps that only the schema knows");
}

/// Hands every map with keys of its own below `node` to `each`.
fn look<'a>(node: &'a Value, place: &str, each: &mut impl FnMut(&'a Value, &str)) {
    match node {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                each(node, place);
            }
            let said_elsewhere = |key: &str| matches!(key, "if" | "then" | "else");
            for (key, inner) in members.iter().filter(|(key, _)| !said_elsewhere(key)) {
                look(inner, &format!("{place}/{key}"), each);
            }
        }
        Value::Array(items) => items.iter().for_each(|inner| look(inner, place, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_word_of_the_parser_is_in_the_schema_and_the_reverse() {
    let schema = schema();
    let words = everything().words;
    assert!(words.len() > 30, "{words:?}");
    for (path, words) in words {
        let forms = at(&schema, &path);
        let mut known = BTreeSet::new();
        for form in forms {
            if form["type"] == "boolean" {
                known.extend(["true".to_owned(), "false".to_owned()]);
            }
            for word in form["enum"].as_array().into_iter().flatten() {
                known.insert(word.as_str().map_or_else(|| word.to_string(), str::to_owned));
            }
        }
        assert_eq!(known, words, "{path}: left is the schema, right the parser");
    }
}

/// The lists of known keys that stand in the sources of the parser.
fn in_sources(folder: &Path, lists: &mut Vec<(String, BTreeSet<String>)>) {
    for entry in std::fs::read_dir(folder).expect("the sources of the parser") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            in_sources(&path, lists);
        } else if name
            .strip_suffix(".rs")
            .is_some_and(|name| !name.ends_with("tests") && name != "cases")
        {
            let text = std::fs::read_to_string(&path).expect("a source");
            for list in text.split("known: &[").skip(1) {
                let (list, _) = list.split_once(']').expect("the end of a list");
                let keys = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
                lists.push((name.clone(), keys));
            }
        }
    }
}

/// A place that the policies above do not have would be compared with nothing.
#[test]
fn no_place_that_the_parser_reads_is_left_out() {
    let seen: BTreeSet<BTreeSet<String>> = everything()
        .maps
        .into_values()
        .map(|keys| keys.into_iter().map(str::to_owned).collect())
        .collect();
    let mut lists = Vec::new();
    in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/parse"), &mut lists);
    assert!(lists.len() > 25, "{lists:?}");
    for (file, keys) in lists {
        assert!(seen.contains(&keys), "{file}: put {keys:?} into schema/everything.yaml");
    }
}

#[test]
fn everything_in_the_schema_has_a_text_for_people() {
    let schema = schema();
    look(&schema, "", &mut |map, place| {
        for (key, inner) in map["properties"].as_object().expect("properties") {
            let own = inner["description"].as_str();
            let text = own.or_else(|| deref(&schema, inner)["description"].as_str());
            let is_plain_time = place.ends_with("grace");
            assert!(text.is_some_and(|text| text.len() > 3) || is_plain_time, "{place}/{key}");
        }
    });
}

/// Whoever writes a key that nothing acts on is told why, and finds it in the documentation.
#[test]
fn every_key_that_is_not_read_has_a_reason_and_a_line_in_the_documentation() {
    let docs = include_str!("../../../docs/policy.md");
    let (_, table) = docs.split_once("## What is refused, and why").expect("the table");
    let (table, _) = table.split_once("\n## ").expect("its end");
    let later = everything().later;
    assert!(later.len() > 20, "{later:?}");
    for (path, key, why) in later {
        assert!(why.len() > 10 && !why.ends_with('.'), "{path}.{key}: {why:?} is no reason");
        let mut firsts = table.lines().filter_map(|line| line.split('|').nth(1));
        assert!(
            firsts
                .any(|first| first.contains(&format!("`{key}`"))
                    || first.contains(&format!("`{key}:"))),
            "{path}.{key}: write it into the table of docs/policy.md"
        );
    }
}
