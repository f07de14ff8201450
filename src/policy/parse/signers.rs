//! The signers: names for public keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::document::Signer;
use super::super::fields::{self, Fields, Problems, Words};
use super::super::problem::Position;
use super::super::yaml::{Content, Node, Text};
use super::{Files, checked_name};

const SIGNER: Words = Words { known: &["key", "transparencyLog"], later: &["keyless", "notation"] };
const KEY: Words = Words { known: &["pem"], later: &["algorithm", "notAfter", "notBefore"] };
/// Largest PEM text of a key in bytes.
const PEM_BYTES_MAX: usize = 8 * 1024;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

pub(super) fn read(node: Node, files: &mut Files<'_>, problems: &mut Problems) -> Vec<Signer> {
    let mut signers = Vec::new();
    for entry in Fields::free(node, "signers", problems) {
        let path = format!("signers.{}", fields::extract(&entry.key));
        let name = checked_name(entry.key, entry.position, &path, problems);
        let Some(mut signer) = Fields::of(entry.value, &path, SIGNER, problems) else {
            continue;
        };
        if is_of_later_kind(&path, problems) {
            continue;
        }
        require_no_log(&mut signer, entry.position, problems);
        let hint = "write key: {pem: file:/path/of/key.pub}";
        let Some(key) = signer.require("key", hint, problems) else {
            continue;
        };
        let Some(mut key) = Fields::of(key, &signer.path_of("key"), KEY, problems) else {
            continue;
        };
        let hint = "write file:/path/of/key.pub or the PEM block itself";
        let Some(pem) = key.require("pem", hint, problems) else {
            continue;
        };
        let position = pem.position;
        let pem = pem_text(pem, &format!("{path}.key.pem"), files, problems);
        if let (Some(name), Some(pem)) = (name, pem) {
            signers.push(Signer { name, pem, position });
        }
    }
    signers
}

/// Whether the signer at `path` was reported already as of a kind that is not supported.
fn is_of_later_kind(path: &str, problems: &Problems) -> bool {
    let kinds = SIGNER.later.iter().map(|kind| format!("{path}.{kind}"));
    kinds.into_iter().any(|kind| problems.0.iter().any(|problem| problem.key == kind))
}

/// A signature by key without proof of when it was made must be asked for by name.
fn require_no_log(signer: &mut Fields, position: Position, problems: &mut Problems) {
    const HINT: &str = "entries of transparency logs cannot be checked by this version; \
        write transparencyLog: none to accept signatures by this key without one";
    let path = signer.path_of("transparencyLog");
    match signer.text("transparencyLog", problems) {
        Some((word, _)) if word == "none" => {}
        Some((_, position)) => problems.add(position, &path, HINT),
        None if problems.0.iter().any(|problem| problem.key == path) => {}
        None => problems.add(position, &path, format!("is missing; {HINT}")),
    }
}

/// The PEM block that stands in `node` or in the file that it names.
fn pem_text(
    node: Node,
    path: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let position = node.position;
    let Content::Text(Text { text, .. }) = node.content else {
        problems.add(position, path, "must be file:/path/of/key.pub or the PEM block itself");
        return None;
    };
    let text = match text.strip_prefix("file:") {
        None => text,
        Some(file) => match files.read(file.trim()) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                let file = fields::extract(file);
                problems.add(position, path, format!("cannot read {file}: {error}"));
                return None;
            }
        },
    };
    match checked_pem(&text) {
        Ok(pem) => Some(pem),
        Err(wrong) => {
            problems.add(position, path, wrong);
            None
        }
    }
}

/// The one PEM block of a public key in `text`, without what surrounds it.
fn checked_pem(text: &str) -> Result<String, &'static str> {
    if text.len() > PEM_BYTES_MAX {
        return Err("is larger than 8 KiB, which no public key is");
    }
    let text = text.trim();
    if text.contains("PRIVATE KEY-----") {
        return Err("is a private key; put the public key here, and take this one for known");
    }
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Err("is a certificate; this version takes public keys only");
    }
    let body = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let Some(body) = body.filter(|body| !body.contains("-----")) else {
        return Err("is not one block from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----");
    };
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    match STANDARD.decode(&body) {
        Ok(der) if !der.is_empty() => Ok(canonical_pem(&body)),
        _ => Err("is damaged: between the lines of dashes is no base64"),
    }
}

/// The same key as everybody writes it, so that equal keys are equal texts.
fn canonical_pem(body: &str) -> String {
    let mut pem = format!("{BEGIN}\n");
    for (count, character) in body.chars().enumerate() {
        if count > 0 && count % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push('\n');
    pem.push_str(END);
    pem.push('\n');
    pem
}
