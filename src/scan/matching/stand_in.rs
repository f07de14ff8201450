//! Rules for tests: versions are numbers with dots.

use super::Rules;
use crate::scan::PackageKind;

/// Numbers with dots.
pub(in crate::scan) struct Dotted;

impl Rules for Dotted {
    type Version = Vec<u64>;

    fn version(&self, _: PackageKind, text: &str) -> Option<Vec<u64>> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers =
            text.split(['.', '-', ':']).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(numbers)
    }
}
