//! A permit: the word of two people that some nodes may be opened, for a while, in a time.
//!
//! A file of lines, each an envelope with one signature over the same text. It is made when there is
//! time to think, and kept where it can be had when there is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::node::place;
use crate::oci::from_strict_slice;
use crate::signature::{Envelope, Key, SigningKey, SigningKeyError};
use crate::time::Timestamp;

/// The folder with the public keys of those whose signatures count, a PEM file each, on a node.
pub const OPENERS: &str = "/etc/pratique/openers";
/// How many of them have to have signed.
pub const SIGNATURES_MIN: usize = 2;
/// Most signatures of one permit.
const SIGNATURES_MAX: usize = 16;
/// Most keys of openers.
const OPENERS_MAX: usize = 64;
/// Most names of nodes.
const NODES_MAX: usize = 500;
/// Longest that a node is open by one permit.
const LONGEST: Duration = Duration::from_hours(24);
/// Longest time in which a permit counts.
const VALID_MAX: Duration = Duration::from_hours(24 * 400);
/// Longest text of what it is for, in characters.
const FOR_MAX: usize = 300;
const TYPE: &str = "application/vnd.pratique.node-permit+json";
/// Who may not write into what is believed.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What two people say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permit {
    /// How it is called: `NP-` and eight digits.
    pub id: String,
    /// The nodes it is for, by name; `*` at the end for how names begin.
    pub nodes: Vec<String>,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// For how long a node is open by it at most, in minutes.
    pub minutes: u32,
    /// What it is for.
    pub made_for: String,
}

/// A permit that counts on this node now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub permit: Permit,
    /// Who signed it, by the names of their keys.
    pub signers: Vec<String>,
}

/// Why a permit does not count.
#[derive(Debug, thiserror::Error)]
pub enum PermitError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no permit.
    #[error("it is no permit: {0}")]
    Form(String),
    /// It is not for this node.
    #[error("permit {permit} is not for node {node}; it is for {nodes}")]
    OtherNode {
        /// The permit.
        permit: String,
        /// This node.
        node: String,
        /// Whom it is for.
        nodes: String,
    },
    /// Not yet, or not any more.
    #[error("permit {permit} counts from {from} until {until}, and it is {now} here")]
    Time {
        /// The permit.
        permit: String,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// The time of this node.
        now: Timestamp,
    },
    /// Too few have signed it.
    #[error(
        "permit {permit} needs the signatures of {SIGNATURES_MIN} of the keys in {OPENERS}; found {found}"
    )]
    Signatures {
        /// The permit.
        permit: String,
        /// Whose were found.
        found: String,
    },
    /// The keys on the node may be anybody's.
    #[error("{path} {why}")]
    Openers {
        /// The file or folder.
        path: PathBuf,
        /// What is the matter.
        why: &'static str,
    },
    /// It cannot be signed.
    #[error("it cannot be signed: {0}")]
    Sign(SigningKeyError),
}

impl Permit {
    /// For how long a node is open by it at most.
    pub fn longest(&self) -> Duration {
        Duration::from_secs(u64::from(self.minutes) * 60)
    }

    /// What is wrong with it, whoever signed it.
    ///
    /// # Errors
    /// [`PermitError::Form`].
    pub fn check(&self) -> Result<(), PermitError> {
        let wrong = |text: &str| Err(PermitError::Form(text.to_owned()));
        let is_id = self.id.strip_prefix("NP-").is_some_and(|id| {
            id.len() == 8 && id.bytes().all(|it| it.is_ascii_hexdigit() && !it.is_ascii_uppercase())
        });
        let is_name = |name: &String| {
            let name = name.strip_suffix('*').unwrap_or(name);
            name.len() <= 253
                && name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_'))
        };
        let is_line = |text: &str| {
            !text.trim().is_empty()
                && text.chars().count() <= FOR_MAX
                && !text.chars().any(char::is_control)
        };
        if !is_id {
            return wrong("its id is not NP- and eight digits of hexadecimal");
        }
        if self.nodes.is_empty() || self.nodes.len() > NODES_MAX || !self.nodes.iter().all(is_name)
        {
            return wrong("its nodes are no names (worker-1), or beginnings of names (worker-*)");
        }
        if self.minutes == 0 || self.longest() > LONGEST {
            return wrong("it is for 1 min to 24 h");
        }
        if self.not_after <= self.not_before || self.not_after > self.not_before.after(VALID_MAX) {
            return wrong("it counts for no time, or for more than 400 days");
        }
        if !is_line(&self.made_for) {
            return wrong("what it is for is one line of 1 to 300 characters");
        }
        Ok(())
    }

    fn is_for(&self, node: &str) -> bool {
        self.nodes.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => node.starts_with(beginning),
            None => node == name,
        })
    }

    /// The envelope that says it, signed.
    ///
    /// # Errors
    /// [`PermitError::Form`], [`PermitError::Sign`].
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, PermitError> {
        self.check()?;
        let payload =
            serde_json::to_vec(self).map_err(|error| PermitError::Form(error.to_string()))?;
        key.sign(TYPE, &payload).map_err(PermitError::Sign)
    }
}

