//! The manifests that need no webhook: their expressions, evaluated against recorded objects.

use std::path::Path;
use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};

use super::recorded;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// The documents of a file of `deploy/kubernetes/admission`.
pub(super) fn manifests(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/admission").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// What an API server has beside the language: the functions on texts that the expressions use.
fn context(review: &Value, params: &Value) -> Context<'static, 'static> {
    let mut context = Context::default();
    context
        .add_function("matches", |This(text): This<Arc<String>>, pattern: Arc<String>| {
            regex::Regex::new(&pattern).expect("a pattern").is_match(&text)
        })
        .unwrap();
    context
        .add_function("split", |This(text): This<Arc<String>>, by: Arc<String>| -> Cel {
            let parts: Vec<Cel> =
                text.split(by.as_str()).map(|it| Cel::String(Arc::new(it.to_owned()))).collect();
            Cel::List(Arc::new(parts))
        })
        .unwrap();
    let request = &review["request"];
    context.add_variable("object", request["object"].clone()).unwrap();
    context.add_variable("oldObject", request["oldObject"].clone()).unwrap();
    context.add_variable("request", request.clone()).unwrap();
    context.add_variable("params", params.clone()).unwrap();
    context
}

/// Whether `expression` holds of what is asked.
pub(super) fn holds(expression: &str, review: &Value, params: &Value) -> bool {
    let program =
        Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    match program.execute(&context(review, params)) {
        Ok(Cel::Bool(answer)) => answer,
        other => panic!("{expression}: {other:?}"),
    }
}

/// How many validations of the policy `name` hold of `review`, in their order.
fn validated(name: &str, review: &Value, params: &Value) -> Vec<bool> {
    let all = manifests("policies.yaml");
    let policy = all
        .iter()
        .find(|it| it["kind"] == "ValidatingAdmissionPolicy" && it["metadata"]["name"] == name)
        .expect("the policy");
    let mut context = context(review, params);
    let mut variables = serde_json::Map::new();
    for variable in policy["spec"]["variables"].as_array().unwrap() {
        let text = variable["expression"].as_str().unwrap();
        let program = Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let value = program.execute(&context).unwrap_or_else(|error| panic!("{text}: {error}"));
        variables.insert(variable["name"].as_str().unwrap().to_owned(), value.json().unwrap());
        context.add_variable("variables", Value::Object(variables.clone())).unwrap();
    }
    let validations = policy["spec"]["validations"].as_array().unwrap();
    let holds = validations.iter().map(|validation| {
        let text = validation["expression"].as_str().unwrap();
        let program = Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        match program.execute(&context) {
            Ok(Cel::Bool(answer)) => answer,
            other => panic!("{text}: {other:?}"),
        }
    });
    holds.collect()
}

fn params() -> Value {
    let all = manifests("policies.yaml");
    let params = all.iter().find(|it| it["kind"] == "ConfigMap").expect("what they ask for");
    params.clone()
}

#[test]
fn the_prefix_form_asks_every_list_of_a_pod() {
    let (good, bad) = ("mirror.corp:5443/docker.io/library/nginx:1", "docker.io/library/nginx:1");
    let params = params();
    for name in [
        "pod-create",
        "pod-update",
        "pod-ephemeral",
        "pod-init",
        "pod-image-volume",
        "pod-create-dry-run",
    ] {
        let of = |image: &str, old: &str| {
            validated("images-through-pratique", &recorded(name, image, old), &params)
        };
        assert_eq!(of(good, good), [true, true], "{name}");
        assert_eq!(of(bad, good), [false, true], "{name}: that one image is elsewhere's");
    }
    for lookalike in
        ["mirror.corp:5443.evil.test/a:1", "mirror.corp/a:1", "evil.test/mirror.corp:5443/a:1"]
    {
        let review = recorded("pod-create", lookalike, good);
        assert_eq!(validated("images-through-pratique", &review, &params), [false, true]);
    }
}

#[test]
fn the_transparent_form_asks_for_registries_by_their_names() {
    let params = params();
    let of = |image: &str| {
        validated("images-of-known-registries", &recorded("pod-create", image, ""), &params)[0]
    };
    for known in [
        "nginx",
        "library/nginx:1",
        "docker.io/library/nginx:1",
        "ghcr.io/acme/web@sha256:1",
        "acme/web",
    ] {
        assert!(of(known), "{known}");
    }
    for unknown in [
        "evil.test/nginx:1",
        "localhost/nginx",
        "docker.io:5000/nginx",
        "io/../x.test/y",
        "docker/ghcr.io/x",
        "10.0.0.1/x",
        "ghcr.io.evil.test/a",
    ] {
        // Without a dot or a colon the first part is none: `io/..` and `docker/ghcr.io` are repositories of Docker Hub.
        let is_hub = ["io/../x.test/y", "docker/ghcr.io/x"].contains(&unknown);
        assert_eq!(of(unknown), is_hub, "{unknown}");
    }
    for name in ["pod-ephemeral", "pod-init", "pod-image-volume"] {
        let review = recorded(name, "evil.test/a:1", "nginx");
        assert!(!validated("images-of-known-registries", &review, &params)[0], "{name}");
    }
}

#[test]
fn pinned_asks_for_a_digest_where_it_is_on() {
    let mut params = params();
    assert_eq!(params["data"]["pinned"], "false");
    params["data"]["pinned"] = "true".into();
    let hub = "docker.io/library/nginx:1";
    for (image, is_pinned) in [
        (format!("{hub}@{DIGEST}"), true),
        (hub.to_owned(), false),
        (format!("{hub}@{DIGEST}x"), false),
        (format!("{hub}@sha256:11"), false),
    ] {
        for (name, first) in
            [("images-of-known-registries", true), ("images-through-pratique", false)]
        {
            let review = recorded("pod-create", &image, "");
            assert_eq!(validated(name, &review, &params), [first, is_pinned], "{image}");
        }
    }
    params["data"].as_object_mut().unwrap().remove("pinned");
    let review = recorded("pod-create", hub, "");
    assert_eq!(validated("images-of-known-registries", &review, &params), [true, true]);
}

#[test]
fn what_the_files_name_is_there() {
    let hooks = manifests("webhooks.yaml");
    let service = &manifests("service.yaml")[0];
    for hook in hooks.iter().flat_map(|it| it["webhooks"].as_array().unwrap()) {
        let asked = &hook["clientConfig"]["service"];
        assert_eq!(asked["name"], service["metadata"]["name"]);
        assert_eq!(asked["namespace"], service["metadata"]["namespace"]);
        assert_eq!(asked["port"], service["spec"]["ports"][0]["port"]);
    }
    let policies = manifests("policies.yaml");
    let names = |kind: &str| -> Vec<&Value> {
        policies.iter().filter(|it| it["kind"] == kind).map(|it| &it["metadata"]["name"]).collect()
    };
    for bound in policies.iter().filter(|it| it["kind"] == "ValidatingAdmissionPolicyBinding") {
        assert!(names("ValidatingAdmissionPolicy").contains(&&bound["spec"]["policyName"]));
        assert!(names("ConfigMap").contains(&&bound["spec"]["paramRef"]["name"]));
    }
    // The label that a rule asks for is the one that is selected.
    let isolation = manifests("isolation.yaml");
    let denied = isolation.iter().find(|it| it["metadata"]["name"] == "egress-denied").unwrap();
    let selected = &denied["spec"]["podSelector"]["matchLabels"];
    let label = json!({pratique::policy::EGRESS_LABEL: pratique::policy::EGRESS_DENIED});
    assert_eq!(selected, &label);
    assert_eq!(denied["spec"]["policyTypes"], json!(["Egress"]));
    assert!(denied["spec"]["egress"].is_null(), "nothing is let out");
}
