//! A whole mirror without upstreams, for the targets that need somebody to answer.

#![expect(clippy::expect_used, reason = "a target that cannot be prepared has to end")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

use crate::app::App;
use crate::config::Settings;
use crate::http::admin::{AdminState, router};
use crate::http::{AdminSettings, Node, NodeSettings};

/// How long one input may keep a listener busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the node listener waits for the rest of a head.
const HEADER_TIMEOUT: Duration = Duration::from_millis(50);
/// What a pipe to the listener holds, in bytes.
const PIPE_BYTES: usize = 64 * 1024;
/// The last request of every connection, behind whatever the input left open.
const LAST: &[u8] =
    b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: mirror.test\r\nConnection: close\r\n\r\n";

struct World {
    runtime: Runtime,
    app: App,
    token: String,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let data_dir = folder();
        let mut settings = Settings { data_dir: data_dir.clone(), ..Settings::default() };
        settings.store.dir.clone_from(&data_dir);
        settings.admin.data_dir.clone_from(&data_dir);
        settings.node.listen = ([127, 0, 0, 1], 0).into();
        settings.admin.listen = ([127, 0, 0, 1], 0).into();
        settings.upstream.registries.clear();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let app = runtime.block_on(App::start(settings)).expect("a mirror");
        let file = app.first_token.clone().expect("a first token");
        let token = std::fs::read_to_string(file).expect("a token").trim().to_owned();
        World { runtime, app, token }
    })
}

/// A new empty folder of this process.
fn folder() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("pratique-fuzz-{}-{count}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A file that is said to be a backup.
pub(super) fn backup(bytes: &[u8]) {
    let dir = folder();
    let done = crate::ledger::fuzzing::backup(bytes, &dir);
    drop(std::fs::remove_dir_all(&dir));
    done.expect("a folder that can be written");
}

/// One request of an admin.
pub(super) fn admin(bytes: &[u8]) {
    // One at a time: what one run decides must not be in the way of another's.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let World { runtime, app, token } = world();
    runtime.block_on(async {
        let state = AdminState::new(app.mirror.clone(), AdminSettings::default());
        let router = router(state.expect("without a provider nothing can be wrong"));
        let answering = crate::http::fuzzing::admin(router, token, bytes);
        let answered = tokio::time::timeout(PATIENCE, answering).await;
        assert!(answered.is_ok(), "no answer in {PATIENCE:?}");
    });
}

/// Everything that one connection of a node carries.
pub(super) fn node(bytes: &[u8]) {
    let World { runtime, app, .. } = world();
    let output = runtime.block_on(async {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let tasks = app.mirror.tasks().clone();
        let settings = NodeSettings { header_timeout: HEADER_TIMEOUT, ..NodeSettings::default() };
        let node = Node::new(app.mirror.clone(), settings);
        let serving = crate::http::fuzzing::serve(far, node, tasks);
        let (mut reading, mut writing) = tokio::io::split(near);
        let talking = async {
            let mut output = Vec::new();
            let write = async {
                // The listener may close before it has read everything.
                let whole = writing.write_all(bytes).await;
                if whole.is_ok() {
                    drop(writing.write_all(LAST).await);
                }
            };
            let read = async { drop(reading.read_to_end(&mut output).await) };
            tokio::join!(write, read, serving);
            output
        };
        tokio::time::timeout(PATIENCE, talking).await
    });
    assert!(output.is_ok(), "a connection was not closed in {PATIENCE:?}");
    let output = output.unwrap_or_default();
    let count = |text: &[u8], word: &[u8]| text.windows(word.len()).filter(|w| *w == word).count();
    let answers = count(&output, b"HTTP/1.1 ") + count(&output, b"HTTP/1.0 ");
    assert!(output.is_empty() || output.starts_with(b"HTTP/1."), "an answer begins elsewhere");
    let asked = count(bytes, b"HTTP/1.") + 1;
    // One more: what is no request at all is told so.
    assert!(answers <= asked + 1, "{answers} answers to {asked} requests");
    let failed = count(&output, b"HTTP/1.1 500") + count(&output, b"HTTP/1.0 500");
    assert_eq!(failed, 0, "{}", String::from_utf8_lossy(&output));
}
