//! What mirrors signed: verification summaries in Sigstore bundles that rest on one key.
//!
//! Spec: <https://slsa.dev/spec/v1.1/verification_summary>, <https://github.com/secure-systems-lab/dsse>

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::asking::BUNDLE_BYTES_MAX;
use super::connection::read_bounded;
use super::question::Question;
use super::settings::Offline;

/// The media type of a bundle.
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The predicate of a summary.
pub(super) const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// Largest key file in bytes.
const KEY_BYTES_MAX: usize = 16 * 1024;
/// Most summaries that are kept; beyond, nothing new is remembered until old ones are gone.
const FILES_MAX: usize = 20_000;
/// How far a verdict may lie in the future: clocks differ.
const SKEW_MAX: Duration = Duration::from_mins(5);
/// What others may not do with the folder: write into it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why no summary admits an image.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// There is none.
    #[error("no summary of {0} is kept")]
    None(String),
    /// It cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is the matter.
        problem: String,
    },
    /// It is no summary.
    #[error("the summary is damaged: {0}")]
    Damaged(&'static str),
    /// No key that is trusted has signed it.
    #[error("the summary is signed by none of the keys")]
    Signature,
    /// It speaks of something else.
    #[error("the summary does not say that this image passed: {0}")]
    Other(&'static str),
    /// It has run out.
    #[error("the summary of {0} is too old")]
    Old(String),
}

/// A bundle as it was read; what it says is not believed before it is verified.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    bytes: Vec<u8>,
    payload: Vec<u8>,
    payload_type: String,
    signatures: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundleFile {
    media_type: String,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    verification_result: String,
    resource_uri: String,
    time_verified: String,
}

impl Bundle {
    /// # Errors
    /// [`NotAdmitted::Damaged`].
    pub(super) fn read(bytes: &[u8]) -> Result<Self, NotAdmitted> {
        let damaged = NotAdmitted::Damaged;
        let file: BundleFile =
            serde_json::from_slice(bytes).map_err(|_| damaged("it is no bundle"))?;
        if file.media_type != BUNDLE {
            return Err(damaged("it is a bundle of another version"));
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| damaged("it is no base64"));
        let envelope = file.dsse_envelope;
        let signatures: Result<_, _> =
            envelope.signatures.iter().map(|it| decode(&it.sig)).collect();
        Ok(Self {
            bytes: bytes.to_vec(),
            payload: decode(&envelope.payload)?,
            payload_type: envelope.payload_type,
            signatures: signatures?,
        })
    }

    /// When the verdict was reached, if one of `keys` signed that the question's image passed.
    fn verified(
        &self,
        question: &Question,
        keys: &[Vec<u8>],
    ) -> Result<jiff::Timestamp, NotAdmitted> {
        if self.payload_type != STATEMENT {
            return Err(NotAdmitted::Other("it is no statement"));
        }
        let signed = pae(&self.payload_type, &self.payload);
        // One signature is what a mirror makes; of more, all would have to be understood.
        let [signature] = self.signatures.as_slice() else { return Err(NotAdmitted::Signature) };
        let is_by = |key: &Vec<u8>| {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                .verify(&signed, signature)
                .is_ok()
        };
        if !keys.iter().any(is_by) {
            return Err(NotAdmitted::Signature);
        }
        let statement: Statement = serde_json::from_slice(&self.payload)
            .map_err(|_| NotAdmitted::Other("it is another statement"))?;
        statement.says_passed(question)?;
        let at = statement.predicate.time_verified.parse();
        at.map_err(|_| NotAdmitted::Other("it says no time"))
    }
}

impl Statement {
    fn says_passed(&self, question: &Question) -> Result<(), NotAdmitted> {
        let digest = question.digest();
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        let is_of = |subject: &Subject| subject.digest.get(algorithm).is_some_and(|it| it == hex);
        let (registry, repository) = (question.registry(), question.repository());
        let by_registry = format!("oci://{registry}/{repository}@{digest}");
        // Pulled by the mirror's own name, the path names the registry.
        let by_mirror = format!("oci://{repository}@{digest}");
        let resource = &self.predicate.resource_uri;
        if self.predicate_type != PREDICATE_TYPE {
            return Err(NotAdmitted::Other("it is no verification summary"));
        }
        if !matches!(self.subject.as_slice(), [subject] if is_of(subject)) {
            return Err(NotAdmitted::Other("it is about another digest"));
        }
        if *resource != by_registry && *resource != by_mirror {
            return Err(NotAdmitted::Other("it is about another repository"));
        }
        if self.predicate.verification_result != "PASSED" {
            return Err(NotAdmitted::Other("the result is another"));
        }
        Ok(())
    }
}

/// What an envelope's signature is over.
fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend_from_slice(payload);
    signed
}

/// The folder with summaries, and the keys that count.
#[derive(Debug)]
pub struct Summaries<'a> {
    offline: &'a Offline,
}

impl<'a> Summaries<'a> {
    /// Those of `offline`; nothing is read yet.
    pub fn new(offline: &'a Offline) -> Self {
        Self { offline }
    }

