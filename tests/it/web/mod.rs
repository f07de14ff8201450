//! The page: who sees it, what it shows, and that it does nothing that nobody wanted.

mod break_glass;
mod deciding;
mod difference;
mod drafts;
mod entry;
mod exceptions;
mod forms;
mod headers;
mod hostile;
mod live;
mod pages;
mod questions;
mod queue;
mod together;
mod votes;

use std::sync::Mutex;

use hyper::Method;

use crate::admin::{Desk, Reply};

/// Rules for every kind of answer.
const RULES: &str = r#"
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: never, match: ["up.test/never/**"], trust: deny}
"#;

/// Somebody's browser: it keeps a cookie, and says where its forms come from.
pub(crate) struct Browser<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) cookie: Mutex<Option<String>>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(desk: &'a Desk) -> Self {
        Self { desk, cookie: Mutex::new(None) }
    }

    /// A browser in which whoever has the first token is signed in.
    pub(crate) async fn signed_in(desk: &'a Desk) -> Self {
        let browser = Self::new(desk);
        browser.sign_in(&desk.token).await;
        browser
    }

    pub(crate) async fn sign_in(&self, token: &str) {
        let reply = self.post("/login", &[("token", token)]).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, &[]).await
    }

    /// The page at `path`, which is there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.text()
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from(path, fields, &[("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_from(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Reply {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send(Method::POST, path, Some(encoded(fields)), &headers).await
    }

    /// Sends the form of `verb` on the page at `path` with a reason.
    pub(crate) async fn decide(&self, path: &str, verb: &str, reason: &str) -> Reply {
        let page = self.page(path).await;
        self.send_form(&page, verb, reason, "").await
    }

    /// Sends the form of `verb` on `page`.
    async fn send_form(&self, page: &str, verb: &str, reason: &str, term: &str) -> Reply {
        let (_, form) = page.split_once(&format!("data-verb=\"{verb}\"")).expect("the form");
        let (form, _) = form.split_once("</form>").expect("its end");
        let (target, shown) = (hidden(form, "target"), hidden(form, "shown"));
        let token = hidden(form, "form_token");
        let mut fields =
            vec![("form_token", &*token), ("verb", verb), ("target", &target), ("reason", reason)];
        fields.extend([("shown", &*shown), ("term", term)]);
        self.post("/decisions", &fields).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        headers: &[(&'static str, &str)],
    ) -> Reply {
        let cookie = self.cookie.lock().unwrap().clone();
        let mut headers = headers.to_vec();
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        let reply = self.desk.send(method, path, None, body, &headers).await;
        for set in reply.headers.get_all("set-cookie") {
            self.keep(set.to_str().unwrap());
        }
        reply
    }

    /// Keeps a cookie beside those that it has, or instead of the one of that name.
    fn keep(&self, set: &str) {
        let pair = set.split(';').next().unwrap();
        let name = pair.split_once('=').unwrap().0;
        let mut cookie = self.cookie.lock().unwrap();
        let others = cookie.iter().flat_map(|all| all.split("; "));
        let others = others.filter(|other| other.split_once('=').is_some_and(|(it, _)| it != name));
        let gone = set.contains("Max-Age=0");
        let kept: Vec<&str> = others.chain((!gone).then_some(pair)).collect();
        *cookie = (!kept.is_empty()).then(|| kept.join("; "));
    }

    /// The cookie as it is sent.
    pub(crate) fn cookie(&self) -> String {
        self.cookie.lock().unwrap().clone().expect("a cookie")
    }
}

/// What the hidden field `name` of `html` says; nothing when there is none.
pub(crate) fn hidden(html: &str, name: &str) -> String {
    let Some((_, rest)) = html.split_once(&format!("name=\"{name}\" value=\"")) else {
        return String::new();
    };
    rest.split('"').next().expect("a value").to_owned()
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let plain = |b: u8| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        };
        text.bytes().map(plain).collect::<String>()
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A desk with [`RULES`].
pub(crate) async fn desk() -> Desk {
    Desk::of(crate::support::mirror::TestMirror::start(RULES).await)
}
