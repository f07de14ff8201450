//! What a hostile registry does to an answer.

use std::time::Duration;

use bytes::Bytes;

use super::seed::Seed;

/// One way to misbehave. Counts are bytes of the body unless they say otherwise.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// These bytes instead of the content, with their own right length.
    Body(Bytes),
    /// Chunks of zeros without end, and without a length.
    EndlessBody,
    /// One chunk whose extension never ends.
    EndlessChunkExtension,
    /// The right length and then an end (FIN) after so many bytes.
    FinAt(usize),
    /// A gzip body that says so: some kilobytes that stand for very many.
    GzipBomb,
    /// A head of so many bytes.
    HugeHead(usize),
    /// The whole content with status 200, whatever range was asked for.
    IgnoreRange,
    /// `Content-Length` and `Transfer-Encoding: chunked` in one head; the body is chunked.
    LengthAndChunks,
    /// `Content-Length` is wrong by so much, and the body has that length: cut, or padded.
    LengthOff(i64),
    /// So many header lines.
    ManyHeaders(usize),
    /// No length: the end of the connection is the end of the body.
    NoLength,
    /// Not a word.
    Silence,
    /// These bytes instead of everything, word for word, and an end.
    Raw(Bytes),
    /// A redirect to this address.
    Redirect(String),
    /// A reset (RST) after so many bytes.
    ResetAt(usize),
    /// One more header line, or another value for one that is there.
    Header(&'static str, String),
    /// The body byte by byte, so long apart, from byte so and so on.
    SlowBody(usize, Duration),
    /// The head byte by byte, so long apart.
    SlowHead(Duration),
    /// Nothing more after so many bytes.
    StallAt(usize),
    /// This status with an error body, and `Retry-After` if any.
    Status(u16, Option<String>),
    /// The right length, and every byte of the content another.
    WrongBytes,
    /// 206 with a `Content-Range` that is not the one asked for.
    WrongRange,
}

/// Longest pause of a seeded slow body.
const PAUSE_MAX_MS: u64 = 20;

impl Fault {
    /// Any of the faults that a blob of `length` bytes can have.
    pub(crate) fn of_blob(seed: &mut Seed, length: usize) -> Self {
        let at = seed.below(length.max(1));
        match seed.below(16) {
            0 => Self::FinAt(at),
            1 => Self::ResetAt(at),
            2 => Self::StallAt(at),
            3 => Self::WrongBytes,
            4 => Self::LengthOff(1),
            5 => Self::LengthOff(-1),
            6 => Self::NoLength,
            7 => Self::LengthAndChunks,
            8 => Self::Status(503, None),
            9 => Self::Status(429, Some("0".to_owned())),
            10 => Self::EndlessChunkExtension,
            11 => Self::HugeHead(1 << 20),
            12 => Self::SlowBody(
                length.saturating_sub(seed.below(64)),
                Duration::from_millis(1 + u64::try_from(seed.below(20)).unwrap_or(PAUSE_MAX_MS)),
            ),
            13 => Self::Redirect("https://169.254.169.254/latest/meta-data".to_owned()),
            14 => Self::EndlessBody,
            _ => Self::GzipBomb,
        }
    }

    /// Any of the faults that a manifest or a tag can have.
    pub(crate) fn of_manifest(seed: &mut Seed) -> Self {
        match seed.below(12) {
            0 => Self::WrongBytes,
            1 => Self::GzipBomb,
            2 => Self::Status(500, None),
            3 => Self::Status(429, Some("0".to_owned())),
            4 => Self::FinAt(seed.below(64)),
            5 => Self::ResetAt(seed.below(64)),
            6 => Self::LengthOff(-1),
            7 => Self::LengthAndChunks,
            8 => Self::ManyHeaders(10_000),
            9 => Self::EndlessBody,
            10 => Self::Redirect("/loop".to_owned()),
            _ => Self::Body(Bytes::from_static(b"{\"schemaVersion\":2}")),
        }
    }
}
