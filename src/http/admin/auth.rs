//! Who asks, and whether they may.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::info;

use super::AdminState;
use super::problem::Problem;
use crate::http::listen::AdminAddress;
use crate::ledger::Role;

/// Longest token that is looked at, in bytes: ours are much shorter.
const TOKEN_LENGTH_MAX: usize = 512;

/// The name of the token that asks: what the audit carries.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) String);

/// Lets a request through if its token is valid and its role allows the method: `admin` everything,
/// `viewer` what changes nothing. A token to discover tags has nothing to do here.
///
/// A valid token passes however often others failed from the same address, or anyone on this machine
/// could lock the admin out; tokens are too long to be guessed at any rate.
pub(super) async fn authenticate(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let_through(&state, request, next, reads).await
}

/// As [`authenticate`], for what changes nothing whatever its method.
pub(super) async fn authenticate_reader(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let_through(&state, request, next, true).await
}

async fn let_through(
    state: &AdminState,
    mut request: Request,
    next: Next,
    reads: bool,
) -> Result<Response, Problem> {
    let address = request
        .extensions()
        .get::<AdminAddress>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0);
    let mirror = state.desk.mirror();
    let token = bearer(request.headers()).and_then(|text| mirror.ledger().authenticate(text));
    let Some(token) = token else {
        let now = mirror.clock().monotonic();
        if let Some(wait) = state.throttle.failed(address, now) {
            return Err(Problem::throttled(wait.as_secs().max(1)));
        }
        info!(%address, "admin request without a valid token");
        return Err(Problem::unauthenticated());
    };
    match token.role {
        Role::Admin => {}
        Role::Viewer if reads => {}
        Role::Viewer => return Err(Problem::role(&token.name, "admin")),
        Role::Discover => {
            return Err(Problem::role(&token.name, if reads { "viewer" } else { "admin" }));
        }
    }
    request.extensions_mut().insert(Caller(token.name));
    Ok(next.run(request).await)
}

/// The bearer token, if exactly one is sent.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_LENGTH_MAX).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_one_bearer_token_of_a_sane_length_counts() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        assert_eq!(bearer(&headers(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&headers(&["bearer  abc "])), Some("abc"));
        for bad in [&["Basic abc"][..], &["Bearer"], &["abc"], &[], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(&headers(bad)), None, "{bad:?}");
        }
        assert_eq!(bearer(&headers(&[&format!("Bearer {}", "a".repeat(513))])), None);
    }
}
