//! The inflated bytes of a layer, hashed, counted and bounded on the way.

use std::io::Read;
use std::rc::Rc;

use super::Stop;
use super::source::{self, Decoder, Meter};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::scan::Limits;

/// Small enough to stay in the cache of a core between inflating, hashing and looking.
const BUFFER_BYTES: usize = 128 * 1024;

/// A layer, inflated as it is read.
pub(super) struct Inflated<R: Read> {
    decoder: Decoder<R>,
    meter: Rc<Meter>,
    limits: Limits,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    failed: bool,
    bytes: u64,
    hasher: Hasher,
}

impl<R: Read> Inflated<R> {
    pub(super) fn open(reader: R, limits: &Limits) -> Result<Self, Stop> {
        let (decoder, meter) = Decoder::open(reader, limits)?;
        Ok(Self {
            decoder,
            meter,
            limits: limits.clone(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
            failed: false,
            bytes: 0,
            hasher: Algorithm::Sha256.hasher(),
        })
    }

    /// How many bytes there were so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it cannot be read on, whatever is asked of it.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The next bytes without taking them: `count` of them, or all that are left.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Stop> {
        while self.end - self.start < count && !self.ended {
            self.fill()?;
        }
        let end = self.end.min(self.start.saturating_add(count));
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    /// Takes bytes that were seen.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
    }

    /// What is there now, or after reading on: empty at the end.
    pub(super) fn some(&mut self) -> Result<&[u8], Stop> {
        self.peek(1)?;
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Takes `count` bytes, and says how many of them were missing.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<u64, Stop> {
        while count > 0 {
            let there = self.some()?.len();
            if there == 0 {
                break;
            }
            let taken = usize::try_from(count).unwrap_or(usize::MAX).min(there);
            self.consume(taken);
            count -= u64::try_from(taken).unwrap_or(count);
        }
        Ok(count)
    }

    /// The digest of all bytes. It is right only at the end.
    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }

    fn fill(&mut self) -> Result<(), Stop> {
        let filled = self.fill_once();
        self.failed |= filled.is_err();
        filled
    }

    fn fill_once(&mut self) -> Result<(), Stop> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = self.decoder.read(room).map_err(|error| source::stop(&self.meter, &error))?;
        self.hasher.update(room.get(..count).unwrap_or_default());
        self.end += count;
        self.bytes += u64::try_from(count).unwrap_or(0);
        self.ended = count == 0;
        self.check()
    }

    fn check(&self) -> Result<(), Stop> {
        let Limits { layer_bytes, ratio, ratio_from_bytes, .. } = self.limits;
        if self.bytes > layer_bytes {
            return Err(Stop::limit(format!("it has more than layer_bytes = {layer_bytes}")));
        }
        if self.bytes > ratio_from_bytes && self.bytes > self.meter.bytes().saturating_mul(ratio) {
            let text = format!("it inflates to more than ratio = {ratio} times its size");
            return Err(Stop::limit(text));
        }
        self.meter.check_time()
    }
}
