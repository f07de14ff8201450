//! The trust roots: names for files that say whose certificates, logs and times count.

use std::time::Duration;

use super::super::document::{NotationRoot, TrustRoot, TrustRootKind};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::problem::Position;
use super::super::yaml::Node;
use super::checked_name;
use super::files::Files;
use super::units::time_at;

const ROOT: Words = Words {
    known: &["minLogs", "notation", "requireTSA", "sigstore"],
    later: &[("tuf", "a trust root is a file, which pratique trust-root refresh keeps up to date")],
};
const SIGSTORE: Words = Words {
    known: &["minLogs", "requireTSA", "trustedRoot"],
    later: &[("tuf", "a trust root is a file, which pratique trust-root refresh keeps up to date")],
};
const NOTATION: Words = Words {
    known: &["ca", "crlMaxAge", "crls", "revocation", "signingAuthority", "tsa", "verifyTimestamp"],
    later: &[],
};
/// How old the last issue of a revocation list may be where the policy does not say.
const CRL_AGE_MAX: Duration = Duration::from_hours(7 * 24);

pub(super) fn read(node: Node, files: &mut Files<'_>, problems: &mut Problems) -> Vec<TrustRoot> {
    let mut roots = Vec::new();
    for entry in Fields::free(node, "trustRoots", problems) {
        let path = format!("trustRoots.{}", fields::extract(&entry.key));
        let name = checked_name(entry.key, entry.position, &path, problems);
        let Some(mut root) = Fields::of(entry.value, &path, ROOT, problems) else { continue };
        for inner in ["minLogs", "requireTSA"] {
            if let Some(node) = root.take(inner) {
                let text = format!("belongs into sigstore; write sigstore: {{..., {inner}: ...}}");
                problems.add(node.position, &root.path_of(inner), text);
            }
        }
        let read = match (root.take("sigstore"), root.take("notation")) {
            (Some(node), None) => sigstore(node, &root.path_of("sigstore"), files, problems),
            (None, Some(node)) => notation(node, &root.path_of("notation"), files, problems),
            (Some(_), Some(node)) => {
                let text = "stands beside sigstore; give each a trust root of its own";
                problems.add(node.position, &root.path_of("notation"), text);
                None
            }
            (None, None) => {
                let text = "is missing; write sigstore: {trustedRoot: file:/path/of/trusted_root.json}, \
                    or notation: {ca: [file:/path/of/ca.pem]}";
                problems.add(root.position, &root.path_of("sigstore"), text);
                None
            }
        };
        let root = name.zip(read);
        roots.extend(root.map(|(name, (kind, position))| TrustRoot { name, kind, position }));
    }
    roots
}

fn sigstore(
    node: Node,
    path: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<(TrustRootKind, Position)> {
    let mut sigstore = Fields::of(node, path, SIGSTORE, problems)?;
    let logs_min = logs_min(&mut sigstore, problems);
    let choices = [("true", true), ("false", false)];
    let timestamp =
        sigstore.has("requireTSA").then(|| sigstore.choice("requireTSA", &choices, &[], problems));
    let hint = "write file:/path/of/trusted_root.json";
    let (file, position) = sigstore.require_text("trustedRoot", hint, problems)?;
    let path = sigstore.path_of("trustedRoot");
    let bytes = content(&file, position, &path, files, problems)?;
    if let Ok(json) = String::from_utf8(bytes) {
        let timestamp = timestamp.unwrap_or(Some(false))?;
        return Some((TrustRootKind::Sigstore { json, logs_min: logs_min?, timestamp }, position));
    }
    problems.add(position, &path, "is not text");
    None
}

/// In how many logs a signature must stand: in one where nothing is written.
fn logs_min(sigstore: &mut Fields, problems: &mut Problems) -> Option<usize> {
    if !sigstore.has("minLogs") {
        return Some(1);
    }
    let (count, position) = sigstore.number("minLogs", problems)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count < 1 {
        let text =
            "must be at least 1; a key that needs no log is a signer with transparencyLog: none";
        problems.add(position, &sigstore.path_of("minLogs"), text);
        return None;
    }
    Some(count)
}

/// The content of the file that `text` names.
fn content(
    text: &str,
    position: Position,
    path: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<Vec<u8>> {
    let Some(file) = text.strip_prefix("file:").map(str::trim) else {
        problems.add(position, path, "must be the path of a file; write file:/path/of/the/file");
        return None;
    };
    match files.read(file) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let file = fields::extract(file);
            problems.add(position, path, format!("cannot read {file}: {error}"));
            None
        }
    }
}

fn notation(
    node: Node,
    path: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<(TrustRootKind, Position)> {
    let before = problems.0.len();
    let mut store = Fields::of(node, path, NOTATION, problems)?;
    let position = store.position;
    let [ca, signing_authority, tsa, crls] = ["ca", "signingAuthority", "tsa", "crls"]
        .map(|key| contents(&mut store, key, files, problems));
    if ca.is_empty() && signing_authority.is_empty() && problems.0.len() == before {
        let text = "is missing; write ca: [file:/path/of/ca.pem], or signingAuthority";
        problems.add(position, &store.path_of("ca"), text);
    }
    let when = [("always", false), ("afterCertExpiry", true)];
    let only_after_expiry = store.choice("verifyTimestamp", &when, &[], problems);
    let revocation = [("hardfail", true), ("softfail", false)];
    let unknown_fails = store.choice("revocation", &revocation, &[], problems);
    let crl_age_max = time_at(&mut store, "crlMaxAge", problems).unwrap_or(CRL_AGE_MAX);
    if unknown_fails == Some(true) && crls.is_empty() {
        let text = "refuses every signer without revocation lists; write crls: [file:/path/of/list.crl] too";
        problems.add(position, &store.path_of("revocation"), text);
    }
    if problems.0.len() > before {
        return None;
    }
    // Whoever provides lists wants them to count.
    let unknown_fails = unknown_fails.unwrap_or(!crls.is_empty());
    let root = NotationRoot {
        ca,
        signing_authority,
        tsa,
        only_after_expiry: only_after_expiry.unwrap_or(false),
        crls,
        crl_age_max,
        unknown_fails,
    };
    Some((TrustRootKind::Notation(Box::new(root)), position))
}

/// The contents of the files in the list at `key`.
fn contents(
    store: &mut Fields,
    key: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Vec<Vec<u8>> {
    let texts = store.texts(key, problems).unwrap_or_default();
    let read = |(text, position, path): (String, Position, String)| {
        content(&text, position, &path, files, problems)
    };
    texts.into_iter().filter_map(read).collect()
}
