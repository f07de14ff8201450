//! Making a database: feeds in, one file out.

use std::io::{self, Read, Seek, Write};

use super::advisory::Score;
use super::coverage::Coverage;
use super::extras::{Extras, not_empty, unreadable};
use super::feed::{Feed, FeedKind, Status, printable};
use super::import::{Document, Outcome, of_zip, read_all};
use super::rows::{Rows, too_large};
use super::{ImportError, assemble, names};
use crate::oci::Digest;
use crate::time::Timestamp;

/// A database that is being made. Equal feeds in equal order, at an equal time, make equal files.
#[derive(Debug)]
pub struct Builder {
    now: Timestamp,
    score: Score,
    pub(super) rows: Rows,
    pub(super) extras: Extras,
    pub(super) feeds: Vec<Feed>,
    pub(super) declared: Vec<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the database says of itself.
    pub status: Status,
    /// Of the file.
    pub digest: Digest,
    /// The bytes that it has.
    pub bytes: u64,
}

impl Builder {
    /// A database without a feed. `score` reads the vectors of CVSS.
    pub fn new(now: Timestamp, score: Score) -> Self {
        let (rows, extras) = (Rows::default(), Extras::default());
        Self { now, score, rows, extras, feeds: Vec::new(), declared: Vec::new() }
    }

    /// Adds an archive of OSV's (`all.zip`): one record per `.json` file, of any ecosystem. `as_of` is
    /// as of when it is; without it, that is the latest change that a record tells of.
    ///
    /// # Errors
    /// When it cannot be read, has no record, or too many that cannot be read. The builder is of no use
    /// then.
    pub fn add_osv_zip<R: Read + Seek>(
        &mut self,
        reader: R,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        let (documents, ignored) = of_zip(reader, label)?;
        self.add_documents(documents, ignored, label, as_of)
    }

    /// Adds records of OSV, each with the name of its file. `as_of` is as with
    /// [`Self::add_osv_zip`].
    ///
    /// # Errors
    /// As with [`Self::add_osv_zip`].
    pub fn add_osv_records(
        &mut self,
        records: impl IntoIterator<Item = io::Result<(String, Vec<u8>)>>,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        self.add_osv_folder(records, 0, label, as_of)
    }

    /// As [`Self::add_osv_records`], from a place with `ignored` files or folders that are no records.
    ///
    /// # Errors
    /// As with [`Self::add_osv_zip`].
    pub fn add_osv_folder(
        &mut self,
        records: impl IntoIterator<Item = io::Result<(String, Vec<u8>)>>,
        ignored: u64,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        let documents = records.into_iter().map(|record| match record {
            Ok((name, bytes)) => Ok(Document::plain(&name, bytes)),
            Err(source) => Err(ImportError::Io { label: label.to_owned(), source }),
        });
        self.add_documents(documents, ignored, label, as_of)
    }

    /// Says that feeds added so far cover an ecosystem (`npm`, `Debian`), whatever they look like: those
    /// of several ecosystems may have records of one only beside those of another.
    ///
    /// # Errors
    /// When no record names it, or images are not read for it.
    pub fn declare(&mut self, ecosystem: &str) -> Result<(), ImportError> {
        let is_named =
            names::covering(ecosystem) == Some(ecosystem) && self.rows.names_ecosystem(ecosystem);
        if !is_named {
            return Err(ImportError::NotCovered { ecosystem: printable(ecosystem) });
        }
        self.declared.push(ecosystem.to_owned());
        Ok(())
    }

    /// Adds CISA's catalogue of what is known to be exploited.
    ///
    /// # Errors
    /// When it cannot be read, or has nothing.
    pub fn add_kev(
        &mut self,
        reader: impl Read,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        let feed = self.extras.add_kev(reader, label)?;
        Ok(self.done(feed, as_of))
    }

    /// Adds the likelihoods of EPSS: CSV, with or without gzip.
    ///
    /// # Errors
    /// When it cannot be read, or has nothing.
    pub fn add_epss(
        &mut self,
        reader: impl Read,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        let feed = self.extras.add_epss(reader, label)?;
        Ok(self.done(feed, as_of))
    }

    /// Writes the database.
    ///
    /// # Errors
    /// When it cannot be written, has no records, or is too large for the format.
    pub fn finish(self, writer: &mut impl Write) -> Result<Summary, ImportError> {
        if !self.feeds.iter().any(|feed| feed.kind == FeedKind::Osv) {
            return Err(ImportError::Empty { label: "the database".to_owned() });
        }
        let (sections, status) = assemble::sections(self, self_built())?;
        let failed = |source| ImportError::Io { label: "the database".to_owned(), source };
        let (digest, bytes) = sections.write(writer).map_err(failed)?;
        Ok(Summary { status, digest, bytes })
    }

    fn add_documents(
        &mut self,
        documents: impl Iterator<Item = Result<Document, ImportError>>,
        ignored: u64,
        label: &str,
        as_of: Option<Timestamp>,
    ) -> Result<&Feed, ImportError> {
        let mut feed = Feed::new(FeedKind::Osv, label);
        feed.ignored = ignored;
        let (score, mut coverage) = (self.score, Coverage::default());
        read_all(documents, score, label, |outcome| {
            self.absorb(&mut feed, &mut coverage, outcome)
        })?;
        feed.covers = coverage.covered();
        Ok(self.done(not_empty(feed, label)?, as_of))
    }

    fn absorb(
        &mut self,
        feed: &mut Feed,
        coverage: &mut Coverage,
        outcome: Outcome,
    ) -> Result<(), ImportError> {
        let mut advisory = match outcome.advisory {
            Ok(advisory) => advisory,
            Err(reason) => return unreadable(feed, &outcome.name, &reason),
        };
        advisory.forget_impossible_times(self.now);
        // A time that is yet to come says nothing of how fresh the feed is.
        let modified = advisory.modified.filter(|modified| *modified <= self.now);
        let withdrawn = advisory.withdrawn.is_some();
        match self.rows.add(&advisory, self.now).map_err(too_large)? {
            Some(reason) => return unreadable(feed, &outcome.name, reason),
            None => feed.records += 1,
        }
        feed.withdrawn += u64::from(withdrawn);
        if !withdrawn {
            coverage.add(&advisory);
        }
        feed.modified = feed.modified.max(modified);
        Ok(())
    }

    fn done(&mut self, mut feed: Feed, as_of: Option<Timestamp>) -> &Feed {
        feed.modified = feed.modified.filter(|modified| *modified <= self.now);
        feed.as_of = as_of.or(feed.modified).map(|as_of| as_of.min(self.now));
        self.feeds.push_mut(feed)
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }
}

/// The version of this program.
const fn self_built() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
