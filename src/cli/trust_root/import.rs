//! `pratique trust-root import`: a newer root in the place of an older one, never the other way round.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{indented, mistakes_text, text_of, warnings_of};
use crate::cli::{CliError, output};
use crate::oci::Digest;
use crate::policy;
use crate::signature::{Part, TrustRoot, mistakes_in};
use crate::time::{Timestamp, Window};

/// Who may read what is put there: it is no secret.
const MODE: u32 = 0o644;

/// What is put where.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArguments {
    /// The file to take: a `trusted_root.json`
    file: PathBuf,
    /// What the policy calls it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where to put it
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Replace what is there even by something that is older, lists less, or counts for longer
    #[arg(long)]
    force: bool,
}

/// What came of it, for programs.
#[derive(Debug, Serialize)]
struct Imported<'a> {
    name: &'a str,
    path: &'a Path,
    digest: Digest,
    changed: bool,
    changes: Vec<String>,
    warnings: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When the file has mistakes, is not taken, or cannot be written.
pub(super) fn run(arguments: &ImportArguments, json: bool) -> Result<(), CliError> {
    let ImportArguments { file, name, to, force } = arguments;
    if !policy::is_plain_name(name) {
        let text = "is not a plain name: letters, digits, . _ - and at most 63 of them";
        return Err(CliError::misused(format!("--name {name:?} {text}")));
    }
    let text = text_of(file)?;
    let Ok(root) = TrustRoot::from_json(&text) else {
        return Err(CliError::misused(mistakes_text(file, &mistakes_in(&text))));
    };
    let Difference { changes, worse } = match fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Difference::default(),
        // Whatever cannot be read is not lightly replaced, either.
        Err(_) | Ok(_) => compared(to, &text, &root)?,
    };
    if !worse.is_empty() && !force {
        let text = format!(
            "{} was not replaced: the new root is not a newer one{}\nIt would change:{}\n\
             If that is meant, say --force.",
            to.display(),
            indented(&worse),
            indented(&changes)
        );
        return Err(CliError::refused(text));
    }
    // One byte more than the same would have tells the larger ones apart.
    let mut there = Vec::new();
    let most = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(to).and_then(|file| file.take(most).read_to_end(&mut there));
    let is_there = read.is_ok() && there == text.as_bytes();
    if !is_there {
        place(to, text.as_bytes()).map_err(|error| {
            CliError::failed(format!("{} was not written", to.display())).caused_by(error)
        })?;
    }
    let warnings = warnings_of(&root, &text);
    let digest = Digest::sha256(text.as_bytes());
    if json {
        let changed = !is_there;
        return output::print_json(&Imported {
            name,
            path: to,
            digest,
            changed,
            changes,
            warnings,
        });
    }
    for warning in &warnings {
        output::message(&format!("warning: {warning}"));
    }
    output::print(&told(arguments, &digest, is_there, &changes))
}

fn told(
    ImportArguments { name, to, .. }: &ImportArguments,
    digest: &Digest,
    is_there: bool,
    changes: &[String],
) -> String {
    let path = to.display();
    if is_there {
        return format!("{path} has it already: {digest}");
    }
    let lines = if changes.is_empty() { "" } else { "changed:" };
    let lines = format!("{lines}{}", indented(changes));
    let whole = std::path::absolute(to).unwrap_or_else(|_| to.clone());
    format!(
        "wrote {path}: {digest}\n{}In the policy:\n  trustRoots:\n    {name}: {{sigstore: \
         {{trustedRoot: \"file:{}\"}}}}\nA running mirror reads it with the policy: send it SIGHUP.",
        if lines.is_empty() { lines } else { lines + "\n" },
        whole.display()
    )
}

/// What one root has and another has not.
#[derive(Debug, Default)]
struct Difference {
    /// Everything, in words.
    changes: Vec<String>,
    /// What speaks against taking the new one for a newer one.
    worse: Vec<String>,
}

/// What is different from the root that stands in the file `to`.
fn compared(to: &Path, text: &str, root: &TrustRoot) -> Result<Difference, CliError> {
    let there = text_of(to)?;
    if there == text {
        return Ok(Difference::default());
    }
    Ok(match TrustRoot::from_json(&there) {
        Ok(there) => Difference::between(&there.parts(), &root.parts()),
        Err(error) => {
            let why = format!("what is there {error}");
            Difference { changes: vec!["everything".to_owned()], worse: vec![why] }
        }
    })
}

impl Difference {
    fn between(old: &[Part], new: &[Part]) -> Self {
        let mut found = Self::default();
        let same = |part: &Part, parts: &[Part]| -> Option<Window> {
            let is = |it: &&Part| it.kind == part.kind && it.fingerprint == part.fingerprint;
            parts.iter().find(is).map(|it| it.window)
        };
        let said = |sign: char, part: &Part| {
            format!("{sign} {} {} ({})", part.kind, part.name, part.fingerprint.short())
        };
        let start = |parts: &[Part]| parts.iter().filter_map(|part| part.window.start).max();
        if let (Some(old), Some(new)) = (start(old), start(new))
            && new < old
        {
            found.worse.push(format!("its newest part begins at {new}, and one there at {old}"));
        }
        for part in new {
            match same(part, old) {
                None => found.changes.push(said('+', part)),
                Some(before) if before != part.window => {
                    let (kind, name, now) = (part.kind, &part.name, part.window);
                    found.changes.push(format!("~ {kind} {name} counts {now}, was {before}"));
                    if is_wider(now, before) {
                        let why = format!("{kind} {name} would count longer than it does");
                        found.worse.push(why);
                    }
                }
                Some(_) => {}
            }
        }
        for part in old.iter().filter(|part| same(part, new).is_none()) {
            found.changes.push(said('-', part));
            found.worse.push(format!("{} {} is missing", part.kind, part.name));
        }
        found
    }
}

/// Whether `now` has a moment in it that `before` has not: an end that has been set stays.
fn is_wider(now: Window, before: Window) -> bool {
    let later = |now: Option<Timestamp>, before: Option<Timestamp>| {
        before.is_some_and(|before| now.is_none_or(|now| now > before))
    };
    let earlier = before.start.is_some_and(|before| now.start.is_none_or(|now| now < before));
    later(now.end, before.end) || earlier
}

/// Puts `content` at `path`, all of it or nothing.
fn place(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(".partial");
    let beside = folder.join(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    written().inspect_err(|_| drop(fs::remove_file(&beside)))
}
