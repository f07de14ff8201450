//! Fuzz target for conditions: an expression, a line break, and what it is asked about.

use super::condition::{Condition, Facts};
use crate::signature::Statement;

/// Largest predicate that is tried, in bytes: a target has to try many.
const PREDICATE_BYTES_MAX: usize = 4 * 1024;

/// Whatever is written and whatever it is asked about, there is an answer, and the same each time.
pub(crate) fn condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, predicate) = text.split_once('\n').unwrap_or((text, "{}"));
    // As the policy bounds it.
    if expression.len() > 1024 || predicate.len() > PREDICATE_BYTES_MAX {
        return;
    }
    let Ok(condition) = Condition::new(expression) else { return };
    let Ok(predicate) = serde_json::value::RawValue::from_string(predicate.to_owned()) else {
        return;
    };
    let statement = Statement { predicate_type: "https://a.test/x".to_owned(), predicate };
    let facts = Facts { statement: &statement, signer: "ci", repository: "up.test/lib/app" };
    assert_eq!(condition.holds(&facts), condition.holds(&facts), "two answers to one question");
}
