//! One test for each way around a mirror, by its number in docs/admission.md; what other tests hold is named there.

use pratique::oci::Digest;
use serde_json::{Value, json};

use super::{Cluster, RULES, recorded};
use crate::support::upstream::Image;

const NEVER: &str = "up.test/never/app:1";
const OPEN: &str = "up.test/open/app:1";

fn manifests(name: &str) -> Vec<Value> {
    super::policies::manifests(name)
}

/// B1: a node that falls back to upstream is closed by its own configuration; what admission adds is that a pod
/// with a refused image is never there to be pulled for.
#[tokio::test]
async fn b1_a_refused_image_is_no_pod_that_a_node_could_fall_back_for() {
    let cluster = Cluster::start().await;
    let review = recorded("pod-create", NEVER, "");
    cluster.validate(&review).await.assert_denied("Denied by rule never");
    cluster.mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn b2_an_image_of_another_registry_is_refused() {
    let cluster = Cluster::start().await;
    for image in [
        "evil.test/app:1",
        "localhost/app",
        "10.0.0.1:5000/app@sha256:1111111111111111111111111111111111111111111111111111111111111111",
    ] {
        cluster
            .validate(&recorded("pod-create", image, ""))
            .await
            .assert_denied("is not configured");
    }
}

/// B3: an image that is on the node already is not asked for again; it is not let in, either.
#[tokio::test]
async fn b3_an_image_on_the_node_is_judged_all_the_same() {
    let cluster = Cluster::start().await;
    let digest = cluster.known("open/app", "1", "app").await;
    cluster.revoke("open/app", digest).await;
    for policy in ["Never", "IfNotPresent"] {
        let mut review = recorded("pod-create", &format!("{OPEN}@{digest}"), "");
        review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = policy.into();
        cluster.validate(&review).await.assert_denied("Revoked");
    }
}

#[tokio::test]
async fn b4_an_ephemeral_container_is_judged_and_pinned() {
    let cluster = Cluster::start().await;
    let digest = cluster.known("open/app", "1", "app").await;
    let denied = cluster.validate(&recorded("pod-ephemeral", NEVER, OPEN)).await;
    denied.assert_denied(&format!("{NEVER} (container debugger-4xk8z): Denied by rule never"));
    let changes = cluster.mutate(&recorded("pod-ephemeral", OPEN, NEVER)).await.patch();
    let pinned = format!("{OPEN}@{digest}");
    let path = "/spec/ephemeralContainers/0/image";
    assert_eq!(changes, json!([{"op": "replace", "path": path, "value": pinned}]));
    // The subresource has to be named in the manifests: `pods` does not stand for it.
    for (file, webhooks) in [("webhooks.yaml", true), ("policies.yaml", false)] {
        let mut seen = 0;
        for manifest in manifests(file) {
            let rules: Vec<Value> = if webhooks {
                let hooks = manifest["webhooks"].as_array().unwrap().clone();
                hooks.iter().map(|hook| hook["rules"][0].clone()).collect()
            } else {
                vec![manifest["spec"]["matchConstraints"]["resourceRules"][0].clone()]
            };
            for rule in rules.iter().filter(|rule| rule["apiGroups"] == json!([""])) {
                assert_eq!(rule["resources"], json!(["pods", "pods/ephemeralcontainers"]));
                assert_eq!(rule["operations"], json!(["CREATE", "UPDATE"]));
                seen += 1;
            }
        }
        assert_eq!(seen, 2, "{file}");
    }
}

#[tokio::test]
async fn b5_init_containers_sidecars_and_image_volumes_are_judged_and_pinned() {
    let cluster = Cluster::start().await;
    let digest = cluster.known("open/app", "1", "app").await;
    let pinned = format!("{OPEN}@{digest}");
    for (name, place, path) in [
        ("pod-init", "container wait", "/spec/initContainers/0/image"),
        ("pod-image-volume", "volume model", "/spec/volumes/1/image/reference"),
    ] {
        let denied = cluster.validate(&recorded(name, NEVER, OPEN)).await;
        denied.assert_denied(&format!("{NEVER} ({place}): Denied by rule never"));
        let patch = cluster.mutate(&recorded(name, OPEN, NEVER)).await.patch();
        assert_eq!(patch, json!([{"op": "replace", "path": path, "value": pinned}]), "{name}");
    }
    // The second init container, which stays, is a sidecar.
    cluster.validate(&recorded("pod-init", OPEN, NEVER)).await.assert_denied("(container sidecar)");
    // A webhook that comes later may put one in: this one is asked again, and the last word is on the whole.
    let hook = &manifests("webhooks.yaml")[0]["webhooks"][0];
    assert_eq!(hook["reinvocationPolicy"], "IfNeeded");
}

/// B6: what a node starts by itself is never admitted by anybody. That its mirror in the API is let be is so that
/// one can see it; the webhooks say so by who makes it, not by an annotation alone.
#[test]
fn b6_an_annotation_alone_makes_no_static_pod() {
    for manifest in manifests("webhooks.yaml") {
        let hook = &manifest["webhooks"][0];
        let expression = hook["matchConditions"][0]["expression"].as_str().unwrap();
        let matches = |user: &str, annotated: bool| {
            let mut review = recorded("pod-create", OPEN, "");
            review["request"]["userInfo"]["username"] = user.into();
            if annotated {
                let annotations = json!({"kubernetes.io/config.mirror": "x"});
                review["request"]["object"]["metadata"]["annotations"] = annotations;
            }
            super::policies::holds(expression, &review, &json!({}))
        };
        assert!(!matches("system:node:node-1", true), "a static pod is left alone");
        assert!(matches("system:node:node-1", false));
        assert!(matches("kubernetes-admin", true), "whoever writes the annotation is asked");
        assert!(matches("system:serviceaccount:shop:default", true));
    }
}

#[tokio::test]
async fn b7_no_label_opts_out() {
    let cluster = Cluster::start().await;
    let mut review = recorded("pod-create", NEVER, "");
    let labels = json!({"pratique.dev/exempt": "true", "admission.gatekeeper.sh/ignore": "true", "policy.sigstore.dev/include": "false"});
    review["request"]["object"]["metadata"]["labels"] = labels.clone();
    review["request"]["object"]["metadata"]["annotations"] = labels;
    cluster.validate(&review).await.assert_denied("Denied by rule never");
    let immutable = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "pratique"]});
    let mut selectors = 0;
    for manifest in manifests("webhooks.yaml").iter().chain(&manifests("policies.yaml")) {
        let hooks = manifest["webhooks"].as_array().cloned().unwrap_or_default();
        let bound = manifest["spec"]["matchResources"].clone();
        for place in hooks.iter().chain(std::iter::once(&bound)).filter(|it| !it.is_null()) {
            assert_eq!(
                place["namespaceSelector"]["matchExpressions"],
                json!([immutable]),
                "{place}"
            );
            assert!(
                place["objectSelector"].is_null(),
                "an object's labels are whoever makes it writes"
            );
            selectors += 1;
        }
    }
    assert_eq!(selectors, 4);
}

