//! What holds in every scheme, the orders that each is known by, and comparison with the schemes' own tools.

mod hostile;
mod laws;
mod native;
mod orders;

use std::cmp::Ordering;

use super::*;

const SCHEMES: [Scheme; 11] = [
    Scheme::Apk,
    Scheme::Cargo,
    Scheme::Composer,
    Scheme::Deb,
    Scheme::Gem,
    Scheme::Go,
    Scheme::Maven,
    Scheme::Npm,
    Scheme::Nuget,
    Scheme::Python,
    Scheme::Rpm,
];

/// Which of two versions is lower.
fn compare(scheme: Scheme, a: &str, b: &str) -> Result<Ordering, Unparsable> {
    Ok(Version::parse(scheme, a)?.cmp(&Version::parse(scheme, b)?))
}
