//! For whom images are: what a pull by the pod's token would be told, told before the pod is there.

use serde_json::Value;

use super::{Cluster, recorded};

const CLIENTS: &str = r#"clients:
- {match: ["up.test/open/shop/**"], namespaces: [shop], serviceAccounts: [ci/builder]}
- {match: ["up.test/open/bank/**"], namespaces: [bank]}
"#;
const SHOP: &str = "up.test/open/shop/app:1";
const BANK: &str = "up.test/open/bank/app:1";

async fn cluster(mode: &str) -> Cluster {
    Cluster::start_with(&format!("{mode}{CLIENTS}{}", super::RULES), |_| {}).await
}

fn pod(image: &str, namespace: &str, account: &str) -> Value {
    let mut review = recorded("pod-create", image, "");
    review["request"]["namespace"] = namespace.into();
    review["request"]["object"]["spec"]["serviceAccountName"] = account.into();
    review
}

#[tokio::test]
async fn a_pod_that_an_image_is_not_for_is_refused_in_the_words_of_the_pull() {
    let cluster = cluster("").await;
    for image in [SHOP, "up.test/open/app:1"] {
        cluster.validate(&pod(image, "shop", "web")).await.assert_allowed();
    }
    cluster.validate(&pod(SHOP, "ci", "builder")).await.assert_allowed();
    let text =
        "Denied: up.test/open/shop/app is for namespace shop or ci/builder, not for ci/other";
    cluster.validate(&pod(SHOP, "ci", "other")).await.assert_denied(text);
    // Who names no account runs by the one called default; a name in the pod's own words is no namespace.
    cluster.validate(&pod(SHOP, "ci", "")).await.assert_denied("not for ci/default");
    let mut pretending = pod(SHOP, "bank", "web");
    pretending["request"]["object"]["metadata"]["namespace"] = "shop".into();
    cluster.validate(&pretending).await.assert_denied("not for bank/web");
    // Nothing is looked at or filed for who it is not for.
    cluster.mirror.upstream.assert_untouched();
    assert_eq!(cluster.open_requests(), 0);
}

#[tokio::test]
async fn what_is_admitted_for_some_is_not_pinned_for_others() {
    let cluster = cluster("").await;
    let review = recorded("image-review", BANK, "");
    let asked = cluster.answer("/imagereview/v1alpha1", &review).await;
    let namespace = review["spec"]["namespace"].as_str().unwrap();
    let reason = asked["status"]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("is for namespace bank, not for namespace {namespace}")));
    assert_eq!(cluster.mutate(&pod(BANK, "shop", "web")).await.patch(), serde_json::json!([]));
    // Whose account is not said may be one that it is for.
    let review = recorded("image-review", SHOP, "");
    let asked = cluster.answer("/imagereview/v1alpha1", &review).await;
    assert!(asked["status"]["reason"].as_str().unwrap().contains("not known here"), "{asked}");
}

#[tokio::test]
async fn where_clients_are_only_watched_everybody_is_let_in() {
    let cluster = cluster("mode: warn\n").await;
    cluster.validate(&pod(BANK, "shop", "web")).await.assert_allowed();
}
