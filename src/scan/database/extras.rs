//! What is known of vulnerabilities beside records: which are exploited (KEV), which are likely to be
//! (EPSS).

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::ImportError;
use super::feed::{Feed, FeedKind, Unreadable, printable};
use super::import::{UNREADABLE_MAX, UNREADABLE_PERCENT_MAX};
use super::record::{Few, Loose, text};
use crate::time::Timestamp;

/// Bytes of CISA's catalogue.
const KEV_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Entries of it.
const KEV_ENTRIES_MAX: usize = 100_000;
/// Bytes of the list of likelihoods, inflated.
const EPSS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of a line of it.
const EPSS_LINE_MAX: u64 = 4_096;

/// What is known beside records, by CVE.
#[derive(Debug, Default)]
pub(super) struct Extras {
    exploited: HashSet<Cve>,
    likelihood: HashMap<Cve, u16>,
}

/// The year and the number of a CVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Cve(u16, u64);

impl Cve {
    fn of(name: &str) -> Option<Self> {
        let (year, number) = name.strip_prefix("CVE-")?.split_once('-')?;
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        (is_plain(year) && is_plain(number))
            .then(|| Some(Self(year.parse().ok()?, number.parse().ok()?)))?
    }
}

impl Extras {
    pub(super) fn is_exploited(&self, name: &str) -> bool {
        Cve::of(name).is_some_and(|cve| self.exploited.contains(&cve))
    }

    /// In hundredths of a per cent.
    pub(super) fn likelihood(&self, name: &str) -> Option<u16> {
        Cve::of(name).and_then(|cve| self.likelihood.get(&cve).copied())
    }

    /// Reads CISA's catalogue.
    pub(super) fn add_kev(&mut self, reader: impl Read, label: &str) -> Result<Feed, ImportError> {
        #[derive(Deserialize)]
        struct Catalogue {
            #[serde(rename = "dateReleased")]
            released: Option<Loose>,
            vulnerabilities: Few<Exploited, KEV_ENTRIES_MAX>,
        }
        #[derive(Deserialize)]
        struct Exploited {
            #[serde(rename = "cveID")]
            cve: Option<Loose>,
        }
        let bytes = whole(reader, KEV_BYTES_MAX, "KEV_BYTES_MAX", label)?;
        let catalogue: Catalogue = serde_json::from_slice(&bytes).map_err(|error| {
            ImportError::Malformed { label: label.to_owned(), reason: error.to_string() }
        })?;
        let mut feed = Feed::new(FeedKind::Kev, label);
        feed.modified = text(catalogue.released.as_ref()).parse::<Timestamp>().ok();
        for (index, entry) in catalogue.vulnerabilities.0.iter().enumerate() {
            match Cve::of(text(entry.cve.as_ref())) {
                Some(cve) => {
                    feed.records += 1;
                    self.exploited.insert(cve);
                }
                None => unreadable(&mut feed, &format!("entry {index}"), "it has no CVE")?,
            }
        }
        not_empty(feed, label)
    }

    /// Reads the list of likelihoods: CSV, with or without gzip.
    pub(super) fn add_epss(&mut self, reader: impl Read, label: &str) -> Result<Feed, ImportError> {
        let failed = |source| ImportError::Io { label: label.to_owned(), source };
        let mut raw = BufReader::new(reader);
        let is_gzip = raw.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let inflated: Box<dyn Read + '_> =
            if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let mut lines = BufReader::new(inflated.take(EPSS_BYTES_MAX + 1));
        let (mut feed, mut line, mut number, mut bytes) =
            (Feed::new(FeedKind::Epss, label), String::new(), 0_u64, 0_u64);
        loop {
            line.clear();
            let read = (&mut lines).take(EPSS_LINE_MAX).read_line(&mut line).map_err(failed)?;
            if read == 0 {
                return not_empty(feed, label);
            }
            number += 1;
            bytes += u64::try_from(read).unwrap_or(u64::MAX);
            if bytes > EPSS_BYTES_MAX {
                let label = label.to_owned();
                return Err(ImportError::TooLarge { label, bound: "EPSS_BYTES_MAX" });
            }
            self.add_line(&mut feed, line.trim(), number)?;
        }
    }

    fn add_line(&mut self, feed: &mut Feed, line: &str, number: u64) -> Result<(), ImportError> {
        if let Some(comment) = line.strip_prefix('#') {
            let date = comment.split(',').find_map(|part| part.strip_prefix("score_date:"));
            feed.modified = feed.modified.or_else(|| date.and_then(moment));
            return Ok(());
        }
        if line.is_empty() || line.starts_with("cve,") {
            return Ok(());
        }
        let mut cells = line.split(',');
        let cve = cells.next().and_then(Cve::of);
        match cve.zip(cells.next().and_then(hundredths_of_a_percent)) {
            Some((cve, likelihood)) => {
                feed.records += 1;
                self.likelihood.insert(cve, likelihood);
                Ok(())
            }
            None => unreadable(feed, &format!("line {number}"), "it is no CVE with a likelihood"),
        }
    }
}

/// A date with or without a time, whose offset may lack its colon.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.replace("+0000", "Z");
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

/// `0.00043` is 4.
fn hundredths_of_a_percent(text: &str) -> Option<u16> {
    let share: f64 = text.trim().parse().ok()?;
    let is_share = (0.0..=1.0).contains(&share);
    is_share.then(|| format!("{:.0}", share * 10_000.0).parse().ok())?
}

