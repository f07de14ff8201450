//! What objects name, and what hostile ones do.

use std::fmt::Write as _;

use super::{BYTES_MAX, Error, IMAGES_MAX, Objects, images};

/// What a chart prints, with everything in it that names an image.
const EXAMPLE: &str = r#"---
# Source: shop/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app.kubernetes.io/instance: shop, helm.sh/chart: shop-1.4.0}
spec:
  template:
    spec:
      initContainers:
      - {name: wait, image: "docker.io/library/busybox:1.36"}
      containers:
      - name: web
        image: ghcr.io/acme/web:1.4
      - name: side
        image: up.test:5000/side@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      ephemeralContainers:
      - {name: look, image: nginx}
      volumes:
      - name: model
        image: {reference: "ghcr.io/acme/model:2", pullPolicy: Always}
---
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: ghcr.io/acme/report:3}]}}}}}
metadata: {name: report, annotations: {meta.helm.sh/release-name: shop}}
kind: CronJob
apiVersion: batch/v1
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main}
spec:
  image: quay.io/prometheus/prometheus:v3
  thanos: {image: {repository: quay.io/thanos/thanos, tag: v0.36}}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: one}
  spec: {containers: [{image: ghcr.io/acme/web:1.4}, {image: "ghcr.io/acme/one:1"}]}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: text}, data: {image: looks/like:one}}
"#;

fn named(objects: &Objects) -> Vec<(&str, bool)> {
    objects.images.iter().map(|it| (it.image.as_str(), it.is_guess)).collect()
}

fn of(text: &str) -> Vec<(String, bool)> {
    let objects = images(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    named(&objects).into_iter().map(|(image, guess)| (image.to_owned(), guess)).collect()
}

#[test]
fn every_image_of_pod_templates_is_found_and_what_is_a_guess_is_told_as_one() {
    let objects = images(EXAMPLE).unwrap();
    assert_eq!(
        named(&objects),
        [
            ("docker.io/library/busybox:1.36", false),
            ("ghcr.io/acme/web:1.4", false),
            (
                "up.test:5000/side@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                false
            ),
            ("nginx", false),
            ("ghcr.io/acme/model:2", false),
            ("ghcr.io/acme/report:3", false),
            ("quay.io/prometheus/prometheus:v3", true),
            ("ghcr.io/acme/one:1", false),
            ("looks/like:one", true),
        ]
    );
    assert_eq!(objects.count, 5);
    assert_eq!(objects.releases.iter().collect::<Vec<_>>(), ["shop"]);
    let left: Vec<_> = objects.left_out.iter().map(|it| (it.place.as_str(), it.why)).collect();
    assert_eq!(
        left,
        [("Prometheus main, spec.thanos.image (line 34)", "it names an image in parts")]
    );
    let place = "Deployment web, spec.template.spec.volumes[0].image.reference (line 22)";
    assert_eq!(objects.images[4].place, place);
}

#[test]
fn every_kind_with_a_pod_is_known_and_a_path_that_only_looks_like_one_is_a_guess() {
    for (kind, spec) in [
        ("Pod", "spec: {containers: [{image: a/b:1}]}"),
        ("PodTemplate", "template: {spec: {containers: [{image: a/b:1}]}}"),
        ("DaemonSet", "spec: {template: {spec: {initContainers: [{image: a/b:1}]}}}"),
        ("StatefulSet", "spec: {template: {spec: {containers: [{image: a/b:1}]}}}"),
        ("ReplicaSet", "spec: {template: {spec: {containers: [{image: a/b:1}]}}}"),
        ("ReplicationController", "spec: {template: {spec: {containers: [{image: a/b:1}]}}}"),
        ("Job", "spec: {template: {spec: {ephemeralContainers: [{image: a/b:1}]}}}"),
    ] {
        let text = format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n{spec}\n");
        assert_eq!(of(&text), [("a/b:1".to_owned(), false)], "{kind}");
    }
    for (kind, spec) in [
        ("Rollout", "spec: {template: {spec: {containers: [{image: a/b:1}]}}}"),
        ("Pod", "spec: {containers: {0: {image: a/b:1}}}"),
        ("Pod", "spec: {volumes: [{name: x, image: a/b:1}]}"),
        ("Pod", "other: {spec: {containers: [{image: a/b:1}]}}"),
    ] {
        let text = format!("apiVersion: v1\nkind: {kind}\n{spec}\n");
        assert_eq!(of(&text), [("a/b:1".to_owned(), true)], "{kind}: {spec}");
    }
    // Found as a guess first and in a pod later, it is none any more.
    let text = "apiVersion: v1\nkind: Pod\nimage: a/b:1\nspec: {containers: [{image: a/b:1}]}\n";
    assert_eq!(of(text), [("a/b:1".to_owned(), false)]);
    // JSON is YAML, and of a key that is there twice both are asked for: whichever a cluster takes is.
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "a:1", "image": "b:1"}]}}"#;
    assert_eq!(of(text), [("a:1".to_owned(), false), ("b:1".to_owned(), false)]);
}

