//! The key in force, and those before it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{KeyFileError, PublicKey, SigningKey};

/// The keys of one data directory. What they are read from and written to is a file, so every call may
/// block unless it says otherwise; none is for a worker of the runtime.
#[derive(Debug)]
pub struct Keyring {
    folder: Box<Path>,
    key: Mutex<Option<Arc<SigningKey>>>,
    rotations: AtomicU64,
}

impl Keyring {
    /// The keys in `folder`. Nothing is read or made yet: what is wrong with a key is no reason not to
    /// start, and making one takes up to a second.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), key: Mutex::new(None), rotations: AtomicU64::new(0) }
    }

    /// The key that signs; a new one, if there was none.
    ///
    /// # Errors
    /// When there is one that cannot be used, or none and none can be made and kept.
    pub fn current(&self) -> Result<Arc<SigningKey>, KeyFileError> {
        let mut key = self.key();
        if let Some(key) = key.as_ref() {
            return Ok(Arc::clone(key));
        }
        let new = Arc::new(SigningKey::open(&self.folder)?);
        *key = Some(Arc::clone(&new));
        Ok(new)
    }

    /// How often the key was rotated since the start: to tell whether something was signed with the one
    /// in force. Never blocks.
    pub fn generation(&self) -> u64 {
        self.rotations.load(Ordering::Acquire)
    }

    /// Makes a new key, with which everything is signed from now on; gives its public half.
    ///
    /// # Errors
    /// When it cannot be made or kept; the old key stays then.
    pub fn rotate(&self) -> Result<PublicKey, KeyFileError> {
        let old = self.current()?;
        // Locked until it is kept, so that every key that signed is remembered.
        let mut key = self.key();
        let old = key.as_ref().map_or(old, Arc::clone);
        let new = Arc::new(old.rotate(&self.folder)?);
        *key = Some(Arc::clone(&new));
        self.rotations.fetch_add(1, Ordering::Release);
        Ok(new.public().clone())
    }

    /// The public keys that signed before the one in force, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn retired(&self) -> Result<Vec<PublicKey>, KeyFileError> {
        SigningKey::retired(&self.folder)
    }

    fn key(&self) -> MutexGuard<'_, Option<Arc<SigningKey>>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
