//! What the API server's own `ImagePolicyWebhook` asks, and Gatekeeper.

use serde_json::{Value, json};

use super::{Cluster, recorded};

const OPEN: &str = "up.test/open/app:1";
const REVIEW: &str = "/imagereview/v1alpha1";
const GATEKEEPER: &str = "/gatekeeper/v1beta1/validate";

async fn status(cluster: &Cluster, image: &str) -> Value {
    let answer = cluster.answer(REVIEW, &recorded("image-review", image, "")).await;
    assert_eq!(answer["apiVersion"], "imagepolicy.k8s.io/v1alpha1");
    assert_eq!(answer["kind"], "ImageReview");
    answer["status"].clone()
}

#[tokio::test]
async fn an_image_review_says_yes_only_to_what_is_known() {
    let cluster = Cluster::start().await;
    cluster.push("open/app", "1", "app");
    let unknown = status(&cluster, OPEN).await;
    assert_eq!(unknown["allowed"], false);
    assert!(unknown["reason"].as_str().unwrap().starts_with("up.test/open/app:1: not known here"));
    cluster.mirror.upstream.assert_untouched();
    let digest = cluster.known("open/app", "1", "app").await;
    for image in [OPEN.to_owned(), format!("{OPEN}@{digest}")] {
        let known = status(&cluster, &image).await;
        assert_eq!((&known["allowed"], &known["reason"]), (&json!(true), &Value::Null));
        assert_eq!(known["auditAnnotations"]["decision"], "admitted");
    }
    let denied = status(&cluster, "up.test/never/app:1").await;
    assert_eq!(denied["allowed"], false);
    assert!(denied["reason"].as_str().unwrap().contains("Denied by rule never"));
    // A digest that is not known is let in as in a pod: nothing but it can be pulled by it.
    let other = format!("up.test/open/app@sha256:{}", "1".repeat(64));
    assert_eq!(status(&cluster, &other).await["allowed"], true);
}

#[tokio::test]
async fn a_break_glass_that_is_named_counts_only_while_one_is_in_force() {
    let cluster = Cluster::start().await;
    let mut review = recorded("image-review", "up.test/asked/app:1", "");
    for ticket in ["INC-77", "B-1", ""] {
        review["spec"]["annotations"]["pratique.image-policy.k8s.io/break-glass"] = ticket.into();
        let answer = cluster.answer(REVIEW, &review).await;
        assert_eq!(answer["status"]["allowed"], false, "{ticket}");
        let said = answer["status"]["reason"]
            .as_str()
            .unwrap()
            .contains("no break-glass that is in force");
        assert_eq!(said, !ticket.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn gatekeeper_is_told_what_an_image_is_pinned_to_or_why_it_is_refused() {
    let cluster = Cluster::start().await;
    let digest = cluster.known("open/app", "1", "app").await;
    let request = recorded("gatekeeper", OPEN, "up.test/never/app:1");
    let answer = cluster.answer(GATEKEEPER, &request).await;
    assert_eq!(answer["apiVersion"], "externaldata.gatekeeper.sh/v1beta1");
    assert_eq!(answer["kind"], "ProviderResponse");
    let items = &answer["response"]["items"];
    assert_eq!(items[0], json!({"key": OPEN, "value": format!("{OPEN}@{digest}")}));
    assert_eq!(items[1]["key"], "up.test/never/app:1");
    assert!(items[1]["error"].as_str().unwrap().starts_with("Denied by rule never"), "{items}");
    assert_eq!(answer["response"]["idempotent"], true);
    assert_eq!(cluster.open_requests(), 0, "an audit that goes through everything files nothing");
}

#[tokio::test]
async fn other_kinds_and_too_much_are_refused() {
    let cluster = Cluster::start().await;
    let many: Vec<String> = (0..501).map(|it| format!("a/b:{it}")).collect();
    let mut images = recorded("image-review", OPEN, "");
    images["spec"]["containers"] = many.iter().map(|it| json!({"image": it})).collect();
    let mut keys = recorded("gatekeeper", OPEN, "");
    keys["request"]["keys"] = json!(many);
    let mut kind = recorded("image-review", OPEN, "");
    kind["apiVersion"] = "imagepolicy.k8s.io/v1".into();
    for (path, body, says) in [
        (REVIEW, images.to_string(), "more than 500 images"),
        (
            REVIEW,
            kind.to_string(),
            "what is answered here is imagepolicy.k8s.io/v1alpha1 ImageReview",
        ),
        (REVIEW, "{}".to_owned(), "the body is not as expected"),
        (GATEKEEPER, keys.to_string(), "more than 500 images"),
        (GATEKEEPER, images.to_string(), "missing field"),
        (GATEKEEPER, "null".to_owned(), "the body is not as expected"),
    ] {
        let (status, answer) = cluster.post(path, body).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(status == 400 && answer.contains(says), "{status} {answer}: {says}");
    }
}
