//! Configuring a node, and putting back exactly what was there.
//!
//! What was there is kept, and written down, before anything is changed; each file is replaced in one
//! step; what is written down goes last when all is undone. So whatever moment ends a run, each file is
//! the old one or the new one, and the same run again completes it. An installation never opens what
//! was closed: a file that is not wanted any more, and stood in for somebody's, goes on leading to the
//! mirror until `uninstall`.

mod config_path;
mod hands;
mod journal;
mod plan;
mod undo;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use self::hands::Hands;
use self::journal::{Journal, Kept, hash};
pub use self::plan::{Plan, Planned};
pub use self::undo::{Undone, uninstall};
use super::Kind;

/// Where it is written down what was there, and where that is kept.
pub const STATE: &str = "/etc/pratique/node";
/// Held while a run is at work.
const LOCK: &str = "lock";

/// Why a node was not configured, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Something there would have to be shadowed.
    #[error("{}", refusals(.0))]
    Refused(Vec<String>),
    /// The runtime has no closed form, or its files cannot say what was asked for.
    #[error(transparent)]
    Render(#[from] super::render::RenderError),
    /// The runtime is not configured by files of a node.
    #[error("{0} is not configured by files of a node; pratique node render writes what it takes")]
    NotInstallable(&'static str),
    /// Another run is at work.
    #[error("another run is at work on this node ({STATE}/{LOCK}); wait for it")]
    Busy,
    /// What was written down cannot be read.
    #[error("{path}: {why}; without it nothing can be put back, so nothing was changed")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn refusals(all: &[String]) -> String {
    let plural = if all.len() == 1 { "" } else { "s" };
    format!("{} thing{plural} in the way; nothing was changed\n  {}", all.len(), all.join("\n  "))
}

/// What an installation did.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Files that are not wanted any more.
    pub removed: Vec<PathBuf>,
    /// Files that somebody had changed since the last time, and where that was put.
    pub changed: Vec<(PathBuf, PathBuf)>,
    /// What has to be done for it to be in force.
    pub restart: Option<&'static str>,
}

/// Configures the node whose files lie below `root` as `plan` says.
///
/// # Errors
/// See [`InstallError`]; the same run again goes on where this one ended.
pub fn install(root: &Path, plan: &Plan) -> Result<Installed, InstallError> {
    let hands = Hands::at(root);
    let _lock = lock(&hands)?;
    carry_out(&hands, plan)
}

fn carry_out(hands: &Hands, plan: &Plan) -> Result<Installed, InstallError> {
    let mut done = Installed::default();
    let mut journal = Journal::read(hands)?.unwrap_or_default();
    for planned in &plan.files {
        remember(hands, &mut journal, planned, &mut done)?;
    }
    let stale =
        journal.files.iter().filter(|kept| !plan.files.iter().any(|file| file.path == kept.path));
    let stale: Vec<Kept> = stale.cloned().collect();
    journal.write(hands)?;
    for planned in &plan.files {
        if hands.read(&planned.path)?.as_deref() != Some(planned.content.as_slice())
            || hands.mode(&planned.path)? != Some(planned.mode)
        {
            hands.replace(&planned.path, &planned.content, planned.mode)?;
            done.written.push(planned.path.clone());
        }
    }
    for kept in stale {
        undo::put_back(hands, &kept)?;
        journal.files.retain(|other| other.path != kept.path);
        journal.write(hands)?;
        Journal::forget(hands, &kept)?;
        done.removed.push(kept.path);
    }
    done.restart = restart(plan.kind, &done);
    Ok(done)
}

/// Keeps what is at the place of `planned`, unless it is ours.
fn remember(
    hands: &Hands,
    journal: &mut Journal,
    planned: &Planned,
    done: &mut Installed,
) -> Result<(), InstallError> {
    let there = hands.read(&planned.path)?;
    let now = there.as_deref().map(hash);
    let new = hash(&planned.content);
    if let Some(at) = journal.files.iter().position(|kept| kept.path == planned.path) {
        let backup = journal.free_backup();
        let Some(kept) = journal.files.get_mut(at) else { return Ok(()) };
        let is_known = now.as_ref().is_none_or(|now| {
            kept.ours.contains(now) || kept.original.as_ref().is_some_and(|was| was.sha256 == *now)
        });
        if let (false, Some(content)) = (is_known, &there) {
            let aside = Journal::backup_path(&format!("{backup}.changed"));
            hands.replace(&aside, content, 0o600)?;
            done.changed.push((planned.path.clone(), aside));
        }
        // What lies there may be ours of before; then it has to be known as such until it is replaced.
        kept.ours.retain(|ours| Some(ours) == now.as_ref());
        if !kept.ours.contains(&new) {
            kept.ours.push(new);
        }
        return Ok(());
    }
    let original = match &there {
        Some(content) => Some(journal.back_up(hands, &planned.path, content)?),
        None => None,
    };
    let made_folder = planned.path.parent().is_some_and(|folder| !hands.here(folder).exists());
    journal.files.push(Kept { path: planned.path.clone(), ours: vec![new], original, made_folder });
    Ok(())
}

/// What has to be done for `done` to be in force.
fn restart(kind: Kind, done: &Installed) -> Option<&'static str> {
    let touched =
        |name: &str| done.written.iter().chain(&done.removed).any(|path| path.ends_with(name));
    let agent = touched("registries.yaml") || touched("50-pratique.yaml");
    if kind == Kind::Containerd && touched("containerd/config.toml") {
        Some("systemctl restart containerd")
    } else if kind == Kind::Crio && touched("50-pratique.conf") {
        Some("systemctl reload crio")
    } else if kind == Kind::K3s && agent {
        Some("systemctl restart k3s (k3s-agent on an agent)")
    } else if kind == Kind::Rke2 && agent {
        Some("systemctl restart rke2-agent (rke2-server on a server)")
    } else {
        None
    }
}

/// Whether something was installed below `root`, and so can be put back.
pub fn is_installed(root: &Path) -> bool {
    Hands::at(root).here(&Journal::path()).exists()
}

fn lock(hands: &Hands) -> Result<File, InstallError> {
    let path = Path::new(STATE).join(LOCK);
    let here = hands.here(&path);
    let failed = |source| InstallError::Io { path: path.clone(), source };
    if let Some(folder) = here.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).append(true).open(&here).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Err(InstallError::Busy),
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests;
