//! What the rendered files must say, word for word.

use super::*;

const TLS: &str = r#"
ca = "/etc/pratique/ca.pem"
client_cert = "/etc/pratique/node.crt"
client_key = "/etc/pratique/node.key"
"#;

fn kit(runtime: &str, rest: &str) -> Kit {
    let mirrors =
        if rest.contains("mirrors") { "" } else { "mirrors = [\"https://mirror.test:5443\"]\n" };
    Kit::parse("test", &format!("runtime = {runtime:?}\n{mirrors}{rest}")).unwrap()
}

fn rendered(kit: &Kit, path: &str) -> String {
    let files = files(kit, true).unwrap();
    let file = files.iter().find(|file| file.path == Path::new(path));
    file.unwrap_or_else(|| panic!("{path} among {files:?}")).text.clone()
}

#[test]
fn the_closed_form_names_the_mirror_twice_with_certificates_for_both() {
    let text = hosts_toml_for_any(&kit("containerd", TLS));
    let expected = r#"# Closed: the mirror is the only place to pull from. Both entries are needed.
server = "https://mirror.test:5443"
ca = "/etc/pratique/ca.pem"
client = [["/etc/pratique/node.crt", "/etc/pratique/node.key"]]

[host."https://mirror.test:5443"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/pratique/ca.pem"
  client = [["/etc/pratique/node.crt", "/etc/pratique/node.key"]]
"#;
    assert_eq!(text, expected);
    assert!(text.parse::<toml::Table>().is_ok());
}

#[test]
fn the_last_of_several_mirrors_is_the_server() {
    let two = kit("containerd", "mirrors = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]");
    let expected = r#"# Closed: the mirror is the only place to pull from. Both entries are needed.
server = "http://127.0.0.1:2"

[host."http://127.0.0.1:1"]
  capabilities = ["pull", "resolve"]

[host."http://127.0.0.1:2"]
  capabilities = ["pull", "resolve"]
"#;
    assert_eq!(hosts_toml_for_any(&two), expected);
}

#[test]
fn the_open_form_says_that_it_is_no_gate() {
    let open = kit("containerd", "registries = [\"docker.io\"]\nopen = true");
    let expected = r#"# Open: on any refusal containerd goes to the registry itself. NOT A GATE.
server = "https://registry-1.docker.io"

[host."https://mirror.test:5443"]
  capabilities = ["pull", "resolve"]
"#;
    assert_eq!(rendered(&open, "/etc/containerd/certs.d/docker.io/hosts.toml"), expected);
    assert!(!hosts_toml_for_any(&open).contains("server ="));
}

#[test]
fn each_registry_has_the_folder_that_containerd_looks_for_first() {
    let kit = kit(
        "containerd@1.7.24",
        "registries = [\"docker.io\", \"up.test:5000\"]\ndirect = [\"harbor.test\"]",
    );
    let paths = |default| -> Vec<_> {
        let files = files(&kit, default).unwrap();
        files.into_iter().map(|file| file.path.display().to_string()).collect()
    };
    let folder = "/etc/containerd/certs.d";
    assert_eq!(
        paths(true),
        ["docker.io", "up.test_5000_", "harbor.test", "_default"]
            .map(|name| format!("{folder}/{name}/hosts.toml"))
    );
    assert_eq!(paths(false).len(), 3);
    let direct = rendered(&kit, "/etc/containerd/certs.d/harbor.test/hosts.toml");
    assert!(
        direct.starts_with("# A declared hole")
            && direct.contains("server = \"https://harbor.test\"")
    );
}

#[test]
fn the_section_is_the_one_of_the_version() {
    let expected = "# containerd reads one folder per registry below this one. A change here needs a restart of containerd.\nversion = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n";
    assert_eq!(config_section(&kit("containerd@1.7.24", "")), expected);
    let two = config_section(&kit("containerd@2.1", ""));
    assert!(
        two.contains("version = 3\n\n[plugins.\"io.containerd.cri.v1.images\".registry]"),
        "{two}"
    );
    // An import of 1.x would take the place of all that config.toml says of the plugin.
    let drop_in = |runtime| {
        let files = files(&kit(runtime, ""), true).unwrap();
        files.iter().any(|file| file.path.starts_with("/etc/containerd/conf.d"))
    };
    assert!(drop_in("containerd@2.1") && !drop_in("containerd@1.7") && !drop_in("containerd"));
}

#[test]
fn registries_conf_replaces_the_registry_when_closed_and_only_goes_before_it_when_open() {
    let path = "/etc/containers/registries.conf.d/50-pratique.conf";
    let two = "mirrors = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n";
    let closed =
        kit("crio", &format!("{two}registries = [\"quay.io\"]\ndirect = [\"harbor.test\"]"));
    let expected = r#"# Closed: these registries are pulled from the mirror only. What has no block is pulled past it.

[[registry]]
prefix = "quay.io"
location = "127.0.0.1:2/quay.io"
insecure = true
[[registry.mirror]]
location = "127.0.0.1:1/quay.io"
insecure = true

# A declared hole: this registry is reached past the mirror.
[[registry]]
prefix = "harbor.test"
location = "harbor.test"
"#;
    assert_eq!(rendered(&closed, path), expected);
    let open = kit("podman", &format!("{TLS}registries = [\"quay.io\"]\nopen = true"));
    let expected = r#"# Open: on any refusal the client goes to the registry itself. NOT A GATE.
# copy /etc/pratique/ca.pem to /etc/containers/certs.d/mirror.test:5443/ca.crt
# copy /etc/pratique/node.crt to /etc/containers/certs.d/mirror.test:5443/client.cert and /etc/pratique/node.key to /etc/containers/certs.d/mirror.test:5443/client.key

[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "mirror.test:5443/quay.io"
"#;
    assert_eq!(rendered(&open, path), expected);
    assert!(expected.parse::<toml::Table>().is_ok());
}

#[test]
fn k3s_has_its_default_endpoints_off() {
    let kit = kit("k3s", &format!("{TLS}registries = [\"docker.io\"]\ndirect = [\"harbor.test\"]"));
    let expected = r#"# Closed, together with disable-default-registry-endpoint: true in config.yaml.d/50-pratique.yaml.
mirrors:
  "docker.io":
    endpoint:
      - "https://mirror.test:5443"
  # A declared hole: this registry is reached past the mirror.
  "harbor.test":
    endpoint:
      - "https://harbor.test"
  "*":
    endpoint:
      - "https://mirror.test:5443"
configs:
  "mirror.test:5443":
    tls:
      ca_file: "/etc/pratique/ca.pem"
      cert_file: "/etc/pratique/node.crt"
      key_file: "/etc/pratique/node.key"
"#;
    assert_eq!(rendered(&kit, "/etc/rancher/k3s/registries.yaml"), expected);
    let setting = rendered(&kit, "/etc/rancher/k3s/config.yaml.d/50-pratique.yaml");
    assert!(setting.ends_with("\ndisable-default-registry-endpoint: true\n"), "{setting}");
}

#[test]
fn talos_skips_the_fallback_in_both_of_its_forms() {
    let old = r#"# Closed: skipFallback takes the registry away as the last endpoint.
# talosctl patch machineconfig --patch @pratique.patch.yaml
machine:
  registries:
    mirrors:
      "docker.io":
        endpoints:
          - "https://mirror.test:5443"
        skipFallback: true
      "*":
        endpoints:
          - "https://mirror.test:5443"
        skipFallback: true
"#;
    let rest = "registries = [\"docker.io\"]";
    assert_eq!(rendered(&kit("talos@1.9", rest), "pratique.patch.yaml"), old);
    let new = rendered(&kit("talos@1.12", rest), "pratique.patch.yaml");
    let document = "---\napiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: \"*\"\nendpoints:\n  - url: \"https://mirror.test:5443\"\nskipFallback: true\n";
    assert!(new.ends_with(document), "{new}");
    assert!(matches!(files(&kit("talos@1.8", ""), true), Err(RenderError::TooOld { .. })));
}

#[test]
fn openshift_never_contacts_the_source() {
    let kit = kit("openshift", "registries = [\"quay.io\"]");
    let text = rendered(&kit, "image-tag-mirror-set.yaml");
    let expected = "kind: ImageTagMirrorSet\nmetadata:\n  name: pratique\nspec:\n  imageTagMirrors:\n    - source: \"quay.io\"\n      mirrors:\n        - \"mirror.test:5443/quay.io\"\n      mirrorSourcePolicy: NeverContactSource\n";
    assert!(text.ends_with(expected), "{text}");
    assert!(rendered(&kit, "image-digest-mirror-set.yaml").contains("imageDigestMirrors"));
}

#[test]
fn builders_are_told_in_their_own_words() {
    let kaniko = kit("kaniko", "registries = [\"docker.io\", \"quay.io\"]\nca = \"/ca.pem\"");
    assert_eq!(
        rendered(&kaniko, "kaniko.arguments"),
        "--registry-map=index.docker.io=mirror.test:5443/docker.io;quay.io=mirror.test:5443/quay.io\n--skip-default-registry-fallback\n--registry-certificate=mirror.test:5443=/ca.pem\n"
    );
    let buildkit = kit("buildkit", &format!("{TLS}registries = [\"docker.io\"]\nopen = true"));
    let expected = r#"
[registry."docker.io"]
  mirrors = ["mirror.test:5443"]

[registry."mirror.test:5443"]
  ca = ["/etc/pratique/ca.pem"]
  [[registry."mirror.test:5443".keypair]]
    key = "/etc/pratique/node.key"
    cert = "/etc/pratique/node.crt"
"#;
    let text = rendered(&buildkit, "/etc/buildkit/buildkitd.toml");
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn what_cannot_be_closed_says_so_and_what_closes_it_instead() {
    for runtime in ["docker", "bottlerocket", "buildkit"] {
        let error =
            files(&kit(runtime, "registries = [\"docker.io\"]"), true).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{runtime} cannot be closed: ")), "{error}");
        assert!(error.contains("firewall") && error.contains("--open"), "{error}");
        let open = files(&kit(runtime, "registries = [\"docker.io\"]\nopen = true"), true).unwrap();
        assert!(!open.is_empty());
    }
    let error = files(&kit("containerd@1.5.9", ""), true).unwrap_err().to_string();
    assert!(error.contains("too old"), "{error}");
}

#[test]
fn carriers_bring_the_same_files_onto_a_node() {
    let kit = kit("containerd@1.7.24", "");
    let files = files(&kit, true).unwrap();
    let cloud = Carrier::CloudInit.carry(Kind::Containerd, &files).unwrap().text;
    let expected = r#"#cloud-config
write_files:
  - path: "/etc/containerd/certs.d/_default/hosts.toml"
    owner: root:root
    permissions: "0644"
    content: |
      # Closed: the mirror is the only place to pull from. Both entries are needed.
      server = "https://mirror.test:5443"

      [host."https://mirror.test:5443"]
        capabilities = ["pull", "resolve"]
"#;
    assert_eq!(cloud, expected);
    let parsed: serde_json::Value = serde_saphyr::from_str(&cloud).unwrap();
    assert_eq!(parsed["write_files"][0]["content"].as_str(), Some(files[0].text.as_str()));
    let cluster = Carrier::ClusterApi.carry(Kind::Containerd, &files).unwrap().text;
    let parsed: serde_json::Value = serde_saphyr::from_str(&cluster).unwrap();
    assert_eq!(parsed["kind"], "KubeadmConfigTemplate");
    let file = &parsed["spec"]["template"]["spec"]["files"][0];
    assert_eq!(file["content"].as_str(), Some(files[0].text.as_str()));
    let ignition = Carrier::Ignition.carry(Kind::Containerd, &files).unwrap().text;
    let parsed: serde_json::Value = serde_json::from_str(&ignition).unwrap();
    let file = &parsed["storage"]["files"][0];
    assert_eq!(file["mode"], 0o644);
    let source = file["contents"]["source"].as_str().unwrap().strip_prefix("data:,").unwrap();
    let decoded = percent_encoding::percent_decode_str(source).decode_utf8().unwrap();
    assert_eq!(decoded, files[0].text);
    let talos = Carrier::CloudInit.carry(Kind::Talos, &[Rendered::at("a.yaml", String::new())]);
    assert!(matches!(talos, Err(RenderError::NoFiles { .. })));
}

#[test]
fn a_path_cannot_break_out_of_its_quotes() {
    let mut odd = kit("containerd", "");
    odd.ca = Some(PathBuf::from("/a\"]\nserver = \"https://evil.test"));
    let parsed: toml::Table = hosts_toml_for_any(&odd).parse().unwrap();
    assert_eq!(parsed["server"].as_str(), Some("https://mirror.test:5443"));
}
