//! `ClusterImagePolicy`: each becomes an overlay, because several that match must all hold.

use super::Reading;
use super::draft::{Draft, Value};
use crate::policy::attested::AttestationType;
use crate::policy::fields::{Fields, Problems, Words, extract};
use crate::policy::pattern::Pattern;
use crate::policy::yaml::{Content, Node};

const TOP: Words =
    Words { known: &["apiVersion", "kind", "metadata", "spec", "status"], later: &[] };
const SPEC: Words =
    Words { known: &["mode", "match", "images", "authorities", "policy"], later: &[] };
const IMAGE: Words = Words { known: &["glob"], later: &[] };
const AUTHORITY: Words = Words {
    known: &[
        "name",
        "key",
        "keyless",
        "static",
        "source",
        "ctlog",
        "signatureFormat",
        "rfc3161timestamp",
        "attestations",
    ],
    later: &[],
};
const KEY: Words = Words { known: &["data", "hashAlgorithm", "secretRef", "kms"], later: &[] };
const CTLOG: Words = Words { known: &["url", "trustRootRef"], later: &[] };
const KEYLESS: Words = Words {
    known: &["url", "trustRootRef", "ca-cert", "identities", "insecureIgnoreSCT"],
    later: &[],
};
const IDENTITY: Words =
    Words { known: &["issuer", "issuerRegExp", "subject", "subjectRegExp"], later: &[] };
const ATTESTATION: Words = Words { known: &["name", "predicateType", "policy"], later: &[] };
const STATIC: Words = Words { known: &["action", "message"], later: &[] };
/// The public instance of Sigstore, in their words.
const REKOR: &str = "https://rekor.sigstore.dev";
const FULCIO: &str = "https://fulcio.sigstore.dev";

/// What one authority asks for.
enum Authority {
    /// Nothing: it is content with everything.
    Passes,
    /// It is content with nothing.
    Fails,
    /// A signature by one of these.
    Signed(Vec<String>),
    /// All of these, each attested by one of these.
    Attested(Vec<String>, Vec<String>),
}

/// What was read of one policy, when something of it could not be.
struct Cip {
    name: String,
    images: Vec<String>,
}

pub(super) fn read(root: Node, reading: &mut Reading<'_, '_>, problems: &mut Problems) {
    let read = |draft: &mut Draft, problems: &mut Problems| one(root, draft, problems);
    reading.part(problems, read, |draft, cip: Cip, why| {
        // Which images it is for is not known: it may be all.
        let all = vec!["**".to_owned()];
        let images = if cip.images.is_empty() { all } else { cip.images };
        let rest = vec![("match", Value::texts(&images)), ("trust", Value::Word("deny"))];
        draft.overlay(&cip.name, rest, why.to_vec());
    });
}

fn one(root: Node, draft: &mut Draft, problems: &mut Problems) -> Cip {
    let mut cip = Cip { name: "imported".to_owned(), images: Vec::new() };
    let Some(mut top) = Fields::of(root, "", TOP, problems) else { return cip };
    let versions = [("policy.sigstore.dev/v1alpha1", ()), ("policy.sigstore.dev/v1beta1", ())];
    let kinds = [("ClusterImagePolicy", ())];
    for (key, choices) in [("apiVersion", &versions[..]), ("kind", &kinds[..])] {
        if !top.has(key) {
            problems.add(top.position, key, "is missing: this is no ClusterImagePolicy");
        }
        let _known: Option<()> = top.choice(key, choices, &[], problems);
    }
    if let Some(metadata) = top.take("metadata") {
        let entries = Fields::free(metadata, "metadata", problems);
        let name = entries.into_iter().find(|entry| entry.key == "name");
        if let Some(Content::Text(text)) = name.map(|entry| entry.value.content) {
            cip.name = text.text;
        }
    }
    let Some(spec) = top.require("spec", "this is no ClusterImagePolicy", problems) else {
        return cip;
    };
    let Some(mut spec) = Fields::of(spec, "spec", SPEC, problems) else { return cip };
    let mode = spec.choice("mode", &[("enforce", "enforce"), ("warn", "warn")], &[], problems);
    cip.images = globs(&mut spec, problems);
    for (key, text) in [
        ("match", "chooses by Kubernetes resources, which a mirror does not see"),
        (
            "policy",
            "is a policy in CUE or Rego, which is not taken over; write it as an expression",
        ),
    ] {
        if let Some(node) = spec.take(key) {
            problems.add(node.position, &spec.path_of(key), text);
        }
    }
    let authorities = authorities(&cip.name, &mut spec, draft, problems);
    // Without authorities it asks for nothing, and says so.
    let asked = combined(authorities, &spec, problems);
    let Some(asked) = asked.filter(|_| problems.0.is_empty()) else {
        draft.images.extend(cip.images.iter().cloned());
        return cip;
    };
    draft.images.extend(cip.images.iter().cloned());
    let mut rest = vec![("match", Value::texts(&cip.images))];
    rest.extend(asked);
    rest.extend(mode.filter(|mode| *mode == "warn").map(|mode| ("mode", Value::Word(mode))));
    draft.overlay(&cip.name, rest, Vec::new());
    cip
}

