//! What runs is judged and asked for, the worst first, and nothing is admitted for that.

use pratique::oci::Digest;
use serde_json::{Value, json};

use super::inventory;
use crate::admin::Desk;
use crate::scanning::{know, openssl, vulnerable};
use crate::support::mirror::TestMirror;

/// Repository and state of each image that runs, in order.
fn states(view: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let images = view["images"].as_array().unwrap();
    images.iter().map(|it| (text(&it["name"]), text(&it["state"]))).collect()
}

#[tokio::test]
async fn what_runs_is_fetched_judged_and_asked_for_once() {
    let desk = Desk::start().await;
    let open = desk.push("open/app", "1", "open");
    let asked = desk.push("asked/app", "1", "asked");
    let never = desk.push("never/app", "1", "never");
    desk.tell(&inventory(
        "prod",
        &[
            ("open", "up.test/open/app:1", Some(open)),
            ("again", "up.test/open/app:1", Some(open)),
            ("asked", "up.test/asked/app:1", Some(asked)),
            ("never", "up.test/never/app:1", Some(never)),
            ("gone", "up.test/open/gone:1", Some(Digest::sha256(b"gone"))),
            ("unnamed", "up.test/open/other:1", None),
        ],
    ))
    .await;
    let dry = desk.run(&["adopt", "--from-cluster", "prod", "--dry-run"]).await;
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.stdout.contains("4 images in prod: 0 admitted"), "{dry:?}");
    assert!(dry.stdout.contains("no manifest of 2 containers"), "{dry:?}");
    assert_eq!(desk.get("/api/v1/requests?state=all").await.json(), json!([]));

    let adopted = desk.run(&["adopt", "--from-cluster", "prod", "--reason", "it runs"]).await;
    assert_eq!(adopted.code, 3, "one is denied: {adopted:?}");
    let said = "4 images in prod: 1 admitted, 1 pending, 1 denied, 1 not judged.";
    assert!(adopted.stdout.contains(said), "{adopted:?}");
    let requests = desk.get("/api/v1/requests?state=all").await.json();
    let of_asked = requests.as_array().unwrap().iter().find(|it| it["state"] == "pending").unwrap();
    assert_eq!(
        (&of_asked["digest"], &of_asked["group"]),
        (&json!(asked.to_string()), &json!("adopt prod"))
    );
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");

    // What was admitted is in the cache: a pull asks upstream for no content.
    let before = desk.mirror.upstream.count("/blobs/");
    assert!(before > 0, "it was fetched");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    assert_eq!(desk.mirror.upstream.count("/blobs/"), before);

    let again = desk.run(&["adopt", "--from-cluster", "prod", "--json"]).await;
    let view: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(view["images"].as_array().unwrap().len(), 4, "{view}");
    let now = desk.get("/api/v1/requests?state=all").await.json();
    assert_eq!(now.as_array().unwrap().len(), requests.as_array().unwrap().len(), "{now}");
    let unknown = desk.run(&["adopt", "--from-cluster", "other"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("cluster other"), "{unknown:?}");
}

#[tokio::test]
async fn the_worst_findings_are_asked_for_first_however_few_pods_there_are() {
    let policy = "rules: [{id: look, match: [\"up.test/**\"], trust: approve}]\n\
        expressions:\n- {id: look, when: \"size(signatures) >= 0 && size(scan.findings) >= 0\", \
        message: it could not be looked into}\n";
    let desk = Desk::of(TestMirror::start_with(policy, |_| {}).await);
    know(&desk.mirror, &[openssl()]).await;
    let plain = desk.push("plain", "1", "plain");
    let weak = desk.mirror.upstream.push("weak", "1", &vulnerable());
    let mut report = inventory(
        "prod",
        &[("plain", "up.test/plain:1", Some(plain)), ("weak", "up.test/weak:1", Some(weak))],
    );
    report["running"][0]["pods"] = json!(90);
    desk.tell(&report).await;
    let adopted = desk.run(&["adopt", "--from-cluster", "prod", "--json"]).await;
    assert_eq!(adopted.code, 0, "{adopted:?}");
    let view: Value = serde_json::from_str(&adopted.stdout).unwrap();
    let told = |name: &str| (format!("up.test/{name}"), "pending".to_owned());
    assert_eq!(states(&view), [told("weak"), told("plain")], "{view:#}");
    let requests: Vec<&Value> =
        view["images"].as_array().unwrap().iter().map(|it| &it["request"]).collect();
    assert_eq!(requests, [&json!("R-1"), &json!("R-2")]);
    assert_eq!(view["images"][0]["findings"], json!({"critical": 1}));
}