    /// When the verdict was reached by which the question's image is admitted.
    ///
    /// # Errors
    /// See [`NotAdmitted`].
    pub fn admits(
        &self,
        question: &Question,
        now: SystemTime,
    ) -> Result<jiff::Timestamp, NotAdmitted> {
        self.is_ours()?;
        let path = self.path(question);
        let failed = |problem: String| NotAdmitted::File { path: path.clone(), problem };
        let bytes = match read_bounded(&path, BUNDLE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(NotAdmitted::None(question.digest().to_owned()));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        let at = Bundle::read(&bytes)?.verified(question, &self.keys()?)?;
        let confirmed = fs::metadata(&path).and_then(|file| file.modified());
        let confirmed = confirmed.map_err(|error| failed(error.to_string()))?;
        let reached = SystemTime::from(at);
        let is_ahead = |time: SystemTime| time.duration_since(now).is_ok_and(|it| it > SKEW_MAX);
        if is_ahead(reached) {
            return Err(NotAdmitted::Other("it is of the future; is the clock right?"));
        }
        let last = if is_ahead(confirmed) { reached } else { reached.max(confirmed) };
        let age = now.duration_since(last).unwrap_or_default();
        if age > self.offline.max_age {
            return Err(NotAdmitted::Old(question.digest().to_owned()));
        }
        Ok(at)
    }

    /// Whether a good summary is there; it counts from `now` then, because the mirror has just said so.
    pub(super) fn confirm(&self, question: &Question, now: SystemTime) -> bool {
        let Ok(keys) = self.keys() else { return false };
        let path = self.path(question);
        let is_good = read_bounded(&path, BUNDLE_BYTES_MAX).is_ok_and(|bytes| {
            Bundle::read(&bytes).is_ok_and(|it| it.verified(question, &keys).is_ok())
        });
        let file = is_good.then(|| File::options().append(true).open(&path));
        matches!(file, Some(Ok(file)) if file.set_modified(now).is_ok())
    }

    /// Keeps `bundle` if it admits the question's image; whether it is there now.
    pub(super) fn keep(&self, question: &Question, bundle: &Bundle, now: SystemTime) -> bool {
        let folder = &self.offline.summaries;
        if fs::create_dir_all(folder).is_err() || self.is_ours().is_err() {
            return false;
        }
        let Ok(keys) = self.keys() else { return false };
        if bundle.verified(question, &keys).is_err() || !self.has_room(now) {
            return false;
        }
        let written = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&bundle.bytes)?;
            file.as_file().set_modified(now)?;
            file.as_file().sync_all()?;
            file.persist(self.path(question)).map_err(|error| error.error)?;
            Ok(())
        };
        written().is_ok()
    }

    /// How many summaries there are, if folder and keys can be used.
    ///
    /// # Errors
    /// [`NotAdmitted::File`].
    pub fn usable(&self) -> Result<usize, NotAdmitted> {
        self.keys()?;
        match self.is_ours() {
            Err(_) if self.offline.remember && !self.offline.summaries.exists() => return Ok(0),
            other => other?,
        }
        Ok(self.files().count())
    }

    /// Nobody but us and root can put something into the folder.
    fn is_ours(&self) -> Result<(), NotAdmitted> {
        let path = &self.offline.summaries;
        let failed = |problem: &dyn std::fmt::Display| NotAdmitted::File {
            path: path.clone(),
            problem: problem.to_string(),
        };
        let folder = fs::metadata(path).map_err(|error| failed(&error))?;
        if !folder.is_dir() {
            return Err(failed(&"is no folder"));
        }
        if folder.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(failed(&"others may write into it; chmod go-w"));
        }
        Ok(())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, NotAdmitted> {
        let read = |path: &PathBuf| {
            let failed = |problem: &dyn std::fmt::Display| NotAdmitted::File {
                path: path.clone(),
                problem: problem.to_string(),
            };
            let pem = read_bounded(path, KEY_BYTES_MAX).map_err(|error| failed(&error))?;
            SubjectPublicKeyInfoDer::from_pem_slice(&pem)
                .map(|key| key.to_vec())
                .map_err(|_| failed(&"holds no PUBLIC KEY"))
        };
        self.offline.keys.iter().map(read).collect()
    }

    /// `sha256-HEX~docker.io~library~redis.json`: admitted in one repository is not admitted in another.
    fn path(&self, question: &Question) -> PathBuf {
        let name =
            format!("{}~{}~{}", question.digest(), question.registry(), question.repository());
        self.offline.summaries.join(format!("{}.json", name.replace(':', "-").replace('/', "~")))
    }

    fn files(&self) -> impl Iterator<Item = fs::DirEntry> {
        let entries = fs::read_dir(&self.offline.summaries).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "json"))
    }

    /// Whether one more fits; what has run out is removed when none does.
    fn has_room(&self, now: SystemTime) -> bool {
        if self.files().take(FILES_MAX).count() < FILES_MAX {
            return true;
        }
        let has_run_out = |entry: &fs::DirEntry| {
            let confirmed = entry.metadata().and_then(|file| file.modified());
            confirmed
                .is_ok_and(|it| now.duration_since(it).is_ok_and(|age| age > self.offline.max_age))
        };
        self.files()
            .filter(has_run_out)
            .filter(|entry| fs::remove_file(entry.path()).is_ok())
            .count()
            > 0
    }
}
