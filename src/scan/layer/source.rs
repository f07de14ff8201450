//! The compressed bytes of a layer: what was read of them, how long it took, and what they are.

use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::Stop;
use crate::scan::{GapKind, Limits};

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The last three of the four bytes that a skippable frame begins with; of the first, the upper half is
/// [`ZSTD_SKIPPABLE_FIRST`].
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const ZSTD_SKIPPABLE_FIRST: u8 = 0x50;
/// What nodes refuse, named so that the gap can say so.
const FOREIGN: &[(&[u8], &str)] =
    &[(b"BZh", "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"), (b"PK\x03\x04", "zip")];
/// Bytes that are looked at to tell what the layer is.
const MAGIC_BYTES: usize = 6;
const READ_BYTES: usize = 128 * 1024;
/// Log2 of the window that a frame of zstd may ask for: 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What a gap says that another, quicker reading may not have.
pub(super) const TOO_SLOW: &str = "reading it takes more than time";

/// What a layer has cost so far.
pub(super) struct Meter {
    bytes: Cell<u64>,
    began: Instant,
    waited: Cell<Duration>,
    time_max: Duration,
    error: RefCell<Option<io::Error>>,
}

impl Meter {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The source's own error, once.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.error.take()
    }

    /// An error when the layer took more time than it may. Waiting for its bytes to arrive is not its
    /// fault, and does not count.
    pub(super) fn check_time(&self) -> Result<(), Stop> {
        if self.began.elapsed().saturating_sub(self.waited.get()) <= self.time_max {
            return Ok(());
        }
        Err(Stop::limit(format!("{TOO_SLOW} = {} s", self.time_max.as_secs())))
    }
}

/// The source, metered. Decoders may loop over frames without content inside one call, so that time is
/// looked at here, too.
pub(super) struct Source<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.meter.check_time().is_err() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let before = Instant::now();
        let read = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.meter.waited.set(self.meter.waited.get() + before.elapsed());
        match read {
            Ok(count) => {
                self.meter.bytes.set(self.meter.bytes.get() + u64::try_from(count).unwrap_or(0));
                Ok(count)
            }
            Err(error) => {
                // Decoders wrap errors as they like: this one is kept as it is.
                let kind = error.kind();
                self.meter.error.replace(Some(error));
                Err(kind.into())
            }
        }
    }
}

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, Source<R>>>;

/// A layer's bytes without its compression, as nodes find out what it is: by its first bytes, whatever
/// its media type says.
pub(super) enum Decoder<R: Read> {
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    Plain(Input<R>),
    Zstd(ZstdDecoder<'static, Input<R>>),
}

impl<R: Read> Decoder<R> {
    /// # Errors
    /// When the source fails, or the layer is nothing that a node could read.
    pub(super) fn open(reader: R, limits: &Limits) -> Result<(Self, Rc<Meter>), Stop> {
        let meter = Rc::new(Meter {
            bytes: Cell::new(0),
            began: Instant::now(),
            waited: Cell::new(Duration::ZERO),
            time_max: limits.time,
            error: RefCell::new(None),
        });
        let mut source = Source { inner: reader, meter: Rc::clone(&meter) };
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        let wanted = u64::try_from(MAGIC_BYTES).unwrap_or(0);
        if let Err(error) = (&mut source).take(wanted).read_to_end(&mut magic) {
            return Err(stop(&meter, &error));
        }
        if let Some((_, name)) = FOREIGN.iter().find(|(begin, _)| magic.starts_with(begin)) {
            let text = format!("it is compressed with {name}, which nodes do not read");
            return Err(Stop::Gap(GapKind::Unsupported, text));
        }
        let (is_gzip, is_zstd) = (magic.starts_with(GZIP), is_zstd(&magic));
        let input = BufReader::with_capacity(READ_BYTES, Cursor::new(magic).chain(source));
        let decoder = if is_gzip {
            Self::Gzip(Box::new(MultiGzDecoder::new(input)))
        } else if is_zstd {
            let decoder = ZstdDecoder::with_buffer(input).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            Self::Zstd(decoder.map_err(|error| stop(&meter, &error))?)
        } else {
            Self::Plain(input)
        };
        Ok((decoder, meter))
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Plain(input) => input.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

fn is_zstd(magic: &[u8]) -> bool {
    let skippable = |(first, rest): (&u8, &[u8])| {
        first & 0xf0 == ZSTD_SKIPPABLE_FIRST && rest.starts_with(ZSTD_SKIPPABLE)
    };
    magic.starts_with(ZSTD) || magic.split_first().is_some_and(skippable)
}

/// What an error of a decoder means for the layer.
pub(super) fn stop(meter: &Meter, error: &io::Error) -> Stop {
    if let Some(error) = meter.take_error() {
        return Stop::Source(error);
    }
    if let Err(late) = meter.check_time() {
        return late;
    }
    let text = error.to_string();
    // The words of libzstd for a window that is larger than allowed.
    if text.contains("too much memory") {
        let window = format!("a frame of zstd asks for more than 2^{ZSTD_WINDOW_LOG_MAX} bytes");
        return Stop::limit(window);
    }
    Stop::malformed(format!("its compression is damaged: {text}"))
}
