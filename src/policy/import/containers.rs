//! `policy.json` of containers/image: each scope becomes a rule.
//!
//! Spec: <https://github.com/containers/image/blob/v5.36.1/docs/containers-policy.json.5.md>

use super::Reading;
use super::draft::{Draft, Value};
use crate::policy::fields::{self, Fields, Problems, Words, extract};
use crate::policy::pattern::Pattern;
use crate::policy::yaml::{Content, Node};

const TOP: Words = Words { known: &["default", "transports"], later: &[] };
const REQUIREMENT: Words = Words {
    known: &[
        "type",
        "keyPath",
        "keyPaths",
        "keyData",
        "keyDatas",
        "fulcio",
        "pki",
        "rekorPublicKeyPath",
        "rekorPublicKeyPaths",
        "rekorPublicKeyData",
        "rekorPublicKeyDatas",
        "signedIdentity",
        "keyType",
    ],
    later: &[],
};
const IDENTITY: Words = Words {
    known: &["type", "dockerReference", "dockerRepository", "prefix", "signedPrefix"],
    later: &[],
};
/// What makes it a log or an authority of one's own.
const ROOTS: [&str; 6] = [
    "fulcio",
    "pki",
    "rekorPublicKeyPath",
    "rekorPublicKeyPaths",
    "rekorPublicKeyData",
    "rekorPublicKeyDatas",
];

pub(super) fn read(root: Node, reading: &mut Reading<'_, '_>, problems: &mut Problems) {
    let Some(mut top) = Fields::of(root, "", TOP, problems) else { return };
    let default = top.require("default", "what no scope matches would not be known", problems);
    let mut scopes = Vec::new();
    let transports = top.take("transports");
    let transports = transports.map(|node| Fields::free(node, "transports", problems));
    for entry in transports.into_iter().flatten() {
        let path = format!("transports.{}", extract(&entry.key));
        if entry.key == "docker" {
            scopes = Fields::free(entry.value, &path, problems);
        } else {
            let note = format!("Transport {} is not about registries.", extract(&entry.key));
            reading.draft.notes.push(note);
        }
    }
    let own = scopes.iter().position(|scope| scope.key.is_empty());
    // For registries, what stands at "" is the default.
    let default = own.map(|at| scopes.swap_remove(at).value).or(default);
    for scope in scopes {
        let path = format!("transports.docker.{}", extract(&scope.key));
        part(&scope.key, scope.value, &path, reading, problems);
    }
    if let Some(default) = default {
        part("", default, "default", reading, problems);
    }
}

/// One scope, and what it requires.
fn part(
    scope: &str,
    node: Node,
    path: &str,
    reading: &mut Reading<'_, '_>,
    problems: &mut Problems,
) {
    let id = if scope.is_empty() { "default" } else { scope };
    let read = |draft: &mut Draft, problems: &mut Problems| {
        let position = node.position;
        let images = images(scope);
        if let Err(why) = &images {
            problems.add(position, path, why.clone());
        }
        let asked = requirements(id, node, path, draft, problems);
        if let (Ok(images), Some(asked)) = (&images, asked) {
            let mut rest = vec![("match", Value::texts(images))];
            rest.extend(asked);
            draft.rule(id, rest, Vec::new());
        }
    };
    reading.part(problems, read, |draft, (), why| {
        // A tag or a digest is denied with the repository that it is of.
        let repository = scope.split('@').next().unwrap_or(scope);
        let colon = repository.rfind(':').filter(|at| Some(*at) > repository.rfind('/'));
        let repository = colon.map_or(repository, |at| repository.get(..at).unwrap_or(repository));
        let all = vec!["**".to_owned()];
        let images = images(repository).unwrap_or(all);
        let rest = vec![("match", Value::texts(&images)), ("trust", Value::Word("deny"))];
        let is_unknown = !scope.is_empty() && images == ["**"];
        if is_unknown || repository != scope {
            // It may stand beside a rule for the same: what is on top denies whatever that says.
            draft.overlay(&format!("no-{id}"), rest, why.to_vec());
        } else {
            draft.rule(id, rest, why.to_vec());
        }
    });
}

/// The patterns for a scope: it is for the repository of that name, and for all below it.
fn images(scope: &str) -> Result<Vec<String>, String> {
    if scope.is_empty() {
        return Ok(vec!["**".to_owned()]);
    }
    let path = scope.split_once('/').map(|(_, path)| path);
    if scope.contains('@') || path.is_some_and(|path| path.contains(':')) {
        return Err("is a scope for one tag or digest, which is not taken over".to_owned());
    }
    let below = format!("{scope}/**");
    let own = (path.is_some() && Pattern::of_names(scope).is_ok()).then(|| scope.to_owned());
    let below = Pattern::of_names(&below).map(|pattern| pattern.as_str().to_owned());
    Ok(own.into_iter().chain([below?]).collect())
}

