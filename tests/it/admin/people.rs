//! People and robots: made, changed and ended by admins.

use hyper::Method;
use serde_json::{Value, json};

use super::Desk;
use super::command_line::run;

#[tokio::test]
async fn a_user_is_made_changed_reset_and_removed_by_the_command_line() {
    let desk = Desk::start().await;
    let none = desk.run(&["user", "ls"]).await;
    assert_eq!(none.code, 0, "{none:?}");
    let made = desk.run(&["user", "add", "alice", "--role", "approver", "--group", "sec"]).await;
    assert_eq!((made.code, made.stdout.trim().len()), (0, 31), "{made:?}");
    assert!(made.stderr.contains("chooses one and sets up an authenticator"), "{made:?}");
    let secret = made.stdout.trim().to_owned();
    let twice = desk.run(&["user", "add", "alice"]).await;
    assert_eq!(twice.code, 1, "{twice:?}");
    for (arguments, code) in [
        (&["user", "add", "Bob"][..], 1),
        (&["user", "add", "bob", "--role", "king"], 1),
        (&["user", "add", "bob", "--role", "discover"], 1),
        (&["user", "set", "alice"], 64),
        (&["user", "set", "nobody", "--role", "viewer"], 1),
        (&["user", "remove", "nobody"], 1),
        (&["user", "reset", "oidc:https://id.test#x"], 1),
    ] {
        let ran = desk.run(arguments).await;
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(code == ran.code || code == 1, "{ran:?}");
    }
    let shown = desk.run(&["user", "show", "alice", "--json"]).await.json();
    assert_eq!(
        (&shown["id"], &shown["state"]),
        (&json!("user:alice"), &json!("invited")),
        "{shown}"
    );
    let set = ["user", "set", "alice", "--role", "viewer", "--no-groups", "--json"];
    let set = desk.run(&set).await.json();
    assert_eq!((&set["role"], set.get("groups")), (&json!("viewer"), None), "{set}");
    let out = desk.run(&["user", "disable", "alice", "--json"]).await.json();
    assert_eq!(out["state"], "disabled");
    let back = desk.run(&["user", "enable", "user:alice", "--json"]).await.json();
    assert_eq!(back["state"], "invited");
    let reset = desk.run(&["user", "reset", "alice", "--json"]).await.json();
    assert_ne!(reset["secret"], json!(secret));
    let listed = desk.run(&["user", "ls"]).await.stdout;
    assert!(listed.contains("alice") && listed.contains("invited"), "{listed}");
    let removed = desk.run(&["user", "remove", "alice"]).await;
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(desk.run(&["user", "ls", "--json"]).await.json(), json!([]));
    let audit = desk.get("/api/v1/audit").await.text();
    for kind in [
        "person-created",
        "person-changed",
        "person-disabled",
        "person-enabled",
        "person-reset",
        "person-removed",
    ] {
        assert!(audit.contains(kind), "{kind}: {audit}");
    }
    let told = reset["secret"].as_str().unwrap();
    for secret in [secret.as_str(), told] {
        assert!(!audit.contains(secret), "the audit tells a secret");
    }
    assert!(!desk.get("/api/v1/people").await.text().contains(told));
}

#[tokio::test]
async fn users_are_made_and_reset_while_the_server_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let config = folder.path().join("pratique.toml");
    std::fs::write(&config, format!("data_dir = {data:?}\n")).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let offline = async |arguments: &[&str]| run(&[arguments, &config].concat()).await;
    let made = offline(&["user", "add", "alice", "--role", "admin", "--offline", "--json"]).await;
    assert_eq!(made.json()["name"], "alice");
    let reset = offline(&["user", "reset", "alice", "--offline"]).await;
    assert_eq!((reset.code, reset.stdout.trim().len()), (0, 31), "{reset:?}");
    let nobody = offline(&["user", "reset", "bob", "--offline"]).await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    let king = offline(&["user", "add", "bob", "--role", "king", "--offline"]).await;
    assert_eq!(king.code, 64, "{king:?}");
    let desk = Desk::start().await;
    let config = desk.settings_file();
    let busy = run(&["user", "add", "bob", "--offline", "--config", &config]).await;
    assert_eq!(busy.code, 2, "{busy:?}");
}

