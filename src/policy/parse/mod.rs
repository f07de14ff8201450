//! From the text of a document to a policy, or to everything that is wrong with it.

mod approvals;
#[cfg(test)]
mod approvals_later_tests;
#[cfg(test)]
mod approvals_tests;
mod attestations;
mod break_glass;
#[cfg(test)]
mod break_glass_tests;
mod cases;
mod check;
mod clients;
mod exception_approvals;
mod expressions;
mod files;
mod floor;
mod gates;
mod isolation;
mod keys;
mod modes;
mod on_error;
#[cfg(test)]
mod on_error_tests;
mod overlays;
#[cfg(test)]
mod overlays_tests;
mod parts;
#[cfg(test)]
mod parts_tests;
mod reading;
mod rules;
mod signatures;
mod signers;
#[cfg(test)]
mod tests;
mod trust_roots;
mod units;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Policy;
use super::approval::ExceptionApproval;
use super::document::{SignerChange, TagMove};
use super::fields::{Fields, Problems, Words};
use super::files::PolicySource;
use super::mode::ModeUntil;
use super::problem::{Position, Problem};

use modes::WrittenMode;
use parts::path_of;
use reading::Reading;
pub use units::time_in;

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
        "breakGlass",
        "clients",
    ],
    later: &[
        (
            "import",
            "what it names has to be reviewed as part of the policy: pratique policy import",
        ),
        ("maxWaiver", "it is called maxException"),
        ("waivers", "they are called exceptions"),
    ],
};
const METADATA: Words =
    Words { known: &["name", "revision", "owner", "scope", "scopes"], later: &[] };
const DEFAULTS: Words = Words {
    known: &[
        "mode",
        "modeUntil",
        "onError",
        "signerChange",
        "staleVerdict",
        "tagMove",
        "exceptionApproval",
    ],
    later: &[],
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
        Self::parse_all(&[PolicySource { path: "", text }], read_file)
    }

    /// The policy in all of `sources`, of which one is the base and the others have a scope each;
    /// `read_file` reads the files they refer to, each path beginning where the source lies that has it.
    ///
    /// # Errors
    /// Everything that is wrong, by file and place. One file that is wrong is all of it that is wrong.
    pub fn parse_all(
        sources: &[PolicySource<'_>],
        read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let reading = Reading { sources, read_file };
        let policy = reading.policy(&mut problems);
        match policy {
            Some((mut policy, source)) if problems.0.is_empty() => {
                policy.source = Arc::new(source);
                Ok(policy)
            }
            _ => {
                for problem in &mut problems.0 {
                    path_of(sources, problem.number).clone_into(&mut problem.file);
                }
                Err(reported(problems.0))
            }
        }
    }

    /// The policy of a start without configuration: the known public registries, every image needs
    /// an approval.
    pub fn built_in() -> Self {
        let no_files = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        #[expect(clippy::expect_used, reason = "the text is part of the program, a test parses it")]
        Self::parse(BUILT_IN, &no_files).expect("the built-in policy is well formed")
    }

    /// Whether it is the one of a start without configuration, which no file has.
    pub fn is_built_in(&self) -> bool {
        self.source.text == BUILT_IN
    }
}

/// Sorted by place, once each, and not without end.
fn reported(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        if let Some(last) = problems.last().cloned() {
            let (key, text) = (String::new(), format!("and {more} more problems"));
            problems.push(Problem { key, text, ..last });
        }
    }
    problems
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

/// `metadata`, and the name in it.
fn read_metadata(top: &mut Fields, problems: &mut Problems) -> Option<(Fields, Option<String>)> {
    let node = top.require("metadata", "write metadata: {name: site, revision: 1}", problems)?;
    let mut metadata = Fields::of(node, "metadata", METADATA, problems)?;
    let name = metadata.require_text("name", "give the policy a name", problems);
    let name =
        name.and_then(|(name, position)| checked_name(name, position, "metadata.name", problems));
    Some((metadata, name))
}

/// The revision of the policy, which must have one.
fn read_revision(metadata: &mut Fields, problems: &mut Problems) -> Option<u64> {
    let before = problems.0.len();
    let revision = metadata.number("revision", problems);
    if revision.is_none() && problems.0.len() == before {
        let text = "is missing; write a number that grows with every version of the policy";
        problems.add(metadata.position, "metadata.revision", text);
    }
    revision.map(|(revision, _)| revision)
}

/// What holds where a rule says nothing else.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    mode: ModeUntil,
    tag_move: TagMove,
    signer_change: SignerChange,
    errors: on_error::Defaults,
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

/// The defaults, which may stand at the top or under `defaults`, but not in both places, and who grants
/// exceptions where a rule does not say so.
fn read_defaults(
    top: &mut Fields,
    approvals: &approvals::Approvals,
    problems: &mut Problems,
) -> (Defaults, Option<ExceptionApproval>) {
    let outer = Written::read(top, problems);
    let block = top.take("defaults");
    let block = block.and_then(|node| Fields::of(node, "defaults", DEFAULTS, problems));
    let position = block.as_ref().map_or(top.position, |block| block.position);
    let read = |mut block: Fields| {
        let errors = on_error::Defaults::read(&mut block, problems);
        let granting = exception_approvals::read(&mut block, approvals, problems).flatten();
        (Written::read(&mut block, problems), (errors, granting))
    };
    let (inner, (errors, granting)) = block.map(read).unwrap_or_default();
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
    let defaults = Defaults {
        mode: mode.or(ModeUntil::default(), "modeUntil", problems),
        tag_move: outer.tag_move.or(inner.tag_move).unwrap_or_default(),
        signer_change: outer.signer_change.or(inner.signer_change).unwrap_or_default(),
        errors,
    };
    (defaults, granting)
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
