//! What is made of pods and nodes.

use serde_json::{Value, json};

use super::*;

const HEX: &str = "9f1c03ab77de9f1c03ab77de9f1c03ab77de9f1c03ab77de9f1c03ab77de1234";

fn pod(name: &str, more: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": "worker-1", "containers": [{"name": "c", "image": "redis:7"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "c", "image": "sha256:0", "imageID": format!("docker.io/library/redis@sha256:{HEX}"),
                "state": {"running": {"startedAt": "2026-11-20T08:00:00Z"}},
            }],
        },
    });
    for (pointer, value) in more.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    pod
}

fn read(items: &[Value]) -> InventoryReport {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let found = from_json(list.as_bytes()).unwrap();
    found.report("a".parse().unwrap(), Timestamp::from_milliseconds(0), None)
}

#[test]
fn pods_of_one_deployment_are_one_entry_with_its_nodes_and_its_oldest_start() {
    let owned = |node: &str, at: &str| {
        json!({
            "/metadata/labels": {"pod-template-hash": "5d8c"},
            "/metadata/ownerReferences":
                [{"kind": "ReplicaSet", "name": "cart-api-5d8c", "controller": true}],
            "/spec/nodeName": node,
            "/status/containerStatuses/0/state": {"running": {"startedAt": at}},
        })
    };
    let report = read(&[
        pod("cart-api-5d8c-a", &owned("worker-2", "2026-11-20T08:00:00Z")),
        pod("cart-api-5d8c-b", &owned("worker-1", "2026-11-19T08:00:00Z")),
    ]);
    let [one] = report.running.as_slice() else { panic!("{report:?}") };
    assert_eq!((one.workload.to_string().as_str(), one.pods), ("Deployment/cart-api", 2));
    assert_eq!(
        one.nodes.iter().map(NodeName::as_str).collect::<Vec<_>>(),
        ["worker-1", "worker-2"]
    );
    assert_eq!(one.since.unwrap().to_string(), "2026-11-19T08:00:00Z");
    assert_eq!(one.digest.unwrap().to_string(), format!("sha256:{HEX}"));
    assert_eq!(one.name.as_ref().unwrap().to_string(), "docker.io/library/redis");
    assert_eq!((one.image.as_str(), report.pods), ("redis:7", 2));
}

#[test]
fn who_a_pod_is_of_is_not_guessed() {
    let of = |more: &Value| read(&[pod("p", more)]).running[0].workload.to_string();
    let owner = |kind: &str, name: &str, controller: bool| json!({"/metadata/ownerReferences": [{"kind": kind, "name": name, "controller": controller}]});
    assert_eq!(of(&owner("DaemonSet", "logs", true)), "DaemonSet/logs");
    assert_eq!(of(&owner("ReplicaSet", "bare-5d8c", true)), "ReplicaSet/bare-5d8c");
    assert_eq!(of(&owner("DaemonSet", "logs", false)), "Pod/p");
    assert_eq!(of(&owner("Node", "worker-1", true)), "Pod/p");
    assert_eq!(of(&json!({"/metadata/ownerReferences": null})), "Pod/p");
}

#[test]
fn every_list_that_names_images_is_read_and_a_configuration_is_no_manifest() {
    let report = read(&[pod(
        "p",
        &json!({
            "/spec/initContainers": [{"name": "i", "image": "busybox:1"}],
            "/status/initContainerStatuses": [{"name": "i", "imageID": format!("sha256:{HEX}")}],
            "/spec/ephemeralContainers": [{"name": "e", "image": format!("ghcr.io/a/debug@sha256:{HEX}")}],
            "/spec/volumes": [
                {"name": "none"},
                {"name": "v", "image": {"reference": "quay.io/a/model:1"}},
            ],
            "/status/startTime": "2026-11-20T07:00:00Z",
        }),
    )]);
    let told: Vec<_> = report
        .running
        .iter()
        .map(|it| {
            (it.role.as_str(), it.image.split(['@', ':']).next().unwrap(), it.digest.is_some())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("container", "redis", true),
            ("init", "busybox", false),
            ("ephemeral", "ghcr.io/a/debug", true),
            ("volume", "quay.io/a/model", false),
        ]
    );
    let init = &report.running[1];
    assert_eq!((init.config.unwrap().hex().as_str(), init.digest), (HEX, None));
    assert_eq!(report.running[3].since.unwrap().to_string(), "2026-11-20T07:00:00Z");
}

#[test]
fn what_has_ended_does_not_run_and_what_is_not_pulled_yet_has_no_digest() {
    let waiting = json!({
        "/status/phase": "Pending",
        "/status/containerStatuses/0/imageID": "",
        "/status/containerStatuses/0/state": {"waiting": {"reason": "ImagePullBackOff"}},
    });
    let report = read(&[
        pod("done", &json!({"/status/phase": "Succeeded"})),
        pod("failed", &json!({"/status/phase": "Failed"})),
        pod("waiting", &waiting),
    ]);
    assert_eq!((report.pods, report.running.len()), (1, 1));
    let one = &report.running[0];
    assert_eq!((one.digest, one.config, one.since), (None, None, None));
}

#[test]
fn nodes_tell_what_lies_on_them_and_whether_that_may_be_cut() {
    let node = |name: &str, count: usize| {
        let image = |number: usize| json!({"names": [format!("docker.io/a/b{number}@sha256:{HEX}"), format!("docker.io/a/b{number}:1")]});
        let images: Vec<Value> = (0..count).map(image).collect();
        json!({"kind": "Node", "metadata": {"name": name}, "status": {"images": images}})
    };
    let report = read(&[node("worker-1", 50), node("worker-2", 1)]);
    assert_eq!((report.nodes, report.cached.len()), (Some(2), 50));
    assert_eq!(report.cached[0].nodes.len(), 2);
    assert!(report.left_out[0].contains("1 node that list 50 images"), "{:?}", report.left_out);
    assert_eq!(read(&[pod("p", &json!({}))]).nodes, None);
}

#[test]
fn hostile_objects_are_told_in_printable_words_and_steer_nothing() {
    let report = read(&[pod(
        "p\u{1b}[2J",
        &json!({
            "/metadata/namespace": "a\nb",
            "/spec/nodeName": "../../etc",
            "/spec/containers/0/image": format!("\u{202e}{}", "x".repeat(5_000)),
            "/status/containerStatuses/0/imageID": "\u{0}@sha256:zz",
        }),
    )]);
    assert!(report.is_within_bounds(), "{report:?}");
    let one = &report.running[0];
    assert_eq!((one.namespace.as_str(), one.workload.name.as_str()), ("a?b", "p?[2J"));
    assert_eq!((one.nodes.len(), &one.name, one.digest), (0, &None, None));
    for text in [
        "",
        "[]",
        "{}",
        "{\"kind\": \"List\"}",
        &"[".repeat(9_000),
        "{\"kind\":\"List\",\"items\":[3]}",
    ] {
        assert!(matches!(from_json(text.as_bytes()), Err(Error::NoList(_))), "{text:.20}");
    }
}

#[test]
fn a_list_that_was_printed_in_part_says_so_and_kinds_may_stand_on_the_list() {
    let mut item = pod("p", &json!({}));
    item.as_object_mut().unwrap().remove("kind");
    let list =
        json!({"kind": "PodList", "metadata": {"continue": "x"}, "items": [item]}).to_string();
    let found = from_json(list.as_bytes()).unwrap();
    assert_eq!(found.pods(), 1);
    assert!(found.left_out.iter().any(|it| it.contains("printed in part")));
}
