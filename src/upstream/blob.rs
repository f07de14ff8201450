//! Blobs as they arrive, taken up again where they broke off, over more than one connection where one
//! is what limits them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use super::error::Error;
use super::location::Location;
use super::pace::{self, Pace};
use super::ranges::{Ended, Ranges, Source};
use super::registry::{Ask, Reached, Upstream};
use super::transport::Content;

/// How far ahead of the one connection others begin at least: what it brings in this time, so that
/// they have answered when it gets there.
const RANGES_AHEAD: Duration = Duration::from_secs(1);

/// The bytes of a blob, in order, as the upstream sends them.
///
/// They are not verified: whoever reads them compares size and digest. A transfer that breaks off
/// goes on where it was, over a new connection, as long as each one brings something.
///
/// It begins over one connection. When the reader mostly waits for that one, the rest is asked for in
/// ranges, over several; the first connection goes on until the others have shown that they bring
/// the same blob. Whatever is odd about them ends that, for good, and one connection brings the rest.
pub struct BlobStream {
    upstream: Arc<Upstream>,
    ask: Ask,
    /// `None` between a break and the next connection.
    content: Option<Content>,
    size: Option<u64>,
    etag: Option<HeaderValue>,
    /// Bytes given out.
    given: u64,
    /// Bytes still to be passed over, after an answer that began from the start again.
    skip: u64,
    resumes: u32,
    /// Where the last resumption began.
    resumed_at: Option<u64>,
    /// When the first answer came, and how long its body was waited for.
    began: Instant,
    pace: Pace,
    /// Where redirects led.
    reached: Option<Location>,
    may_range: bool,
    /// Once there are some and no `content`, they are where the bytes come from.
    ranges: Option<Ranges>,
    /// What `content` has brought of what is the ranges' share, until they have shown themselves.
    surplus: Option<Bytes>,
    /// The next connection is needed because ranges were given up as useless: nothing broke.
    is_change: bool,
    is_finished: bool,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream")
            .field("location", &self.ask.location)
            .field("size", &self.size)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl BlobStream {
    pub(super) fn new(upstream: Arc<Upstream>, ask: Ask, answer: Response<Content>) -> Self {
        let size = length(answer.headers());
        let etag = strong_etag(answer.headers());
        let refuses = text(answer.headers(), ACCEPT_RANGES) == Some("none");
        let may_range = !refuses && upstream.limits.range_connections > 1;
        let reached = answer.extensions().get::<Reached>().map(|reached| reached.0.clone());
        Self {
            upstream,
            ask,
            content: Some(answer.into_body()),
            size,
            etag,
            given: 0,
            skip: 0,
            resumes: 0,
            resumed_at: None,
            began: Instant::now(),
            pace: Pace::default(),
            reached,
            may_range,
            ranges: None,
            surplus: None,
            is_change: false,
            is_finished: false,
        }
    }

    /// How many bytes the upstream says there are: a claim.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next piece; `None` at the end of what the upstream sends.
    ///
    /// # Errors
    /// When the transfer broke off and cannot be taken up again.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.is_finished {
                return Ok(None);
            }
            if self.surplus.is_some() {
                if let Some(piece) = self.handed_over().await {
                    return Ok(Some(piece));
                }
                continue;
            }
            let Some(content) = &mut self.content else {
                match &mut self.ranges {
                    None => self.resume().await?,
                    Some(ranges) => {
                        let brought = ranges.next().await;
                        if let Some(piece) = self.of_ranges(brought) {
                            return Ok(Some(piece));
                        }
                    }
                }
                continue;
            };
            let asked = Instant::now();
            let brought = content.next().await;
            self.pace.waited(asked.elapsed());
            match brought {
                Ok(Some(piece)) => {
                    if let Some(piece) = self.after_skipped(piece)
                        && let Some(piece) = self.before_ranges(piece)
                    {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if self.skip > 0 || self.size.is_some_and(|size| self.given < size) => {
                    return Err(self.changed());
                }
                Ok(None) => self.is_finished = true,
                Err(error) => {
                    self.content = None;
                    self.ranges = None;
                    self.upstream.metrics.upstream_failures.increment();
                    if !self.may_resume(&error) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// What of `piece` was not given out before.
    fn after_skipped(&mut self, mut piece: Bytes) -> Option<Bytes> {
        let skipped = piece.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        let fresh = piece.split_off(skipped);
        self.skip -= as_u64(skipped);
        self.given += as_u64(fresh.len());
        (!fresh.is_empty()).then_some(fresh)
    }

    fn may_resume(&self, error: &Error) -> bool {
        let broke = matches!(error, Error::Transport { .. } | Error::TimedOut { .. });
        let progressed = self.resumed_at.is_none_or(|start| self.given > start);
        broke && progressed && self.resumes < self.upstream.limits.resumes
    }

    /// `piece`, as far as it lies before what the ranges bring; looks whether to begin with ranges.
    fn before_ranges(&mut self, mut piece: Bytes) -> Option<Bytes> {
        let Some(ranges) = &self.ranges else {
            self.consider_ranges();
            return Some(piece);
        };
        let beyond = self.given.saturating_sub(ranges.start());
        if beyond > 0 {
            let beyond = usize::try_from(beyond).unwrap_or(usize::MAX).min(piece.len());
            let surplus = piece.split_off(piece.len() - beyond);
            self.given -= as_u64(surplus.len());
            self.surplus = Some(surplus);
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// Begins with ranges if one connection is what limits the transfer, and more may help.
    fn consider_ranges(&mut self) {
        let Some(size) = self.size.filter(|_| self.may_range) else { return };
        let limits = &self.upstream.limits;
        let (elapsed, left) = (self.began.elapsed(), size.saturating_sub(self.given));
        if elapsed < limits.range_after {
            return;
        }
        if left < limits.range_bytes_min {
            self.may_range = false;
            return;
        }
        let is_trial = !limits.range_after.is_zero();
        let rate = pace::rate(self.given, elapsed);
        let (mut ahead, mut soon) = (limits.range_segment_bytes, 0);
        if is_trial {
            ahead = ahead.max(pace::bytes(rate, RANGES_AHEAD));
            soon = ahead.saturating_add(pace::bytes(rate, limits.range_after));
        }
        if left <= ahead.max(soon) || (is_trial && !self.pace.is_starved(elapsed)) {
            return;
        }
        self.may_range = false;
        if self.reached.is_none() && self.upstream.health.snapshot().rate_limit.is_some() {
            // Each segment would count.
            return;
        }
        let source = Source::new(
            Arc::clone(&self.upstream),
            self.ask.clone(),
            self.reached.clone(),
            size,
            self.etag.clone(),
        );
        let start = self.given.saturating_add(ahead);
        match Ranges::begin(source, start, is_trial.then_some(rate)) {
            Ok(ranges) => self.ranges = Some(ranges),
            Err(ended) => tracing::debug!(?ended, "no ranges of a blob"),
        }
    }

    /// Leaves the rest to the ranges if they have shown themselves; if not, gives what is there of
    /// it and goes on over the one connection.
    async fn handed_over(&mut self) -> Option<Bytes> {
        if let Some(ranges) = &mut self.ranges
            && ranges.opened().await
        {
            self.surplus = None;
            self.content = None;
            return None;
        }
        self.ranges = None;
        let piece = self.surplus.take()?;
        self.given += as_u64(piece.len());
        Some(piece)
    }

    /// The piece that the ranges brought; without one, they are at their end, or given up.
    fn of_ranges(&mut self, brought: Result<Option<Bytes>, Ended>) -> Option<Bytes> {
        match brought {
            Ok(Some(piece)) => {
                self.given += as_u64(piece.len());
                return Some(piece);
            }
            Ok(None) => self.is_finished = true,
            Err(ended) => {
                tracing::debug!(
                    registry = %self.upstream.registry,
                    given = self.given,
                    ?ended,
                    "a blob goes on over one connection"
                );
                self.is_change = matches!(ended, Ended::NoGain);
                self.ranges = None;
            }
        }
        None
    }

    /// Asks for what is missing, over a new connection.
    async fn resume(&mut self) -> Result<(), Error> {
        if !self.is_change {
            self.resumes += 1;
            self.resumed_at = Some(self.given);
            self.upstream.metrics.upstream_retries.increment();
            tracing::debug!(
                registry = %self.upstream.registry,
                repository = %self.ask.repository,
                given = self.given,
                "transfer of a blob broke off and is taken up again"
            );
            tokio::time::sleep(self.upstream.backoff(1)).await;
        }
        self.is_change = false;
        let mut ask = self.ask.clone();
        if self.given > 0 {
            let range = format!("bytes={}-", self.given);
            let range = HeaderValue::try_from(range).map_err(|_| self.changed())?;
            ask.headers.insert(RANGE, range);
            if let Some(etag) = &self.etag {
                ask.headers.insert(IF_RANGE, etag.clone());
            }
        }
        let answer = self.upstream.request(&ask).await?;
        self.skip = match answer.status() {
            StatusCode::OK => {
                let same = |here: Option<u64>| here.zip(self.size).is_none_or(|(a, b)| a == b);
                if !same(length(answer.headers())) {
                    return Err(self.changed());
                }
                self.given
            }
            StatusCode::PARTIAL_CONTENT if self.given > 0 && self.continues(answer.headers()) => 0,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(self.changed());
            }
            status => {
                let registry = self.upstream.registry.clone();
                return Err(Error::Status { registry, status, retry_after: None });
            }
        };
        let etag = strong_etag(answer.headers());
        if etag.as_ref().zip(self.etag.as_ref()).is_some_and(|(now, then)| now != then) {
            return Err(self.changed());
        }
        self.content = Some(answer.into_body());
        Ok(())
    }

    /// Whether a 206 holds exactly what is missing.
    fn continues(&self, headers: &HeaderMap) -> bool {
        let Some((first, last, total)) = text(headers, CONTENT_RANGE).and_then(content_range)
        else {
            return false;
        };
        let total = total.or(self.size);
        first == self.given
            && last >= first
            && total.is_none_or(|total| last + 1 == total)
            && self.size.is_none_or(|size| last + 1 == size)
    }

    fn changed(&self) -> Error {
        Error::Changed { registry: self.upstream.registry.clone() }
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// The `ETag`, when it says that the bytes are the same and not merely the meaning.
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\"")).cloned()
}

/// `bytes 5-9/10` or `bytes 5-9/*`: first and last byte, and the size.
///
/// Spec: RFC 9110 section 14.4.
pub(super) fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &u64| digits && *number < u64::MAX)
    };
    let total = if total == "*" { None } else { Some(number(total)?) };
    Some((number(first)?, number(last)?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((5, 9, Some(10)))),
            ("bytes 5-9/*", Some((5, 9, None))),
            ("bytes */10", None),
            ("bytes 5-18446744073709551615/*", None),
            ("items 5-9/10", None),
            ("bytes 5-9", None),
            ("bytes 5-+9/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }
}
