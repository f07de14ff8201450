//! Asking back about a request, and what belongs together.

use hyper::Method;
use pratique::ledger::{NewToken, REMARKS_MAX, Role, Scope};
use serde_json::{Value, json};

use super::{Desk, Reply};

/// A desk with the request R-1, and tokens of everybody who may say something, or may not.
struct Office {
    desk: Desk,
    tokens: Vec<(&'static str, String)>,
}

impl Office {
    async fn open() -> Self {
        let desk = Desk::start().await;
        desk.push("asked/app", "1", "content");
        desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
        let ledger = desk.mirror.mirror().ledger();
        let mut tokens = Vec::new();
        let scope = |pattern: &str| Scope::new([pattern.to_owned()]).unwrap();
        for (name, role, scope) in [
            ("alice", Role::Approver, Scope::default()),
            ("dev", Role::Requester, Scope::default()),
            ("robot", Role::Requester, scope("up.test/asked/**")),
            ("other", Role::Requester, scope("up.test/open/**")),
            ("eve", Role::Viewer, Scope::default()),
        ] {
            let new = NewToken { scope, ..NewToken::new(name, role) };
            let secret = ledger.create_token(new, "test").await.unwrap();
            tokens.push((name, secret.expose().to_owned()));
        }
        Self { desk, tokens }
    }

    async fn send(&self, who: &str, path: &str, body: &Value) -> Reply {
        let token = &self.tokens.iter().find(|(name, _)| *name == who).unwrap().1;
        let (body, path) = (Some(body.to_string()), format!("/api/v1/{path}"));
        self.desk.send(Method::POST, &path, Some(token), body, &[]).await
    }

    async fn say(&self, who: &str, what: &str, text: &str) -> Reply {
        self.send(who, &format!("requests/R-1/{what}"), &json!({"text": text})).await
    }

    async fn listed(&self, query: &str) -> Vec<String> {
        let list = self.desk.get(&format!("/api/v1/requests?{query}")).await.json();
        let ids = list.as_array().unwrap().iter();
        ids.map(|request| request["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn request(&self) -> Value {
        self.desk.get("/api/v1/requests/R-1").await.json()
    }
}

#[tokio::test]
async fn a_question_marks_a_request_until_it_is_answered_and_both_are_on_record() {
    let office = Office::open().await;
    assert_eq!(office.listed("state=needs-info").await, [""; 0]);
    let asked = office.say("alice", "questions", "what is it for?").await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(
        (&asked.json()["needs_info"], &asked.json()["state"]),
        (&json!(true), &json!("pending"))
    );
    assert_eq!(office.listed("state=needs-info").await, ["R-1"]);
    // It holds nothing up, and is no decision.
    office.desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let public = office.desk.send(Method::GET, "/r/R-1", None, None, &[]).await.text();
    assert!(
        public.contains("has a question first") && !public.contains("what is it for"),
        "{public}"
    );
    let answered = office.say("dev", "answers", "the shop's cache").await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(office.listed("state=needs-info").await, [""; 0]);
    let request = office.request().await;
    assert_eq!(request["needs_info"], Value::Null, "{request}");
    let said: Vec<_> = request["remarks"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&said[0]["kind"], &said[0]["text"]),
        (&json!("question"), &json!("what is it for?"))
    );
    assert_eq!((&said[1]["kind"], &said[1]["by"]), (&json!("answer"), &json!("dev")));
    let audit = office.desk.get("/api/v1/audit").await.json();
    for (action, by, text) in [
        ("question-asked", "alice", "what is it for?"),
        ("question-answered", "dev", "the shop's cache"),
    ] {
        let records = audit["records"].as_array().unwrap();
        let found = records.iter().find(|it| it["action"] == action).unwrap();
        assert_eq!(found["by"], by, "{found}");
        assert!(found["reason"].as_str().is_some_and(|it| it.starts_with(text)), "{found}");
        assert_eq!(found["request"], "R-1", "{found}");
    }
    assert_eq!(office.desk.get("/api/v1/audit/verify").await.json()["intact"], true);
}

#[tokio::test]
async fn who_may_say_what_and_when_is_held() {
    let office = Office::open().await;
    let early = office.say("dev", "answers", "nobody asked").await;
    assert_eq!((early.status, early.problem().as_str()), (409, "conflict"));
    for who in ["dev", "eve", "robot"] {
        let reply = office.say(who, "questions", "why?").await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "role"), "{who}");
    }
    assert_eq!(office.say("alice", "questions", "why?").await.status, 200);
    assert_eq!(office.say("eve", "answers", "because").await.status, 403);
    let other = office.say("other", "answers", "because").await;
    assert_eq!(other.status, 404, "a token for other repositories sees none of it: {other:?}");
    assert_eq!(office.say("robot", "answers", "because").await.status, 200);
    for bad in ["", "  ", "two\nlines", &"x".repeat(1_001), "\u{1b}[2J"] {
        let reply = office.say("alice", "questions", bad).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad:?}");
    }
    let none = office.send("alice", "requests/R-9/questions", &json!({"text": "why?"})).await;
    assert_eq!(none.status, 404, "{none:?}");
    let body = json!({"target": "R-1", "reason": "no"});
    assert_eq!(office.send("alice", "rejections", &body).await.status, 200);
    let late = office.say("alice", "questions", "why?").await;
    assert_eq!(late.status, 409, "{late:?}");
}