/// What all of the requirements ask for.
fn requirements(
    id: &str,
    node: Node,
    path: &str,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Option<Vec<(&'static str, Value)>> {
    let items = fields::list(node, path, problems)?;
    let (mut rejects, mut quorums) = (false, Vec::new());
    for (node, path) in items {
        let position = node.position;
        let mut fields = Fields::of(node, &path, REQUIREMENT, problems)?;
        let hint = "write insecureAcceptAnything, reject or sigstoreSigned";
        let (kind, at) = fields.require_text("type", hint, problems)?;
        match kind.as_str() {
            "insecureAcceptAnything" => {}
            "reject" => rejects = true,
            "sigstoreSigned" => {
                let names = signed(id, &mut fields, draft, problems);
                if names.is_empty() && problems.0.is_empty() {
                    problems.add(position, &path, "names no key");
                }
                let quorum = vec![("atLeast", Value::Number(1)), ("of", Value::texts(&names))];
                if !quorums.contains(&Value::Map(quorum.clone())) {
                    quorums.push(Value::Map(quorum));
                }
            }
            "signedBy" => {
                let text = "asks for GPG signatures, which are not verified here";
                problems.add(at, &fields.path_of("type"), text);
            }
            other => {
                let text = format!("\"{}\" is not known; {hint}", extract(other));
                problems.add(at, &fields.path_of("type"), text);
            }
        }
    }
    if rejects {
        return Some(vec![("trust", Value::Word("deny"))]);
    }
    let signatures = match quorums.as_slice() {
        [] => vec![("none", Value::text("insecureAcceptAnything in policy.json"))],
        [Value::Map(one)] => one.clone(),
        _ => vec![("all", Value::List(quorums))],
    };
    Some(vec![("trust", Value::Word("allow")), ("signatures", Value::Map(signatures))])
}

/// The signers of which one has to have signed.
fn signed(
    id: &str,
    fields: &mut Fields,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Vec<String> {
    for key in ROOTS {
        if let Some(node) = fields.take(key) {
            let text = "names an authority or a log by files of its own, which is not taken over; \
                        write a trust root";
            problems.add(node.position, &fields.path_of(key), text);
        }
    }
    identity(fields, problems);
    let mut pems = Vec::new();
    for (key, is_path) in
        [("keyPath", true), ("keyPaths", true), ("keyData", false), ("keyDatas", false)]
    {
        let Some(node) = fields.take(key) else { continue };
        let (position, path) = (node.position, fields.path_of(key));
        let items = if key.ends_with('s') {
            fields::list(node, &path, problems).unwrap_or_default()
        } else {
            vec![(node, path.clone())]
        };
        for (node, path) in items {
            let Content::Text(text) = node.content else {
                problems.add(position, &path, "must be a text");
                continue;
            };
            match pem(&text.text, is_path) {
                Some(pem) => pems.push((pem, position, path)),
                None => problems.add(position, &path, "is no public key in base64"),
            }
        }
    }
    let mut names = Vec::new();
    for (pem, position, path) in pems {
        let key = Value::Map(vec![("pem", Value::text(pem))]);
        // No log is asked for there without a key of one.
        let value = Value::Map(vec![("key", key), ("transparencyLog", Value::Word("none"))]);
        match draft.signer(id, value) {
            Ok(name) if !names.contains(&name) => names.push(name),
            Ok(_) => {}
            Err(why) => problems.add(position, &path, why),
        }
    }
    names
}

fn pem(text: &str, is_path: bool) -> Option<String> {
    use base64::Engine as _;
    if is_path {
        return Some(format!("file:{text}"));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    let pem = String::from_utf8(bytes).ok()?;
    Some(format!("{}\n", pem.trim()))
}

/// Signatures name a repository here, which must be the one that they are for: what asks for the same is
/// taken over.
fn identity(fields: &mut Fields, problems: &mut Problems) {
    let Some(node) = fields.take("signedIdentity") else { return };
    let path = fields.path_of("signedIdentity");
    let Some(mut identity) = Fields::of(node, &path, IDENTITY, problems) else { return };
    let Some((kind, position)) = identity.require_text("type", "it says nothing", problems) else {
        return;
    };
    if !["matchRepository", "matchRepoDigestOrExact"].contains(&kind.as_str()) {
        let text = format!("\"{}\" is not taken over: the repository is compared", extract(&kind));
        problems.add(position, &identity.path_of("type"), text);
    }
}