/// A file with a permit: what it says, and what should be signatures of it.
#[derive(Debug)]
pub struct PermitFile {
    /// What it says; whether anybody does, [`counts`](Self::counts) tells.
    pub permit: Permit,
    envelopes: Vec<Envelope>,
}

impl PermitFile {
    /// The one in `text`.
    ///
    /// # Errors
    /// [`PermitError::Form`].
    pub fn parse(text: &str) -> Result<Self, PermitError> {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let wrong = |text: String| PermitError::Form(text);
        if lines.is_empty() || lines.len() > SIGNATURES_MAX {
            return Err(wrong(format!("it has {} lines, each is a signature", lines.len())));
        }
        let mut envelopes = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let envelope = Envelope::parse(line.as_bytes(), TYPE);
            envelopes.push(envelope.map_err(|error| wrong(format!("line {} {error}", index + 1)))?);
        }
        let first = envelopes.first().map(Envelope::payload).unwrap_or_default();
        if envelopes.iter().any(|envelope| envelope.payload() != first) {
            return Err(wrong("its lines say different things".to_owned()));
        }
        let permit: Permit =
            from_strict_slice(first).map_err(|error| wrong(error.without_content()))?;
        permit.check()?;
        Ok(Self { permit, envelopes })
    }

    /// The ids of the keys that are named.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.envelopes.iter().map(Envelope::key_id)
    }

    /// What counts on the node called `node` below `root` at `now`.
    ///
    /// # Errors
    /// See [`PermitError`].
    pub fn counts(self, root: &Path, node: &str, now: Timestamp) -> Result<Signed, PermitError> {
        let permit = self.permit;
        if !permit.is_for(node) {
            return Err(PermitError::OtherNode {
                permit: permit.id,
                node: node.to_owned(),
                nodes: permit.nodes.join(", "),
            });
        }
        if now < permit.not_before || now >= permit.not_after {
            return Err(PermitError::Time {
                permit: permit.id,
                from: permit.not_before,
                until: permit.not_after,
                now,
            });
        }
        let openers = openers(root)?;
        // By key: one person with one key in two files, or who signed twice, is one person.
        let mut signers = BTreeMap::new();
        for envelope in &self.envelopes {
            let by = openers.iter().find(|(_, key)| envelope.verify(key).is_ok());
            if let Some((name, key)) = by {
                signers.insert(key.id(), name.clone());
            }
        }
        let mut names: Vec<String> = signers.into_values().collect();
        names.sort_unstable();
        if names.len() < SIGNATURES_MIN {
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(PermitError::Signatures { permit: permit.id, found });
        }
        Ok(Signed { permit, signers: names })
    }
}

/// The keys of openers on the node below `root`, by name.
fn openers(root: &Path) -> Result<Vec<(String, Key)>, PermitError> {
    let folder = root.join(OPENERS.trim_start_matches('/'));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PermitError::Io { path, source }
    };
    believed(&folder)?;
    let mut keys = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
        let path = entry.map_err(failed(&folder))?.path();
        let is_key = path.extension().is_some_and(|it| it == "pem" || it == "pub");
        let Some(name) = path.file_stem().and_then(|it| it.to_str()).filter(|_| is_key) else {
            continue;
        };
        if keys.len() == OPENERS_MAX {
            return Err(PermitError::Openers { path: folder, why: "has more than 64 keys" });
        }
        believed(&path)?;
        let pem = place::read(&path).map_err(failed(&path))?.unwrap_or_default();
        let key = Key::from_pem(&String::from_utf8_lossy(&pem)).map_err(|_| {
            PermitError::Openers { path: path.clone(), why: "is no public key in PEM" }
        })?;
        keys.push((name.to_owned(), key));
    }
    keys.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(keys)
}

/// Nobody but its owner, who is root or whoever runs this, may write there.
fn believed(path: &Path) -> Result<(), PermitError> {
    let metadata =
        fs::metadata(path).map_err(|source| PermitError::Io { path: path.to_owned(), source })?;
    let why = if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        "may be written by others; chmod go-w"
    } else if metadata.uid() != 0 && metadata.uid() != rustix::process::getuid().as_raw() {
        "belongs to somebody else; chown root:root"
    } else {
        return Ok(());
    };
    Err(PermitError::Openers { path: path.to_owned(), why })
}

/// For people.
impl std::fmt::Display for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        writeln!(text, "permit   {}", self.id)?;
        writeln!(text, "nodes    {}", self.nodes.join(", "))?;
        writeln!(text, "counts   {} until {}", self.not_before, self.not_after)?;
        writeln!(text, "for      {} min at most", self.minutes)?;
        write!(text, "because  {}", self.made_for)?;
        f.write_str(&text)
    }
}
