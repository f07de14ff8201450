//! `trustpolicy.json` of the Notary Project: each policy becomes a rule.
//!
//! Spec: <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md>

use super::Reading;
use super::draft::{Draft, Value};
use crate::policy::fields::{Fields, Problems, Words, extract};
use crate::policy::pattern::Pattern;
use crate::policy::yaml::Node;

const TOP: Words = Words { known: &["version", "trustPolicies"], later: &[] };
const POLICY: Words = Words {
    known: &["name", "registryScopes", "signatureVerification", "trustStores", "trustedIdentities"],
    later: &[],
};
const VERIFICATION: Words = Words { known: &["level", "override", "verifyTimestamp"], later: &[] };
const OVERRIDE: Words = Words {
    known: &["integrity", "authenticity", "authenticTimestamp", "expiry", "revocation"],
    later: &[],
};
const KINDS: [&str; 3] = ["ca", "signingAuthority", "tsa"];

type Store<'a> = &'a dyn Fn(&str, &str) -> Result<Vec<String>, String>;

pub(super) fn read(root: Node, reading: &mut Reading<'_, '_>, problems: &mut Problems) {
    let Some(mut top) = Fields::of(root, "", TOP, problems) else { return };
    if let Some((version, position)) = top.require_text("version", "write \"1.0\"", problems)
        && version != "1.0"
    {
        let text = format!("\"{}\" is not known; it is 1.0 that is taken over", extract(&version));
        problems.add(position, "version", text);
        return;
    }
    for (node, path) in top.list("trustPolicies", problems).unwrap_or_default() {
        let store = reading.import.store;
        let read =
            |draft: &mut Draft, problems: &mut Problems| one(node, &path, store, draft, problems);
        reading.part(problems, read, |draft, (name, images), why| {
            let all = vec!["**".to_owned()];
            let images = if images.is_empty() { all } else { images };
            let rest = vec![("match", Value::texts(&images)), ("trust", Value::Word("deny"))];
            draft.rule(&name, rest, why.to_vec());
        });
    }
}

fn one(
    node: Node,
    path: &str,
    store: Store<'_>,
    draft: &mut Draft,
    problems: &mut Problems,
) -> (String, Vec<String>) {
    let unread = ("imported".to_owned(), Vec::new());
    let Some(mut fields) = Fields::of(node, path, POLICY, problems) else { return unread };
    let name = fields.require_text("name", "it has no name", problems);
    let name = name.map_or_else(|| "imported".to_owned(), |(name, _)| name);
    let images = scopes(&mut fields, problems);
    let verification = verification(&mut fields, problems);
    if verification == Some(Verification::Skip) {
        let reason = Value::text("signatures are skipped by trustpolicy.json");
        let signatures = Value::Map(vec![("none", reason)]);
        let rest = vec![
            ("match", Value::texts(&images)),
            ("trust", Value::Word("allow")),
            ("signatures", signatures),
        ];
        draft.rule(&name, rest, Vec::new());
        return (name, images);
    }
    let root = root(&name, &mut fields, store, verification.as_ref(), draft, problems);
    let position = fields.position;
    let identities = fields.texts("trustedIdentities", problems).unwrap_or_default();
    if identities.is_empty() {
        let text = "is missing; write [\"*\"] for whoever the authorities certify";
        problems.add(position, &fields.path_of("trustedIdentities"), text);
    }
    let (Some(root), Some(Verification::Verify { level, overridden, .. })) = (root, verification)
    else {
        return (name, images);
    };
    let mut signers = Vec::new();
    for (identity, position, path) in identities {
        if identity != "*" && !identity.starts_with("x509.subject:") {
            let text = format!("\"{}\" is no x509.subject", extract(&identity));
            problems.add(position, &path, text);
        }
        let mut notation = vec![
            ("root", Value::text(root.clone())),
            ("identity", Value::text(identity)),
            ("level", Value::Word(level)),
        ];
        if !overridden.is_empty() {
            notation.push(("override", Value::Map(overridden.clone())));
        }
        let value = Value::Map(vec![("notation", Value::Map(notation))]);
        match draft.signer(&name, value) {
            Ok(signer) if !signers.contains(&signer) => signers.push(signer),
            Ok(_) => {}
            Err(why) => problems.add(position, &path, why),
        }
    }
    let quorum = vec![("atLeast", Value::Number(1)), ("of", Value::texts(&signers))];
    let rest = vec![
        ("match", Value::texts(&images)),
        ("trust", Value::Word("allow")),
        ("signatures", Value::Map(quorum)),
    ];
    draft.rule(&name, rest, Vec::new());
    (name, images)
}

