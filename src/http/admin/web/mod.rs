//! The page: what people see in a browser, beside the API and on the same port.
//!
//! Promises: it works without a script; whatever comes from outside is escaped, and what would deceive
//! the eye is told by its number; a page shows nothing without a session, and a form changes nothing
//! that was not sent by a page of that session; a decision holds for what was shown, or is refused. A
//! session opens no route of the API, and a token of the API opens no page but by signing in.
//!
//! What is decided, and who may, is the desk's: here it only gets its form.

mod account;
mod assets;
mod audit;
mod break_glass;
mod chart;
mod cookie;
mod deciding;
mod difference;
mod dossier;
mod draft;
mod entry;
mod evidence;
mod excepting;
mod exceptions;
mod findings;
mod form;
mod health;
mod history;
mod live;
mod outdated;
mod page;
mod people;
mod persons;
mod policy;
mod public;
mod queue;
mod remarks;
mod rules;
mod session;
mod together;
mod trouble;
mod words;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

pub(in crate::http::admin) use entry::Entrance;
pub(super) use public::request_page;
pub(in crate::http::admin) use session::Sessions;

use super::problem::Problem;
use super::{AdminState, Route};
use crate::ledger::Permission;
use crate::people::oidc::CALLBACK_PATH;
use cookie::Cookie;
use session::Visitor;
use trouble::Trouble;

/// Every route of the page, and what it takes.
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

/// The pages that somebody who signed in may look at, by their paths in the table.
fn pages() -> Vec<&'static str> {
    let is_page =
        |it: &Route| it.method == Method::GET && it.needs.is_some() && it.path != live::PATH;
    routes().into_iter().filter(is_page).map(|it| it.path).collect()
}

/// The one table of the page: nothing is served that is not in it.
fn table() -> Vec<(Route, MethodRouter<AdminState>)> {
    use Permission::{Administer, Ask, Decide, Look};
    let route = |method, path, needs| Route { method, path, needs };
    let look = |path| route(Method::GET, path, Some(Look));
    let open = |path| route(Method::GET, path, None);
    let send = |path, needs| route(Method::POST, path, needs);
    vec![
        (look("/"), get(queue::show)),
        (look("/account"), get(account::show)),
        (send("/account/out", Some(Look)), post(account::out)),
        (send("/account/password", Some(Look)), post(account::change)),
        (open(assets::STYLE.path), get(async || assets::STYLE.answer())),
        (open(assets::SCRIPT.path), get(async || assets::SCRIPT.answer())),
        (open(assets::ICON.path), get(async || assets::ICON.answer())),
        (send("/answers", Some(Ask)), post(remarks::answer)),
        (look("/audit"), get(audit::show)),
        (look(break_glass::PATH), get(break_glass::show)),
        (send(break_glass::PATH, Some(Ask)), post(break_glass::break_glass)),
        (send("/break-glass/act", Some(Ask)), post(break_glass::act)),
        (send("/decisions", Some(Decide)), post(deciding::decide)),
        (look("/exceptions"), get(exceptions::list)),
        (send("/exceptions", Some(Ask)), post(excepting::ask)),
        (send("/exceptions/decisions", Some(Decide)), post(excepting::decide)),
        (send("/exceptions/endings", Some(Ask)), post(excepting::end)),
        (route(Method::GET, "/exceptions/new", Some(Ask)), get(excepting::new)),
        (look("/exceptions/{id}"), get(exceptions::show)),
        (look("/health"), get(health::show)),
        (look("/images/{*image}"), get(dossier::show)),
        (look(live::PATH), get(live::listen)),
        (open("/login"), get(entry::show)),
        (send("/login", None), post(entry::sign_in)),
        (open("/login/code"), get(entry::show_code)),
        (send("/login/code", None), post(entry::check_code)),
        (open("/login/enrol"), get(entry::show_enrolment)),
        (send("/login/enrol", None), post(entry::enrol)),
        (open("/login/enrol/key.svg"), get(entry::picture)),
        (open("/login/oidc"), get(entry::leave)),
        (open(CALLBACK_PATH), get(entry::callback)),
        (send("/logout", Some(Look)), post(entry::sign_out)),
        (look("/outdated"), get(outdated::show)),
        (route(Method::GET, "/people", Some(Administer)), get(persons::show)),
        (send("/people", Some(Administer)), post(persons::invite)),
        (send("/people/act", Some(Administer)), post(persons::act)),
        (look("/policy"), get(policy::show)),
        (send("/policy/draft", Some(Look)), post(draft::try_draft)),
        (send("/questions", Some(Decide)), post(remarks::ask)),
        (look("/requests/{id}"), get(dossier::show)),
        (route(Method::GET, "/together", Some(Decide)), get(together::show)),
        (send("/together", Some(Decide)), post(together::decide)),
    ]
}

/// The routes of the page, each behind what it takes.
pub(super) fn router(state: &AdminState) -> Router<AdminState> {
    let mut router = Router::new();
    for (Route { path, needs, .. }, handler) in table() {
        let guarded = from_fn_with_state((state.clone(), needs), enter);
        router = router.route(path, handler.route_layer(guarded));
    }
    router
}

/// Lets a request through to its route, with who sends it.
async fn enter(
    State((state, needs)): State<(AdminState, Option<Permission>)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Trouble> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !form::is_own(request.headers(), request.uri()) {
        return Err(Trouble::foreign_form());
    }
    if let Some(needed) = needs {
        let Some(visitor) = visitor(&state, &request) else {
            if request.uri().path() == live::PATH {
                return Ok(live::ended());
            }
            let path = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str);
            let next = path.filter(|_| reads).and_then(form::local);
            return Err(Trouble::SignIn(next.unwrap_or("/").to_owned()));
        };
        if !visitor.caller.may(needed) {
            return Err(Problem::role(&visitor.caller, needed).into());
        }
        request.extensions_mut().insert(visitor);
    }
    Ok(next.run(request).await)
}

/// Who sends `request`, by the session that its cookie names. What a script does by itself is no use of it.
fn visitor(state: &AdminState, request: &Request) -> Option<Visitor> {
    let id = Cookie::Session.id(request.headers(), state.is_tls)?;
    let (mirror, sessions) = (state.desk.mirror(), &state.sessions);
    let (now, as_of_now) = (mirror.clock().monotonic(), |id: &_| mirror.ledger().caller(id));
    let mut visitor = if live::is_by_itself(request) {
        sessions.at_rest(id, now, as_of_now)
    } else {
        sessions.visitor(id, now, as_of_now)
    }?;
    visitor.emergencies = state.desk.break_glasses_at_hand();
    Some(visitor)
}