#[tokio::test]
async fn a_decision_takes_the_mark_away_and_what_was_said_stays() {
    let office = Office::open().await;
    assert_eq!(office.say("alice", "questions", "why?").await.status, 200);
    let body = json!({"target": "R-1", "reason": "known by now"});
    assert_eq!(office.send("alice", "approvals", &body).await.status, 200);
    let request = office.request().await;
    assert_eq!((&request["needs_info"], &request["state"]), (&Value::Null, &json!("approved")));
    assert_eq!(request["remarks"][0]["text"], "why?", "{request}");
}

#[tokio::test]
async fn no_request_grows_without_end_and_the_last_question_can_be_answered() {
    let office = Office::open().await;
    for number in 0..REMARKS_MAX / 2 {
        let asked = office.say("alice", "questions", &format!("question {number}")).await;
        assert_eq!(asked.status, 200, "{asked:?}");
        assert_eq!(office.say("dev", "answers", "again").await.status, 200, "{number}");
    }
    let full = office.say("alice", "questions", "one more").await;
    assert_eq!((full.status, full.problem().as_str()), (409, "conflict"), "{full:?}");
    let all = office.request().await["remarks"].as_array().unwrap().len();
    assert_eq!(all, REMARKS_MAX);
    let list = office.desk.get("/api/v1/requests").await.json();
    assert_eq!(list[0]["remarks"].as_array().unwrap().len(), 2, "lists have the last two: {list}");
}

#[tokio::test]
async fn what_is_asked_for_together_is_a_group_and_the_rest_is_by_repository() {
    let office = Office::open().await;
    for (repository, tag) in [("asked/app", "2"), ("asked/web", "1"), ("asked/db", "1")] {
        office.desk.push(repository, tag, &format!("{repository} {tag}"));
    }
    let asked = json!({
        "images": ["up.test/asked/web:1", "up.test/asked/db:1"],
        "reason": "the release", "group": "shop 2.4", "ticket": "SEC-991",
    });
    assert_eq!(office.send("dev", "requests", &asked).await.status, 200);
    office.desk.mirror.pull("asked/app", "2").await.assert_refused("Pending");
    assert_eq!(office.listed("group=shop%202.4").await, ["R-2", "R-3"]);
    assert_eq!(office.listed("group=up.test%2Fasked%2Fapp").await, ["R-1", "R-4"]);
    assert_eq!(office.listed("group=up.test%2Fasked%2Fweb").await, [""; 0]);
    let request = office.desk.get("/api/v1/requests/R-2").await.json();
    assert_eq!((&request["group"], &request["ticket"]), (&json!("shop 2.4"), &json!("SEC-991")));
    // Several that say nothing are one all the same.
    let asked = json!({"images": ["up.test/asked/app:1", "up.test/asked/app:2"]});
    assert_eq!(office.send("dev", "requests", &asked).await.status, 200);
    let group = office.request().await["group"].as_str().unwrap().to_owned();
    assert!(group.starts_with("dev 20"), "{group}");
    let query = format!("group={}", group.replace(' ', "%20").replace(':', "%3A"));
    assert_eq!(office.listed(&query).await, ["R-1", "R-4"]);
    for bad in [
        json!({"images": ["up.test/asked/app:1"], "group": " "}),
        json!({"images": ["up.test/asked/app:1"], "group": "x".repeat(101)}),
        json!({"images": ["up.test/asked/app:1"], "ticket": "a\nb"}),
        json!({"images": ["up.test/asked/app:1"], "ticket": "x".repeat(201)}),
    ] {
        let reply = office.send("dev", "requests", &bad).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad}");
    }
}

#[tokio::test]
async fn commands_ask_answer_and_group() {
    let office = Office::open().await;
    let desk = &office.desk;
    let asked = desk.run(&["question", "R-1", "--text", "what is it for?"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.stdout.contains("pratique answer R-1 --text TEXT"), "{asked:?}");
    let listed = desk.run(&["requests", "--state", "needs-info"]).await;
    assert!(listed.stdout.contains("pending needs-info"), "{listed:?}");
    let answered = desk.run(&["answer", "R-1", "--text", "for the shop", "--json"]).await;
    assert_eq!(
        (answered.code, answered.json()["remarks"][1]["text"].clone()),
        (0, json!("for the shop"))
    );
    assert_eq!(desk.run(&["answer", "R-1", "--text", "again"]).await.code, 1);
    desk.push("asked/web", "1", "web");
    let wish = ["request", "up.test/asked/web:1", "--group", "shop 2.4", "--ticket", "SEC-991"];
    assert_eq!(desk.run(&wish).await.code, 0);
    let listed = desk.run(&["requests", "--group", "shop 2.4"]).await;
    assert!(listed.stdout.contains("R-2") && !listed.stdout.contains("R-1"), "{listed:?}");
    let shown = desk.run(&["show", "R-2"]).await;
    assert!(shown.stdout.contains("shop 2.4") && shown.stdout.contains("SEC-991"), "{shown:?}");
}
