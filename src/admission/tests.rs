//! What is changed, what is told, and what is cut.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::oci::Digest;

#[test]
fn an_image_keeps_its_tag_when_it_is_pinned() {
    let digest = Digest::sha256(b"x");
    for (image, expected) in [
        ("nginx", Some("nginx:latest")),
        ("nginx:1.27", Some("nginx:1.27")),
        ("up.test:5000/a/b", Some("up.test:5000/a/b:latest")),
        ("up.test:5000/a/b:1", Some("up.test:5000/a/b:1")),
        ("a/b@sha256:1", None),
        ("a/b:1@sha256:1", None),
    ] {
        assert_eq!(pinned(image, &digest), expected.map(|it| format!("{it}@{digest}")), "{image}");
    }
}

#[test]
fn what_is_told_is_printable_and_cut() {
    let answer = Answer {
        refused: None,
        patches: Vec::new(),
        warnings: (0..40).map(|it| format!("{it} \n\u{202e}{}", "x".repeat(300))).collect(),
        annotations: BTreeMap::from([("digest", "y".repeat(5_000))]),
    };
    let document = answer.document("u");
    let response = &document["response"];
    let warnings = response["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), WARNINGS_MAX);
    for warning in warnings {
        let text = warning.as_str().unwrap();
        assert!(text.len() == WARNING_LENGTH_MAX && text.ends_with("..."), "{text}");
        assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text}");
    }
    assert_eq!(response["auditAnnotations"]["digest"].as_str().unwrap().len(), 1_000);
    let message = "z".repeat(9_000);
    let refused = Some(Refused { code: 403, message });
    let document = Answer { refused, ..answer }.document("u");
    assert_eq!(document["response"]["allowed"], false);
    let text = document["response"]["status"]["message"].as_str().unwrap();
    assert_eq!(text.len(), MESSAGE_LENGTH_MAX);
}

#[test]
fn what_was_not_looked_at_is_not_let_in() {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
        "object": {"spec": {"containers": [{"name": "a", "image": "nginx"}]}},
    }});
    let review = Review::parse(review.to_string().as_bytes()).unwrap();
    let answer = validate(&review, &Rules::default(), &BTreeMap::new(), 7);
    let refused = answer.refused.unwrap();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (503, "nginx (container a): it was not looked at")
    );
    assert_eq!(answer.annotations["policyRevision"], "7");
    assert!(mutate(&review, &Rules::default(), &BTreeMap::new(), 7).patches.is_empty());
}
