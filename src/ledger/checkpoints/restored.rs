//! The checkpoint of a ledger that was restored: what tells a restored chain from one that was cut.

use std::path::Path;

use super::super::sealer::Sealer;
use super::super::{Error, archive, database};
use super::{grow, journal, keys, restored_origin};
use crate::transparency::{Checkpoint, Unsigned};

/// Signs the chain of the database `coming`, which is about to take the place of the ledger in `dir` and
/// ends with the record that says so. Nothing is signed where nothing was before, or without a key.
///
/// # Errors
/// When key or journal cannot be used.
pub(in crate::ledger) fn sign_restored(dir: &Path, coming: &Path) -> Result<(), Error> {
    let journal = journal::read(dir)?;
    let before: Vec<&Checkpoint> = journal.entries.iter().flatten().collect();
    let (Some(last), Some(signer)) = (before.last(), keys::read(dir)?) else { return Ok(()) };
    let connection = database::open_reader(coming)?;
    let (mut chain, mut tree) = archive::base(&connection, Some(&Sealer::plain()))?;
    let mut is_continued = false;
    loop {
        let to_last = last.size().saturating_sub(tree.size());
        let limit = if to_last == 0 { u64::MAX } else { to_last };
        let count = grow(&connection, &mut tree, &mut chain, limit)?;
        is_continued |= tree.size() == last.size() && tree.root() == *last.root();
        if count == 0 {
            break;
        }
    }
    let name = signer.public().name();
    let origin = match last.origin() {
        origin if is_continued && origin.starts_with(name) => origin.to_owned(),
        _ => restored_origin(name, chain.count),
    };
    let unsigned = Unsigned { origin: &origin, tree: &tree };
    let checkpoint = unsigned.sign(&signer).ok_or(Error::Random)?;
    journal::append(dir, &checkpoint, journal.whole_bytes).map(drop)
}
