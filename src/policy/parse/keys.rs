//! The public keys of signers: the key itself, when it counts, and how it signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::document::{KeyText, Who};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::problem::Position;
use super::super::yaml::{Content, Node, Text};
use super::checked_name;
use super::files::Files;
use super::units::moment_at;
use crate::time::{Timestamp, Window};

const KEY: Words =
    Words { known: &["pem", "jwk", "algorithm", "notBefore", "notAfter"], later: &[] };
/// Largest text of a key in bytes.
const KEY_BYTES_MAX: usize = 8 * 1024;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Reads the key of `signer`.
pub(super) fn read(
    signer: &mut Fields,
    position: Position,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<(Who, Position)> {
    let log = log(signer, position, problems);
    let hint = "write key: {pem: file:/path/of/key.pub}, keyless: {issuer: ..., subject: ...}, or notation: {root: ..., identity: ...}";
    let key = signer.require("key", hint, problems)?;
    let path = signer.path_of("key");
    let mut key = Fields::of(key, &path, KEY, problems)?;
    let window = window(&mut key, problems);
    let algorithm = key.has("algorithm").then(|| key.text("algorithm", problems));
    let (text, position) = text(&mut key, files, problems)?;
    let algorithm = match algorithm {
        Some(written) => Some(written?.0),
        None => None,
    };
    Some((Who::Key { text, log: log.ok()?, window: window?, algorithm }, position))
}

/// The key itself, in one of its two forms.
fn text(
    key: &mut Fields,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<(KeyText, Position)> {
    let jwk_path = key.path_of("jwk");
    let Some(node) = key.take("jwk") else {
        let hint =
            "write file:/path/of/key.pub or the PEM block itself, or jwk: file:/path/of/key.jwk";
        let node = key.require("pem", hint, problems)?;
        let (position, path) = (node.position, key.path_of("pem"));
        let text =
            content(node, &path, "file:/path/of/key.pub or the PEM block itself", files, problems)?;
        let pem = said(checked_pem(&text), position, &path, problems)?;
        return Some((KeyText::Pem(pem), position));
    };
    let position = node.position;
    if key.take("pem").is_some() {
        problems.add(position, &jwk_path, "stands beside pem; keep one of them");
        return None;
    }
    let text =
        content(node, &jwk_path, "file:/path/of/key.jwk or the JSON as 'text'", files, problems)?;
    let jwk = said(checked_jwk(text), position, &jwk_path, problems)?;
    Some((KeyText::Jwk(jwk), position))
}

/// What is wrong is among the problems.
struct Reported;

/// In which root's log a signature by key must stand. That none is asked for must be written: a
/// signature by key proves nothing of when it was made.
fn log(
    signer: &mut Fields,
    position: Position,
    problems: &mut Problems,
) -> Result<Option<String>, Reported> {
    const HINT: &str = "write transparencyLog: none to accept signatures by this key without a log \
        entry, or the name of a trust root in whose log they must stand (public-good)";
    let path = signer.path_of("transparencyLog");
    match signer.text("transparencyLog", problems) {
        Some((word, _)) if word == "none" => Ok(None),
        Some((word, position)) => {
            checked_name(word, position, &path, problems).map(Some).ok_or(Reported)
        }
        None if problems.0.iter().any(|problem| problem.key == path) => Err(Reported),
        None => {
            problems.add(position, &path, format!("is missing; {HINT}"));
            Err(Reported)
        }
    }
}

/// When the key counts, as far as that is written.
fn window(key: &mut Fields, problems: &mut Problems) -> Option<Window> {
    let before = problems.0.len();
    let start = moment_at(key, "notBefore", problems);
    let end = moment_at(key, "notAfter", problems);
    if let (Some((start, _)), Some((end, position))) = (start, end)
        && end <= start
    {
        let text = format!("is not after notBefore ({start}), so that the key never counts");
        problems.add(position, &key.path_of("notAfter"), text);
    }
    let time_of = |bound: Option<(Timestamp, Position)>| bound.map(|(time, _)| time);
    let window = Window { start: time_of(start), end: time_of(end) };
    (problems.0.len() == before).then_some(window)
}

/// The text that stands in `node` or in the file that it names; `expected` is what should.
fn content(
    node: Node,
    path: &str,
    expected: &str,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let position = node.position;
    let Content::Text(Text { text, .. }) = node.content else {
        problems.add(position, path, format!("must be {expected}"));
        return None;
    };
    let Some(file) = text.strip_prefix("file:") else { return Some(text) };
    match files.read(file.trim()) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            let file = fields::extract(file);
            problems.add(position, path, format!("cannot read {file}: {error}"));
            None
        }
    }
}

fn said<T>(
    checked: Result<T, &'static str>,
    position: Position,
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    checked.map_err(|wrong| problems.add(position, path, wrong)).ok()
}

/// `text`, if it may be a key in JSON. That it is one shows when a key is made of it.
fn checked_jwk(text: String) -> Result<String, &'static str> {
    if text.len() > KEY_BYTES_MAX {
        return Err("is larger than 8 KiB, which no public key is");
    }
    if !text.trim_start().starts_with('{') {
        return Err("is not a JSON Web Key, which is a JSON object");
    }
    Ok(text)
}

/// The one PEM block of a public key in `text`, without what surrounds it.
fn checked_pem(text: &str) -> Result<String, &'static str> {
    if text.len() > KEY_BYTES_MAX {
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