/// The images, as patterns of ours.
fn globs(spec: &mut Fields, problems: &mut Problems) -> Vec<String> {
    let position = spec.position;
    let Some(items) = spec.list("images", problems) else {
        problems.add(position, "spec.images", "is missing; it speaks of no image");
        return Vec::new();
    };
    let mut globs = Vec::new();
    for (node, path) in items {
        let Some(mut image) = Fields::of(node, &path, IMAGE, problems) else { continue };
        let Some((glob, position)) =
            image.require_text("glob", "images are named by glob", problems)
        else {
            continue;
        };
        let mut hub = ["index.docker.io/", "registry-1.docker.io/"].into_iter();
        let rest = hub.find_map(|prefix| glob.strip_prefix(prefix));
        let glob = rest.map_or(glob.clone(), |rest| format!("docker.io/{rest}"));
        match Pattern::of_names(&glob) {
            Ok(pattern) if !globs.contains(&pattern.as_str().to_owned()) => {
                globs.push(pattern.as_str().to_owned());
            }
            Ok(_) => {}
            Err(why) => {
                problems.add(position, &path, format!("\"{}\" {why}", extract(&glob)));
            }
        }
    }
    globs
}

fn authorities(
    name: &str,
    spec: &mut Fields,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Vec<Authority> {
    let position = spec.position;
    let Some(items) = spec.list("authorities", problems) else {
        problems.add(position, "spec.authorities", "is missing; nobody would be asked");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (at, (node, path)) in items.into_iter().enumerate() {
        let Some(mut fields) = Fields::of(node, &path, AUTHORITY, problems) else { continue };
        let own = fields.text("name", problems).map(|(text, _)| text);
        let label = format!("{name}-{}", own.unwrap_or_else(|| at.to_string()));
        all.extend(authority(&label, &mut fields, draft, problems));
    }
    all
}

fn authority(
    label: &str,
    fields: &mut Fields,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Option<Authority> {
    let position = fields.position;
    for (key, text) in [
        ("source", "looks for signatures at another place, which is not taken over"),
        ("rfc3161timestamp", "asks for timestamps of an own authority, which is not taken over"),
    ] {
        if let Some(node) = fields.take(key) {
            problems.add(node.position, &fields.path_of(key), text);
        }
    }
    // Both forms count here, and say the same.
    let _form = fields.choice("signatureFormat", &[("legacy", ()), ("bundle", ())], &[], problems);
    let attested = attested(fields, problems);
    let log = log(fields, problems);
    let signers = match (fields.take("key"), fields.take("keyless"), fields.take("static")) {
        (Some(node), None, None) => key(label, node, &fields.path_of("key"), log, draft, problems)?,
        (None, Some(node), None) => {
            keyless(label, node, &fields.path_of("keyless"), draft, problems)?
        }
        (None, None, Some(node)) => {
            let mut fields = Fields::of(node, &fields.path_of("static"), STATIC, problems)?;
            let _message = fields.text("message", problems);
            let actions = [("pass", true), ("fail", false)];
            let passes = fields.choice("action", &actions, &[], problems)?;
            return Some(if passes { Authority::Passes } else { Authority::Fails });
        }
        _ => {
            problems.add(position, &fields.path, "needs one of key, keyless and static");
            return None;
        }
    };
    Some(match attested {
        None => Authority::Signed(signers),
        Some(types) => Authority::Attested(types, signers),
    })
}

/// In which log a signature by key must stand: where nothing is said, in the public one.
fn log(fields: &mut Fields, problems: &mut Problems) -> &'static str {
    const PUBLIC: &str = "public-good";
    let Some(node) = fields.take("ctlog") else { return PUBLIC };
    let path = fields.path_of("ctlog");
    let Some(mut log) = Fields::of(node, &path, CTLOG, problems) else { return PUBLIC };
    if let Some(node) = log.take("trustRootRef") {
        let text = "names a trust root of the cluster, which is not taken over";
        problems.add(node.position, &log.path_of("trustRootRef"), text);
    }
    match log.text("url", problems) {
        None if problems.0.is_empty() => "none",
        None => PUBLIC,
        Some((url, _)) if url.trim_end_matches('/') == REKOR => PUBLIC,
        Some((url, position)) => {
            let text = format!("{} is another log, which is not taken over", extract(&url));
            problems.add(position, &log.path_of("url"), text);
            PUBLIC
        }
    }
}

fn key(
    label: &str,
    node: Node,
    path: &str,
    log: &'static str,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let mut key = Fields::of(node, path, KEY, problems)?;
    let _hash = key.choice("hashAlgorithm", &[("sha256", ())], &[], problems);
    for (name, text) in [
        ("secretRef", "is a key in the cluster; put its PEM block into data"),
        ("kms", "is a key in a service; put its PEM block into data"),
    ] {
        if let Some(node) = key.take(name) {
            problems.add(node.position, &key.path_of(name), text);
        }
    }
    let node = key.require("data", "only keys that stand here are taken over", problems)?;
    let position = node.position;
    let Content::Text(pem) = node.content else {
        problems.add(position, &key.path_of("data"), "must be a PEM block");
        return None;
    };
    let pem = format!("{}\n", pem.text.trim());
    let key = Value::Map(vec![("pem", Value::text(pem))]);
    let value = Value::Map(vec![("key", key), ("transparencyLog", Value::text(log))]);
    match draft.signer(label, value) {
        Ok(name) => Some(vec![name]),
        Err(why) => {
            problems.add(position, path, why);
            None
        }
    }
}

fn keyless(
    label: &str,
    node: Node,
    path: &str,
    draft: &mut Draft,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let position = node.position;
    let mut keyless = Fields::of(node, path, KEYLESS, problems)?;
    // The certificate's own proof is always looked at here.
    let _sct = keyless.choice("insecureIgnoreSCT", &[("true", ()), ("false", ())], &[], problems);
    for (key, text) in [
        ("trustRootRef", "names a trust root of the cluster, which is not taken over"),
        ("ca-cert", "is an own authority, which is not taken over"),
    ] {
        if let Some(node) = keyless.take(key) {
            problems.add(node.position, &keyless.path_of(key), text);
        }
    }
    if let Some((url, position)) = keyless.text("url", problems)
        && url.trim_end_matches('/') != FULCIO
    {
        let text = format!("{} is another authority, which is not taken over", extract(&url));
        problems.add(position, &keyless.path_of("url"), text);
    }
    let Some(items) = keyless.list("identities", problems) else {
        let text = "is missing: whoever has a certificate would do";
        problems.add(position, &keyless.path_of("identities"), text);
        return None;
    };
    let mut names = Vec::new();
    for (node, path) in items {
        let mut identity = Fields::of(node, &path, IDENTITY, problems)?;
        let issuer = wanted(&mut identity, "issuer", "issuerRegExp", problems);
        let subject = wanted(&mut identity, "subject", "subjectRegExp", problems);
        let (issuer, subject) = (issuer?, subject?);
        // A pattern may be for addresses and for URIs: then either does.
        let is_pattern = subject.0.ends_with("Regexp");
        let kinds: &[Option<&'static str>] = match (is_pattern, &subject.1) {
            (true, text) if !text.contains("://") => &[Some("email"), Some("uri")],
            _ => &[None],
        };
        for kind in kinds {
            let entry = |wanted: &(&'static str, String)| (wanted.0, Value::text(wanted.1.clone()));
            let mut entries = vec![entry(&issuer), entry(&subject)];
            entries.extend(kind.map(|kind| ("subjectType", Value::Word(kind))));
            let value = Value::Map(vec![("keyless", Value::Map(entries))]);
            match draft.signer(label, value) {
                Ok(name) if !names.contains(&name) => names.push(name),
                Ok(_) => {}
                Err(why) => problems.add(position, &path, why),
            }
        }
    }
    Some(names)
}

/// The text at `exact`, or the regular expression at `pattern`, each by our key for it.
fn wanted(
    identity: &mut Fields,
    exact: &'static str,
    pattern: &str,
    problems: &mut Problems,
) -> Option<(&'static str, String)> {
    let ours = if exact == "issuer" { "issuerRegexp" } else { "subjectRegexp" };
    match (identity.text(exact, problems), identity.text(pattern, problems)) {
        (Some((text, _)), None) => Some((exact, text)),
        (None, Some((text, position))) => {
            let whole = anchored(&text);
            if whole.is_none() {
                let text = "is anchored in one of its alternatives only, which is rarely meant; \
                            write ^(...)$";
                problems.add(position, &identity.path_of(pattern), text);
            }
            whole.map(|text| (ours, text))
        }
        _ => {
            let text = format!("needs one of {exact} and {pattern}");
            problems.add(identity.position, &identity.path, text);
            None
        }
    }
}

/// The regular expression that takes as a whole what contains a match of `text`: theirs are not anchored, ours
/// always are. `None` where anchors stand beside alternatives.
pub(super) fn anchored(text: &str) -> Option<String> {
    let start = text.strip_prefix('^');
    let rest = start.unwrap_or(text);
    let is_escaped = rest.ends_with("\\$");
    let end = rest.strip_suffix('$').filter(|_| !is_escaped);
    let inner = end.unwrap_or(rest);
    if (start.is_some() || end.is_some()) && has_alternatives(inner) {
        return None;
    }
    let before = if start.is_some() { "" } else { ".*" };
    let after = if end.is_some() { "" } else { ".*" };
    let inner = if has_alternatives(inner) { format!("(?:{inner})") } else { inner.to_owned() };
    Some(format!("{before}{inner}{after}"))
}

/// Whether `|` stands outside of groups and classes.
fn has_alternatives(text: &str) -> bool {
    let (mut depth, mut is_class, mut is_escaped) = (0_usize, false, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ']' if is_class => is_class = false,
            _ if is_class => {}
            '[' => is_class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// The types that have to be attested; `None` where none is spoken of.
fn attested(fields: &mut Fields, problems: &mut Problems) -> Option<Vec<String>> {
    let items = fields.list("attestations", problems)?;
    let mut types = Vec::new();
    for (node, path) in items {
        let Some(mut attestation) = Fields::of(node, &path, ATTESTATION, problems) else {
            continue;
        };
        let _name = attestation.text("name", problems);
        if let Some(node) = attestation.take("policy") {
            let text = "is a policy in CUE or Rego, which is not taken over; write it as cel";
            problems.add(node.position, &attestation.path_of("policy"), text);
        }
        let hint = "nothing would have to be attested";
        let Some((kind, position)) = attestation.require_text("predicateType", hint, problems)
        else {
            continue;
        };
        if AttestationType::named(&kind).is_none() {
            let text = format!("\"{}\" is not known; write its URI", extract(&kind));
            problems.add(position, &attestation.path_of("predicateType"), text);
        } else if !types.contains(&kind) {
            types.push(kind);
        }
    }
    Some(types)
}

/// What is asked for where one of `authorities` is enough; `None` where nothing is.
fn combined(
    authorities: Vec<Authority>,
    spec: &Fields,
    problems: &mut Problems,
) -> Option<Vec<(&'static str, Value)>> {
    if authorities.iter().any(|it| matches!(it, Authority::Passes)) {
        return None;
    }
    let (mut signed, mut attested) = (Vec::new(), Vec::new());
    let count = authorities.len();
    for authority in authorities {
        match authority {
            Authority::Passes | Authority::Fails => {}
            Authority::Signed(names) => signed.extend(names),
            Authority::Attested(types, names) => attested.push((types, names)),
        }
    }
    let one_of = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        Value::texts(&names)
    };
    match (signed.is_empty(), attested.as_slice()) {
        (true, []) if count > 0 => Some(vec![("trust", Value::Word("deny"))]),
        (false, []) => {
            let quorum = vec![("atLeast", Value::Number(1)), ("of", one_of(&signed))];
            Some(vec![("signatures", Value::Map(quorum))])
        }
        (true, [(types, _), rest @ ..])
            // With several types one authority has to attest all of them: that cannot be said.
            if rest.is_empty() || (types.len() == 1 && rest.iter().all(|(it, _)| it == types)) =>
        {
            let names: Vec<String> = attested.iter().flat_map(|(_, names)| names).cloned().collect();
            let entry = |kind: &String| {
                Value::Map(vec![("type", Value::text(kind.clone())), ("signers", one_of(&names))])
            };
            Some(vec![("attestations", Value::List(types.iter().map(entry).collect()))])
        }
        (true, []) => None,
        _ => {
            let text = "asks for a signature or for attestations, or for several of one authority, \
                        which cannot be said";
            problems.add(spec.position, &spec.path_of("authorities"), text);
            None
        }
    }
}
