//! From the use of one to its review.

use super::*;
use crate::support::upstream::{Image, Index};

#[tokio::test]
async fn what_is_denied_unlisted_or_waits_is_served_for_its_time_and_says_so() {
    let office = Office::open(BLOCK).await;
    for (number, repository) in ["shut/app", "elsewhere", "asked/app"].into_iter().enumerate() {
        let digest = office.push(repository, repository);
        assert_eq!(office.manifest(repository, &digest).await.status, 403, "{repository}");
        let reply = office.break_for("alice", &format!("up.test/{repository}:1")).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let (view, id) = (reply.json(), format!("B-{}", number + 1));
        assert_eq!((&view["id"], &view["state"]), (&json!(id), &json!("open")), "{view}");
        assert_eq!(view["image"], format!("up.test/{repository}@{digest}"), "bound to the digest");
        assert!(office.is_served_by(repository, &digest, &id).await, "{repository}");
        // By tag as by digest, with every blob, each with its warning.
        let pulled = office.desk.mirror.pull(repository, "1").await;
        pulled.assert_complete();
        for answer in pulled.blobs.iter().chain([&pulled.manifest]) {
            assert!(answer.header("warning").contains(&id), "{answer:?}");
        }
    }
    let metrics = office.desk.mirror.mirror().metrics();
    assert_eq!(metrics.emergencies_open.value(), 3);
    assert!(metrics.emergency_manifests.value() >= 9 && metrics.emergency_blobs.value() >= 6);
    assert_eq!(metrics.manifests_admitted.value(), 0, "nothing was admitted");
    office.advance(60);
    for repository in ["shut/app", "elsewhere", "asked/app"] {
        office.desk.mirror.pull(repository, "1").await.assert_refused("");
    }
    office.settle().await;
    assert_eq!((metrics.emergencies_open.value(), metrics.emergencies_unreviewed.value()), (0, 3));
    assert_eq!(office.show("B-1").await["ended"]["why"], "its time is over");
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn explain_and_the_audit_tell_it_and_no_summary_is_signed() {
    let office = Office::open(BLOCK).await;
    let digest = office.push("shut/app", "x");
    office.break_for("alice", "up.test/shut/app:1").await;
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    let image = format!("up.test/shut/app@{digest}");
    let explained = office.desk.get(&format!("/api/v1/explain?image={image}")).await.json();
    assert_eq!(
        (&explained["verdict"], &explained["break_glass"]["id"]),
        (&json!("deny"), &json!("B-1"))
    );
    let why = office.desk.get(&format!("/api/v1/audit/why?image={image}")).await.json();
    assert_eq!(why["state"], "break-glass", "{why}");
    let because = why["because"].as_str().expect("a sentence");
    assert!(because.contains("B-1") && because.contains("prod is down"), "{because}");
    assert!(because.contains("alice"), "{because}");
    let referrers = office.desk.mirror.get(&format!("shut/app/referrers/{digest}")).await;
    assert_eq!(referrers.status, 200, "{referrers:?}");
    let listed: Value = serde_json::from_slice(referrers.bytes()).expect("an index");
    let listed = listed["manifests"].as_array().expect("a list");
    let is_ours = |it: &&Value| it.to_string().contains("pratique");
    assert_eq!(
        listed.iter().filter(is_ours).count(),
        0,
        "nothing is said that is not so: {listed:?}"
    );
    assert_eq!(office.end("alice", "B-1").await.status, 200);
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
    let why = office.desk.get(&format!("/api/v1/audit/why?image={image}")).await.json();
    assert_eq!(why["state"], "refused", "{why}");
    let record = office.ledger().record(&subject(&image)).await.expect("readable").expect("one");
    assert!(!record.has_waited() && record.passed.is_none(), "it was never admitted");
}

fn subject(image: &str) -> pratique::gate::Subject {
    let (name, digest) = image.split_once('@').expect("a digest");
    pratique::gate::Subject { name: name.parse().unwrap(), digest: digest.parse().unwrap() }
}

#[tokio::test]
async fn a_repository_is_every_image_of_it_and_an_index_what_it_lists() {
    let office = Office::open(BLOCK).await;
    let (one, two) = (office.push("shut/app", "one"), office.push("shut/app", "two"));
    let body =
        json!({"repository": "up.test/shut/app", "reason": "prod is down", "ticket": "INC-7"});
    let reply = office.post("pager", "", &body).await;
    assert_eq!((reply.status, &reply.json()["ttl_seconds"]), (201, &json!(3600)), "{reply:?}");
    for digest in [&one, &two] {
        assert!(office.is_served_by("shut/app", digest, "B-1").await);
    }
    let other = office.push("shut/app2", "three");
    assert_eq!(office.manifest("shut/app2", &other).await.status, 403, "another repository");

    let child = Image::new().layer("child").build();
    let index = Index::new().child(child.clone()).build();
    let digest = office.desk.mirror.upstream.push("shut/index", "1", &index);
    assert_eq!(office.manifest("shut/index", &child.digest()).await.status, 403);
    assert_eq!(office.break_for("alice", "up.test/shut/index:1").await.status, 201);
    assert!(office.is_served_by("shut/index", &digest, "B-2").await);
    assert!(office.is_served_by("shut/index", &child.digest(), "B-2").await);
    assert_eq!(office.end("alice", "B-2").await.status, 200);
    assert_eq!(office.manifest("shut/index", &child.digest()).await.status, 403);
}

#[tokio::test]
async fn several_people_have_to_say_yes_each_once() {
    let block = BLOCK.replace("maxTTL", "quorum: 3, maxTTL");
    let office = Office::open(&block).await;
    let digest = office.push("shut/app", "x");
    let reply = office.break_for("alice", "up.test/shut/app:1").await.json();
    assert_eq!((&reply["state"], &reply["have"]), (&json!("waiting"), &json!(1)), "{reply}");
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
    assert_eq!(office.vote("bob", "B-1").await.json()["have"], 2);
    for (who, why) in [
        ("alice", "somebody else"),
        ("bob", "somebody else"),
        ("dave", "group:oncall"),
        ("robot", "group:oncall"),
    ] {
        let reply = office.vote(who, "B-1").await;
        assert_eq!(reply.status, 403, "{who}: {reply:?}");
        assert!(reply.text().contains(why), "{who}: {reply:?}");
    }
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
    let last = office.vote("carol", "B-1").await.json();
    assert_eq!(last["state"], "open", "{last}");
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    // One that waits too long never comes into force, and needs no review.
    office.break_for("alice", "up.test/shut/app:1").await;
    office.advance(61);
    office.settle().await;
    let lapsed = office.show("B-2").await;
    assert_eq!(
        (&lapsed["state"], &lapsed["in_force_at"]),
        (&json!("ended"), &Value::Null),
        "{lapsed}"
    );
    assert_eq!(office.vote("bob", "B-2").await.status, 409);
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn somebody_else_reviews_it_and_whoever_leaves_one_unreviewed_needs_a_second_person() {
    let office = Office::open(BLOCK).await;
    let digest = office.push("shut/app", "x");
    office.break_for("bob", "up.test/shut/app:1").await;
    let early = office.review("dave", "B-1").await;
    assert_eq!(early.status, 409, "it is still in force: {early:?}");
    assert_eq!(office.end("dave", "B-1").await.status, 200, "who decides may end it");
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
    let own = office.review("bob", "B-1").await;
    assert_eq!(own.status, 403, "{own:?}");
    assert!(own.text().contains("somebody else"), "{own:?}");
    // In time, the next one is as the policy says; after it, it takes two.
    assert_eq!(office.break_for("bob", "up.test/shut/app:1").await.json()["state"], "open");
    office.end("bob", "B-2").await;
    office.advance(72 * 60);
    office.settle().await;
    assert_eq!(office.show("B-1").await["overdue"], true);
    let third = office.break_for("bob", "up.test/shut/app:1").await.json();
    assert_eq!((&third["state"], &third["quorum"]), (&json!("waiting"), &json!(2)), "{third}");
    assert_eq!(office.break_for("carol", "up.test/shut/app:1").await.json()["state"], "open");
    for id in ["B-1", "B-2"] {
        let reviewed = office.review("dave", id).await;
        assert_eq!(
            (reviewed.status, &reviewed.json()["review"]["verdict"]),
            (200, &json!("justified"))
        );
        assert_eq!(office.review("carol", id).await.status, 409, "once");
    }
    assert_eq!(office.break_for("bob", "up.test/shut/app:1").await.json()["state"], "open");
    let audit = office.desk.get("/api/v1/audit").await.json();
    let of = |kind: &str| {
        let records = audit["records"].as_array().expect("records");
        records.iter().filter(|row| row["action"] == kind).count()
    };
    assert_eq!((of("break-glass-used"), of("break-glass-ended")), (5, 2), "{audit}");
    assert_eq!((of("break-glass-unreviewed"), of("break-glass-reviewed")), (2, 2), "{audit}");
    let list = office.send(Method::GET, "dave", "?limit=2", None).await;
    let ids: Vec<Value> =
        list.json().as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(ids, [json!("B-5"), json!("B-4")]);
    assert!(list.header("link").contains("before=B%2D4"), "{list:?}");
    assert!(office.is_intact().await);
}

#[tokio::test]
async fn the_command_line_breaks_shows_and_ends() {
    let office = Office::open(BLOCK).await;
    let digest = office.push("shut/app", "x");
    let run = |who: &'static str, words: &[&str]| {
        let token =
            office.tokens.iter().find(|(name, _)| *name == who).expect("somebody").1.clone();
        let file = office.desk.mirror.folder().join(format!("{who}.token"));
        std::fs::write(&file, token).expect("a file");
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let url = office.desk.mirror.admin_url();
        tokio::task::spawn_blocking(move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_pratique"))
                .args(words)
                .args(["--admin-url", &url, "--token-file"])
                .arg(file)
                .output()
                .expect("it runs")
        })
    };
    let glass = ["break-glass", "use", "up.test/shut/app:1", "--reason", "down"];
    let lacking = run("alice", &glass).await.unwrap();
    assert_ne!(lacking.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&lacking.stderr).contains("ticket"), "{lacking:?}");
    let used =
        run("alice", &[&glass[..], &["--ticket", "INC-7", "--ttl", "30m"]].concat()).await.unwrap();
    let text = String::from_utf8_lossy(&used.stdout).into_owned();
    assert!(used.status.success() && text.contains("pratique break-glass end B-1"), "{used:?}");
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    let foreign = run("dave", &glass).await.unwrap();
    assert_eq!(foreign.status.code(), Some(3), "{foreign:?}");
    let listed = run("dave", &["break-glass", "ls"]).await.unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("B-1"), "{listed:?}");
    let ended = run("alice", &["break-glass", "end", "B-1", "--json"]).await.unwrap();
    let ended: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(ended["state"], "ended");
    let words = ["break-glass", "review", "B-1", "--not-justified", "--reason", "it was a test"];
    let reviewed = run("dave", &words).await.unwrap();
    assert!(String::from_utf8_lossy(&reviewed.stdout).contains("not-justified"), "{reviewed:?}");
}