/// A feed that has been read, if enough of it could be.
pub(super) fn not_empty(feed: Feed, label: &str) -> Result<Feed, ImportError> {
    if feed.records == 0 {
        return Err(ImportError::Empty { label: label.to_owned() });
    }
    let unreadable = u64::try_from(feed.unreadable.len()).unwrap_or(u64::MAX);
    let all = feed.records.saturating_add(unreadable);
    let is_bearable = unreadable.saturating_mul(100) <= all.saturating_mul(UNREADABLE_PERCENT_MAX);
    if is_bearable { Ok(feed) } else { Err(too_many_unreadable(&feed)) }
}

/// Notes what could not be read, up to the bound.
pub(super) fn unreadable(feed: &mut Feed, name: &str, reason: &str) -> Result<(), ImportError> {
    feed.unreadable.push(Unreadable { name: printable(name), reason: printable(reason) });
    if feed.unreadable.len() <= UNREADABLE_MAX { Ok(()) } else { Err(too_many_unreadable(feed)) }
}

fn too_many_unreadable(feed: &Feed) -> ImportError {
    let few = feed.unreadable.iter().take(3);
    let examples: Vec<String> = few.map(|one| format!("{} ({})", one.name, one.reason)).collect();
    let unreadable = feed.unreadable.len();
    ImportError::Unreadable {
        label: feed.label.clone(),
        records: feed.records.saturating_add(u64::try_from(unreadable).unwrap_or(u64::MAX)),
        unreadable,
        bound: UNREADABLE_MAX,
        examples: examples.join(", "),
    }
}

/// All of a reader, up to a bound.
pub(super) fn whole(
    reader: impl Read,
    bytes_max: u64,
    bound: &'static str,
    label: &str,
) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    let read = reader.take(bytes_max + 1).read_to_end(&mut bytes);
    let read = read.map_err(|source| ImportError::Io { label: label.to_owned(), source })?;
    if u64::try_from(read).unwrap_or(u64::MAX) > bytes_max {
        return Err(ImportError::TooLarge { label: label.to_owned(), bound });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_catalogue_is_read() {
        let json = r#"{"title":"CISA","catalogVersion":"2026.11.20","dateReleased":"2026-11-20T15:00:00.0000Z",
            "count":2,"vulnerabilities":[MANY{"cveID":"CVE-2024-3094","vendorProject":"x"},{"cveID":"CVE-2021-44228"},{"cveID":7}]}"#;
        let many = "{\"cveID\":\"CVE-1999-1\"},".repeat(100);
        let json = json.replace("MANY", &many);
        let mut extras = Extras::default();
        let feed = extras.add_kev(json.as_bytes(), "kev").unwrap();
        assert_eq!((feed.records, feed.unreadable.len()), (102, 1));
        assert_eq!(feed.modified, "2026-11-20T15:00:00Z".parse().ok());
        assert!(extras.is_exploited("CVE-2021-44228"));
        assert!(!extras.is_exploited("CVE-2021-44229"));
        for empty in ["{}", "[]", r#"{"vulnerabilities":[]}"#, "\0"] {
            assert!(Extras::default().add_kev(empty.as_bytes(), "kev").is_err(), "{empty}");
        }
    }

    #[test]
    fn likelihoods_are_read_plain_and_compressed() {
        let csv = "#model_version:v2023.03.01,score_date:2026-11-20T00:00:00+0000\ncve,epss,percentile\n\
                   CVE-2021-44228,0.97563,0.99999\nCVE-2024-1,0.00043,0.1\nCVE-2024-2,1e-05,0\nCVE-2024-3,1.5,1\nCVE-2024-4,NaN,1\n";
        let csv = format!("{csv}{}", "CVE-1999-1,0,0\n".repeat(200));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(csv.as_bytes()).unwrap();
        for bytes in [csv.as_bytes().to_vec(), gzip.finish().unwrap()] {
            let mut extras = Extras::default();
            let feed = extras.add_epss(bytes.as_slice(), "epss").unwrap();
            assert_eq!((feed.records, feed.unreadable.len()), (203, 2));
            assert_eq!(feed.modified, "2026-11-20T00:00:00Z".parse().ok());
            assert_eq!(extras.likelihood("CVE-2021-44228"), Some(9_756));
            assert_eq!(extras.likelihood("CVE-2024-1"), Some(4));
            assert_eq!(extras.likelihood("CVE-2024-2"), Some(0));
            assert_eq!(extras.likelihood("CVE-2024-3"), None);
        }
        assert!(Extras::default().add_epss(&b"cve,epss\n"[..], "epss").is_err());
        let truncated = &[0x1f, 0x8b, 8, 0, 0][..];
        assert!(Extras::default().add_epss(truncated, "epss").is_err());
    }

    #[test]
    fn a_list_of_other_things_fails_with_its_first_lines() {
        let csv = "a,b\n".repeat(UNREADABLE_MAX + 1);
        let error = Extras::default().add_epss(csv.as_bytes(), "epss").unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        let long = "x".repeat(100_000);
        let feed = Extras::default().add_epss(long.as_bytes(), "epss");
        assert!(matches!(feed, Err(ImportError::Empty { .. } | ImportError::Unreadable { .. })));
    }
}
