//! The signers: names for public keys and identities.

use super::super::document::{Level, Signer, SubjectType, TrustRoot, WantedText, Who};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::problem::Position;
use super::super::yaml::Node;
use super::files::Files;
use super::{checked_name, keys};

const SIGNER: Words =
    Words { known: &["key", "keyless", "notation", "transparencyLog"], later: &[] };
const KEYLESS: Words = Words {
    known: &["root", "issuer", "issuerRegexp", "subject", "subjectRegexp", "subjectType"],
    later: &[(
        "claims",
        "issuer and subject are compared; the subject of a workflow names its repository, file and ref",
    )],
};
const NOTATION: Words = Words { known: &["root", "identity", "level", "override"], later: &[] };
const OVERRIDE: Words =
    Words { known: &["authenticTimestamp", "expiry", "revocation"], later: &[] };
/// What identities of the Notary Project begin with: the only kind that there is.
const SUBJECT: &str = "x509.subject:";
pub(super) fn read(node: Node, files: &mut Files<'_>, problems: &mut Problems) -> Vec<Signer> {
    let mut signers = Vec::new();
    for entry in Fields::free(node, "signers", problems) {
        let (position, path) = (entry.position, format!("signers.{}", fields::extract(&entry.key)));
        let name = checked_name(entry.key, position, &path, problems);
        let Some(mut signer) = Fields::of(entry.value, &path, SIGNER, problems) else {
            continue;
        };
        let who = match (signer.take("keyless"), signer.take("notation")) {
            (Some(node), None) => {
                lone(&mut signer, "keyless", problems);
                keyless(node, &signer, problems)
            }
            (None, Some(node)) => {
                lone(&mut signer, "notation", problems);
                notation(node, &signer, problems)
            }
            (Some(_), Some(node)) => {
                let text = "does not go with keyless; keep one, or make them two signers";
                problems.add(node.position, &signer.path_of("notation"), text);
                None
            }
            (None, None) => keys::read(&mut signer, position, files, problems),
        };
        if let (Some(name), Some((who, position))) = (name, who) {
            signers.push(Signer { name, who, position });
        }
    }
    signers
}

/// Reports what does not go with a signer of that `kind`.
fn lone(signer: &mut Fields, kind: &str, problems: &mut Problems) {
    for other in ["key", "transparencyLog"] {
        if let Some(node) = signer.take(other) {
            let text = match kind {
                "keyless" => {
                    "does not go with keyless: its certificates are always logged; keep one"
                }
                _ => "does not go with notation: its signatures stand in no log; keep one",
            };
            problems.add(node.position, &signer.path_of(other), text);
        }
    }
}

fn keyless(node: Node, signer: &Fields, problems: &mut Problems) -> Option<(Who, Position)> {
    let position = node.position;
    let mut keyless = Fields::of(node, &signer.path_of("keyless"), KEYLESS, problems)?;
    let root = keyless.text("root", problems);
    let root = root.map_or(Some(TrustRoot::PUBLIC_GOOD.to_owned()), |(name, position)| {
        checked_name(name, position, &keyless.path_of("root"), problems)
    });
    let issuer = wanted(&mut keyless, "issuer", "issuerRegexp", problems);
    let subject = wanted(&mut keyless, "subject", "subjectRegexp", problems);
    let kinds = [("email", SubjectType::Email), ("uri", SubjectType::Uri)];
    let subject_type = keyless.choice("subjectType", &kinds, &[], problems);
    let who = Who::Keyless { root: root?, issuer: issuer?, subject: subject?, subject_type };
    Some((who, position))
}

fn notation(node: Node, signer: &Fields, problems: &mut Problems) -> Option<(Who, Position)> {
    let position = node.position;
    let mut notation = Fields::of(node, &signer.path_of("notation"), NOTATION, problems)?;
    let hint = "write the name of a trust root that has notation: {ca: [...]}";
    let root = notation.require_text("root", hint, problems);
    let root = root.and_then(|(name, position)| {
        checked_name(name, position, &notation.path_of("root"), problems)
    });
    let hint = "write \"x509.subject: C=US, ST=WA, O=Acme, CN=builder\", or \"*\" for whoever the \
        authorities certify";
    let identity = notation.require_text("identity", hint, problems);
    let identity = identity.and_then(|(text, position)| match text.strip_prefix(SUBJECT) {
        _ if text == "*" => Some(None),
        Some(name) => Some(Some(name.trim().to_owned())),
        None => {
            let text = format!("does not begin with {SUBJECT} and is not *; {hint}");
            problems.add(position, &notation.path_of("identity"), text);
            None
        }
    });
    let level = level(&mut notation, problems);
    Some((Who::Notation { root: root?, identity: identity?, level }, position))
}

/// Which checks are enforced: those of the level, except for what stands under `override`.
fn level(notation: &mut Fields, problems: &mut Problems) -> Level {
    let all =
        |enforced| Level { authentic_timestamp: enforced, expiry: enforced, revocation: enforced };
    let path = notation.path_of("level");
    let mut level = all(true);
    match notation.text("level", problems) {
        None => {}
        Some((word, _)) if word == "strict" => {}
        Some((word, _)) if word == "permissive" => level = all(false),
        Some((word, position)) => {
            let text = match word.as_str() {
                "audit" | "skip" => {
                    "would let anybody sign; to watch without refusing, write \
                    mode: audit at the rule, and to do without signatures, signatures: {none: reason}"
                }
                _ => "is not one of: strict, permissive",
            };
            problems.add(position, &path, text);
        }
    }
    let path = notation.path_of("override");
    let node = notation.take("override");
    if let Some(mut words) = node.and_then(|node| Fields::of(node, &path, OVERRIDE, problems)) {
        let actions = [("enforce", true), ("log", false)];
        let with_skip = [("enforce", true), ("log", false), ("skip", false)];
        let mut set = |key: &str, actions: &[(&str, bool)], to: &mut bool| {
            *to = words.choice(key, actions, &[], problems).unwrap_or(*to);
        };
        set("authenticTimestamp", &actions, &mut level.authentic_timestamp);
        set("expiry", &actions, &mut level.expiry);
        set("revocation", &with_skip, &mut level.revocation);
    }
    level
}

/// The text at `exact` or the regular expression at `regexp`, if one of them is written.
pub(super) fn wanted_if_written(
    fields: &mut Fields,
    exact: &str,
    regexp: &str,
    problems: &mut Problems,
) -> Option<WantedText> {
    let written = fields.has(exact) || fields.has(regexp);
    if written { wanted(fields, exact, regexp, problems) } else { None }
}

/// The text at `exact` or the regular expression at `regexp`, of which there must be one.
fn wanted(
    fields: &mut Fields,
    exact: &str,
    regexp: &str,
    problems: &mut Problems,
) -> Option<WantedText> {
    let pattern = fields.text(regexp, problems);
    let text = fields.text(exact, problems);
    match (text, pattern) {
        (Some((text, _)), None) => Some(WantedText::Exact(text)),
        (None, Some((pattern, _))) => Some(WantedText::Regexp(pattern)),
        (Some(_), Some((_, position))) => {
            let text = format!("stands beside {exact}; keep one of them");
            problems.add(position, &fields.path_of(regexp), text);
            None
        }
        (None, None) => {
            let paths = [exact, regexp].map(|key| fields.path_of(key));
            if !problems.0.iter().any(|problem| paths.contains(&problem.key)) {
                let [path, _] = paths;
                let text = format!(
                    "is missing; whose signature counts is always both, issuer and subject; write {exact} or {regexp}"
                );
                problems.add(fields.position, &path, text);
            }
            None
        }
    }
}
