//! VEX documents that the person who scans names: they need no signature, because that person says that
//! they hold.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::CliError;
use crate::oci::Digest;
use crate::scan::vex::{Document, Format, Image, Said, Statement, Status};
use crate::scan::{Distribution, Finding, Package};
use crate::time::Timestamp;

/// Most bytes of a document; the reader has a bound of its own below it.
const DOCUMENT_BYTES_MAX: u64 = 32 << 20;
/// How far ahead of the clock here that of a speaker may be.
const SKEW: Duration = Duration::from_mins(5);

/// The documents, each by the file that it is in.
pub(super) struct Files {
    documents: Vec<(String, Arc<Document>)>,
    now: Timestamp,
}

/// A finding that a document takes away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Suppressed {
    /// The finding.
    #[serde(flatten)]
    pub(super) finding: Finding,
    /// What is said, why, and where.
    pub(super) vex: Reason,
}

/// Why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// What is said of it.
    pub(super) status: Status,
    /// Why, if that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// As of when.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// The file that says so.
    file: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, why, file, .. } = self;
        match why {
            Some(why) => write!(f, "{status}: {why} ({file})"),
            None => write!(f, "{status} ({file})"),
        }
    }
}

/// What of an image counts and what does not.
#[derive(Default)]
pub(super) struct Parted {
    pub(super) counting: Vec<Finding>,
    pub(super) suppressed: Vec<Suppressed>,
    /// What was said and does not hold, with why.
    pub(super) unused: Vec<String>,
}

impl Files {
    /// Reads `paths`, as of `now`.
    ///
    /// # Errors
    /// When one cannot be read, or is no VEX document.
    pub(super) fn read(paths: &[PathBuf], now: Timestamp) -> Result<Self, CliError> {
        let document = |path: &PathBuf| {
            let shown = path.display().to_string();
            let document =
                read(path).map_err(|why| CliError::misused(format!("--vex {shown}: {why}")))?;
            Ok((shown, Arc::new(document)))
        };
        let documents = paths.iter().map(document).collect::<Result<_, CliError>>()?;
        Ok(Self { documents, now })
    }

    /// What of the documents was not understood.
    pub(super) fn problems(&self) -> Vec<String> {
        let of = |(file, document): &(String, Arc<Document>)| {
            document.problems.iter().map(|why| format!("{file}: {why}")).collect::<Vec<_>>()
        };
        self.documents.iter().flat_map(of).collect()
    }

    /// Parts `findings` about an image that goes by `digests`.
    pub(super) fn part(
        &self,
        findings: Vec<Finding>,
        digests: &[Digest],
        packages: &[Package],
        distribution: Option<&Distribution>,
    ) -> Parted {
        let said = Said::new(self.documents.clone());
        let image = Image { digests, packages, distribution };
        let mut parted = Parted::default();
        for finding in findings {
            // What is malicious is so whatever anybody says.
            let last = said.last(&finding, &image, |_| !finding.malware);
            let Some((file, statement)) = last.filter(|(_, it)| it.status.clears()) else {
                parted.counting.push(finding);
                continue;
            };
            if let Some(why) = self.lacks(statement) {
                let (id, status) = (&finding.id, statement.status);
                parted.unused.push(format!("{file}: {id} {status} {why}"));
                parted.counting.push(finding);
                continue;
            }
            let vex = Reason {
                status: statement.status,
                why: statement.why().map(str::to_owned),
                at: statement.at,
                file: file.clone(),
            };
            parted.suppressed.push(Suppressed { finding, vex });
        }
        parted.unused.sort();
        parted.unused.dedup();
        parted
    }

    /// What a statement lacks to count.
    fn lacks(&self, statement: &Statement) -> Option<String> {
        if statement.status == Status::NotAffected && !statement.is_justified() {
            return Some("says not why".to_owned());
        }
        let ahead = statement.at.filter(|at| *at > self.now.after(SKEW));
        ahead.map(|at| format!("is of {at}, which is not yet"))
    }
}

fn read(path: &Path) -> Result<Document, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    let format = Format::of_document(&bytes).map_err(|error| error.to_string())?;
    format.read(&bytes).map_err(|error| error.to_string())
}
