//! The key that signs checkpoints, in a file of the data directory, and the list of all that ever did.
//!
//! The key is of its own: who verifies images has no use for it, and who has the other one cannot sign
//! the audit. Its file is in the form of Go's `note` package, and readable by its owner alone. The list
//! holds public keys in the order in which they came into use.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use super::super::{Error, database, head};
use crate::transparency::{KeyError, NoteSigner, VerifierKey};

/// The file with the key.
const FILE: &str = "audit-key";
/// The file with the public keys, in the directory of the audit.
const LIST: &str = "keys";
/// What the names of keys begin with; random digits follow, so that no two ledgers have one name.
const NAME: &str = "pratique.dev/audit/";
/// Random bytes in a name.
const NAME_BYTES: usize = 8;
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How a key was come by.
#[derive(Debug)]
pub(in crate::ledger) enum Opened {
    /// It is the one that signed last.
    Known(NoteSigner),
    /// It is the first.
    First(NoteSigner),
    /// It takes the place of another one.
    Instead(NoteSigner, VerifierKey),
}

impl Opened {
    /// The key, however it was come by.
    pub(in crate::ledger) const fn signer(&self) -> &NoteSigner {
        let (Self::Known(signer) | Self::First(signer) | Self::Instead(signer, _)) = self;
        signer
    }

    /// As [`signer`](Self::signer), by value.
    pub(in crate::ledger) fn into_signer(self) -> NoteSigner {
        let (Self::Known(signer) | Self::First(signer) | Self::Instead(signer, _)) = self;
        signer
    }
}

/// The key of the ledger in `dir`; a new one when there is none. Its public half is on the list then.
///
/// # Errors
/// [`Error::AuditKey`] when there is one that cannot be used: it is not replaced, because others may
/// rely on it. Else when files cannot be read or written.
pub(in crate::ledger) fn open(dir: &Path) -> Result<Opened, Error> {
    let before = listed(dir)?;
    let signer = read_or_create(dir)?;
    let opened = match before.last() {
        Some(last) if last == signer.public() => return Ok(Opened::Known(signer)),
        Some(last) => Opened::Instead(signer, last.clone()),
        None => Opened::First(signer),
    };
    let signer = opened.signer();
    let list: Vec<String> =
        before.iter().chain([signer.public()]).map(ToString::to_string).collect();
    head::prepare(dir)?;
    write_private(&list_path(dir), &format!("{}\n", list.join("\n")))?;
    Ok(opened)
}

/// The key of the ledger in `dir`; a new one when there is none, which is not on the list yet.
///
/// # Errors
/// As [`open`].
pub(in crate::ledger) fn read_or_create(dir: &Path) -> Result<NoteSigner, Error> {
    match read(dir)? {
        Some(signer) => Ok(signer),
        None => create(dir),
    }
}

/// The key of the ledger in `dir`, if there is one.
///
/// # Errors
/// As [`open`].
pub(in crate::ledger) fn read(dir: &Path) -> Result<Option<NoteSigner>, Error> {
    let path = dir.join(FILE);
    let Some(text) = text(&path)? else { return Ok(None) };
    let signer = NoteSigner::from_text(text.trim_end());
    signer.map(Some).map_err(|source| Error::AuditKey { path, source })
}

/// The public keys of the ledger in `dir`, the one in use last.
///
/// # Errors
/// As [`open`].
pub(in crate::ledger) fn public(dir: &Path) -> Result<Vec<VerifierKey>, Error> {
    let listed = listed(dir)?;
    if !listed.is_empty() {
        return Ok(listed);
    }
    Ok(read(dir)?.map(|signer| signer.public().clone()).into_iter().collect())
}

fn list_path(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join(LIST)
}

fn listed(dir: &Path) -> Result<Vec<VerifierKey>, Error> {
    let path = list_path(dir);
    let Some(text) = text(&path)? else { return Ok(Vec::new()) };
    let keys = text.lines().map(str::parse).collect::<Result<Vec<VerifierKey>, KeyError>>();
    keys.map_err(|source| Error::AuditKey { path, source })
}

pub(in crate::ledger) fn text(path: &Path) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::file("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn create(dir: &Path) -> Result<NoteSigner, Error> {
    let path = dir.join(FILE);
    let failed = |source| Error::AuditKey { path: path.clone(), source };
    let mut random = [0; NAME_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::Random)?;
    let signer = NoteSigner::generate(&format!("{NAME}{}", hex::encode(random))).map_err(failed)?;
    let text = signer.to_text().map_err(failed)?;
    write_private(&path, &format!("{text}\n"))?;
    tracing::info!(key = %signer.public(), "a key for checkpoints of the audit was made");
    Ok(signer)
}

/// Writes `text` to `path` for its owner alone: all of it or nothing.
pub(in crate::ledger) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &partial)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = database::private()
        .create_new(true)
        .open(&partial)
        .map_err(Error::file("create", &partial))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Error::file("write", &partial))?;
    fs::rename(&partial, path).map_err(Error::file("rename", &partial))?;
    path.parent().map_or(Ok(()), database::sync_directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_its_successor_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert!(public(dir.path()).unwrap().is_empty());
        let Opened::First(first) = open(dir.path()).unwrap() else { panic!("it is the first") };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let Opened::Known(again) = open(dir.path()).unwrap() else { panic!("it is known") };
        assert_eq!(first.public(), again.public());
        fs::remove_file(&path).unwrap();
        let Opened::Instead(second, before) = open(dir.path()).unwrap() else { panic!("another") };
        assert_eq!(before, *first.public());
        assert_eq!(public(dir.path()).unwrap(), [first.public().clone(), second.public().clone()]);
        fs::remove_dir_all(dir.path().join("audit")).unwrap();
        assert_eq!(public(dir.path()).unwrap(), [second.public().clone()]);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let path = dir.path().join(FILE);
        let good = fs::read_to_string(&path).unwrap();
        for text in ["", "x", &good[..good.len() / 2], &good.replace("audit/", "audit/0")] {
            fs::write(&path, text).unwrap();
            let error = open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("audit-key is no key"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
