//! What arrived, and what was sent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// One request, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When its head had been read.
    pub(crate) at: Instant,
    /// `GET`, `HEAD`, …
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// All header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body of a POST.
    pub(crate) body: String,
    /// Whether it was answered otherwise than it should have been.
    pub(crate) is_faulted: bool,
    /// Whether there is content to answer with.
    pub(crate) is_found: bool,
    sent: Arc<AtomicU64>,
}

impl Entry {
    pub(super) fn new(
        method: String,
        target: String,
        headers: Vec<(String, String)>,
        body: String,
        is_faulted: bool,
    ) -> Self {
        let (at, sent) = (Instant::now(), Arc::default());
        Self { at, method, target, headers, body, is_faulted, is_found: true, sent }
    }

    /// `METHOD /path?query`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.iter().find(|(key, _)| key == name);
        line.map(|(_, value)| value.as_str())
    }

    /// The `Range` header.
    pub(crate) fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// The `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    /// Bytes sent in answer so far, head and all.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether anything in this request is a secret.
    pub(crate) fn carries_credentials(&self) -> bool {
        let names = ["authorization", "proxy-authorization", "cookie"];
        names.iter().any(|name| self.header(name).is_some())
            || self.body.contains("password=")
            || self.body.contains("refresh_token=")
    }
}

/// All requests in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<Vec<Entry>>,
    connections: AtomicUsize,
}

impl Ledger {
    pub(super) fn record(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
