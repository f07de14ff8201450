//! What every page has: its frame, its headers, and the last look at its text.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::break_glass::{self, banner};
use super::live;
use super::session::Visitor;
use crate::ledger::Permission;
pub(super) use crate::text::plain_to_see;

/// No script, style, frame or form but our own; nothing in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Queue,
    Exceptions,
    Outdated,
    Policy,
    Audit,
    BreakGlass,
    Health,
    People,
    /// None of them.
    Elsewhere,
}

/// A page to be sent.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) status: StatusCode,
    pub(super) title: &'a str,
    pub(super) place: Place,
    /// Whether it is loaded anew while it is open, when something happened.
    pub(super) is_live: bool,
    /// Who looks at it; without anybody there is no navigation.
    pub(super) visitor: Option<&'a Visitor>,
    /// What is in the field to search.
    pub(super) search: &'a str,
    pub(super) main: Markup,
}

impl<'a> Page<'a> {
    /// A page that is as it should be.
    pub(super) fn new(title: &'a str, place: Place, visitor: &'a Visitor, main: Markup) -> Self {
        let (status, visitor) = (StatusCode::OK, Some(visitor));
        Self { status, title, place, visitor, is_live: false, search: "", main }
    }

    /// A page that anybody may see, with its status, title and place.
    pub(super) fn to_anybody(
        (status, title, place): (StatusCode, &'a str, Place),
        main: Markup,
    ) -> Self {
        Self { status, title, place, visitor: None, is_live: false, search: "", main }
    }

    /// The same, to be loaded anew while it is open, when something happened.
    pub(super) fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// The whole document.
    fn document(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " - Pratique" }
                    link rel="icon" href=(ICON.url()) type="image/svg+xml";
                    link rel="stylesheet" href=(STYLE.url());
                    script src=(SCRIPT.url()) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { "Pratique" }
                        @if let Some(visitor) = self.visitor { (self.navigation(visitor)) }
                    }
                    @if self.is_live {
                        p.note #news role="status" hidden { "Something has changed. " a href="" { "Load again" } }
                    }
                    @if let Some(visitor) = self.visitor { (banner(&visitor.open_emergencies())) }
                    main #main tabindex="-1" data-live=[self.is_live.then_some(live::PATH)] { (self.main) }
                    @if self.visitor.is_some() { (keys()) }
                }
            }
        }
    }

    fn navigation(&self, visitor: &Visitor) -> Markup {
        let entries = [
            ("Queue", "/", Place::Queue),
            ("Exceptions", "/exceptions", Place::Exceptions),
            ("Outdated", "/outdated", Place::Outdated),
            ("Policy", "/policy", Place::Policy),
            ("Audit", "/audit", Place::Audit),
            ("Break-glass", break_glass::PATH, Place::BreakGlass),
            ("Health", "/health", Place::Health),
            ("People", "/people", Place::People),
        ];
        let administers = visitor.caller.may(Permission::Administer);
        let entries =
            entries.into_iter().filter(|(.., place)| administers || *place != Place::People);
        html! {
            nav aria-label="Main" {
                ul {
                    @for (name, path, place) in entries {
                        li {
                            a href=(path) aria-current=[(place == self.place).then_some("page")] { (name) }
                        }
                    }
                }
            }
            form.search role="search" action="/" method="get" {
                label.unseen for="search" { "Search the requests" }
                input #search type="search" name="q" value=(self.search) maxlength="200"
                    placeholder="Search" autocomplete="off" spellcheck="false";
                input type="hidden" name="state" value="all";
            }
            form.out action="/logout" method="post" {
                input type="hidden" name="form_token" value=(visitor.form_token());
                a.who href="/account" title="My account" { bdi { (visitor.caller.display) } " (" (visitor.caller.role) ")" }
                button.plain type="submit" { "Sign out" }
            }
        }
    }
}

/// The keys that the script knows; it shows this, without a script it stays away.
fn keys() -> Markup {
    let keys = [
        ("j, k", "next and previous"),
        ("Enter", "open"),
        ("a", "approve or reinstate"),
        ("r", "reject or revoke"),
        ("/", "search"),
        ("?", "these keys"),
        ("Esc", "close"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.keys {
                @for (key, what) in keys {
                    div { dt { kbd { (key) } } dd { (what) } }
                }
            }
            form method="dialog" { button.plain type="submit" { "Close" } }
        }
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let text = plain_to_see(&self.document().into_string());
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(CONTENT_TYPE, html);
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        guard(&mut response);
        response
    }
}

/// The headers that everything has that a page answers.
pub(super) fn guard(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_or_turns_others_around_is_told_by_its_number() {
        assert_eq!(plain_to_see("nginx \u{202e}gnp.exe"), "nginx [U+202E]gnp.exe");
        assert_eq!(plain_to_see("pay\u{200b}pal\u{feff}"), "pay[U+200B]pal[U+FEFF]");
        assert_eq!(plain_to_see("a\u{7}b\u{1b}[2J\u{9b}"), "a[U+0007]b[U+001B][2J[U+009B]");
        let fine = "one\ttwo\nGrüße, 日本, \u{05e9}\u{05dc}\u{05d5}\u{05dd} 😀";
        assert_eq!(plain_to_see(fine), fine);
    }
}
