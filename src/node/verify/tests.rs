//! Configurations that are broken on purpose, each found by its sentence.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A node on disk.
struct Node {
    root: tempfile::TempDir,
    kit: Kit,
}

const CERTS_D: &str = "/etc/containerd/certs.d";
const CONFIG: &str = "/etc/containerd/config.toml";
const DEFAULT: &str = "/etc/containerd/certs.d/_default/hosts.toml";
const V2: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n";
const V3: &str = "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n";
const GOOD: &str = "server = \"https://m.test:5000\"\n[host.\"https://m.test:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n";

impl Node {
    fn of(runtime: &str) -> Self {
        let text = format!(
            "runtime = {runtime:?}\nmirrors = [\"https://m.test:5000\"]\nregistries = [\"docker.io\"]\ndirect = [\"harbor.test\"]"
        );
        let node =
            Self { root: tempfile::tempdir().unwrap(), kit: Kit::parse("test", &text).unwrap() };
        fs::set_permissions(node.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        node
    }

    /// A containerd that is closed.
    fn closed(runtime: &str) -> Self {
        let node = Self::of(runtime);
        node.put(CONFIG, if runtime.contains("@2") { V3 } else { V2 });
        node.put(&format!("{CERTS_D}/docker.io/hosts.toml"), GOOD);
        node.put(DEFAULT, GOOD);
        node
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        crate::node::place::replace(&self.root.path().join(&path[1..]), text.as_bytes(), 0o644)
            .unwrap();
        self
    }

    fn report(&self) -> Report {
        verify(self.root.path(), &self.kit)
    }

    /// Exactly one thing is wrong: `code`, at `line` of `file`, with `words` in what is said.
    fn has(&self, code: &str, file: &str, line: Option<usize>, words: &str) {
        let report = self.report();
        let wrong: Vec<_> = report.wrong().collect();
        assert!(!report.closed, "{code}");
        let [found] = wrong.as_slice() else { panic!("{code}: {wrong:#?}") };
        assert_eq!(
            (found.code, found.file.to_str().unwrap(), found.line),
            (code, file, line),
            "{found:?}"
        );
        assert!(found.text.contains(words), "{found:?}");
        assert!(!found.todo.is_empty());
    }

    fn is_closed(&self) {
        let report = self.report();
        assert!(report.closed, "{report:#?}");
    }
}

#[test]
fn what_is_rendered_is_closed_by_the_rules_of_every_runtime() {
    for runtime in [
        "containerd@1.6.20",
        "containerd@1.7.24",
        "containerd@2.1.9",
        "containerd",
        "crio",
        "k3s",
        "rke2",
    ] {
        let mut node = Node::of(runtime);
        node.kit.mirrors.push("https://n.test:5000".parse().unwrap());
        for file in crate::node::render::files(&node.kit, true).unwrap() {
            node.put(file.path.to_str().unwrap(), &file.text);
        }
        if runtime.starts_with("containerd") {
            node.put(CONFIG, &crate::node::render::config_section(&node.kit));
        }
        node.is_closed();
        let declared = |finding: &Finding| {
            finding.gravity == Gravity::Declared && finding.text.contains("harbor.test")
        };
        assert!(
            runtime.starts_with("containerd")
                && node.report().findings.iter().filter(|f| declared(f)).count() == 1
                || node.report().findings.iter().any(declared),
            "{runtime}: the declared hole is shown as such"
        );
    }
}

/// With `text` as the file for every registry, `code` is what is wrong; line 0 is none.
fn has_default(runtime: &str, text: &str, code: &str, line: usize, words: &str) {
    let node = Node::closed(runtime);
    node.put(DEFAULT, text);
    node.has(code, DEFAULT, (line > 0).then_some(line), words);
}

#[test]
fn each_broken_hosts_toml_is_found_with_what_happens() {
    let host = "[host.\"https://m.test:5000\"]\n";
    let server = "server = \"https://m.test:5000\"\n";
    for (runtime, text, code, line, words) in [
        ("containerd@1.7.24", "server = ", "parse-error", 1, "as if there were no file"),
        (
            "containerd@2.1.9",
            &format!("{server}{host}capabilities = [\"pull\", \"referrers\"]"),
            "unknown-capability",
            3,
            "referrers",
        ),
        (
            "containerd",
            &format!("{server}{host}capabilities = [\"pul\"]"),
            "unknown-capability",
            3,
            "pul",
        ),
        ("containerd@1.6.20", server, "no-host-table", 1, "1.7.32"),
        ("containerd@1.7.31", server, "no-host-table", 1, "1.7.32"),
        ("containerd@1.7.24", host, "server-missing", 1, "after every refusal"),
        (
            "containerd@2.1.9",
            &format!("server = \"https://registry-1.docker.io\"\n{host}"),
            "server-is-registry",
            1,
            "the registry itself",
        ),
        (
            "containerd@2.1.9",
            &format!("server = \"https://other.test\"\n{host}"),
            "server-elsewhere",
            1,
            "no mirror of this node",
        ),
        (
            "containerd@2.1.9",
            &format!("{server}{host}[host.\"https://quay.test\"]"),
            "host-elsewhere",
            3,
            "quay.test",
        ),
    ] {
        has_default(runtime, text, code, line, words);
    }
}

#[test]
fn each_entry_that_is_not_what_it_should_be_is_found() {
    let host = "[host.\"https://m.test:5000\"]\n";
    let server = "server = \"https://m.test:5000\"\n";
    for (runtime, text, code, line, words) in [
        ("containerd@2.1.9", "", "no-file", 0, "is empty"),
        (
            "containerd@2.1.9",
            &format!("{server}{host}skip_verify = true"),
            "skip-verify",
            3,
            "whoever is between",
        ),
        (
            "containerd@2.1.9",
            &format!("server = \"http://m.test:5000\"\n{host}"),
            "plain-http",
            1,
            "in clear",
        ),
        (
            "containerd@2.1.9",
            &format!("{server}{host}ca = \"/none.pem\""),
            "certificate-missing",
            3,
            "pulls fail",
        ),
        ("containerd@2.1.9", &format!("{server}{host}ca = 5"), "wrong-type", 3, "ca is not"),
        (
            "containerd@2.1.9",
            &format!("{server}{host}client = [[\"/a\", \"/b\", \"/c\"]]"),
            "wrong-type",
            3,
            "client is not",
        ),
        (
            "containerd@2.1.9",
            &format!("{server}{host}dial_timeout = \"soon\""),
            "wrong-type",
            3,
            "dial_timeout",
        ),
        (
            "containerd@2.1.9",
            "host = 5\nserver = \"https://m.test:5000\"",
            "wrong-type",
            1,
            "host is not",
        ),
    ] {
        has_default(runtime, text, code, line, words);
    }
}

#[test]
fn what_one_version_takes_is_no_hole_there() {
    let server = "server = \"https://m.test:5000\"\n";
    for (runtime, text) in [
        ("containerd@2.1.9", server.to_owned()),
        ("containerd@1.7.32", server.to_owned()),
        (
            "containerd@2.2.0",
            format!(
                "{GOOD}\n[host.\"https://m.test:5000/v2\"]\ncapabilities = [\"Pull\", \"referrers\"]"
            ),
        ),
        ("containerd@1.7.24", format!("{GOOD}dial_timeout = \"soon\"")),
        ("containerd@2.1.9", format!("{GOOD}dial_timeout = \"1m30s\"")),
        ("containerd@2.1.9", format!("capabilities = [\"push\"]\n{GOOD}")),
    ] {
        Node::closed(runtime).put(DEFAULT, &text).is_closed();
    }
}

#[test]
fn folders_that_hide_the_default_are_found() {
    let runtime = "containerd@1.7.24";
    let node = Node::closed(runtime);
    node.put(
        &format!("{CERTS_D}/quay.io/hosts.toml"),
        "server = \"https://quay.io\"\n[host.\"https://m.test:5000\"]",
    );
    node.has(
        "server-is-registry",
        &format!("{CERTS_D}/quay.io/hosts.toml"),
        Some(1),
        "the registry itself",
    );

    let node = Node::closed(runtime);
    fs::create_dir(node.root.path().join("etc/containerd/certs.d/quay.io")).unwrap();
    node.has("no-file", &format!("{CERTS_D}/quay.io/hosts.toml"), None, "hides _default");

    // Of two folders for one registry the one with underscores counts.
    let bad = "server = \"https://up.test:5000\"\n[host.\"https://m.test:5000\"]";
    let node = Node::closed(runtime);
    node.put(&format!("{CERTS_D}/up.test:5000/hosts.toml"), bad);
    node.has(
        "server-is-registry",
        &format!("{CERTS_D}/up.test:5000/hosts.toml"),
        Some(1),
        "itself",
    );
    node.put(&format!("{CERTS_D}/up.test_5000_/hosts.toml"), GOOD).is_closed();
    assert!(node.report().findings.iter().any(|finding| finding.code == "not-read"));

    let node = Node::closed(runtime);
    fs::remove_dir_all(node.root.path().join("etc/containerd/certs.d/_default")).unwrap();
    node.has("no-default", &format!("{CERTS_D}/_default"), None, "pulled from directly");

    // A link into nowhere is no folder, and one that holds is followed below the same root.
    let node = Node::closed(runtime);
    let certs_d = node.root.path().join("etc/containerd/certs.d");
    std::os::unix::fs::symlink("/nowhere", certs_d.join("quay.io")).unwrap();
    node.is_closed();
    std::os::unix::fs::symlink("/etc/containerd/certs.d/_default", certs_d.join("ghcr.io"))
        .unwrap();
    node.is_closed();
}

#[test]
fn each_broken_config_toml_is_found() {
    let legacy = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.test:5000\"]";
    let legacy3 = "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m.test:5000\"]";
    let list = V3.replace("certs.d\"", "certs.d:/etc/docker/certs.d\"");
    for (runtime, text, code, line, words) in [
        ("containerd@1.7.24", "version = 2", "config-path-missing", None, "no hosts.toml at all"),
        ("containerd@1.6.20", V3, "config-path-missing", None, "no hosts.toml at all"),
        ("containerd@1.7.24", legacy, "legacy-mirrors", Some(2), "always the last endpoint"),
        ("containerd@2.1.9", legacy3, "legacy-mirrors", Some(2), "always the last endpoint"),
        ("containerd@2.1.9", legacy, "legacy-mirrors", Some(2), "always the last endpoint"),
        ("containerd@2.1.9", list.as_str(), "config-path-list", Some(3), "the name of one folder"),
        ("containerd", list.as_str(), "config-path-list", Some(3), "the name of one folder"),
        ("containerd@1.7.24", "version = ", "config-unreadable", Some(1), "does not start"),
        (
            "containerd@1.7.24",
            "version = 2\nimports = [\"none.toml\"]",
            "config-unreadable",
            None,
            "not there",
        ),
    ] {
        let node = Node::closed(runtime);
        node.put(CONFIG, text);
        let file = if text.contains("imports") { "/etc/containerd/none.toml" } else { CONFIG };
        node.has(code, file, line, words);
    }
    let node = Node::closed("containerd@1.7.24");
    node.put(CONFIG, &format!("{V2}[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = []"));
    node.has("mirrors-and-config-path", CONFIG, Some(4), "does not load");
}

#[test]
fn imports_count_as_each_version_counts_them() {
    let main2 = format!("imports = [\"conf.d/*.toml\"]\n{V2}");
    let main3 = format!("imports = [\"conf.d/*.toml\"]\n{V3}");
    // 1.x replaces all that was said of the plugin, 2.x only what is said again.
    let node = Node::closed("containerd@1.7.24");
    node.put(CONFIG, &main2);
    node.put(
        "/etc/containerd/conf.d/a.toml",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"p\"",
    );
    node.has("config-path-missing", CONFIG, None, "no hosts.toml at all");
    let node = Node::closed("containerd@2.1.9");
    node.put(CONFIG, &main3);
    node.put(
        "/etc/containerd/conf.d/a.toml",
        "version = 3\n[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"native\"",
    );
    node.is_closed();
    node.put("/etc/containerd/conf.d/b.toml", "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/elsewhere\"");
    node.has("config-path-nowhere", "/etc/containerd/conf.d/b.toml", Some(3), "no such folder");
}

#[test]
fn who_may_write_may_open() {
    for path in [DEFAULT, CONFIG] {
        let node = Node::closed("containerd@1.7.24");
        let mode = fs::Permissions::from_mode(0o666);
        fs::set_permissions(node.root.path().join(&path[1..]), mode).unwrap();
        node.has("writable-by-others", path, None, "0666");
    }
    let node = Node::closed("containerd@1.7.24");
    let key = format!("{GOOD}client = [[\"/etc/pratique/c.pem\", \"/etc/pratique/k.pem\"]]");
    node.put(DEFAULT, &key).put("/etc/pratique/c.pem", "c").put("/etc/pratique/k.pem", "k");
    node.has("key-readable", "/etc/pratique/k.pem", None, "everybody");
}

#[test]
fn an_open_node_is_told_as_one() {
    let mut node = Node::of("containerd@1.7.24");
    node.kit.open = true;
    node.put(CONFIG, V2);
    for file in crate::node::render::files(&node.kit, true).unwrap() {
        node.put(file.path.to_str().unwrap(), &file.text);
    }
    node.has("open", "/etc/pratique/node.toml", None, "configured open");
}

#[test]
fn each_broken_registries_conf_is_found() {
    let good = "[[registry]]\nprefix = \"docker.io\"\nlocation = \"m.test:5000/docker.io\"\n";
    let ours = "/etc/containers/registries.conf.d/50-pratique.conf";
    let later = "/etc/containers/registries.conf.d/90-others.conf";
    let block = |prefix: &str, rest: &str| format!("[[registry]]\nprefix = \"{prefix}\"\n{rest}\n");
    for (file, text, code, line, words) in [
        (
            later,
            block("docker.io", "location = \"docker.io\""),
            "location-is-registry",
            Some(3),
            "the registry itself",
        ),
        (
            later,
            block(
                "docker.io",
                "location = \"docker.io\"\n[[registry.mirror]]\nlocation = \"m.test:5000/docker.io\"",
            ),
            "location-is-registry",
            Some(3),
            "on every refusal",
        ),
        (
            later,
            block("docker.io/library", "location = \"hub.test/library\""),
            "location-elsewhere",
            Some(3),
            "no mirror of this node",
        ),
        (
            later,
            block("docker.io", "location = \"m.test:5000/docker.io\"\ninsecure = true"),
            "insecure",
            Some(3),
            "whoever is between",
        ),
        (
            later,
            "unqualified-search-registries = [\"docker.io\", \"quay.io\"]".to_owned(),
            "search-not-covered",
            Some(1),
            "quay.io",
        ),
        (
            later,
            "[registries.search]\nregistries = [\"quay.io\"]".to_owned(),
            "first-version",
            None,
            "first version",
        ),
        (later, "[[registry".to_owned(), "unreadable", Some(1), "nothing is pulled"),
    ] {
        let node = Node::of("crio");
        node.put(ours, good).is_closed();
        node.put(file, &text);
        node.has(code, file, line, words);
    }
    Node::of("podman").has(
        "no-block",
        "/etc/containers/registries.conf.d",
        None,
        "docker.io has no block",
    );
    // A source that is blocked is not contacted, its mirrors are.
    let blocked = block(
        "docker.io",
        "location = \"docker.io\"\nblocked = true\n[[registry.mirror]]\nlocation = \"m.test:5000/docker.io\"",
    );
    Node::of("crio").put(ours, &blocked).is_closed();
}

#[test]
fn each_broken_registries_yaml_is_found() {
    let path = "/etc/rancher/k3s/registries.yaml";
    let setting = "/etc/rancher/k3s/config.yaml";
    let good = "mirrors:\n  \"*\":\n    endpoint: [\"https://m.test:5000\"]\n";
    let with = |rest: &str| format!("{good}{rest}");
    for (text, code, line, words) in [
        (
            "mirrors:\n  docker.io:\n    endpoint: [\"https://m.test:5000\"]\n".to_owned(),
            "no-default",
            Some(1),
            "not listed",
        ),
        (
            with("  quay.io:\n    endpoint: [\"https://quay.test\"]\n"),
            "host-elsewhere",
            Some(5),
            "no mirror of this node",
        ),
        (
            with("  quay.io:\n    endpoint: [\"http://m.test:5000\"]\n"),
            "plain-http",
            Some(5),
            "in clear",
        ),
        (
            with("configs:\n  docker.io:\n    auth: {username: a}\n"),
            "config-keeps-endpoint",
            Some(5),
            "whatever",
        ),
        (
            with("configs:\n  \"m.test:5000\":\n    tls:\n      insecure_skip_verify: true\n"),
            "skip-verify",
            Some(7),
            "whoever is between",
        ),
        (
            with("configs:\n  \"m.test:5000\":\n    tls:\n      ca_file: /none.pem\n"),
            "certificate-missing",
            Some(7),
            "pulls fail",
        ),
        ("mirrors: [".to_owned(), "unreadable", None, "does not start"),
    ] {
        let node = Node::of("k3s");
        node.put(setting, "disable-default-registry-endpoint: true").put(path, good).is_closed();
        node.put(path, &text);
        node.has(code, path, line, words);
    }
    let node = Node::of("k3s");
    node.put(path, good).has("default-endpoint", setting, None, "is not true");
    // The last piece that speaks of it counts.
    node.put(setting, "disable-default-registry-endpoint: true").is_closed();
    let piece = "/etc/rancher/k3s/config.yaml.d/z.yaml";
    node.put(piece, "disable-default-registry-endpoint: false").has(
        "default-endpoint",
        piece,
        None,
        "is not true",
    );
}
