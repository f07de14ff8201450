//! Break-glass: who may, what it has served and what it has not, and when that ends.

mod hostile;
mod using;

use std::time::Duration;

use hyper::Method;
use pratique::ledger::{NewToken, PersonId, Role, Vouched};
use pratique::oci::Digest;
use serde_json::{Value, json};

use crate::admin::{Desk, Reply};
use crate::support::mirror::{Answer, TestMirror};

/// Who vouches for people.
const PROVIDER: &str = "https://login.test";
const BLOCK: &str = "breakGlass: {who: [\"group:oncall\", \"token:pager\"], maxTTL: 4h}\n";
/// What is denied, unlisted, waits, and is unsigned; and what is beyond the floor.
const RULES: &str = "\
rules:
- {id: shut, match: [\"up.test/shut/**\"], trust: deny}
- {id: asked, match: [\"up.test/asked/**\"], trust: approve}
- {id: open, match: [\"up.test/open/**\"], trust: allow}
";

fn policy(block: &str) -> String {
    format!("floor: {{registries: [up.test]}}\n{block}{RULES}")
}

/// A mirror with people on call (alice, bob, carol), somebody else who decides (dave), and robots.
struct Office {
    desk: Desk,
    tokens: Vec<(&'static str, String)>,
}

fn vouched(who: &str, role: Role, groups: &[&str]) -> Vouched {
    Vouched {
        issuer: PROVIDER.to_owned(),
        subject: who.to_owned(),
        display: who.to_owned(),
        role,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn person(who: &str) -> PersonId {
    PersonId::Oidc { issuer: PROVIDER.to_owned(), subject: who.to_owned() }
}

impl Office {
    async fn open(block: &str) -> Self {
        Self::of(TestMirror::start_with(&policy(block), |_| {}).await).await
    }

    async fn of(mirror: TestMirror) -> Self {
        let mut office = Self { desk: Desk::of(mirror), tokens: Vec::new() };
        for (name, role, groups) in [
            ("alice", Role::Requester, &["oncall"][..]),
            ("bob", Role::Approver, &["oncall"]),
            ("carol", Role::Approver, &["oncall"]),
            ("dave", Role::Approver, &["security"]),
        ] {
            let person = office.ledger().vouch(vouched(name, role, groups)).await;
            let owner = Some(person.expect("somebody").id);
            office.token_of(name, NewToken { owner, ..NewToken::new(name, role) }).await;
        }
        for name in ["pager", "robot"] {
            let groups = [String::from("oncall")].into();
            let new = NewToken { groups, ..NewToken::new(name, Role::Requester) };
            office.token_of(name, new).await;
        }
        office
    }

    fn ledger(&self) -> &pratique::ledger::Ledger {
        self.desk.mirror.mirror().ledger()
    }

    async fn token_of(&mut self, who: &'static str, new: NewToken) {
        let secret = self.ledger().create_token(new, "test").await.expect("a token");
        self.tokens.push((who, secret.expose().to_owned()));
    }

    async fn send(&self, method: Method, who: &str, path: &str, body: Option<&Value>) -> Reply {
        let token = &self.tokens.iter().find(|(name, _)| *name == who).expect("somebody").1;
        let path = format!("/api/v1/break-glass{path}");
        let body = body.map(Value::to_string);
        self.desk.send(method, &path, Some(token), body, &[]).await
    }

    async fn post(&self, who: &str, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, who, path, Some(body)).await
    }

    /// Breaks the glass for `image`, an hour long.
    async fn break_for(&self, who: &str, image: &str) -> Reply {
        let body =
            json!({"image": image, "reason": "prod is down", "ticket": "INC-7", "ttl": "60m"});
        self.post(who, "", &body).await
    }

    async fn vote(&self, who: &str, id: &str) -> Reply {
        self.post(who, &format!("/{id}/votes"), &json!({"comment": "seen it"})).await
    }

    async fn review(&self, who: &str, id: &str) -> Reply {
        let body = json!({"verdict": "justified", "comment": "it was"});
        self.post(who, &format!("/{id}/review"), &body).await
    }

    async fn end(&self, who: &str, id: &str) -> Reply {
        self.send(Method::DELETE, who, &format!("/{id}"), None).await
    }

    async fn show(&self, id: &str) -> Value {
        self.send(Method::GET, "dave", &format!("/{id}"), None).await.json()
    }

    fn push(&self, repository: &str, content: &str) -> Digest {
        self.desk.push(repository, "1", content)
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Answer {
        self.desk.mirror.manifest(repository, digest).await
    }

    /// Whether the manifest is served by `id`, and says so.
    async fn is_served_by(&self, repository: &str, digest: &Digest, id: &str) -> bool {
        let answer = self.manifest(repository, digest).await;
        let told =
            answer.header("warning").contains(&format!("admitted by break-glass {id} until"));
        assert_eq!(answer.status == 200, told, "{answer:?}");
        told
    }

    async fn settle(&self) {
        self.desk.mirror.mirror().settle_emergencies().await.expect("settled");
    }

    async fn is_intact(&self) -> bool {
        self.desk.get("/api/v1/audit/verify").await.json()["intact"] == true
    }

    fn advance(&self, minutes: u64) {
        self.desk.mirror.clock.advance(Duration::from_mins(minutes));
    }
}
