//! The admin API under `/api/v1`, and what stands beside it without a token: health, metrics, and the
//! short page of a request.
//!
//! Promises: nothing under `/api/v1` answers without a valid token, and a role that may not write
//! cannot; every body is bounded and JSON; every error is a problem document. The API knows no cookies,
//! so that no page in a browser can act for its user: people have [`web`]. Decisions are the desk's:
//! here they only get their HTTP form.

mod audit;
mod auth;
mod body;
mod cache;
mod decisions;
mod keys;
mod look;
mod open;
mod problem;
mod requests;
mod simulate;
mod throttle;
mod tokens;
pub mod web;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};

use super::AdminSettings;
use crate::mirror::Mirror;
use crate::mirror::desk::Desk;
use problem::Problem;
use throttle::Throttle;

/// What the admin listener answers from; clones share it.
#[derive(Debug, Clone)]
pub struct AdminState {
    desk: Desk,
    data_dir: Arc<Path>,
    throttle: Arc<Throttle>,
    sessions: Arc<web::Sessions>,
    is_tls: bool,
}

impl AdminState {
    /// The state for `mirror`.
    pub fn new(mirror: Mirror, settings: AdminSettings) -> Self {
        Self {
            desk: Desk::new(mirror),
            data_dir: settings.data_dir.into(),
            throttle: Arc::new(Throttle::default()),
            sessions: Arc::default(),
            is_tls: settings.tls.is_some(),
        }
    }
}

/// Everything that the admin listener serves.
pub fn router(state: AdminState) -> Router {
    let api = Router::new()
        .route("/approvals", post(decisions::approve))
        .route("/audit", get(audit::list))
        .route("/audit/checkpoint", get(audit::checkpoint).post(audit::new_checkpoint))
        .route("/audit/export", get(audit::export))
        .route("/audit/keys", get(audit::keys))
        .route("/audit/proof", get(audit::proof))
        .route("/audit/verify", get(audit::verify))
        .route("/audit/why", get(audit::why))
        .route("/backup", post(look::backup))
        .route("/cache", get(cache::status))
        .route("/cache/gc", post(cache::gc))
        .route("/cache/pins", get(cache::pins).post(cache::pin).delete(cache::unpin))
        .route("/cache/scrub", post(cache::scrub))
        .route("/explain", get(look::explain))
        .route("/observed", get(look::observed))
        .route("/policy", get(look::policy))
        .route("/prefetch", post(requests::prefetch))
        .route("/reinstatements", post(decisions::reinstate))
        .route("/public-keys", get(keys::show).post(keys::rotate))
        .route("/rejections", post(decisions::reject))
        .route("/rejudgements", get(decisions::rejudge_dry).post(decisions::rejudge))
        .route("/requests", get(requests::list).post(requests::ask))
        .route("/requests/{id}", get(requests::show))
        .route("/revocations", post(decisions::revoke))
        .route("/scans/releases", post(decisions::release_scans))
        .route("/status", get(look::status))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{name}", delete(tokens::revoke))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(state.clone(), auth::authenticate));
    // Questions that are too long for an address: they change nothing, so that a viewer may ask.
    let questions = Router::new()
        .route("/simulate", post(simulate::simulate))
        .layer(from_fn_with_state(state.clone(), auth::authenticate_reader));
    let api = api.merge(questions);
    Router::new()
        .nest("/api/v1", api)
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
