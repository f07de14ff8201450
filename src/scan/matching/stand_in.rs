//! Rules for tests: versions are numbers with dots, and distributions are what they say.

use super::Rules;
use crate::scan::{Distribution, PackageKind};
use crate::time::Timestamp;

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

    fn feed(&self, distribution: &Distribution) -> Option<String> {
        let version = distribution.version.as_ref()?;
        let base = match distribution.id.as_str() {
            "debian" => "Debian",
            "alpine" => "Alpine",
            "ubuntu" => "Ubuntu",
            "almalinux" => "AlmaLinux",
            "rocky" => "Rocky Linux",
            _ => return None,
        };
        Some(format!("{base}:{version}"))
    }

    fn has_ended(&self, distribution: &Distribution, _: Timestamp) -> bool {
        distribution.version.as_deref() == Some("7")
    }
}
