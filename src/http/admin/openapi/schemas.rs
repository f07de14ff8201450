//! Schemas of types: of what is read, and of what is written.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::told::Describe;

/// Where schemas with a name are.
const DEFINITIONS: &str = "/components/schemas";

/// Makes schemas. What is written has members that always are there and may be left out when it is read,
/// so there are two of some types; types that are both are the same in both.
pub(super) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = DEFINITIONS.into();
                settings.meta_schema = None;
            })
        };
        let read = settings().with_transform(Bounds);
        let written = settings().for_serialize().with_transform(Bounds).with_transform(Present);
        Self { read: read.into_generator(), written: written.into_generator() }
    }

    /// The schema of something that is read.
    pub(super) fn body(&mut self, describe: Describe) -> Value {
        describe(&mut self.read).to_value()
    }

    /// The schema of something that is written.
    pub(super) fn answer(&mut self, describe: Describe) -> Value {
        describe(&mut self.written).to_value()
    }

    /// The query parameters that the fields of `describe` are.
    pub(super) fn parameters(&mut self, describe: Describe) -> Vec<Value> {
        let mut schema = describe(&mut self.read);
        Bounds.transform(&mut schema);
        let required = schema.get("required").and_then(Value::as_array).cloned();
        let required = required.unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned();
        let parameter = |(name, mut schema): (String, Value)| {
            without_null(&mut schema);
            let description = schema.as_object_mut().and_then(|it| it.remove("description"));
            let is_required = required.iter().any(|it| *it == *name);
            json!({
                "name": name,
                "in": "query",
                "required": is_required,
                "description": description,
                "schema": schema,
            })
        };
        properties.unwrap_or_default().into_iter().map(parameter).collect()
    }

    /// All schemas that have a name.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

/// A schema of `T`, by its name.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Says how large numbers may be.
#[derive(Debug, Clone)]
struct Bounds;

impl Transform for Bounds {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let most: u64 = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => u8::MAX.into(),
            Some("uint16") => u16::MAX.into(),
            Some("uint32") => u32::MAX.into(),
            Some("uint64") => u64::MAX,
            _ => return,
        };
        if schema.get("maximum").is_none() {
            schema.insert("maximum".to_owned(), most.into());
        }
    }
}

/// What may be left out is never `null` where it is written.
#[derive(Debug, Clone)]
struct Present;

impl Transform for Present {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let required = schema.get("required").and_then(Value::as_array).cloned();
        let required = required.unwrap_or_default();
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
            return;
        };
        for (name, property) in properties {
            if !required.iter().any(|it| it == name) {
                without_null(property);
            }
        }
    }
}

/// Takes `null` out of what `schema` allows.
fn without_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|it| it.get("type").is_none_or(|kind| kind != "null"));
    if let [only] = choices.as_slice() {
        let only = only.as_object().cloned().unwrap_or_default();
        schema.remove("anyOf");
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
    }
}
