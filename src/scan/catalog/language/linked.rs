//! The version that Go's linker was told, for a main module that has none of its own: what is built from
//! a working copy is `(devel)`, and its makers often write the release into a variable,
//! `-ldflags "-X main.version=1.2.3"`.
//!
//! It is what they say, and no more: a program without it is not compared by its own name, as before.

use std::collections::BTreeSet;

use crate::scan::version::{Scheme, Version};

/// Variables that have the version of the program, in lower case.
const NAMES: [&str; 5] = ["version", "appversion", "buildversion", "gitversion", "releaseversion"];
/// What may be around a word.
const QUOTES: [char; 4] = ['"', '\'', '`', '\\'];

/// The version of the program's module by the flags for the linker, with the `v` that versions of Go
/// modules have. `None` where they say none, or several and none of them in `main`.
pub(super) fn version(flags: &str, module: &str) -> Option<String> {
    let said: Vec<_> = variables(flags).filter_map(|it| of_program(it, module)).collect();
    let one = |is_main: bool| {
        let chosen = said.iter().filter(|(package, _)| !is_main || *package == "main");
        let versions: BTreeSet<&String> = chosen.map(|(_, version)| version).collect();
        let mut versions = versions.into_iter();
        versions.next().filter(|_| versions.next().is_none())
    };
    one(false).or_else(|| one(true)).cloned()
}

/// What follows each `-X`: `PACKAGE.NAME=VALUE`.
fn variables(flags: &str) -> impl Iterator<Item = &str> {
    let mut is_next = false;
    let words = flags.split_whitespace().map(|word| word.trim_matches(QUOTES));
    words.filter_map(move |word| {
        let is_variable = std::mem::replace(&mut is_next, matches!(word, "-X" | "--X"));
        let joined = word.strip_prefix("-X=").map(|variable| variable.trim_matches(QUOTES));
        joined.or_else(|| is_variable.then_some(word))
    })
}

/// The package and the version, if a variable has the version of this module.
fn of_program<'a>(variable: &'a str, module: &str) -> Option<(&'a str, String)> {
    let (name, value) = variable.split_once('=')?;
    let (package, name) = name.rsplit_once('.')?;
    let is_within = || package.strip_prefix(module).is_some_and(|rest| rest.starts_with('/'));
    let is_ours = package == "main" || package == module || is_within();
    if !is_ours || !NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return None;
    }
    let version = format!("v{}", value.strip_prefix('v').unwrap_or(value));
    Version::parse(Scheme::Go, &version).is_ok().then_some((package, version))
}
