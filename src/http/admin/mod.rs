//! The admin API under `/api/v1`, and what stands beside it without a token: health, metrics, and the
//! short page of a request.
//!
//! Promises: nothing under `/api/v1` answers without a valid token, and every route takes the role that
//! its table ([`api_routes`]) names; every body is bounded and JSON; every error is a problem document. The API knows no cookies,
//! so that no page in a browser can act for its user: people have [`web`]. Decisions are the desk's:
//! here they only get their HTTP form.

mod audit;
mod auth;
mod body;
mod break_glass;
mod cache;
mod decisions;
mod events;
mod exceptions;
mod feed;
mod guesses;
mod idempotency;
mod inventory;
mod keys;
mod look;
mod nodes;
mod open;
pub mod openapi;
mod paging;
mod persons;
mod problem;
mod requests;
mod routes;
mod simulate;
mod throttle;
mod tokens;
pub mod web;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::AdminSettings;
use crate::mirror::Mirror;
use crate::mirror::desk::Desk;
use crate::notify::Notifier;
use crate::people::oidc;
use events::Streams;
use idempotency::{Answers, Keys};
use problem::Problem;
pub use routes::{API, Route, api_routes};
use throttle::Throttle;

/// What the admin listener answers from; clones share it.
#[derive(Debug, Clone)]
pub struct AdminState {
    desk: Desk,
    data_dir: Arc<Path>,
    throttle: Arc<Throttle>,
    answers: Arc<Answers>,
    streams: Arc<Streams>,
    sessions: Arc<web::Sessions>,
    notifier: Notifier,
    public_url: Option<Arc<str>>,
    entrance: Arc<web::Entrance>,
    /// Whether browsers come over TLS: to this listener, or to what stands in front of it.
    is_tls: bool,
}

impl AdminState {
    /// The state for `mirror`.
    ///
    /// # Errors
    /// When the provider that people sign in at cannot be used.
    pub fn new(mirror: Mirror, settings: AdminSettings) -> Result<Self, oidc::Error> {
        let entrance = web::Entrance::new(settings.oidc, mirror.tasks(), mirror.clock())?;
        let desk = Desk::new(mirror);
        desk.keep_outdated();
        desk.keep_trends();
        desk.keep_inventories_in(&settings.data_dir);
        Ok(Self {
            desk,
            data_dir: settings.data_dir.into(),
            throttle: Arc::new(Throttle::default()),
            answers: Arc::default(),
            streams: Arc::default(),
            sessions: Arc::default(),
            notifier: Notifier::none(),
            public_url: None,
            entrance: Arc::new(entrance),
            is_tls: settings.tls.is_some(),
        })
    }
}

impl AdminState {
    /// Has the desk follow the approval files in the folder `path` until shutdown.
    pub fn follow_approval_files(&self, path: PathBuf) {
        self.desk.follow_approval_files(path);
    }

    /// The same with `notifier`, and with links that begin with `public_url`: where that is https, cookies are
    /// for TLS alone, whatever this listener speaks itself.
    #[must_use]
    pub fn telling(self, notifier: Notifier, public_url: Option<Arc<str>>) -> Self {
        let is_https = public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        Self { notifier, public_url, is_tls: self.is_tls || is_https, ..self }
    }
}

/// Everything that the admin listener serves.
pub fn router(state: AdminState) -> Router {
    let mut api = Router::new();
    for (Route { method, path, needs }, mut handler, told) in routes::table() {
        let scoped = routes::knows_scopes(path);
        let keys = told.keys(&method);
        if keys != Keys::NotAsked {
            let bytes_max = told.body_bytes_max();
            let once = from_fn_with_state((state.clone(), keys, bytes_max), idempotency::once);
            handler = handler.route_layer(once);
        }
        let guarded = needs.map(|needed| {
            handler.clone().route_layer(from_fn_with_state((needed, scoped), auth::allow))
        });
        api = api.route(path, guarded.unwrap_or(handler));
    }
    let api = api
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(state.clone(), auth::authenticate));
    Router::new()
        .nest(API, api)
        .route(feed::PATH, get(feed::show))
        .route("/livez", get(open::livez))
        .route("/metrics", get(open::metrics))
        .route("/r/{id}", get(web::request_page))
        .route("/readyz", get(open::readyz))
        .merge(web::router(&state))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

async fn no_such_path() -> Problem {
    Problem::not_found("there is nothing at this path")
}

async fn no_such_method() -> Problem {
    Problem::method()
}