async fn robot(desk: &Desk, body: &Value) -> String {
    let made = desk.post("/api/v1/tokens", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_robot_asks_for_what_it_is_for_and_sees_nothing_else_and_decides_nothing() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "one");
    desk.push("asked/other", "1", "two");
    for repository in ["asked/app", "asked/other"] {
        desk.mirror.pull(repository, "1").await.assert_refused("Pending");
    }
    let body = json!({"name": "ci", "role": "requester", "groups": ["ci"],
                      "repositories": ["up.test/asked/app", "up.test/open/*"]});
    let token = robot(&desk, &body).await;
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let body = body.map(|body| body.to_string());
        desk.send(method, &format!("/api/v1{path}"), Some(&token), body, &[]).await
    };
    let get = async |path: &str| send(Method::GET, path, None).await;
    let listed = get("/requests").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["image"], "up.test/asked/app:1");
    let own = listed[0]["id"].as_str().unwrap().to_owned();
    let other = if own == "R-1" { "R-2" } else { "R-1" };
    assert_eq!(get(&format!("/requests/{own}")).await.status, 200);
    assert_eq!(get(&format!("/requests/{other}")).await.status, 404, "as if there were none");
    assert_eq!(get("/explain?image=up.test/asked/app:1").await.status, 200);
    assert_eq!(get("/explain?image=up.test/asked/other:1").await.status, 403);
    let ask = async |image: &str| {
        let body = json!({"images": [image], "reason": "a build"});
        send(Method::POST, "/requests", Some(body)).await
    };
    assert_eq!(ask("up.test/asked/app:1").await.status, 200);
    for image in ["up.test/asked/other:1", "up.test/asked/app/deeper:1", "docker.io/library/redis"]
    {
        let reply = ask(image).await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "role"), "{image}");
    }
    for path in ["/audit", "/status", "/tokens", "/people", "/policy", "/cache", "/observed"] {
        assert_eq!(get(path).await.status, 403, "{path}");
    }
    for path in ["/approvals", "/rejections", "/revocations", "/reinstatements"] {
        let body = json!({"target": own, "reason": "mine"});
        assert_eq!(send(Method::POST, path, Some(body)).await.status, 403, "{path}");
    }
    let all = robot(&desk, &json!({"name": "all", "role": "requester"})).await;
    let reply = desk.send(Method::GET, "/api/v1/requests", Some(&all), None, &[]).await;
    assert_eq!(reply.json().as_array().unwrap().len(), 2, "without a scope, everything");
    let reply = desk.send(Method::GET, "/api/v1/status", Some(&all), None, &[]).await;
    assert_eq!(reply.status, 200);
    // And no page is opened by it.
    let browser = crate::web::Browser::new(&desk);
    let reply = browser.post("/login", &[("token", &token)]).await;
    assert!(reply.status == 403 && reply.text().contains("some repositories only"), "{reply:?}");
}

#[tokio::test]
async fn a_token_with_an_end_is_refused_from_then_on_and_listed_as_expired() {
    let desk = Desk::start().await;
    for bad in [
        json!({"name": "a", "role": "viewer", "expires_at": "2026-11-20T10:00:00Z"}),
        json!({"name": "a", "role": "viewer", "expires_at": "soon"}),
        json!({"name": "a", "role": "viewer", "repositories": ["redis"]}),
        json!({"name": "a", "role": "viewer", "repositories": ["docker.io/***"]}),
    ] {
        let reply = desk.post("/api/v1/tokens", &bad).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad}");
    }
    let body = json!({"name": "ci", "role": "viewer", "expires_at": "2026-11-20T11:00:00Z"});
    let token = robot(&desk, &body).await;
    let browser = crate::web::Browser::new(&desk);
    browser.sign_in(&token).await;
    let status =
        async || desk.send(Method::GET, "/api/v1/status", Some(&token), None, &[]).await.status;
    assert_eq!(status().await, 200);
    // Thirty minutes of rest would end the session before the token.
    for _ in 0..2 {
        desk.mirror.clock.advance(std::time::Duration::from_mins(29));
        assert_eq!(browser.get("/").await.status, 200);
    }
    desk.mirror.clock.advance(std::time::Duration::from_mins(2));
    assert_eq!(status().await, 401);
    assert_eq!(browser.get("/").await.status, 303, "its session ends with it");
    let listed = desk.run(&["token", "ls"]).await.stdout;
    assert!(listed.contains("EXPIRED"), "{listed}");
    let made = ["token", "new", "robot", "--role", "requester", "--expires", "90d", "--repository"];
    let made = desk.run(&[&made[..], &["docker.io/library/*", "--group", "ci"]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let listed = desk.run(&["token", "ls", "--json"]).await.json();
    let robot = listed.as_array().unwrap().iter().find(|it| it["name"] == "robot").unwrap();
    assert_eq!(robot["repositories"], json!(["docker.io/library/*"]), "{robot}");
    assert_eq!(desk.run(&["token", "new", "x", "--expires", "never"]).await.code, 64);
}

#[tokio::test]
async fn the_last_admin_token_stays_also_when_others_have_ended() {
    let desk = Desk::start().await;
    let body = json!({"name": "short", "role": "admin", "expires_at": "2026-11-20T11:00:00Z"});
    robot(&desk, &body).await;
    let body = json!({"name": "narrow", "role": "admin", "repositories": ["up.test/a"]});
    robot(&desk, &body).await;
    desk.mirror.clock.advance(std::time::Duration::from_mins(61));
    let path = "/api/v1/tokens/first-run";
    let last = desk.send(Method::DELETE, path, Some(&desk.token), None, &[]).await;
    assert_eq!((last.status, last.problem().as_str()), (409, "conflict"));
    let end = desk.send(Method::DELETE, "/api/v1/tokens/short", Some(&desk.token), None, &[]).await;
    assert_eq!(end.status, 204, "an expired one can go");
}

#[tokio::test]
async fn a_token_to_discover_tags_discovers_those_of_its_repositories() {
    let desk = Desk::start().await;
    for repository in ["asked/app", "asked/other"] {
        desk.push(repository, "1", "content");
    }
    let body =
        json!({"name": "renovate", "role": "discover", "repositories": ["up.test/asked/app"]});
    let token = robot(&desk, &body).await;
    for (repository, expected) in [("asked/app", 1), ("asked/other", 0)] {
        let name = format!("up.test/{repository}").parse().unwrap();
        let listed = desk.mirror.mirror().tags(&name, &Default::default(), Some(&token)).await;
        assert_eq!(listed.unwrap().tags.len(), expected, "{repository}");
    }
}
