//! Eyes on the process: memory, descriptors, logs, panics; and on the promises.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper::Method;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::hostile::invariants;
use crate::support::hostile::rig::{CLOSED_CANARY, PASSWORD};
use crate::support::mirror::TestMirror;
use crate::world::World;

/// Bytes of a page of memory.
const PAGE: u64 = 4096;
/// How much the second half of a run may need more than the first, beside a tenth: noise of the
/// allocator.
const NOISE_BYTES: u64 = 16 * 1024 * 1024;

/// Blobs that may be open: those that the store keeps so, and those that clients are reading.
const BLOBS_OPEN_MAX: usize = 512;

/// What was seen over time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Anonymous memory in bytes, at each look.
    pub(crate) memory: Vec<u64>,
    /// Open descriptors, at each look.
    pub(crate) descriptors: Vec<usize>,
    /// The longest that `/livez` took.
    pub(crate) livez_max: Duration,
}

impl Watch {
    /// Looks at everything that can be looked at while all goes on.
    pub(crate) async fn look(&mut self, world: &World, mirror: &TestMirror) {
        self.memory.push(memory());
        self.descriptors.push(descriptors());
        let blobs = blobs_open();
        if blobs > BLOBS_OPEN_MAX {
            world.broke([format!("{blobs} blobs are open")]);
        }
        let began = Instant::now();
        let answer =
            tokio::time::timeout(Duration::from_secs(30), mirror.ask(Method::GET, "/livez", &[]));
        match answer.await {
            Ok(answer) if answer.status == 200 => {}
            other => world.broke([format!("livez: {other:?}")]),
        }
        self.livez_max = self.livez_max.max(began.elapsed());
        world.broke(invariants::misnamed(mirror.folder()));
        world.broke(invariants::strays(&world.elsewhere));
        world.broke(invariants::panics());
        world.broke(said());
    }

    /// What grew that should not have.
    pub(crate) fn growth(&self) -> Option<String> {
        let settled = self.memory.get(self.memory.len() / 4..)?;
        let (first, second) = settled.split_at(settled.len() / 2);
        let (before, after) = (median(first)?, median(second)?);
        (after > before + before / 10 + NOISE_BYTES)
            .then(|| format!("memory grew from {before} to {after} bytes"))
    }
}

pub(crate) fn median(values: &[u64]) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Anonymous resident memory in bytes: maps of cached blobs are the page cache's.
pub(crate) fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: Vec<u64> = statm.split(' ').filter_map(|word| word.trim().parse().ok()).collect();
    (pages[1] - pages[2]) * PAGE
}

/// Open descriptors, but for those of cached blobs: the store keeps some open, see
/// [`blobs_open`].
pub(crate) fn descriptors() -> usize {
    open_files().filter(|path| !is_blob(path)).count()
}

/// Open descriptors of cached blobs.
pub(crate) fn blobs_open() -> usize {
    open_files().filter(|path| is_blob(path)).count()
}

fn open_files() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    // What was closed in between does not count.
    entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
}

fn is_blob(path: &Path) -> bool {
    path.to_string_lossy().contains("/data/blobs/")
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOG: Mutex<Option<File>> = Mutex::new(None);

/// Secrets that were logged.
fn said() -> Vec<String> {
    SAID.lock().expect("no panic under it").clone()
}

/// Has everything that is logged searched for what must not be there, and kept in `file` if any.
pub(crate) fn listen(file: Option<&String>) {
    let file = file.map(|path| File::create(path).expect("a file for the log"));
    *LOG.lock().expect("no panic under it") = file;
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(Searched)
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the first subscriber");
}

#[derive(Clone, Copy)]
struct Searched;

impl io::Write for Searched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for canary in [PASSWORD, CLOSED_CANARY] {
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                SAID.lock().expect("no panic under it").push(format!("{canary} was logged"));
            }
        }
        match &mut *LOG.lock().expect("no panic under it") {
            Some(file) => file.write_all(bytes).map(|()| bytes.len()),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Searched {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
