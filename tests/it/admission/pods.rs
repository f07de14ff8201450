//! What pods are asked besides their images, and the table that says what became of `PodSecurityPolicy`.

use std::collections::BTreeSet;
use std::path::Path;

use pratique::admission::{Check, Strictness};
use serde_json::{Value, json};

use super::{Cluster, RULES, recorded};

const OPEN: &str = "up.test/open/app:1";

/// A pod with nothing to object to.
fn good() -> Value {
    let mut review = recorded("pod-create", OPEN, "");
    let spec = &mut review["request"]["object"]["spec"];
    spec["automountServiceAccountToken"] = false.into();
    spec["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
    spec["securityContext"] =
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let container = &mut spec["containers"][0];
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    container["resources"] = json!({"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}});
    review
}

/// What each check objects to: a value put at a place in the spec of a good pod.
fn objectionable() -> Vec<(&'static str, &'static str, Value)> {
    let own = "/containers/0/securityContext";
    vec![
        (
            "privileged",
            own,
            json!({"privileged": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}),
        ),
        (
            "privileged",
            "/securityContext",
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}, "windowsOptions": {"hostProcess": true}}),
        ),
        (
            "privilege_escalation",
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
        ),
        (
            "privilege_escalation",
            "/containers/0/securityContext/allowPrivilegeEscalation",
            Value::Null,
        ),
        ("non_root", "/securityContext/runAsNonRoot", json!(false)),
        ("non_root", "/securityContext/runAsUser", json!(0)),
        ("host_namespaces", "/hostNetwork", json!(true)),
        ("host_namespaces", "/hostPID", json!(true)),
        ("host_namespaces", "/hostIPC", json!(true)),
        (
            "host_path",
            "/volumes/0",
            json!({"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}),
        ),
        ("host_ports", "/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}])),
        (
            "capabilities",
            "/containers/0/securityContext/capabilities",
            json!({"drop": ["NET_RAW"]}),
        ),
        (
            "capabilities",
            "/containers/0/securityContext/capabilities",
            json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        ),
        ("seccomp", "/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        ("seccomp", "/securityContext/seccompProfile", Value::Null),
        ("read_only_root", "/containers/0/securityContext/readOnlyRootFilesystem", json!(false)),
        ("resources", "/containers/0/resources", json!({})),
        ("resources", "/containers/0/resources", json!({"limits": {"cpu": "1"}})),
        ("service_account_token", "/automountServiceAccountToken", json!(true)),
        (
            "service_account_token",
            "/volumes/0",
            json!({"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
        ),
    ]
}

fn changed(place: &str, value: Value) -> Value {
    let mut review = good();
    let spec = &mut review["request"]["object"]["spec"];
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).expect("a place");
    match parent.as_array_mut() {
        Some(list) => list[key.parse::<usize>().unwrap()] = value,
        None => parent[key] = value,
    }
    review
}

#[tokio::test]
async fn each_check_fires_on_what_it_is_about_and_on_nothing_else() {
    let mut seen = BTreeSet::new();
    let strict = Cluster::start_with(RULES, |it| {
        for check in Check::ALL {
            it.rules.checks.set(check, Strictness::Deny);
        }
    })
    .await;
    strict.known("open/app", "1", "app").await;
    strict.validate(&good()).await.assert_allowed();
    for (check, place, value) in objectionable() {
        let answer = strict.validate(&changed(place, value.clone())).await;
        assert!(!answer.allowed(), "{check}: {place} {value}");
        let message = answer.message();
        assert!(message.starts_with(&format!("{check}: ")), "{place} {value}: {message}");
        assert!(!message.contains("; and ") && !message.contains('\n'), "{message}");
        let objections: Vec<&str> = message
            .split("; ")
            .filter(|it| {
                Check::ALL.iter().any(|check| it.starts_with(&format!("{}: ", check.key())))
            })
            .collect();
        assert_eq!(objections.len(), 1, "{message}");
        seen.insert(check);
    }
    assert_eq!(seen, Check::ALL.iter().map(|check| check.key()).collect());
}

#[tokio::test]
async fn a_check_is_off_told_or_refused() {
    let review = changed("/hostNetwork", json!(true));
    for (strictness, allowed, warnings) in
        [(Strictness::Off, true, 0), (Strictness::Warn, true, 1), (Strictness::Deny, false, 0)]
    {
        let cluster = Cluster::start_with(RULES, |it| {
            it.rules.checks.set(Check::HostNamespaces, strictness);
        })
        .await;
        cluster.known("open/app", "1", "app").await;
        let answer = cluster.validate(&review).await;
        assert_eq!((answer.allowed(), answer.warnings().len()), (allowed, warnings));
    }
}

#[tokio::test]
async fn of_a_pod_that_is_there_only_new_containers_are_asked() {
    let cluster = Cluster::start_with(RULES, |it| {
        for check in Check::ALL {
            it.rules.checks.set(check, Strictness::Deny);
        }
    })
    .await;
    cluster.known("open/app", "1", "app").await;
    // The pod itself could not be admitted today; what is added to it is all that is looked at.
    let answer = cluster.validate(&recorded("pod-ephemeral", OPEN, OPEN)).await;
    answer.assert_denied("non_root: container debugger-4xk8z may run as root");
    assert!(!answer.message().contains("web"), "{}", answer.message());
    assert!(
        !answer.message().contains("resources"),
        "ephemeral containers cannot say: {}",
        answer.message()
    );
}

#[tokio::test]
async fn images_of_a_rule_that_requires_isolation_run_in_nothing_else() {
    let cluster = Cluster::start().await;
    let image = "up.test/apart/app:1";
    let whole = |known: bool| {
        let mut review = good();
        let object = &mut review["request"]["object"];
        object["spec"]["containers"][0]["image"] = image.into();
        object["spec"]["runtimeClassName"] = "gvisor".into();
        object["metadata"]["labels"] =
            json!({"pratique.dev/egress": "denied", "known": known.to_string()});
        review
    };
    for known in [false, true] {
        if known {
            cluster.known("apart/app", "1", "app").await;
        }
        let answer = cluster.validate(&whole(known)).await;
        answer.assert_allowed();
        assert_eq!(answer.annotation("decision"), if known { "admitted" } else { "unknown" });
        for (place, value, missing) in [
            ("/spec/runtimeClassName", Value::Null, "runtimeClassName: gvisor"),
            ("/spec/runtimeClassName", json!("runc"), "runtimeClassName: gvisor"),
            (
                "/spec/securityContext/runAsNonRoot",
                json!(false),
                "securityContext.runAsNonRoot: true",
            ),
            (
                "/spec/containers/0/securityContext/readOnlyRootFilesystem",
                Value::Null,
                "readOnlyRootFilesystem: true",
            ),
            ("/metadata/labels", json!({}), "the label pratique.dev/egress: denied"),
        ] {
            let mut review = whole(known);
            let (parent, key) = place.rsplit_once('/').unwrap();
            review["request"]["object"].pointer_mut(parent).unwrap()[key] = value;
            let answer = cluster.validate(&review).await;
            answer.assert_denied(&format!(
                "{image} (container web): rule apart requires of the pod "
            ));
            assert!(answer.message().ends_with(missing), "{}", answer.message());
        }
    }
    // An image volume is nobody's process; the pod is asked all the same.
    let volume = recorded("pod-image-volume", image, OPEN);
    let answer = cluster.validate(&volume).await;
    answer.assert_denied(
        "(volume model): rule apart requires of the pod runtimeClassName: gvisor, and the label",
    );
}

#[tokio::test]
async fn the_label_that_keeps_a_pod_in_is_not_taken_off_afterwards() {
    let cluster = Cluster::start().await;
    let image = "up.test/apart/app:1";
    cluster.known("apart/app", "1", "app").await;
    let mut review = recorded("pod-update", image, image);
    for object in ["object", "oldObject"] {
        let labels = &mut review["request"][object]["metadata"]["labels"];
        labels["pratique.dev/egress"] = "denied".into();
    }
    cluster.validate(&review).await.assert_allowed();
    review["request"]["object"]["metadata"]["labels"] = json!({"app": "web"});
    cluster.validate(&review).await.assert_denied("the label pratique.dev/egress: denied");
    // Of a pod that runs nothing of the kind it may be.
    cluster.known("open/app", "1", "app").await;
    let text = review.to_string().replace(image, OPEN);
    cluster.validate(&serde_json::from_str(&text).unwrap()).await.assert_allowed();
}

#[tokio::test]
async fn a_rule_in_warn_mode_only_tells_what_it_requires() {
    let policy = RULES.replace("requires: {", "mode: warn, requires: {");
    let cluster = Cluster::start_with(&policy, |_| {}).await;
    cluster.known("apart/app", "1", "app").await;
    let answer = cluster.validate(&recorded("pod-create", "up.test/apart/app:1", "")).await;
    answer.assert_allowed();
    assert!(
        answer.warnings()[0].contains("rule apart requires of the pod"),
        "{:?}",
        answer.warnings()
    );
}

/// The fields of the removed `PodSecurityPolicy` (policy/v1beta1, `PodSecurityPolicySpec`).
const FIELDS: [&str; 24] = [
    "allowPrivilegeEscalation",
    "allowedCSIDrivers",
    "allowedCapabilities",
    "allowedFlexVolumes",
    "allowedHostPaths",
    "allowedProcMountTypes",
    "allowedUnsafeSysctls",
    "defaultAddCapabilities",
    "defaultAllowPrivilegeEscalation",
    "forbiddenSysctls",
    "fsGroup",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPorts",
    "privileged",
    "readOnlyRootFilesystem",
    "requiredDropCapabilities",
    "runAsGroup",
    "runAsUser",
    "runtimeClass",
    "seLinux",
    "supplementalGroups",
    "volumes",
];

#[test]
fn the_table_has_every_field_of_the_removed_policy_and_names_checks_that_fire() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pods.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let fields: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(fields, FIELDS);
    let fires: BTreeSet<&str> = objectionable().iter().map(|(check, _, _)| *check).collect();
    let mut named = BTreeSet::new();
    for row in &rows {
        let [_, level, check, elsewhere] = row.as_slice() else {
            panic!("{row:?} has four columns")
        };
        assert!(
            ["restricted", "baseline", "-"].iter().any(|it| level.starts_with(it)),
            "{level} is a level of Pod Security"
        );
        for name in check.split('`').skip(1).step_by(2) {
            let is_rule = name.starts_with("requires");
            assert!(is_rule || fires.contains(name), "{name} is no check that a test shows");
            named.insert(name);
        }
        let says = |text: &str| text.chars().any(char::is_alphanumeric);
        assert!(says(level) || says(check) || says(elsewhere), "{row:?} says what became of it");
    }
    for wanted in
        ["privileged", "host_path", "host_ports", "non_root", "read_only_root", "capabilities"]
    {
        assert!(named.contains(wanted), "{wanted}");
    }
}
