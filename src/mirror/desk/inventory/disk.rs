//! Inventories in files: one for each cluster, whole or not there. They can be had again, so that what cannot be
//! read is told and left.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::Kept;
use crate::cluster::REPORT_BYTES_MAX;
use crate::node::place;

/// Where they lie, in the data directory.
pub(super) const FOLDER: &str = "inventory";
/// Who may read them: the program alone.
const MODE: u32 = 0o600;
/// What the name of one ends with.
const EXTENSION: &str = "json";
/// Largest file: a report, and who sent it when.
const FILE_BYTES_MAX: usize = REPORT_BYTES_MAX + 4_096;
/// Most files that are looked at.
const FILES_MAX: usize = 1_000;

/// Puts `kept` in its place in `dir`.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub(super) fn write(dir: &Path, kept: &Kept) -> io::Result<()> {
    let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
    let name = format!("{}.{EXTENSION}", kept.report.cluster);
    place::replace(&dir.join(name), &text, MODE)
}

/// Those in `dir`, the first `most` by name.
pub(super) fn read_all(dir: &Path, most: usize) -> Vec<Kept> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "inventories of before cannot be read");
            return Vec::new();
        }
    };
    let paths = entries.take(FILES_MAX).filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|it| it == EXTENSION)).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| match read(path) {
        Ok(kept) => Some(kept),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "an inventory of before cannot be read");
            None
        }
    };
    paths.iter().filter_map(read).take(most).collect()
}

fn read(path: &Path) -> io::Result<Kept> {
    let mut text = Vec::new();
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut text)?;
    let kept: Kept = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let is_its_own = path.file_stem().is_some_and(|it| *it == *kept.report.cluster.as_str());
    if is_its_own && kept.report.is_within_bounds() {
        return Ok(kept);
    }
    Err(io::Error::other("it is not as it was written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster;
    use crate::time::Timestamp;

    fn kept(name: &str) -> Kept {
        let found = cluster::from_json(&b"{\"kind\": \"List\", \"items\": []}"[..]).unwrap();
        let at = Timestamp::from_milliseconds(1_000);
        let report = found.report(name.parse().unwrap(), at, None);
        Kept { report, reporter: "robot".to_owned(), received_at: at }
    }

    #[test]
    fn what_was_written_is_read_again_and_what_is_damaged_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("inventory");
        assert_eq!(read_all(&dir, 9), []);
        for name in ["b", "a"] {
            write(&dir, &kept(name)).unwrap();
        }
        write(&dir, &kept("a")).unwrap();
        assert_eq!(read_all(&dir, 9), [kept("a"), kept("b")]);
        assert_eq!(read_all(&dir, 1), [kept("a")]);
        fs::copy(dir.join("a.json"), dir.join("c.json")).unwrap();
        fs::write(dir.join("b.json"), "{\"report\":").unwrap();
        fs::write(dir.join("d.json"), vec![b' '; FILE_BYTES_MAX + 9]).unwrap();
        assert_eq!(read_all(&dir, 9), [kept("a")]);
    }
}
