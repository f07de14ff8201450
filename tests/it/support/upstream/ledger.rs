//! What arrived at the fake.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use tokio::sync::Notify;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET`, `HEAD`, …
    pub(crate) method: String,
    /// The path alone; for a request to a proxy, the whole address.
    pub(crate) path: String,
    /// The query without its question mark.
    pub(crate) query: Option<String>,
    /// The body of a POST, as text.
    pub(crate) body: String,
    headers: HeaderMap,
}

impl Seen {
    pub(super) fn new(parts: &http::request::Parts, body: String) -> Self {
        let uri = &parts.uri;
        let path = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}{}", uri.path()),
            _ => uri.path().to_owned(),
        };
        Self {
            method: parts.method.to_string(),
            path,
            query: uri.query().map(str::to_owned),
            body,
            headers: parts.headers.clone(),
        }
    }

    /// `METHOD /path?query`.
    pub(crate) fn line(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{} {}{query}", self.method, self.path)
    }

    /// Whether `needle` is part of [`Self::line`].
    pub(crate) fn fits(&self, needle: &str) -> bool {
        self.line().contains(needle)
    }

    /// The value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `Range` header.
    pub(crate) fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// The `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    /// Whether anything in this request is a secret: a header, or a field of a form.
    pub(crate) fn carries_credentials(&self) -> bool {
        let headers = ["authorization", "proxy-authorization", "cookie"];
        headers.iter().any(|name| self.headers.contains_key(*name))
            || self.body.contains("password=")
            || self.body.contains("refresh_token=")
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    requests: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    arrived: Notify,
}

impl Ledger {
    pub(super) fn record(&self, seen: Seen) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.arrived.notify_waiters();
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) async fn wait_for(&self, needle: &str, count: usize) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if self.all().iter().filter(|seen| seen.fits(needle)).count() >= count {
                return;
            }
            arrived.await;
        }
    }
}
