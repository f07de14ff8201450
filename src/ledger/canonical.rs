//! Canonical JSON: one value, one text, whatever the order of fields in the program.

use serde::Serialize;
use serde_json::Value;

/// `value` as JSON without space and with the keys of every object in order.
///
/// # Errors
/// When `value` cannot be JSON.
pub(crate) fn to_canonical<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    write(&mut text, &serde_json::to_value(value)?)?;
    Ok(text)
}

fn write(text: &mut String, value: &Value) -> Result<(), serde_json::Error> {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                text.push(if index == 0 { '[' } else { ',' });
                write(text, item)?;
            }
            text.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            for (index, (key, field)) in fields.iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                text.push_str(&serde_json::to_string(key)?);
                text.push(':');
                write(text, field)?;
            }
            text.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            text.push_str(&serde_json::to_string(value)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_show() {
        let one: Value = serde_json::from_str(r#"{"b":[1,{}],"a":{"d":null,"c":"ü\n"}}"#).unwrap();
        let other: Value =
            serde_json::from_str(r#"{"a":{"c":"ü\n","d":null}, "b":[1,{}]}"#).unwrap();
        assert_eq!(to_canonical(&one).unwrap(), to_canonical(&other).unwrap());
        assert_eq!(to_canonical(&one).unwrap(), r#"{"a":{"c":"ü\n","d":null},"b":[1,{}]}"#);
    }
}
