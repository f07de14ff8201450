//! Recorded reviews of every kind, and what is no review.

use pratique::admission::BYTES_MAX;
use serde_json::{Value, json};

use super::{Cluster, recorded};

const KNOWN: &str = "up.test/open/app:1";

#[tokio::test]
async fn a_pod_is_pinned_to_what_is_served_now_and_nothing_else_of_it_changes() {
    let cluster = Cluster::start().await;
    let digest = cluster.known("open/app", "1", "app").await;
    let review = recorded("pod-create", KNOWN, "");
    let answer = cluster.mutate(&review).await;
    answer.assert_allowed();
    let pinned = format!("{KNOWN}@{digest}");
    assert_eq!(
        answer.patch(),
        json!([{"op": "replace", "path": "/spec/containers/0/image", "value": pinned}])
    );
    let mut expected = review["request"]["object"].clone();
    expected["spec"]["containers"][0]["image"] = pinned.clone().into();
    assert_eq!(answer.patched(), expected);
    assert_eq!(answer.annotation("decision"), "pinned");
    assert_eq!(answer.annotation("digest"), format!("{KNOWN}={digest}"));
    // Asked again, as reinvocationPolicy has it, there is nothing to change; and the pod may be.
    let again = recorded("pod-create", &pinned, "");
    assert_eq!(cluster.mutate(&again).await.patch(), json!([]));
    let validated = cluster.validate(&again).await;
    validated.assert_allowed();
    assert_eq!(validated.warnings(), Vec::<&str>::new());
    for (key, text) in [("decision", "admitted"), ("rule", "open"), ("policyRevision", "1")] {
        assert_eq!(validated.annotation(key), text);
    }
}

