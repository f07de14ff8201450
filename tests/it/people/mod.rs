//! Signing in: by name, password and code; and at a provider.

mod local;
mod pages;
mod provider;
mod sign_on;
mod step_up;

use std::collections::BTreeSet;
use std::time::Duration;

use pratique::ledger::{NewPerson, PersonId, Role};
use pratique::people::TotpKey;
use pratique::time::Clock as _;

use crate::admin::{Desk, Reply};
use crate::web::{Browser, hidden};

/// A password as good as any.
const PASSWORD: &str = "a few words of mine";
/// Past the life of a code, on either side.
const CODE_LIFE: Duration = Duration::from_secs(90);

/// Somebody with a password and an authenticator.
struct Person {
    name: &'static str,
    key: TotpKey,
}

impl Person {
    fn id(&self) -> PersonId {
        PersonId::Local { name: self.name.to_owned() }
    }

    /// The code that the authenticator shows now.
    fn code(&self, desk: &Desk) -> String {
        self.key.code_at(desk.mirror.clock.now()).expose().to_owned()
    }

    /// Signs in with password and code, a while after the last time.
    async fn sign_in(&self, browser: &Browser<'_>) {
        browser.desk.mirror.clock.advance(CODE_LIFE);
        let reply = by_password(browser, self.name, PASSWORD).await;
        assert_eq!(reply.header("location"), "/login/code", "{reply:?}");
        let reply = send_code(browser, &self.code(browser.desk)).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/"), "{}", reply.text());
    }
}

/// Somebody new; gives their one-time secret.
async fn invited(desk: &Desk, name: &str, role: Role) -> String {
    let new = NewPerson { name: name.to_owned(), role, groups: BTreeSet::new() };
    let ledger = desk.mirror.mirror().ledger();
    ledger.add_person(new, "test").await.expect("a person").0.expose().to_owned()
}

/// Somebody who has been here once.
async fn person(desk: &Desk, name: &'static str, role: Role) -> Person {
    let secret = invited(desk, name, role).await;
    let browser = Browser::new(desk);
    let key = begin_enrolment(&browser, name, &secret).await;
    let person = Person { name, key };
    let reply = enrol(&browser, PASSWORD, PASSWORD, &person.code(desk)).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    person
}

async fn by_password(browser: &Browser<'_>, name: &str, password: &str) -> Reply {
    browser.post("/login", &[("name", name), ("password", password)]).await
}

async fn send_code(browser: &Browser<'_>, code: &str) -> Reply {
    let page = browser.page("/login/code").await;
    let form_token = hidden(&page, "form_token");
    browser.post("/login/code", &[("form_token", &form_token), ("code", code)]).await
}

/// Signs in with a one-time secret; gives the key that the page shows for the authenticator.
async fn begin_enrolment(browser: &Browser<'_>, name: &str, secret: &str) -> TotpKey {
    let reply = by_password(browser, name, secret).await;
    assert_eq!(reply.header("location"), "/login/enrol", "{reply:?}");
    let page = browser.page("/login/enrol").await;
    let (_, rest) = page.split_once("id=\"key\">").expect("a key");
    let text = rest.split('<').next().expect("its end").replace(' ', "");
    TotpKey::from_text(&text).expect("a key")
}

async fn enrol(browser: &Browser<'_>, password: &str, again: &str, code: &str) -> Reply {
    let form_token = hidden(&browser.page("/login/enrol").await, "form_token");
    let fields =
        [("form_token", &*form_token), ("password", password), ("again", again), ("code", code)];
    browser.post("/login/enrol", &fields).await
}

async fn is_in(browser: &Browser<'_>) -> bool {
    browser.get("/").await.status == 200
}
