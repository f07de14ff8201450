//! What the program logs, for tests that look for what must not be there.

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

/// Everything logged by this thread from [`capture`] on, at every level.
pub(crate) struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

/// Where there is one subscriber only, whoever logs at a place first is asked whether anybody wants what is
/// logged there: another test's thread, that nobody listens to. With a second one, all are asked.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Begins to keep what this thread logs; a single-threaded runtime logs nowhere else.
pub(crate) fn capture() -> Log {
    LazyLock::force(&SECOND);
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(written.clone())
        .finish();
    Log { written, _guard: tracing::subscriber::set_default(subscriber) }
}

impl Log {
    /// The log so far.
    pub(crate) fn text(&self) -> String {
        let written = self.written.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