#[tokio::test]
async fn an_image_that_is_not_known_is_let_in_with_a_warning_and_the_pull_decides() {
    let cluster = Cluster::start().await;
    cluster.push("open/app", "1", "app");
    let review = recorded("pod-create", KNOWN, "");
    let answer = cluster.validate(&review).await;
    answer.assert_allowed();
    let warning = answer.warnings()[0];
    assert!(warning.starts_with("up.test/open/app:1 (container web): not known here"), "{warning}");
    assert_eq!(answer.annotation("decision"), "unknown");
    assert_eq!(cluster.mutate(&review).await.patch(), json!([]), "what is not known is not pinned");
    cluster.mirror.upstream.assert_untouched();
    assert_eq!(cluster.open_requests(), 0, "the pull files it");

    let strict = Cluster::start_with(super::RULES, |it| {
        it.rules.unknown = pratique::admission::Unknown::Deny;
    })
    .await;
    strict.validate(&review).await.assert_denied("not known here");
    strict.mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn what_waits_for_people_is_let_in_and_told_with_its_request() {
    let cluster = Cluster::start().await;
    let digest = cluster.push("asked/app", "1", "app");
    cluster.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let answer = cluster.validate(&recorded("pod-create", "up.test/asked/app:1", "")).await;
    answer.assert_allowed();
    let warning = answer.warnings()[0];
    assert!(warning.contains("Pending approval R-1"), "{warning}");
    assert_eq!(answer.annotation("decision"), "pending");
    assert_eq!(answer.annotation("digest"), format!("up.test/asked/app:1={digest}"));
}

#[tokio::test]
async fn what_is_denied_or_revoked_is_refused_in_the_words_of_the_pull() {
    let cluster = Cluster::start().await;
    let image = "up.test/never/app:1";
    let pulled = cluster.mirror.pull("never/app", "1").await;
    let answer = cluster.validate(&recorded("pod-create", image, "")).await;
    answer.assert_denied(&format!("{image} (container web): {}", pulled.manifest.phrase));
    assert_eq!(answer.response["status"]["code"], 403);
    assert_eq!((answer.annotation("decision"), answer.annotation("rule")), ("denied", "never"));

    let digest = cluster.known("open/app", "1", "app").await;
    cluster.revoke("open/app", digest).await;
    let pulled = cluster.mirror.pull("open/app", "1").await;
    pulled.assert_refused("Revoked");
    for image in
        [KNOWN.to_owned(), format!("{KNOWN}@{digest}"), format!("up.test/open/app@{digest}")]
    {
        let answer = cluster.validate(&recorded("pod-create", &image, "")).await;
        answer.assert_denied(&pulled.manifest.phrase);
        assert_eq!(cluster.mutate(&recorded("pod-create", &image, "")).await.patch(), json!([]));
    }
    let no_rule = cluster.validate(&recorded("pod-create", "up.test/other/app:1", "")).await;
    no_rule.assert_denied("no rule lists up.test/other/app");
    let elsewhere = cluster.validate(&recorded("pod-create", "evil.test/app:1", "")).await;
    elsewhere.assert_denied("registry evil.test is not configured");
    cluster
        .validate(&recorded("pod-create", "up.test/open/app@sha256:12", ""))
        .await
        .assert_denied("the image cannot be read");
}

#[tokio::test]
async fn only_what_is_about_to_be_made_files_a_request() {
    let cluster = Cluster::start().await;
    let image = "up.test/never/app:1";
    let dry = cluster.validate(&recorded("pod-create-dry-run", image, "")).await;
    dry.assert_denied("Denied by rule never");
    cluster.mutate(&recorded("pod-create", image, "")).await.assert_allowed();
    assert_eq!(cluster.open_requests(), 0);
    let meant = cluster.validate(&recorded("pod-create", image, "")).await;
    meant.assert_denied("R-1");
    assert_eq!(cluster.open_requests(), 1);
    let again = cluster.validate(&recorded("pod-create-dry-run", image, "")).await;
    again.assert_denied("Denied by rule never");
    assert_eq!(cluster.open_requests(), 1);
}

#[tokio::test]
async fn a_pod_with_fifty_images_is_answered_from_what_is_known_here() {
    let cluster = Cluster::start().await;
    for number in 0..25 {
        cluster.known(&format!("open/app{number}"), "1", &format!("app {number}")).await;
    }
    let (requests, connections) =
        (cluster.mirror.upstream.requests().len(), cluster.mirror.upstream.connections());
    let review = recorded("pod-fifty", "", "");
    let answer = cluster.mutate(&review).await;
    assert_eq!(answer.patch().as_array().unwrap().len(), 25);
    let validated = cluster.validate(&review).await;
    validated.assert_allowed();
    assert_eq!(validated.warnings().len(), 16, "what is told is bounded");
    // As many as a node pulls, with everything forgotten that memory has.
    let upstream = &cluster.mirror.upstream;
    assert_eq!((upstream.requests().len(), upstream.connections()), (requests, connections));
}

#[tokio::test]
async fn what_runs_no_image_is_not_asked_about() {
    let cluster = Cluster::start().await;
    for name in ["pod-delete", "pod-exec", "pod-status", "configmap-create"] {
        let review = recorded(name, "up.test/never/app:1", "");
        for answer in [cluster.validate(&review).await, cluster.mutate(&review).await] {
            answer.assert_allowed();
            assert_eq!(answer.annotation("decision"), "not-asked", "{name}");
            assert_eq!(answer.patch(), json!([]));
        }
    }
}

#[tokio::test]
async fn who_applies_what_makes_pods_is_told_that_these_will_be_refused() {
    let cluster = Cluster::start().await;
    let review = recorded("deployment-create", "up.test/never/app:1", "");
    let answer = cluster.validate(&review).await;
    answer.assert_allowed();
    let warning = answer.warnings()[0];
    assert!(
        warning.starts_with("pods of this Deployment: up.test/never/app:1: Denied by rule never"),
        "{warning}"
    );
    assert_eq!(cluster.mutate(&review).await.patch(), json!([]), "only pods are changed");
    assert_eq!(cluster.open_requests(), 0);
}

#[tokio::test]
async fn an_exempt_namespace_is_left_alone_by_its_name_and_nothing_else() {
    let cluster = Cluster::start_with(super::RULES, |it| {
        it.rules.exempt.insert("kube-system".to_owned());
    })
    .await;
    let mut review = recorded("pod-create", "up.test/never/app:1", "");
    review["request"]["object"]["metadata"]["namespace"] = "kube-system".into();
    review["request"]["object"]["metadata"]["labels"]["pratique.dev/exempt"] = "true".into();
    cluster.validate(&review).await.assert_denied("Denied by rule never");
    review["request"]["namespace"] = "kube-system".into();
    let answer = cluster.validate(&review).await;
    answer.assert_allowed();
    assert_eq!(answer.annotation("decision"), "exempt");
    assert_eq!(cluster.open_requests(), 1);
}

#[tokio::test]
async fn what_is_no_review_is_told_in_words_and_admits_nothing() {
    let cluster = Cluster::start().await;
    let good = recorded("pod-create", KNOWN, "");
    let with = |pointer: &str, value: Value| {
        let mut review = good.clone();
        *review.pointer_mut(pointer).unwrap() = value;
        review.to_string()
    };
    let text = good.to_string();
    for (body, status, says) in [
        (String::new(), 400, "the body is not as expected"),
        ("[]".to_owned(), 400, "the body is not as expected"),
        (text[..text.len() - 2].to_owned(), 400, "the body is not as expected"),
        (format!("{text}{{}}"), 400, "the body is not as expected"),
        (text.replacen("\"kind\"", "\"kind\":\"x\",\"kind\"", 1), 400, "duplicate"),
        (with("/apiVersion", "admission.k8s.io/v1beta1".into()), 400, "admission.k8s.io/v1beta1"),
        (
            with("/kind", "Pod".into()),
            400,
            "what is answered here is admission.k8s.io/v1 AdmissionReview",
        ),
        (with("/request", Value::Null), 400, "the body is not as expected"),
        (with("/request/uid", "".into()), 400, "request.uid is no identifier"),
        (with("/request/uid", "x".repeat(254).into()), 400, "request.uid is no identifier"),
        (with("/request/uid", "a\nb".into()), 400, "request.uid is no identifier"),
        (
            with("/request/operation", "PATCH".into()),
            400,
            "request.operation is none that is known",
        ),
        (format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)), 400, "the body is not as expected"),
        (" ".repeat(BYTES_MAX + 1), 413, "larger than 3 MiB"),
    ] {
        for path in ["/admission/v1/validate", "/admission/v1/mutate"] {
            let (got, answer) = cluster.post(path, body.clone()).await;
            let answer = String::from_utf8_lossy(&answer);
            assert_eq!(got, status, "{answer}: {}", &body[..body.len().min(80)]);
            assert!(answer.contains(says), "{says:?} is not in {answer:?}");
        }
    }
    let text = cluster.mirror.mirror().metrics().render();
    let line = "pratique_admission_reviews_total{mode=\"validate\",result=\"malformed\"} 14\n";
    assert!(text.contains(line), "{text}");
    cluster.mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_is_refused_with_its_place() {
    let cluster = Cluster::start().await;
    cluster.known("open/app", "1", "app").await;
    let good = recorded("pod-create", KNOWN, "");
    let many: Vec<Value> = (0..501)
        .map(|it| json!({"name": format!("c{it}"), "image": format!("a/b:{it}")}))
        .collect();
    for (pointer, value, says) in [
        ("/request/object", Value::Null, "there is no object"),
        ("/request/object", json!([]), "the pod cannot be read"),
        ("/request/object/kind", "Node".into(), "the object is no v1 Pod"),
        ("/request/object/spec", json!({"containers": {}}), "invalid type"),
        ("/request/object/spec/containers/0/image", json!(["x"]), "invalid type"),
        ("/request/object/spec/containers", json!(many), "more than 500 images"),
        ("/request/kind/version", "v2".into(), "version v2 of Pod is not known here"),
    ] {
        let mut review = good.clone();
        *review.pointer_mut(pointer).unwrap() = value;
        let answer = cluster.validate(&review).await;
        answer.assert_denied(says);
        assert_eq!(answer.response["status"]["code"], 400, "{says}");
        assert!(!cluster.mutate(&review).await.allowed(), "{says}");
    }
}

#[tokio::test]
async fn a_reference_through_a_name_of_this_mirror_is_what_is_behind_it() {
    let cluster = Cluster::start_with(super::RULES, |it| {
        it.hosts.insert("mirror.corp:5443".parse().unwrap());
    })
    .await;
    let digest = cluster.known("open/app", "1", "app").await;
    let image = "mirror.corp:5443/up.test/open/app:1";
    let answer = cluster.mutate(&recorded("pod-create", image, "")).await;
    assert_eq!(answer.patch()[0]["value"], format!("{image}@{digest}"));
    let denied = "mirror.corp:5443/up.test/never/app:1";
    cluster
        .validate(&recorded("pod-create", denied, ""))
        .await
        .assert_denied("Denied by rule never");
    let unnamed = "other.corp:5443/up.test/open/app:1";
    cluster.validate(&recorded("pod-create", unnamed, "")).await.assert_denied("is not configured");
}