#[test]
fn an_alias_is_never_expanded_and_hides_no_image() {
    let text = "apiVersion: v1\nkind: Pod\nx: &c [{image: &i a/b:1}]\nspec:\n  containers: *c\n  \
                initContainers: [{image: *i}]\n  ephemeralContainers: [{image: *nobody}]\n";
    let objects = images(text).unwrap();
    assert_eq!(named(&objects), [("a/b:1", false)], "by the text that has a name");
    assert_eq!(objects.left_out.len(), 1, "{objects:?}");
    // Nine levels of nine would be 387 million texts.
    let mut bomb = "apiVersion: v1\nkind: Pod\na0: &a0 [lol, lol]\n".to_owned();
    for level in 1..10 {
        let of = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{of}]").unwrap();
    }
    bomb.push_str("image: *a9\n");
    let begin = std::time::Instant::now();
    let objects = images(&bomb).unwrap();
    assert!(objects.images.is_empty() && objects.left_out.len() == 1, "{objects:?}");
    assert!(begin.elapsed().as_secs() < 10);
    // A long text with a name is not copied for each that stands for it.
    let long = "y".repeat(1 << 20);
    let many = "- {image: *l}\n".repeat(20_000);
    let text = format!("apiVersion: v1\nkind: Pod\nl: &l \"{long}\"\nall:\n{many}");
    let objects = images(&text).unwrap();
    assert!(objects.images.is_empty(), "{}", objects.images.len());
    assert_eq!(objects.left_out.len(), 100, "what is told is bounded");
}

#[test]
fn what_is_too_much_or_no_object_is_refused_with_its_place() {
    for nothing in ["", "---\n", "# a comment\n", "a: 1\n", "kind: Pod\n", "just text", "[]"] {
        assert_eq!(images(nothing).unwrap_err(), Error::Nothing, "{nothing:?}");
    }
    for wrong in [
        "apiVersion: v1\nkind: [Pod\n".to_owned(),
        "apiVersion: v1\n\tkind: Pod\n".to_owned(),
        format!("apiVersion: v1\nkind: Pod\nx: {}\n", "[".repeat(100_000)),
        format!("apiVersion: v1\nkind: Pod\nx: {}{}\n", "[".repeat(200), "]".repeat(200)),
        format!("apiVersion: v1\nkind: Pod\nx:{}", "\n-".repeat(500_001)),
        "---\na: 1\n".repeat(5_001),
    ] {
        let error = images(&wrong).unwrap_err();
        assert!(matches!(error, Error::Yaml { .. }), "{error}");
    }
    let mut many = "apiVersion: v1\nkind: Pod\nspec: {containers: [".to_owned();
    for number in 0..IMAGES_MAX {
        write!(many, "{{image: a/b:{number}}}, ").unwrap();
    }
    assert_eq!(of(&format!("{many}]}}\n")).len(), IMAGES_MAX);
    assert_eq!(images(&format!("{many}{{image: more}}]}}\n")).unwrap_err(), Error::TooMany);
    assert_eq!(images(&" ".repeat(BYTES_MAX + 1)).unwrap_err(), Error::TooLarge);
    let error = images("apiVersion: v1\nkind: Pod\nspec: {]\n").unwrap_err();
    assert!(error.to_string().starts_with("line 3, column "), "{error}");
}

#[test]
fn paths_and_names_of_any_length_are_told_in_short() {
    // A key of more than 1,024 characters is none.
    let (long, key) = ("k".repeat(5_000), "k".repeat(1_000));
    let text = format!(
        "apiVersion: v1\nkind: {long}\nmetadata: {{name: {long}, labels: {{app.kubernetes.io/instance: {long}}}}}\n\
         {key}: {{{key}: {{ümlaut: {{image: a/b:1}}}}}}\n"
    );
    let objects = images(&text).unwrap();
    assert_eq!(objects.images.len(), 1);
    assert!(objects.images[0].place.len() < 600, "{}", objects.images[0].place.len());
    assert!(objects.releases.iter().all(|it| it.len() == 100));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}", at in 0_usize..2_000) {
        drop(images(&text));
        let mut cut = at.min(EXAMPLE.len());
        while !EXAMPLE.is_char_boundary(cut) {
            cut -= 1;
        }
        drop(images(&format!("{}{text}{}", &EXAMPLE[..cut], &EXAMPLE[cut..])));
    }
}