/// The repositories: a scope is one, and `*` is all that no other has.
fn scopes(fields: &mut Fields, problems: &mut Problems) -> Vec<String> {
    let position = fields.position;
    let Some(texts) = fields.texts("registryScopes", problems) else {
        problems.add(position, &fields.path_of("registryScopes"), "is missing");
        return Vec::new();
    };
    let mut images = Vec::new();
    for (text, position, path) in texts {
        if text == "*" {
            images.push("**".to_owned());
            continue;
        }
        match Pattern::of_names(&text) {
            Ok(_) if text.contains('*') => {
                problems.add(position, &path, "has a *, which stands for nothing in a scope");
            }
            Ok(pattern) => images.push(pattern.as_str().to_owned()),
            Err(why) => problems.add(position, &path, format!("\"{}\": {why}", extract(&text))),
        }
    }
    images
}

/// How signatures are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verification {
    Skip,
    Verify {
        level: &'static str,
        overridden: Vec<(&'static str, Value)>,
        timestamps: Option<&'static str>,
    },
}

fn verification(fields: &mut Fields, problems: &mut Problems) -> Option<Verification> {
    let hint = "how signatures are verified is not said";
    let node = fields.require("signatureVerification", hint, problems)?;
    let path = fields.path_of("signatureVerification");
    let mut fields = Fields::of(node, &path, VERIFICATION, problems)?;
    let (level, position) = fields.require_text("level", "write strict", problems)?;
    let times = [("always", "always"), ("afterCertExpiry", "afterCertExpiry")];
    let timestamps = fields.choice("verifyTimestamp", &times, &[], problems);
    let overridden = overridden(&mut fields, problems);
    match level.as_str() {
        "strict" => Some(Verification::Verify { level: "strict", overridden, timestamps }),
        "permissive" => Some(Verification::Verify { level: "permissive", overridden, timestamps }),
        "skip" => Some(Verification::Skip),
        "audit" => {
            let text = "audit takes whatever is signed by anybody, which cannot be said";
            problems.add(position, &fields.path_of("level"), text);
            None
        }
        other => {
            let text = format!("\"{}\" is no level", extract(other));
            problems.add(position, &fields.path_of("level"), text);
            None
        }
    }
}

/// Single checks that differ from the level, in our words.
fn overridden(fields: &mut Fields, problems: &mut Problems) -> Vec<(&'static str, Value)> {
    let Some(node) = fields.take("override") else { return Vec::new() };
    let path = fields.path_of("override");
    let Some(mut fields) = Fields::of(node, &path, OVERRIDE, problems) else { return Vec::new() };
    for key in ["integrity", "authenticity"] {
        if let Some((word, position)) = fields.text(key, problems)
            && word != "enforce"
        {
            let text = "is always enforced here: a signature that does not hold is none";
            problems.add(position, &fields.path_of(key), text);
        }
    }
    let mut all = Vec::new();
    for key in ["authenticTimestamp", "expiry", "revocation"] {
        let mut choices = vec![("enforce", "enforce"), ("log", "log")];
        if key == "revocation" {
            choices.push(("skip", "skip"));
        }
        let word = fields.choice(key, &choices, &[], problems);
        all.extend(word.map(|word| (key, Value::Word(word))));
    }
    all
}

/// The trust root with all the stores that are named.
fn root(
    name: &str,
    fields: &mut Fields,
    store: Store<'_>,
    verification: Option<&Verification>,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Option<String> {
    let position = fields.position;
    let Some(stores) = fields.texts("trustStores", problems) else {
        problems.add(position, &fields.path_of("trustStores"), "is missing; nobody is trusted");
        return None;
    };
    let mut files: [Vec<String>; 3] = Default::default();
    for (text, position, path) in stores {
        let named = text.split_once(':').and_then(|(kind, name)| {
            let place = KINDS.iter().position(|known| *known == kind)?;
            Some((place, kind, name))
        });
        let Some((place, kind, name)) = named else {
            let text = format!("\"{}\" is not one of ca:, signingAuthority:, tsa:", extract(&text));
            problems.add(position, &path, text);
            continue;
        };
        match store(kind, name) {
            Ok(found) if found.is_empty() => problems.add(position, &path, "has no certificate"),
            Ok(found) => {
                let found = found.into_iter().map(|file| format!("file:{file}"));
                files.get_mut(place)?.extend(found);
            }
            Err(why) => problems.add(position, &path, why),
        }
    }
    let [ca, authorities, tsa] = &files;
    let mut root = Vec::new();
    for (key, files) in [("ca", ca), ("signingAuthority", authorities), ("tsa", tsa)] {
        if !files.is_empty() {
            root.push((key, Value::texts(files)));
        }
    }
    if let Some(Verification::Verify { timestamps: Some(word), .. }) = verification {
        root.push(("verifyTimestamp", Value::Word(word)));
    }
    let value = Value::Map(vec![("notation", Value::Map(root))]);
    Some(draft.root(&format!("{name}-store"), value))
}
