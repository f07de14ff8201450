//! Who asks, and whether they may.

use std::net::{IpAddr, Ipv4Addr};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use tracing::info;

use super::AdminState;
use super::problem::Problem;
use crate::http::listen::AdminAddress;
use crate::ledger::{Caller, Permission};

/// Longest token that is looked at, in bytes: ours are much shorter.
pub(super) const TOKEN_LENGTH_MAX: usize = 512;

/// Lets a request through if its token is valid, with who holds it.
///
/// A valid token passes however often others failed from the same address, or anyone on this machine
/// could lock the admin out; tokens are too long to be guessed at any rate.
pub(super) async fn authenticate(
    State(state): State<AdminState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let address = request
        .extensions()
        .get::<AdminAddress>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0);
    let mirror = state.desk.mirror();
    let token = bearer(request.headers()).and_then(|text| mirror.ledger().authenticate(text));
    let Some(caller) = token.and_then(|token| mirror.ledger().holder_of(&token)) else {
        let now = mirror.clock().monotonic();
        if let Some(wait) = state.throttle.failed(address, now) {
            return Err(Problem::throttled(wait.as_secs().max(1)));
        }
        info!(%address, "admin request without a valid token");
        return Err(Problem::unauthenticated());
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Lets a request through if whoever sends it may do what its route takes.
pub(super) async fn allow(
    State((needed, knows_scopes)): State<(Permission, bool)>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !caller.may(needed) {
        return Err(Problem::role(&caller, needed));
    }
    // What does not know of scopes would show more than the caller's.
    if !knows_scopes && !caller.scope.is_everything() {
        let text =
            "This token is for some repositories only: it may ask for images and see its requests.";
        return Err(Problem::forbidden("Not for this token", text));
    }
    Ok(next.run(request).await)
}

/// The bearer token, if exactly one is sent.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
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
