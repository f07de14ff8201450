//! A policy as it lies on disk: one file, or a folder with a base file and files for a scope each.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::policy_file::PolicyError;
use super::snapshot::{Limits, Snapshot, SnapshotError};
use crate::gate::ReadyPolicy;
use crate::oci::Digest;
use crate::policy::{Policy, PolicySource, Problem};

/// Largest file of a policy, and largest that one refers to (a public key, a trust root), in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest sum of the files of one policy, in bytes; what they refer to is not among it.
const TOTAL_BYTES_MAX: usize = 8 * 1024 * 1024;
const LIMITS: Limits =
    Limits { files: 2_000, depth: 4, file_bytes: FILE_BYTES_MAX, follows_links: true };
/// How often a folder is read again that changed while it was read.
const ATTEMPTS_MAX: usize = 10;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(20);
/// In what the name of a file ends that is one of a policy.
const ENDINGS: [&str; 2] = [".yaml", ".yml"];
/// And one that is, where it says so: keys and trust roots end so too.
const JSON_ENDING: &str = ".json";
const JSON_MARK: &str = "pratique.dev/";

/// The texts of a policy, all of one moment.
#[derive(Debug)]
pub struct PolicyOnDisk {
    snapshot: Snapshot,
    sources: Vec<(String, String)>,
    /// What was no text of a policy.
    problems: Vec<Problem>,
}

impl PolicyOnDisk {
    /// Reads what lies at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or there is something in a folder that is not taken.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let unreadable = |source| PolicyError::Read { path: path.to_owned(), source };
        let wrong = |problems| PolicyError::Problems { path: path.to_owned(), problems };
        let snapshot = Snapshot::of(path, LIMITS).map_err(|error| match error {
            SnapshotError::Read(source) => unreadable(source),
            SnapshotError::Refused { file, text } => wrong(vec![Problem::of_file(&file, text)]),
        })?;
        let (mut sources, mut problems, mut total) = (Vec::new(), Vec::new(), 0_usize);
        for name in snapshot.paths() {
            let lower = name.to_ascii_lowercase();
            let is_json = lower.ends_with(JSON_ENDING);
            if snapshot.is_folder() && !is_json && !ENDINGS.iter().any(|it| lower.ends_with(it)) {
                continue;
            }
            let content = match snapshot.read(Path::new(name)) {
                Ok(content) => content,
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    problems.push(Problem::of_file(name, "is larger than 1 MiB"));
                    continue;
                }
                Err(error) => return Err(unreadable(error)),
            };
            let Ok(text) = String::from_utf8(content) else {
                problems.push(Problem::of_file(name, "is not text in UTF-8"));
                continue;
            };
            if snapshot.is_folder() && is_json && !text.contains(JSON_MARK) {
                continue;
            }
            total = total.saturating_add(text.len());
            let called = if snapshot.is_folder() { name.to_owned() } else { String::new() };
            sources.push((called, text));
        }
        if total > TOTAL_BYTES_MAX {
            problems.push(Problem::of_file("", "all files together are larger than 8 MiB"));
        }
        if sources.is_empty() && problems.is_empty() {
            let text = "has no policy in it: no file ends in .yaml";
            problems.push(Problem::of_file("", text));
        }
        Ok(Self { snapshot, sources, problems })
    }

    /// Its files; one without a path where it is no folder.
    pub fn sources(&self) -> Vec<PolicySource<'_>> {
        self.sources.iter().map(|(path, text)| PolicySource { path, text }).collect()
    }

    /// What is in a file that it refers to: paths that are not absolute begin where it lies, and no file may
    /// have more than 1 MiB.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.snapshot.read(path)
    }

    /// The policy that it is.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn policy(&self) -> Result<ReadyPolicy, Vec<Problem>> {
        self.check()?;
        let read = |path: &Path| self.read_file(path);
        Policy::parse_all(&self.sources(), &read).and_then(ReadyPolicy::new)
    }

    /// Nothing, where all of it is text that may be a policy.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems.clone()) }
    }

    /// Whether it is still what lies there: only then is what was read of one moment.
    pub fn is_current(&self) -> bool {
        self.snapshot.is_current()
    }

    /// A hash that is another one when anything of it is.
    pub(super) fn stamp(&self) -> Digest {
        let texts =
            self.sources.iter().map(|(_, text)| Digest::sha256(text.as_bytes()).to_string());
        let all: Vec<String> = texts.chain([self.snapshot.stamp().to_string()]).collect();
        Digest::sha256(all.join("\n").as_bytes())
    }
}

/// The files that the policy at `path` refers to, whether they can be read or not. Of what can be read only
/// once nothing is read.
pub fn policy_references(path: &Path) -> Vec<PathBuf> {
    let is_on_disk = std::fs::metadata(path).is_ok_and(|it| it.is_file() || it.is_dir());
    let Some(disk) = is_on_disk.then(|| PolicyOnDisk::read(path).ok()).flatten() else {
        return Vec::new();
    };
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let referred = RefCell::default();
    let read = |file: &Path| {
        let at = folder.map_or_else(|| file.to_owned(), |folder| folder.join(file));
        Vec::push(&mut referred.borrow_mut(), at);
        disk.read_file(file)
    };
    // What is wrong with it is told by whoever puts it in force.
    drop(Policy::parse_all(&disk.sources(), &read));
    referred.into_inner()
}

/// What `make` makes of the policy at `path`, when that did not change meanwhile; where it does, again.
///
/// # Errors
/// What `make` says of a policy that did not change, and where it does not come to rest.
pub fn of_one_moment<T>(
    path: &Path,
    make: impl Fn(&PolicyOnDisk) -> Result<T, PolicyError>,
) -> Result<T, PolicyError> {
    let mut last = PolicyError::Changing(path.to_owned());
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            // Waits on whoever reads it, which is no thread of the runtime.
            std::thread::park_timeout(PAUSE);
        }
        match PolicyOnDisk::read(path) {
            Ok(disk) => {
                let outcome = make(&disk);
                if disk.is_current() {
                    return outcome;
                }
                last = PolicyError::Changing(path.to_owned());
            }
            // It may have been taken away while it was read: then there is something else by now.
            Err(error @ PolicyError::Read { .. }) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The policy at `path`, or the built-in one where there is none.
///
/// # Errors
/// When it cannot be read or has mistakes; every one of them is named.
pub fn load_policy(path: Option<&Path>) -> Result<ReadyPolicy, PolicyError> {
    let Some(path) = path else { return Ok(ReadyPolicy::built_in()) };
    let wrong = |problems| PolicyError::Problems { path: PathBuf::from(path), problems };
    of_one_moment(path, |disk| disk.policy().map_err(wrong))
}
