//! From the text of a document to a policy, or to everything that is wrong with it.

mod approvals;
#[cfg(test)]
mod approvals_tests;
mod attestations;
mod cases;
mod check;
mod expressions;
mod floor;
mod gates;
mod keys;
mod modes;
mod overlays;
#[cfg(test)]
mod overlays_tests;
mod rules;
mod signatures;
mod signers;
#[cfg(test)]
mod tests;
mod trust_roots;
mod units;

use std::io;
use std::path::{Path, PathBuf};

use super::document::{PolicyId, SignerChange, TagMove, Trust};
use super::fields::{Fields, Problems, Words};
use super::lately::Lately;
use super::mode::ModeUntil;
use super::problem::{Position, Problem};
use super::yaml::Node;
use super::{Policy, yaml};
use crate::oci::{Algorithm, Hasher};

use modes::WrittenMode;

const API_VERSION: &str = "pratique.dev/v1";
const KIND: &str = "Policy";
/// Longest list of problems that is reported; the rest is counted.
const PROBLEMS_MAX: usize = 100;
/// Longest name of a policy, rule or signer in bytes: names appear in reason phrases.
pub(super) const NAME_BYTES_MAX: usize = 63;

const TOP: Words = Words {
    known: &[
        "apiVersion",
        "kind",
        "metadata",
        "mode",
        "modeUntil",
        "signerChange",
        "tagMove",
        "defaults",
        "floor",
        "trustRoots",
        "signers",
        "gates",
        "exceptions",
        "maxException",
        "approvalPolicies",
        "rules",
        "overlays",
        "expressions",
    ],
    later: &["breakGlass", "import", "maxWaiver", "waivers"],
};
const METADATA: Words = Words { known: &["name", "revision"], later: &[] };
const DEFAULTS: Words = Words {
    known: &["mode", "modeUntil", "signerChange", "tagMove"],
    later: &["onError", "staleVerdict"],
};

/// The policy that is in force when no other is configured.
const BUILT_IN: &str = include_str!("../built_in.yaml");

impl Policy {
    /// The policy in `text`; `read_file` reads the files it refers to (`file:` paths, as written).
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the document.
    pub fn parse(
        text: &str,
        read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut files = Files { read_file, hasher: Algorithm::Sha256.hasher() };
        files.add(text.as_bytes());
        let policy = yaml::read(text, &mut problems.0)
            .and_then(|root| read_policy(root, &mut files, &mut problems));
        match policy {
            Some(policy) if problems.0.is_empty() => Ok(policy),
            _ => Err(reported(problems.0)),
        }
    }

    /// The policy of a start without configuration: the known public registries, every image needs
    /// an approval.
    pub fn built_in() -> Self {
        let no_files = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        #[expect(clippy::expect_used, reason = "the text is part of the program, a test parses it")]
        Self::parse(BUILT_IN, &no_files).expect("the built-in policy is well formed")
    }
}

/// Sorted by place, once each, and not without end.
fn reported(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        let last = problems.last().map_or(Position::START, |problem| Position {
            line: problem.line,
            column: problem.column,
        });
        problems.push(Problem::new(last, "", format!("and {more} more problems")));
    }
    problems
}

/// The files that a policy refers to, hashed as they are read.
struct Files<'a> {
    read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    hasher: Hasher,
}

impl Files<'_> {
    /// Adds `content` to the identity, set apart from what comes before and after.
    fn add(&mut self, content: &[u8]) {
        self.hasher.update(&content.len().to_be_bytes());
        self.hasher.update(content);
    }

    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let content = (self.read_file)(&PathBuf::from(path))?;
        self.add(path.as_bytes());
        self.add(&content);
        Ok(content)
    }
}

fn read_policy(root: Node, files: &mut Files<'_>, problems: &mut Problems) -> Option<Policy> {
    let mut top = Fields::of(root, "", TOP, problems)?;
    fixed_word(&mut top, "apiVersion", API_VERSION, problems);
    fixed_word(&mut top, "kind", KIND, problems);
    let metadata = read_metadata(&mut top, problems);
    let defaults = read_defaults(&mut top, problems);
    let floor = match top.take("floor") {
        Some(node) => floor::read(node, problems),
        None => Some(Default::default()),
    };
    let trust_roots = match top.take("trustRoots") {
        Some(node) => trust_roots::read(node, files, problems),
        None => Vec::new(),
    };
    let signers = match top.take("signers") {
        Some(node) => signers::read(node, files, problems),
        None => Vec::new(),
    };
    let gates =
        top.take("gates").map(|node| gates::read(node, &signers, problems)).unwrap_or_default();
    let (exceptions, exception_time_max) = gates::exceptions(&mut top, problems);
    let approvals = top.take("approvalPolicies").map(|node| approvals::read(node, problems));
    let approvals = approvals.unwrap_or_default();
    let mut rules = match top.require("rules", "without a rule nothing is served", problems) {
        Some(node) => rules::read(node, defaults, (&gates, &approvals, &signers), problems),
        None => Vec::new(),
    };
    let overlays = top.take("overlays");
    let overlays = overlays.map(|node| overlays::read(node, defaults, &gates, problems));
    let overlays = overlays.unwrap_or_default();
    let expressions = top.take("expressions");
    let expressions = expressions.map(|node| expressions::read(node, problems));
    check::signers(&signers, problems);
    check::roots(&signers, &trust_roots, problems);
    for read in &rules {
        check::quorums(&read.quorums, &read.attestations, &signers, problems);
    }
    for read in &overlays {
        check::quorums(&read.quorums, &read.attestations, &signers, problems);
    }
    check::ids(&rules, problems);
    overlays::ids(&overlays, &rules, problems);
    check::ties(&rules, problems);
    let (name, revision) = metadata?;
    let (floor, gate) = floor?;
    for read in rules.iter_mut().filter(|read| read.rule.trust != Trust::Deny) {
        read.rule.gates.extend(gate.clone());
    }
    Some(Policy {
        name,
        revision,
        id: PolicyId(files.hasher.clone().finish()),
        mode: defaults.mode,
        tag_move: defaults.tag_move,
        floor,
        trust_roots,
        signers,
        exceptions,
        exception_time_max,
        rules: rules.into_iter().map(|read| read.rule).collect(),
        overlays: overlays.into_iter().map(|read| read.overlay).collect(),
        expressions: expressions.unwrap_or_default(),
        lately: Lately::default(),
    })
}

