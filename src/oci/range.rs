//! The `Range` request header.

/// What a `Range` header asks for, before the size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRequest {
    /// `bytes=N-` or `bytes=N-M` (both ends included).
    From(u64, Option<u64>),
    /// `bytes=-N`: the last N bytes.
    Suffix(u64),
}

/// Bytes `start..end` of some content; `end` is excluded and not below `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// The range lies outside the content: 416.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("range lies outside the content")]
pub struct Unsatisfiable;

impl RangeRequest {
    /// The one range that `header` asks for; `None` means the whole content is to be sent (another
    /// unit, several ranges, or a malformed value, all of which a server may ignore).
    ///
    /// Spec: RFC 9110 section 14.2.
    pub fn parse(header: &str) -> Option<Self> {
        let spec = header.strip_prefix("bytes=")?.trim();
        let (first, last) = spec.split_once('-')?;
        if first.is_empty() {
            return Some(Self::Suffix(number(last)?));
        }
        let first = number(first)?;
        if last.is_empty() {
            return Some(Self::From(first, None));
        }
        let last = number(last)?;
        (first <= last).then_some(Self::From(first, Some(last)))
    }

    /// The bytes meant in content of `size` bytes.
    ///
    /// # Errors
    /// When no byte of the content is meant.
    pub fn resolve(self, size: u64) -> Result<ByteRange, Unsatisfiable> {
        match self {
            Self::From(start, _) if start >= size => Err(Unsatisfiable),
            Self::From(start, last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                Ok(ByteRange { start, end })
            }
            Self::Suffix(0) => Err(Unsatisfiable),
            Self::Suffix(_) if size == 0 => Err(Unsatisfiable),
            Self::Suffix(length) => Ok(ByteRange { start: size.saturating_sub(length), end: size }),
        }
    }
}

impl ByteRange {
    /// All of some content of `size` bytes.
    pub const fn whole(size: u64) -> Self {
        Self { start: 0, end: size }
    }

    /// Number of bytes.
    pub const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Digits only; a number too large for `u64` means "beyond any content".
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(header: &str, size: u64) -> Option<Result<(u64, u64), Unsatisfiable>> {
        let request = RangeRequest::parse(header)?;
        Some(request.resolve(size).map(|range| (range.start, range.end)))
    }

    #[test]
    fn ranges_mean_what_the_rfc_says() {
        for (header, size, expected) in [
            ("bytes=0-9", 100, Some(Ok((0, 10)))),
            ("bytes=-5", 100, Some(Ok((95, 100)))),
            ("bytes=-0", 100, Some(Err(Unsatisfiable))),
            ("bytes=-999999999999", 100, Some(Ok((0, 100)))),
            ("bytes=90-", 100, Some(Ok((90, 100)))),
            ("bytes=100-", 100, Some(Err(Unsatisfiable))),
            ("bytes=100-100", 100, Some(Err(Unsatisfiable))),
            ("bytes=99-99999999999999999999999", 100, Some(Ok((99, 100)))),
            ("bytes=5-1", 100, None),
            ("bytes=0-0,5-5", 100, None),
            ("items=0-1", 100, None),
            ("bytes=a-b", 100, None),
            ("bytes =0-1", 100, None),
            ("", 100, None),
            ("bytes=0-", 0, Some(Err(Unsatisfiable))),
        ] {
            assert_eq!(resolved(header, size), expected, "{header} of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_resolved_range_lies_within_the_content(header in "bytes=[0-9]{0,22}-[0-9]{0,22}", size: u64) {
            if let Some(Ok(range)) = RangeRequest::parse(&header).map(|request| request.resolve(size)) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn parsing_never_panics(header in ".{0,200}") {
            RangeRequest::parse(&header);
        }
    }
}
