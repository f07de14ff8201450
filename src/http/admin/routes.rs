//! The routes of the API, and what each takes: the one table from which the router is made.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post};

use super::{
    AdminState, audit, cache, decisions, keys, look, persons, requests, simulate, tokens, webhooks,
};
use crate::ledger::Permission;

/// Under which path the API is.
pub const API: &str = "/api/v1";

/// A route of the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// By which method; GET answers HEAD, too.
    pub method: Method,
    /// Its path, with `{name}` for a segment and `{*name}` for a rest.
    pub path: &'static str,
    /// What it takes; `None`: nothing.
    pub needs: Option<Permission>,
}

/// The routes that heed which repositories a token is for; one that is not for all opens no others.
const SCOPED: [&str; 3] = ["/explain", "/requests", "/requests/{id}"];

/// Whether what is at `path` heeds which repositories a token is for.
pub(super) fn knows_scopes(path: &str) -> bool {
    SCOPED.contains(&path)
}

/// Every route of the API, under [`API`], and what it takes.
pub fn api_routes() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

/// The one table of the API: nothing is served that is not in it.
pub(super) fn table() -> Vec<(Route, MethodRouter<AdminState>)> {
    use Permission::{Administer, Ask, Decide, Look, SignAudit};
    let route = |method, path, needs| Route { method, path, needs: Some(needs) };
    let look = |path| route(Method::GET, path, Look);
    let send = |path, needs| route(Method::POST, path, needs);
    let take_back = |path, needs| route(Method::DELETE, path, needs);
    vec![
        (send("/approvals", Decide), post(decisions::approve)),
        (look("/audit"), get(audit::list)),
        (look("/audit/checkpoint"), get(audit::checkpoint)),
        (send("/audit/checkpoint", SignAudit), post(audit::new_checkpoint)),
        (look("/audit/export"), get(audit::export)),
        (look("/audit/keys"), get(audit::keys)),
        (look("/audit/proof"), get(audit::proof)),
        (look("/audit/verify"), get(audit::verify)),
        (look("/audit/why"), get(audit::why)),
        (send("/backup", Administer), post(look::backup)),
        (look("/cache"), get(cache::status)),
        (send("/cache/gc", Administer), post(cache::gc)),
        (look("/cache/pins"), get(cache::pins)),
        (send("/cache/pins", Administer), post(cache::pin)),
        (take_back("/cache/pins", Administer), delete(cache::unpin)),
        (send("/cache/scrub", Administer), post(cache::scrub)),
        (look("/explain"), get(look::explain)),
        (look("/observed"), get(look::observed)),
        (look("/outdated"), get(look::outdated)),
        (look("/people"), get(persons::list)),
        (send("/people", Administer), post(persons::add)),
        (look("/people/{id}"), get(persons::show)),
        (send("/people/{id}", Administer), post(persons::change)),
        (take_back("/people/{id}", Administer), delete(persons::remove)),
        (send("/people/{id}/reset", Administer), post(persons::reset)),
        (look("/policy"), get(look::policy)),
        (send("/prefetch", Administer), post(requests::prefetch)),
        (look("/public-keys"), get(keys::show)),
        (send("/public-keys", Administer), post(keys::rotate)),
        (send("/reinstatements", Decide), post(decisions::reinstate)),
        (look("/rejudgements"), get(decisions::rejudge_dry)),
        (send("/rejudgements", Administer), post(decisions::rejudge)),
        (send("/rejections", Decide), post(decisions::reject)),
        (look("/requests"), get(requests::list)),
        (send("/requests", Ask), post(requests::ask)),
        (look("/requests/{id}"), get(requests::show)),
        (send("/requests/{id}/votes", Decide), post(decisions::vote)),
        (send("/revocations", Decide), post(decisions::revoke)),
        (send("/scans/releases", Administer), post(decisions::release_scans)),
        // A question that is too long for an address: it changes nothing.
        (send("/simulate", Look), post(simulate::simulate)),
        (look("/status"), get(look::status)),
        (look("/tokens"), get(tokens::list)),
        (send("/tokens", Administer), post(tokens::create)),
        (take_back("/tokens/{name}", Administer), delete(tokens::revoke)),
        (look("/webhooks"), get(webhooks::list)),
        (send("/webhooks/{name}/test", Administer), post(webhooks::test)),
    ]
}
