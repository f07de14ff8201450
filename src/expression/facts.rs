//! What an expression is asked about, measured before it is.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::Key;

/// Longest list or map in facts that is gone through, by how deep loops stand in each other.
const LENGTH_MAX: [usize; 3] = [usize::MAX, 10_000, 1_000];

/// Named values.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    values: Vec<(&'static str, Value)>,
    /// How many entries the longest list or map among them has.
    longest: usize,
}

impl Facts {
    /// These facts and `value` under `name`, in the place of what had that name.
    ///
    /// # Errors
    /// When it is nothing that an expression can be asked about.
    pub fn set(&mut self, name: &'static str, value: serde_json::Value) -> Result<(), String> {
        self.longest = self.longest.max(longest(&value));
        let converted = std::panic::catch_unwind(|| cel::to_value(value));
        let value = converted
            .map_err(|_panic| "facts cannot be read".to_owned())?
            .map_err(|error| super::shown(&error.to_string()))?;
        self.values.retain(|(known, _)| *known != name);
        self.values.push((name, value));
        Ok(())
    }

    /// As [`Facts::set`], with every whole number as one that may be reckoned with.
    pub fn set_ours(&mut self, name: &'static str, value: serde_json::Value) {
        self.longest = self.longest.max(longest(&value));
        self.values.retain(|(known, _)| *known != name);
        self.values.push((name, ours(value)));
    }

    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// Whether they can be gone through by loops that stand `loops` deep in each other.
    pub(super) fn fit(&self, loops: usize) -> Result<(), String> {
        let most = LENGTH_MAX.get(loops).copied().unwrap_or(0);
        if self.longest > most {
            return Err(format!("a list has more than {most} entries"));
        }
        Ok(())
    }
}

/// How many entries the longest list or map in `value` has.
fn longest(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().map(longest).max().unwrap_or(0).max(items.len())
        }
        serde_json::Value::Object(entries) => {
            entries.values().map(longest).max().unwrap_or(0).max(entries.len())
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

fn ours(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Array(items) => {
            Value::List(Arc::new(items.into_iter().map(ours).collect()))
        }
        serde_json::Value::Bool(is) => Value::Bool(is),
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => Value::Null,
        },
        serde_json::Value::Object(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (Key::from(key), ours(value)));
            Value::from(entries.collect::<HashMap<Key, Value>>())
        }
        serde_json::Value::String(text) => Value::String(Arc::new(text)),
    }
}
