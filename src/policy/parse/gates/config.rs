//! The part of a gate that is about the configuration of images.

use std::str::FromStr;

use super::super::super::configured::{ConfigGate, EnvPattern, UserRule};
use super::super::super::fields::{Fields, Problems, Words, extract, texts};
use super::super::super::scanned::Answer;

/// The keys of a gate that are about configurations.
pub(super) const KEYS: [&str; 5] = ["user", "env", "exposedPorts", "labels", "healthcheck"];
const USER: Words = Words { known: &["nonRoot"], later: &[] };
const ENV: Words = Words { known: &["denyNames", "denySecretLike"], later: &[] };
const PORTS: Words = Words { known: &["deny"], later: &[] };
const LABELS: Words = Words { known: &["require"], later: &[] };
/// Most entries of each list.
const ENTRIES_MAX: usize = 100;

/// What gate `name` says of configurations; `None` when nothing that could refuse.
pub(super) fn read(
    name: &str,
    gate: &mut Fields,
    not_applicable: Answer,
    problems: &mut Problems,
) -> Option<ConfigGate> {
    if !KEYS.iter().any(|key| gate.has(key)) {
        return None;
    }
    let before = problems.0.len();
    let position = gate.position;
    let user = user(gate, problems);
    let (denied_env, denies_secret_like) = env(gate, problems);
    let denied_ports = inner(gate, "exposedPorts", PORTS, problems)
        .and_then(|mut ports| entries(&mut ports, "deny", "write deny: [22]", port, problems));
    let required_labels = inner(gate, "labels", LABELS, problems).and_then(|mut labels| {
        const HINT: &str = "write require: [org.opencontainers.image.source]";
        entries(&mut labels, "require", HINT, |label| Ok(label.to_owned()), problems)
    });
    let choices = [("require", true), ("ignore", false)];
    let healthcheck = gate.choice("healthcheck", &choices, &[], problems);
    let read = ConfigGate {
        name: name.to_owned(),
        overlay: None,
        user,
        denied_env,
        denies_secret_like,
        denied_ports: denied_ports.unwrap_or_default(),
        required_labels: required_labels.unwrap_or_default(),
        requires_healthcheck: healthcheck.unwrap_or(false),
        not_applicable,
    };
    if !refuses(&read) {
        // A gate about something else may say that it ignores health checks.
        if problems.0.len() == before && !super::is_about_more(gate) {
            let text = "refuses nothing; write user: {nonRoot: true}, or remove it";
            problems.add(position, &gate.path, text);
        }
        return None;
    }
    Some(read)
}

fn refuses(gate: &ConfigGate) -> bool {
    gate.user.is_some()
        || !gate.denied_env.is_empty()
        || gate.denies_secret_like
        || !gate.denied_ports.is_empty()
        || !gate.required_labels.is_empty()
        || gate.requires_healthcheck
}

fn inner(gate: &mut Fields, key: &str, words: Words, problems: &mut Problems) -> Option<Fields> {
    let node = gate.take(key)?;
    Fields::of(node, &gate.path_of(key), words, problems)
}

fn user(gate: &mut Fields, problems: &mut Problems) -> Option<UserRule> {
    let mut user = inner(gate, "user", USER, problems)?;
    let node = user.require("nonRoot", "write nonRoot: true, or nonRoot: numeric", problems)?;
    let choices = [("true", UserRule::NonRoot), ("numeric", UserRule::Numeric)];
    super::super::super::fields::choice(node, &user.path_of("nonRoot"), &choices, &[], problems)
}

fn env(gate: &mut Fields, problems: &mut Problems) -> (Vec<EnvPattern>, bool) {
    let Some(mut env) = inner(gate, "env", ENV, problems) else { return (Vec::new(), false) };
    if !env.has("denyNames") && !env.has("denySecretLike") {
        let text = "says nothing; write denySecretLike: true, or denyNames: [\"*_TOKEN\"]";
        problems.add(env.position, &env.path, text);
    }
    let truth = [("true", true), ("false", false)];
    let denies = env.choice("denySecretLike", &truth, &[], problems).unwrap_or(false);
    let names = if env.has("denyNames") {
        entries(&mut env, "denyNames", "", EnvPattern::parse, problems).unwrap_or_default()
    } else {
        Vec::new()
    };
    (names, denies)
}

fn port(text: &str) -> Result<u16, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    u16::from_str(text).ok().filter(|_| is_plain).ok_or_else(|| {
        "is not a port between 1 and 65535; write the number alone, it counts for every protocol"
            .to_owned()
    })
}

/// The entries of the list at `key`, which must be there.
fn entries<T: PartialEq>(
    fields: &mut Fields,
    key: &str,
    hint: &str,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Option<Vec<T>> {
    let path = fields.path_of(key);
    if !fields.has(key) {
        problems.add(fields.position, &path, format!("is missing; {hint}"));
        return None;
    }
    let position = fields.position;
    let items = fields.list(key, problems)?;
    if items.len() > ENTRIES_MAX {
        problems.add(position, &path, format!("has more than {ENTRIES_MAX} entries"));
        return None;
    }
    let mut found = Vec::new();
    for (text, position, path) in texts(items, problems) {
        match read(&text) {
            Ok(entry) if !found.contains(&entry) => found.push(entry),
            Ok(_) => {
                let text = format!("\"{}\" is listed twice; keep one", extract(&text));
                problems.add(position, &path, text);
            }
            Err(why) => problems.add(position, &path, format!("\"{}\" {why}", extract(&text))),
        }
    }
    Some(found)
}
