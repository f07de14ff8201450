//! What is asked of metadata before it is verified, and what verifying leaves open.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sigstore_tuf::{Key, Metadata, Root, Targets};

use crate::oci::{JsonError, check_strict};

/// Highest version of a root: what is beyond would take longer than the world to get to.
const ROOT_VERSION_MAX: u64 = 1 << 32;

/// What is wrong with a file of metadata.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// One key counts as two.
    #[error("lists one key twice for the role {role:?}, as {first:?} and as {second:?}")]
    KeyTwice {
        /// The role that it may sign.
        role: String,
        /// One name of the key.
        first: String,
        /// The other.
        second: String,
    },
    /// It is not what it should be.
    #[error("is no TUF metadata: {0}")]
    Malformed(#[from] sigstore_tuf::Error),
    /// Two parsers could read it differently.
    #[error("is no TUF metadata: {}", .0.without_content())]
    NotStrict(#[from] JsonError),
    /// Its number cannot be one.
    #[error("has the version {0}")]
    Version(u64),
}

/// As much of a file as says what it is.
#[derive(Deserialize)]
struct Envelope {
    signed: Kind,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "_type", default)]
    kind: String,
}

/// Whether `bytes` are strict JSON, and no role in them may be signed by one key under two names: by
/// the book a name of a key is anything, and what is counted are names.
///
/// # Errors
/// What is wrong with them.
pub(super) fn look_over(bytes: &[u8]) -> Result<(), Fault> {
    check_strict(bytes)?;
    let unlike = |error| Fault::Malformed(sigstore_tuf::Error::Json(error));
    let Envelope { signed: Kind { kind } } = serde_json::from_slice(bytes).map_err(unlike)?;
    match kind.as_str() {
        "root" => {
            let root = Metadata::<Root>::from_slice(bytes)?.into_signed();
            if root.version == 0 || root.version > ROOT_VERSION_MAX {
                return Err(Fault::Version(root.version));
            }
            let mut roles = root.roles.iter();
            roles.try_for_each(|(role, may)| check_distinct(role, &may.keyids, &root.keys))
        }
        "targets" => {
            let targets = Metadata::<Targets>::from_slice(bytes)?.into_signed();
            let Some(delegations) = targets.delegations else { return Ok(()) };
            let mut roles = delegations.roles.iter();
            roles.try_for_each(|it| check_distinct(&it.name, &it.keyids, &delegations.keys))
        }
        // Nothing in these names a key; what they are is for whoever asked for them.
        _ => Ok(()),
    }
}

/// Whether no two of `ids` are the same key.
fn check_distinct(role: &str, ids: &[String], keys: &BTreeMap<String, Key>) -> Result<(), Fault> {
    let mut seen: BTreeMap<Vec<u8>, &String> = BTreeMap::new();
    for id in ids.iter().collect::<BTreeSet<_>>() {
        // A key that cannot be used verifies nothing, so it counts for nothing.
        let Some(Ok(key)) = keys.get(id).map(Key::verification_key) else { continue };
        if let Some(first) = seen.insert(key.as_bytes().to_vec(), id) {
            let (first, second) = (first.clone(), id.clone());
            return Err(Fault::KeyTwice { role: role.to_owned(), first, second });
        }
    }
    Ok(())
}
