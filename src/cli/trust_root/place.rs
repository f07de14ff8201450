//! Putting a trust root where a policy reads it: never an older one for a newer one, all of it or nothing.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::difference::Difference;
use super::{bytes_of, indented, warnings_of};
use crate::cli::CliError;
use crate::oci::Digest;
use crate::policy;
use crate::signature::TrustRoot;

/// Who may read what is put there: it is no secret.
const MODE: u32 = 0o644;
/// Most links from a path to what is meant by it.
const LINKS_MAX: usize = 8;

/// A root that is to stand in a file.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    /// What the policy calls it.
    pub(super) name: &'a str,
    /// Where it is to stand.
    pub(super) to: &'a Path,
    pub(super) text: &'a str,
    /// What `text` says.
    pub(super) root: &'a TrustRoot,
}

/// What came of it, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Placed<'a> {
    name: &'a str,
    path: &'a Path,
    digest: Digest,
    changed: bool,
    changes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// # Errors
/// When `name` is not one that a policy can have.
pub(super) fn check_name(name: &str) -> Result<(), CliError> {
    if policy::is_plain_name(name) {
        return Ok(());
    }
    let text = "is not a plain name: letters, digits, . _ - and at most 63 of them";
    Err(CliError::misused(format!("--name {name:?} {text}")))
}

impl<'a> Candidate<'a> {
    /// Puts it in its place; with `force`, even where what is there is newer or has more.
    ///
    /// # Errors
    /// When what is there is not to be replaced or cannot be read, or this cannot be written.
    pub(super) fn place(&self, force: bool) -> Result<Placed<'a>, CliError> {
        let Self { name, to, text, root } = *self;
        let failed = |error: io::Error| {
            CliError::failed(format!("{} was not written", to.display())).caused_by(error)
        };
        let path = behind_links(to).map_err(failed)?;
        let there = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Whatever cannot be read is not lightly replaced, either.
            Err(_) | Ok(_) => Some(bytes_of(to)?),
        };
        let changed = there.as_deref() != Some(text.as_bytes());
        let Difference { changes, worse } = match there {
            Some(there) if changed => compared(&there, root),
            Some(_) | None => Difference::default(),
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
        if changed {
            write_whole(&path, text.as_bytes()).map_err(failed)?;
        }
        let warnings = warnings_of(root, text);
        let digest = Digest::sha256(text.as_bytes());
        Ok(Placed { name, path: to, digest, changed, changes, warnings })
    }
}

impl Placed<'_> {
    /// The same for people, without the warnings.
    pub(super) fn told(&self) -> String {
        let Self { name, path, digest, changed, changes, .. } = self;
        if !changed {
            return format!("{} has it already: {digest}", path.display());
        }
        let lines = if changes.is_empty() { "" } else { "changed:" };
        let lines = format!("{lines}{}", indented(changes));
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        format!(
            "wrote {}: {digest}\n{}In the policy:\n  trustRoots:\n    {name}: {{sigstore: \
             {{trustedRoot: \"file:{}\"}}}}\nA running mirror reads it with the policy: send it \
             SIGHUP.",
            path.display(),
            if lines.is_empty() { lines } else { lines + "\n" },
            whole.display()
        )
    }
}

/// What is different from the root `there`, if it is one.
fn compared(there: &[u8], root: &TrustRoot) -> Difference {
    let read = str::from_utf8(there).map_err(|_| "is not text".to_owned());
    let read = read.and_then(|it| TrustRoot::from_json(it).map_err(|error| error.to_string()));
    match read {
        Ok(there) => Difference::between(&there.parts(), &root.parts()),
        Err(error) => {
            let why = format!("what is there {error}");
            Difference { changes: vec!["everything".to_owned()], worse: vec![why] }
        }
    }
}

/// What `path` means: behind links, and be it that nothing is there yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..=LINKS_MAX {
        match fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            // No link, or nothing at all.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("more than {LINKS_MAX} links lead there")))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Puts `content` at `path`, all of it or nothing.
///
/// # Errors
/// When it cannot be written; then `path` is as it was.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".pratique-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
