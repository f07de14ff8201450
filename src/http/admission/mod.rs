//! The admission listener: what API servers and Gatekeeper ask, answered from what is known here.
//!
//! Promises: no answer waits for upstream or a scan, none has a secret in it, and a review that asks for a dry
//! run leaves nothing behind; every body is bounded; where certificates are asked for, nobody is answered
//! without one but whoever asks how the program is. What cannot be told lets nothing in.

mod asking;
mod body;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use tracing::info;

use super::AdmissionSettings;
use super::listen::ShownCertificate;
use crate::admission::{self, ImageReview, Keys, Review, Runner, mutate, validate};
use crate::metrics::{AdmissionMode, AdmissionResult};
use crate::mirror::Mirror;
use crate::oci::Registry;
use asking::{Asking, Side};
use body::{Problem, json, read};

/// What the listener answers from; clones share it.
#[derive(Debug, Clone)]
pub struct AdmissionState {
    mirror: Mirror,
    settings: Arc<AdmissionSettings>,
    /// The registry of names that name none.
    default_registry: Registry,
    public_url: Option<Arc<str>>,
}

impl AdmissionState {
    /// What answers for `mirror` by `settings`; names without a registry belong to `default_registry`, and
    /// requests are found below `public_url`.
    pub fn new(
        mirror: Mirror,
        settings: AdmissionSettings,
        default_registry: Registry,
        public_url: Option<Arc<str>>,
    ) -> Self {
        Self { mirror, settings: Arc::new(settings), default_registry, public_url }
    }

    fn count(&self, mode: AdmissionMode, result: AdmissionResult, begun: Instant) {
        self.mirror.metrics().admission.count(mode, result);
        self.mirror.metrics().admission_seconds.observe(begun.elapsed());
    }
}

/// Everything that the listener serves.
pub fn router(state: AdmissionState) -> Router {
    let asked = Router::new()
        .route("/admission/v1/validate", post(validating))
        .route("/admission/v1/mutate", post(mutating))
        .route("/imagereview/v1alpha1", post(image_review))
        .route("/gatekeeper/v1beta1/validate", post(gatekeeper))
        .route_layer(from_fn_with_state(state.clone(), certified));
    Router::new()
        .merge(asked)
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(state)
}

/// Lets nobody ask who showed no certificate, where the settings name who signs them.
async fn certified(
    State(state): State<AdmissionState>,
    shown: Option<Extension<ShownCertificate>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = state.settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if asked && !shown.is_some_and(|Extension(shown)| shown.0) {
        return Problem::no_certificate().into_response();
    }
    next.run(request).await
}

async fn readyz(State(state): State<AdmissionState>) -> (StatusCode, &'static str) {
    if state.mirror.tasks().is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ready\n")
}

async fn validating(
    State(state): State<AdmissionState>,
    request: Request,
) -> Result<Response, Problem> {
    review(&state, request, AdmissionMode::Validate).await
}

async fn mutating(
    State(state): State<AdmissionState>,
    request: Request,
) -> Result<Response, Problem> {
    review(&state, request, AdmissionMode::Mutate).await
}

/// What was sent, parsed; what it is not is counted.
async fn parsed<T>(
    state: &AdmissionState,
    request: Request,
    mode: AdmissionMode,
    parse: impl FnOnce(&[u8]) -> Result<T, admission::Error>,
) -> Result<(T, Instant), Problem> {
    let begun = Instant::now();
    let body: Result<Bytes, Problem> = read(request).await;
    let read = body.and_then(|body| parse(&body).map_err(|error| Problem::unreadable(&error)));
    match read {
        Ok(read) => Ok((read, begun)),
        Err(problem) => {
            state.count(mode, AdmissionResult::Malformed, begun);
            Err(problem)
        }
    }
}

async fn review(
    state: &AdmissionState,
    request: Request,
    mode: AdmissionMode,
) -> Result<Response, Problem> {
    let (review, begun) = parsed(state, request, mode, Review::parse).await?;
    let (rules, revision) = (&state.settings.rules, state.mirror.policy().revision());
    let is_validated = mode == AdmissionMode::Validate;
    // Only what is about to be made is asked for: a dry run, and the first look, leave nothing behind.
    let side = if is_validated && !review.dry_run { Side::File } else { Side::Nothing };
    let client: Arc<str> = match &review.namespace {
        Some(namespace) => format!("namespace {namespace}").into(),
        None => "cluster".into(),
    };
    let is_workload = matches!(review.object, admission::Object::Workload { .. });
    let side = if is_workload { Side::Nothing } else { side };
    let asking = Asking { state, client, runner: review.runner(), side };
    let known = asking.known(rules.images(&review)).await;
    let answer = if is_validated {
        validate(&review, rules, &known, revision)
    } else {
        mutate(&review, rules, &known, revision)
    };
    let result = match (&answer.refused, answer.warnings.is_empty()) {
        (Some(_), _) => AdmissionResult::Denied,
        (None, false) => AdmissionResult::Warned,
        (None, true) => AdmissionResult::Allowed,
    };
    state.count(mode, result, begun);
    if let Some(refused) = &answer.refused {
        let namespace = review.namespace.as_deref().unwrap_or_default();
        info!(namespace, user = %review.user, dry_run = review.dry_run, reason = %refused.message, "pod refused");
    }
    Ok(json(&answer.document(&review.uid)))
}

async fn image_review(
    State(state): State<AdmissionState>,
    request: Request,
) -> Result<Response, Problem> {
    let mode = AdmissionMode::ImageReview;
    let (review, begun) = parsed(&state, request, mode, ImageReview::parse).await?;
    let client = review.namespace.as_deref().unwrap_or("cluster");
    // The API server does not say whether it is a dry run.
    let runner = review.namespace.clone().map_or(Runner::Unknown, Runner::Namespace);
    let client = format!("namespace {client}").into();
    let asking = Asking { state: &state, client, runner, side: Side::Nothing };
    let known = asking.known(review.images.iter().cloned().collect()).await;
    let glass = |image: &str| {
        let wanted = review.break_glass.as_deref()?;
        state.mirror.emergency_called(&asking.named(image).ok()?.name, wanted)
    };
    let (document, allowed) = review.document(&state.settings.rules, &known, glass);
    let result = if allowed { AdmissionResult::Allowed } else { AdmissionResult::Denied };
    state.count(mode, result, begun);
    Ok(json(&document))
}

async fn gatekeeper(
    State(state): State<AdmissionState>,
    request: Request,
) -> Result<Response, Problem> {
    let mode = AdmissionMode::Gatekeeper;
    let (keys, begun) = parsed(&state, request, mode, Keys::parse).await?;
    let (client, runner) = ("gatekeeper".into(), Runner::Unknown);
    let asking = Asking { state: &state, client, runner, side: Side::Nothing };
    let known = asking.known(keys.0.iter().cloned().collect()).await;
    let provided = keys.provided(&state.settings.rules, &known);
    let denied = provided.refused > 0;
    let result = if denied { AdmissionResult::Denied } else { AdmissionResult::Allowed };
    state.count(mode, result, begun);
    Ok(json(&provided.document))
}