/// B8: what is pinned is what the mirror serves, whatever becomes of the tag between admission and pull.
#[tokio::test]
async fn b8_a_tag_that_moves_after_admission_moves_nothing() {
    let cluster = Cluster::start_with(
        &RULES.replace("trust: approve}", "trust: approve, tagMove: hold-new}"),
        |_| {},
    )
    .await;
    let digest = cluster.known("open/app", "1", "good").await;
    let review = recorded("pod-create", OPEN, "");
    let pinned = cluster.mutate(&review).await.patched();
    let image = pinned["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    let evil = cluster.push("open/app", "1", "evil");
    assert_ne!(digest, evil);
    // The kubelet asks by the digest that is written.
    let (_, asked) = image.split_once('@').unwrap();
    assert_eq!(asked, digest.to_string());
    let pulled = cluster.mirror.pull("open/app", asked.parse::<Digest>().unwrap()).await;
    pulled.assert_complete();
    assert_eq!(pulled.manifest.header("docker-content-digest"), digest.to_string());
    assert_eq!(cluster.mutate(&review).await.patched(), pinned, "and the next pod is the same");
    // What a tag was approved as goes on being what is pinned while what it moved to waits.
    let approved = approved_then_moved(&cluster).await;
    let answer = cluster.mutate(&recorded("pod-create", "up.test/asked/app:1", "")).await;
    assert_eq!(answer.patch()[0]["value"], format!("up.test/asked/app:1@{approved}"));
    let answer = cluster.validate(&recorded("pod-create", "up.test/asked/app:1", "")).await;
    answer.assert_allowed();
    assert!(answer.warnings()[0].contains("has moved upstream to"), "{:?}", answer.warnings());
    assert_eq!(answer.annotation("approval"), "R-1 by admin");
}

/// An approved image whose tag has moved to one that waits; gives the approved one.
async fn approved_then_moved(cluster: &Cluster) -> Digest {
    let first = cluster.push("asked/app", "1", "first");
    cluster.mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
    let decision = pratique::ledger::Decision {
        subject: pratique::gate::Subject {
            name: "up.test/asked/app".parse().unwrap(),
            digest: first,
        },
        by: "admin".to_owned(),
        reason: "reviewed".to_owned(),
        expires: None,
        request: None,
        policy: *cluster.mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    cluster.mirror.mirror().ledger().approve(decision).await.unwrap();
    cluster.mirror.pull("asked/app", "1").await.assert_complete();
    cluster.push("asked/app", "1", "second");
    cluster.mirror.clock.advance(std::time::Duration::from_hours(2));
    let moved = cluster.mirror.pull("asked/app", "1").await;
    moved.assert_complete();
    assert_eq!(moved.manifest.header("docker-content-digest"), first.to_string());
    first
}

#[tokio::test]
async fn b9_an_update_is_judged_also_of_a_pod_that_is_being_deleted() {
    let cluster = Cluster::start().await;
    cluster.known("open/app", "1", "app").await;
    for name in ["pod-update", "pod-update-deleting"] {
        cluster.validate(&recorded(name, NEVER, OPEN)).await.assert_denied("Denied by rule never");
        // What was there before is not judged again: a finalizer can be taken off what was revoked since.
        cluster.validate(&recorded(name, NEVER, NEVER)).await.assert_allowed();
    }
}

/// B10: content that no admitted image lists is no pod's matter: the mirror refuses it, and whatever is attached
/// to an image is no image by its tag.
#[tokio::test]
async fn b10_what_is_not_reachable_from_an_admitted_image_is_refused_by_the_mirror() {
    let cluster = Cluster::start().await;
    cluster.known("open/app", "1", "app").await;
    let loose = Image::new().layer("a data channel").build();
    cluster.mirror.upstream.push("never/app", "1", &loose);
    assert_eq!(cluster.mirror.blob("never/app", &loose.layer(0)).await.status, 403);
    assert_eq!(cluster.mirror.blob("open/app", &loose.layer(0)).await.status, 403);
}

/// B11: a webhook that is away lets nothing in, and what needs no webhook holds meanwhile.
#[test]
fn b11_what_is_away_lets_nothing_in() {
    let hooks = manifests("webhooks.yaml");
    for manifest in &hooks {
        let hook = &manifest["webhooks"][0];
        assert_eq!(
            (&hook["failurePolicy"], &hook["sideEffects"]),
            (&json!("Fail"), &json!("NoneOnDryRun"))
        );
        assert!(hook["timeoutSeconds"].as_u64().unwrap() <= 5);
    }
    // The one that only warns is about what makes pods, and none else is let be away.
    let ignored: Vec<&Value> = hooks
        .iter()
        .flat_map(|manifest| manifest["webhooks"].as_array().unwrap())
        .filter(|hook| hook["failurePolicy"] == "Ignore")
        .collect();
    assert_eq!(ignored.len(), 1);
    assert_eq!(ignored[0]["name"], "warnings.images.pratique.dev");
    for policy in manifests("policies.yaml") {
        if policy["kind"] == "ValidatingAdmissionPolicy" {
            assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        }
        if policy["kind"] == "ValidatingAdmissionPolicyBinding" {
            assert_eq!(policy["spec"]["paramRef"]["parameterNotFoundAction"], "Deny");
            assert_eq!(policy["spec"]["validationActions"], json!(["Deny", "Audit"]));
        }
    }
}