#[tokio::test]
async fn status_counts_what_waits_is_in_force_and_is_to_be_reviewed() {
    let office = Office::open(&BLOCK.replace("maxTTL", "quorum: 2, maxTTL")).await;
    office.push("shut/app", "a");
    let status = async || office.desk.run(&["status"]).await.stdout;
    assert!(!status().await.contains("break-glass"), "none are not told");
    assert_eq!(office.break_for("alice", "up.test/shut/app:1").await.status, 201);
    assert!(status().await.contains("glass      1 waiting"), "{}", status().await);
    assert_eq!(office.vote("bob", "B-1").await.status, 200);
    assert!(status().await.contains("glass      1 in force"), "{}", status().await);
    assert_eq!(office.end("alice", "B-1").await.status, 200);
    assert!(status().await.contains("glass      1 to be reviewed"), "{}", status().await);
    let view = office.desk.get("/api/v1/status").await.json();
    let counts =
        ["waiting", "open", "unreviewed"].map(|it| view[format!("{it}_break_glass")].clone());
    assert_eq!(counts, [json!(0), json!(0), json!(1)]);
    assert_eq!(office.review("dave", "B-1").await.status, 200);
    assert!(!status().await.contains("break-glass"), "{}", status().await);
}

#[tokio::test]
async fn an_image_review_lets_in_by_the_ticket_of_a_break_glass_while_that_is_in_force() {
    const IMAGE: &str = "up.test/asked/app:1";
    let admission = |settings: &mut pratique::config::Settings| {
        let at = pratique::http::AdmissionSettings::at(([127, 0, 0, 1], 0).into());
        settings.admission = Some(at);
    };
    let office = Office::of(TestMirror::start_with(&policy(BLOCK), admission).await).await;
    office.push("asked/app", "app");
    let asked = async |image: &str, ticket: &str| -> Value {
        let mut review = crate::admission::recorded("image-review", image, "");
        review["spec"]["annotations"]["pratique.image-policy.k8s.io/break-glass"] = ticket.into();
        let path = "/imagereview/v1alpha1";
        let (status, body) =
            crate::admission::post_to(&office.desk.mirror, path, review.to_string()).await;
        assert_eq!(status, 200);
        serde_json::from_slice::<Value>(&body).unwrap()["status"].clone()
    };
    assert_eq!(asked(IMAGE, "INC-7").await["allowed"], false);
    let body = json!({"repository": "up.test/asked/app", "reason": "prod is down", "ticket": "INC-7", "ttl": "60m"});
    let begun = office.post("pager", "", &body).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    for ticket in ["INC-7", "B-1"] {
        let status = asked(IMAGE, ticket).await;
        assert_eq!(status["allowed"], true, "{ticket}: {status}");
        assert_eq!(status["auditAnnotations"]["approval"], "B-1");
    }
    for ticket in ["INC-8", "B-2", ""] {
        assert_eq!(asked(IMAGE, ticket).await["allowed"], false, "{ticket}");
    }
    let other = "up.test/asked/other:1";
    assert_eq!(asked(other, "INC-7").await["allowed"], false, "it is for one repository");
    assert_eq!(office.end("dave", "B-1").await.status, 200);
    assert_eq!(asked(IMAGE, "INC-7").await["allowed"], false, "it is over");
}
