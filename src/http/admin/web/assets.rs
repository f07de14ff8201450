//! The files that belong to pages: one style sheet, one script, one icon, all in the program.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::page;
use crate::oci::Digest;

/// The style sheet.
pub(super) const STYLE: File = File {
    path: "/assets/style.css",
    content_type: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};
/// The script, without which everything works, too.
pub(super) const SCRIPT: File = File {
    path: "/assets/keys.js",
    content_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/keys.js"),
};
/// The icon.
pub(super) const ICON: File = File {
    path: "/assets/icon.svg",
    content_type: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
};

/// A file of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

impl File {
    /// Where pages ask for it: another program has other files, and asks elsewhere.
    pub(super) fn url(&self) -> String {
        format!("{}?{}", self.path, Digest::sha256(self.text.as_bytes()).short())
    }

    /// The file as an answer.
    pub(super) fn answer(self) -> Response {
        let mut response = self.text.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let cached = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(CACHE_CONTROL, cached);
        page::guard(&mut response);
        response
    }
}
