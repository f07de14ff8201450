//! What is excepted from what gates refuse.

use std::time::Duration;

use super::super::super::fields::{Fields, Problems, Words, extract};
use super::super::super::pattern::Pattern;
use super::super::super::problem::Position;
use super::super::super::scanned::Exception;
use super::super::super::yaml::Node;
use super::super::checked_name;
use super::super::units::{moment_at, time_at};
use crate::oci::Digest;

const EXCEPTION: Words = Words {
    known: &["id", "match", "check", "reason", "expires"],
    later: &[(
        "approvedBy",
        "who reviewed the policy approved it; exceptions that people grant at the desk say who did: exceptionApproval",
    )],
};
const CHECK: Words = Words { known: &["vulnerability", "package"], later: &[] };
/// Most exceptions of a policy.
const EXCEPTIONS_MAX: usize = 10_000;
/// Longest name of a vulnerability or package, in bytes.
const SHORT_BYTES_MAX: usize = 200;

/// What is excepted, and the longest time for which.
pub(in super::super) fn exceptions(
    top: &mut Fields,
    problems: &mut Problems,
) -> (Vec<Exception>, Duration) {
    let time_max = time_at(top, "maxException", problems).unwrap_or(Exception::TIME_MAX);
    let position = top.position;
    let items = top.list("exceptions", problems).unwrap_or_default();
    if items.len() > EXCEPTIONS_MAX {
        let text = format!("has more than {EXCEPTIONS_MAX} entries");
        problems.add(position, "exceptions", text);
        return (Vec::new(), time_max);
    }
    let mut read: Vec<Exception> = Vec::new();
    for (node, path) in items {
        let position = node.position;
        let Some(exception) = exception(node, &path, problems) else { continue };
        if read.iter().any(|other| other.id == exception.id) {
            let text = format!("\"{}\" is the id of another one; give each its own", exception.id);
            problems.add(position, &format!("{path}.id"), text);
        }
        read.push(exception);
    }
    (read, time_max)
}

fn exception(node: Node, path: &str, problems: &mut Problems) -> Option<Exception> {
    let mut fields = Fields::of(node, path, EXCEPTION, problems)?;
    let id = fields.require_text("id", "records name the exception by it", problems);
    let id = id.and_then(|(id, at)| checked_name(id, at, &fields.path_of("id"), problems));
    let images = fields.require_text("match", "write a repository, or one with @digest", problems);
    let images =
        images.and_then(|(text, at)| covered(&text, at, &fields.path_of("match"), problems));
    let reason = fields.require_text("reason", "whoever reads of it wants to know", problems);
    if !fields.has("expires") {
        let text = "is missing; no exception is for ever";
        problems.add(fields.position, &fields.path_of("expires"), text);
    }
    let expires = moment_at(&mut fields, "expires", problems);
    let check = fields.require("check", "write check: {vulnerability: CVE-...}", problems);
    let check = check.and_then(|node| {
        let mut check = Fields::of(node, &fields.path_of("check"), CHECK, problems)?;
        let name = check.require_text("vulnerability", "write its CVE", problems);
        let name = name.and_then(|found| short(found, &check, "vulnerability", problems));
        let package = check.text("package", problems);
        let package = match package {
            Some(found) => Some(short(found, &check, "package", problems)?),
            None => None,
        };
        Some((name?, package))
    });
    let (images, digest) = images?;
    let (vulnerability, package) = check?;
    let (id, reason, expires) = (id?, reason?.0, expires?.0);
    let (part, position) = (None, fields.position);
    Some(Exception { id, images, digest, vulnerability, package, reason, expires, part, position })
}

fn short(
    (text, position): (String, Position),
    fields: &Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<String> {
    if text.len() <= SHORT_BYTES_MAX && !text.contains(char::is_whitespace) {
        return Some(text);
    }
    let text = format!("is not one word of at most {SHORT_BYTES_MAX} bytes");
    problems.add(position, &fields.path_of(key), text);
    None
}

/// The images that `text` means: a pattern of repositories, or one with a digest.
fn covered(
    text: &str,
    position: Position,
    path: &str,
    problems: &mut Problems,
) -> Option<(Pattern, Option<Digest>)> {
    let (images, digest) = match text.split_once('@') {
        Some((images, digest)) => (images, Some(digest)),
        None => (text, None),
    };
    let digest = digest.map(str::parse::<Digest>).transpose();
    match (Pattern::of_names(images), digest) {
        (Ok(images), Ok(digest)) => Some((images, digest)),
        (Err(error), _) => {
            problems.add(position, path, format!("\"{}\": {error}", extract(images)));
            None
        }
        (Ok(_), Err(error)) => {
            problems.add(position, path, error.to_string());
            None
        }
    }
}