fn fixed_word(top: &mut Fields, key: &str, expected: &str, problems: &mut Problems) {
    let hint = format!("write {key}: {expected}");
    if let Some((word, position)) = top.require_text(key, &hint, problems)
        && word != expected
    {
        let found = super::fields::extract(&word);
        problems.add(position, key, format!("\"{found}\" is not known; {hint}"));
    }
}

fn read_metadata(top: &mut Fields, problems: &mut Problems) -> Option<(String, u64)> {
    let node = top.require("metadata", "write metadata: {name: site, revision: 1}", problems)?;
    let mut metadata = Fields::of(node, "metadata", METADATA, problems)?;
    let name = metadata.require_text("name", "give the policy a name", problems);
    let name =
        name.and_then(|(name, position)| checked_name(name, position, "metadata.name", problems));
    let revision = metadata.number("revision", problems);
    if revision.is_none() && problems.0.iter().all(|problem| problem.key != "metadata.revision") {
        let text = "is missing; write a number that grows with every version of the policy";
        problems.add(metadata.position, "metadata.revision", text);
    }
    Some((name?, revision?.0))
}

/// What holds where a rule says nothing else.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    mode: ModeUntil,
    tag_move: TagMove,
    signer_change: SignerChange,
}

/// What is written of the defaults in one place.
#[derive(Default)]
struct Written {
    mode: WrittenMode,
    tag_move: Option<TagMove>,
    signer_change: Option<SignerChange>,
}

impl Written {
    fn read(fields: &mut Fields, problems: &mut Problems) -> Self {
        Self {
            mode: WrittenMode::read(fields, problems),
            tag_move: read_tag_move(fields, problems),
            signer_change: read_signer_change(fields, problems),
        }
    }
}

/// The defaults, which may stand at the top or under `defaults`, but not in both places.
fn read_defaults(top: &mut Fields, problems: &mut Problems) -> Defaults {
    let outer = Written::read(top, problems);
    let block = top.take("defaults");
    let block = block.and_then(|node| Fields::of(node, "defaults", DEFAULTS, problems));
    let position = block.as_ref().map_or(top.position, |block| block.position);
    let inner = block.map(|mut block| Written::read(&mut block, problems)).unwrap_or_default();
    for (key, is_twice) in [
        ("mode", outer.mode.mode.is_some() && inner.mode.mode.is_some()),
        ("modeUntil", outer.mode.until.is_some() && inner.mode.until.is_some()),
        ("tagMove", outer.tag_move.is_some() && inner.tag_move.is_some()),
        ("signerChange", outer.signer_change.is_some() && inner.signer_change.is_some()),
    ] {
        if is_twice {
            let text = format!("stands at the top as {key} too; keep one of them");
            problems.add(position, &format!("defaults.{key}"), text);
        }
    }
    let mode = WrittenMode {
        mode: outer.mode.mode.or(inner.mode.mode),
        until: outer.mode.until.or(inner.mode.until),
    };
    Defaults {
        mode: mode.or(ModeUntil::default(), "modeUntil", problems),
        tag_move: outer.tag_move.or(inner.tag_move).unwrap_or_default(),
        signer_change: outer.signer_change.or(inner.signer_change).unwrap_or_default(),
    }
}

fn read_tag_move(fields: &mut Fields, problems: &mut Problems) -> Option<TagMove> {
    let choices = [("hold-new", TagMove::HoldNew), ("strict", TagMove::Strict)];
    fields.choice("tagMove", &choices, &[], problems)
}

fn read_signer_change(fields: &mut Fields, problems: &mut Problems) -> Option<SignerChange> {
    let choices = [("hold", SignerChange::Hold), ("allow", SignerChange::Allow)];
    fields.choice("signerChange", &choices, &[], problems)
}

/// Whether `name` may be the name of something in a policy: letters, digits, `.`, `_`, `-`, and not too
/// many of them.
pub fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain)
}

/// A name that may appear in reason phrases, metrics and file names.
fn checked_name(
    name: String,
    position: Position,
    path: &str,
    problems: &mut Problems,
) -> Option<String> {
    if is_plain_name(&name) {
        return Some(name);
    }
    let text = format!(
        "\"{}\" is not a plain name: letters, digits, . _ - and at most {NAME_BYTES_MAX} of them",
        super::fields::extract(&name)
    );
    problems.add(position, path, text);
    None
}
