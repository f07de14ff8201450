//! The way out: opening a node for a while, by a permit that two people signed beforehand.
//!
//! Promises:
//! - It works with the mirror down: nothing is asked of anybody. What decides is the permit, the keys of
//!   openers that lie on the node, and its clock.
//! - It closes itself, and whoever looks at the node before is told that it is open, until when and why.
//! - What was done is written down on the node before it is done, each line bound to the one before.
//!
//! Root on a node needs none of this to open it. It is for those who should not have to find out how, at
//! night, and for whoever asks afterwards.

mod permit;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

pub use self::permit::{OPENERS, Permit, PermitError, PermitFile, SIGNATURES_MIN, Signed};
use crate::node::Kit;
use crate::node::install::{InstallError, Installed, Plan, install};
use crate::node::opened::Opened;
use crate::node::openings::{self, JOURNAL, Line};
use crate::time::Timestamp;

/// Why a node was not opened, or not closed.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// It is open already.
    #[error("the node is open already, until {0}; pratique node close closes it")]
    AlreadyOpen(Timestamp),
    /// It was configured open in the first place.
    #[error("the node was installed with --open: there is nothing to open")]
    NeverClosed,
    /// The permit is for less time.
    #[error("permit {permit} is for {longest} min at most")]
    TooLong {
        /// The permit.
        permit: String,
        /// How long it is for, in minutes.
        longest: u64,
    },
    /// The permit does not count here and now.
    #[error(transparent)]
    Permit(#[from] PermitError),
    /// The files could not be put in their places.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// What was done cannot be written down, and so was not done.
    #[error("{path} cannot be written, and nothing is opened that is not written down")]
    Journal {
        /// The file.
        path: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Whether the node is open cannot be told.
    #[error("whether the node is open cannot be told")]
    State(#[source] io::Error),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// For how long.
    pub ttl: Duration,
    /// Why.
    pub reason: &'a str,
    /// Who says so, as the system knows them.
    pub by: &'a str,
}

/// Opens the node below `root`, which was installed as `kit` says, by `signed`.
///
/// # Errors
/// See [`OpeningError`]. After [`OpeningError::Install`] the node may be open in part, and says that it
/// is: [`close`] closes it.
pub fn open(
    root: &Path,
    kit: &Kit,
    signed: &Signed,
    wish: &Wish<'_>,
    now: Timestamp,
) -> Result<(Opened, Installed), OpeningError> {
    let permit = &signed.permit;
    if let Some(opened) = Opened::read(root).map_err(OpeningError::State)? {
        return Err(OpeningError::AlreadyOpen(opened.until));
    }
    if kit.open {
        return Err(OpeningError::NeverClosed);
    }
    if wish.ttl > permit.longest() {
        let longest = permit.longest().as_secs() / 60;
        return Err(OpeningError::TooLong { permit: permit.id.clone(), longest });
    }
    let opened = Opened {
        until: now.after(wish.ttl),
        permit: permit.id.clone(),
        reason: wish.reason.to_owned(),
    };
    // What is in the way is found out before anything is said to be open.
    let plan = Plan::make(root, &Kit { open: true, ..kit.clone() }, false)?;
    let line = Line::opened(now, &opened, &signed.signers, wish.by);
    written_down(openings::append(root, &line))?;
    opened.write(root).map_err(OpeningError::State)?;
    let done = install(root, &plan)?;
    Ok((opened, done))
}

/// Closes the node below `root` again, which is configured as `kit` says; `None` when it is not open.
///
/// # Errors
/// See [`OpeningError`]; the same again goes on where this ended.
pub fn close(
    root: &Path,
    kit: &Kit,
    by: &str,
    now: Timestamp,
) -> Result<Option<Installed>, OpeningError> {
    let Some(opened) = Opened::read(root).map_err(OpeningError::State)? else { return Ok(None) };
    let plan = Plan::make(root, &Kit { open: false, ..kit.clone() }, false)?;
    let done = install(root, &plan)?;
    // Closed is closed, also where that cannot be written down.
    let line = Line::closed(now, &opened, by);
    let noted = written_down(openings::append(root, &line));
    Opened::remove(root).map_err(OpeningError::State)?;
    noted?;
    Ok(Some(done))
}

fn written_down(outcome: io::Result<()>) -> Result<(), OpeningError> {
    outcome.map_err(|source| OpeningError::Journal { path: JOURNAL, source })
}
