//! Blobs as they arrive, taken up again where they broke off.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::error::Error;
use super::registry::{Ask, Upstream};
use super::transport::Content;

/// The bytes of a blob, in order, as the upstream sends them.
///
/// They are not verified: whoever reads them compares size and digest. A transfer that breaks off
/// goes on where it was, over a new connection, as long as each one brings something.
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
            let Some(content) = &mut self.content else {
                self.resume().await?;
                continue;
            };
            match content.next().await {
                Ok(Some(piece)) => {
                    if let Some(piece) = self.after_skipped(piece) {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if self.skip > 0 || self.size.is_some_and(|size| self.given < size) => {
                    return Err(self.changed());
                }
                Ok(None) => self.is_finished = true,
                Err(error) => {
                    self.content = None;
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

    async fn resume(&mut self) -> Result<(), Error> {
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

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// The `ETag`, when it says that the bytes are the same and not merely the meaning.
fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\"")).cloned()
}

/// `bytes 5-9/10` or `bytes 5-9/*`: first and last byte, and the size.
///
/// Spec: RFC 9110 section 14.4.
pub(super) fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.parse().ok().filter(|number: &u64| *number < u64::MAX);
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
            ("", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }
}
