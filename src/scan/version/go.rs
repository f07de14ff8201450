//! Versions of Go modules, which are semantic ones, and of the toolchain: `go1.22.3`, `1.22rc1`.
//!
//! A toolchain's version is read as the semantic version under which the Go project publishes advisories
//! for it: `go1.22rc1` is `1.22.0-rc.1`, and `go1.20` is `1.20.0`.
//!
//! Spec: <https://go.dev/ref/mod#versions>, <https://go.dev/doc/toolchain#version>

use super::semantic::Semantic;

pub(super) fn parse(text: &str) -> Result<Semantic, &'static str> {
    match text.strip_prefix("go") {
        // What follows a space says how it was built, and what follows a hyphen who did.
        Some(rest) => {
            let version = rest.split([' ', '-']).next().unwrap_or_default();
            toolchain(version).ok_or("it is not a version of a Go toolchain")?
        }
        None => toolchain(text).unwrap_or_else(|| Semantic::parse(text)),
    }
}

/// The version of a toolchain; `None` when it has another form.
fn toolchain(version: &str) -> Option<Result<Semantic, &'static str>> {
    let (release, prerelease) = match version.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => version.split_at_checked(at)?,
        None => (version, ""),
    };
    let mut numbers = [0; 3];
    let mut parts = release.split('.');
    for (index, number) in numbers.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *number = decimal(part)?,
            None if index > 0 => break,
            None => return None,
        }
    }
    if parts.next().is_some() {
        return None;
    }
    let prerelease = match prerelease {
        "" => String::new(),
        text => ["beta", "rc"].iter().find_map(|word| {
            let number = text.strip_prefix(word).and_then(decimal)?;
            Some(format!("{word}.{number}"))
        })?,
    };
    Some(Semantic::of(numbers, &prerelease))
}

fn decimal(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
