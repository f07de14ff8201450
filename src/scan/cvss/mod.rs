//! How bad a vulnerability is, from CVSS vectors and from the words of those who publish advisories.
//!
//! A score is the base score, whatever else the vector says: what is known of exploits, and of who runs
//! the image, is for the policy. A vector that is not whole has no score; it never has a low one.
//!
//! Spec: <https://www.first.org/cvss/v4.0/specification-document>,
//! <https://www.first.org/cvss/v3.1/specification-document>, <https://www.first.org/cvss/v2/guide>

use cvss::{v2, v3, v4};

use super::Severity;

/// Bytes of a vector: one with every metric of version 4 has about 200.
const VECTOR_BYTES_MAX: usize = 512;

/// Characters of a vector that an error repeats.
const QUOTED_CHARS_MAX: usize = 64;

/// A vector without a score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{vector:?} is not a whole CVSS vector: {why}")]
pub(super) struct NoScore {
    /// The vector, or its beginning.
    pub(super) vector: String,
    /// What is wrong with it.
    pub(super) why: &'static str,
}

/// The metrics that a vector of each version has, each exactly once.
const V2_METRICS: &[&str] = &["AV", "AC", "Au", "C", "I", "A"];
const V3_METRICS: &[&str] = &["AV", "AC", "PR", "UI", "S", "C", "I", "A"];
const V4_METRICS: &[&str] = &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"];

/// The base score of a vector, in tenths: `98` is 9.8. A vector without a prefix is one of version 2.
///
/// # Errors
/// When it is of another version, lacks a metric, or has one twice or one that there is not.
pub(super) fn score(vector: &str) -> Result<u8, NoScore> {
    base_score(vector.trim_ascii())
        .and_then(|score| tenths(score).ok_or("its score is none"))
        .map_err(|why| NoScore { vector: vector.chars().take(QUOTED_CHARS_MAX).collect(), why })
}

fn base_score(vector: &str) -> Result<f64, &'static str> {
    if vector.len() > VECTOR_BYTES_MAX {
        return Err("it is longer than any vector");
    }
    let unwrapped = vector.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match vector.split_once('/') {
        Some((prefix @ ("CVSS:3.0" | "CVSS:3.1"), metrics)) => {
            let vector: v3::Vector = base(prefix, metrics, V3_METRICS)?;
            Ok(vector.base_score().value())
        }
        Some((prefix @ "CVSS:4.0", metrics)) => {
            let vector: v4::Vector = base(prefix, metrics, V4_METRICS)?;
            Ok(vector.score().value())
        }
        Some((prefix, _)) if prefix.starts_with("CVSS:") => Err("it is of an unknown version"),
        _ => {
            let vector: v2::Vector = base("", unwrapped.unwrap_or(vector), V2_METRICS)?;
            Ok(vector.score().value())
        }
    }
}

/// The base metrics of a vector alone, after the whole of it was read.
///
/// The library takes a metric of version 3 or 4 that is missing for one without impact, so their presence
/// is looked at here.
fn base<V: std::str::FromStr>(
    prefix: &str,
    metrics: &str,
    mandatory: &[&str],
) -> Result<V, &'static str> {
    let name = |metric: &str| metric.split(':').next().unwrap_or_default().to_owned();
    if mandatory
        .iter()
        .any(|wanted| metrics.split('/').filter(|metric| name(metric) == *wanted).count() != 1)
    {
        return Err("it lacks a metric, or has one twice");
    }
    let with_prefix = |metrics: &str| {
        if prefix.is_empty() { metrics.to_owned() } else { format!("{prefix}/{metrics}") }
    };
    let parsed = |text: &str| {
        with_prefix(text).parse::<V>().map_err(|_| "it has a metric or a value that there is not")
    };
    parsed(metrics)?;
    let of_base: Vec<_> =
        metrics.split('/').filter(|metric| mandatory.contains(&name(metric).as_str())).collect();
    parsed(&of_base.join("/"))
}

/// A score in tenths, as scores are given.
fn tenths(score: f64) -> Option<u8> {
    (0..=100).find(|tenths| (f64::from(*tenths) - score * 10.0).abs() < 0.01)
}

impl Severity {
    /// The severity of a score in tenths. Scores of version 2, which has no words of its own, count by the
    /// same bounds.
    pub(super) const fn from_score(tenths: u8) -> Self {
        match tenths {
            0 => Self::None,
            1..=39 => Self::Low,
            40..=69 => Self::Medium,
            70..=89 => Self::High,
            90.. => Self::Critical,
        }
    }

    /// The severity that a word of an advisory is, in any case: GHSA's, Red Hat's and its kin's, Debian's
    /// urgencies, Ubuntu's priorities. `None` for words that say that nobody has judged yet, and for
    /// unknown ones.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word.trim_ascii().trim_end_matches('*').to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "low" | "minor" | "negligible" | "unimportant" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" => Self::Critical,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
