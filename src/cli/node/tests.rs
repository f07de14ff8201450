//! What the rendered files must say.

use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    arguments: RenderArguments,
}

fn arguments(flags: &[&str]) -> RenderArguments {
    Line::try_parse_from([&["render"], flags].concat()).unwrap().arguments
}

fn mirror(flags: &[&str]) -> Mirror {
    let arguments = arguments(flags);
    Mirror::new(arguments.mirror.as_deref().unwrap(), &arguments).unwrap()
}

const TLS: [&str; 8] = [
    "--mirror",
    "https://mirror.test:5443/",
    "--ca",
    "/etc/containerd/mirror-ca.pem",
    "--client-cert",
    "/etc/containerd/node.crt",
    "--client-key",
    "/etc/containerd/node.key",
];

#[test]
fn the_closed_form_names_the_mirror_twice_with_certificates_for_both() {
    let text = containerd::hosts_toml(None, &mirror(&TLS), false);
    let expected = r#"# Closed: the mirror is the only place to pull from. Both entries are needed.
server = "https://mirror.test:5443"
ca = "/etc/containerd/mirror-ca.pem"
client = [["/etc/containerd/node.crt", "/etc/containerd/node.key"]]

[host."https://mirror.test:5443"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/mirror-ca.pem"
  client = [["/etc/containerd/node.crt", "/etc/containerd/node.key"]]
"#;
    assert_eq!(text, expected);
    let parsed: toml::Table = text.parse().unwrap();
    assert_eq!(parsed["server"].as_str(), Some("https://mirror.test:5443"));
    assert!(parsed["host"]["https://mirror.test:5443"].is_table());
}

#[test]
fn the_open_form_says_that_it_is_no_gate() {
    let mirror = mirror(&["--mirror", "http://127.0.0.1:5000"]);
    let hub = containerd::hosts_toml(Some(&Registry::docker_hub()), &mirror, true);
    let expected = r#"# Open: on any refusal containerd goes to the registry itself. NOT A GATE.
server = "https://registry-1.docker.io"

[host."http://127.0.0.1:5000"]
  capabilities = ["pull", "resolve"]
"#;
    assert_eq!(hub, expected);
    let any = containerd::hosts_toml(None, &mirror, true);
    assert!(!any.contains("server ="), "{any}");
}

#[test]
fn each_registry_has_the_folder_that_containerd_looks_for_first() {
    let registries = ["docker.io".parse().unwrap(), "up.test:5000".parse().unwrap()];
    let mirror = mirror(&["--mirror", "http://127.0.0.1:5000"]);
    let paths = |default| -> Vec<_> {
        let files = containerd::files(&registries, &mirror, false, default);
        files.into_iter().map(|file| file.path.display().to_string()).collect()
    };
    assert_eq!(
        paths(true),
        ["docker.io/hosts.toml", "up.test_5000_/hosts.toml", "_default/hosts.toml"]
    );
    assert_eq!(paths(false).len(), 2);
}

#[test]
fn registries_conf_replaces_the_registry_when_closed_and_only_goes_before_it_when_open() {
    let registries = ["quay.io".parse().unwrap()];
    let plain = mirror(&["--mirror", "http://127.0.0.1:5000"]);
    let closed = containers::file(&registries, &plain, false).text;
    let expected = r#"# Closed: these registries are pulled from the mirror only. What has no block is pulled past it.

[[registry]]
prefix = "quay.io"
location = "127.0.0.1:5000/quay.io"
insecure = true
"#;
    assert_eq!(closed, expected);
    let open = containers::file(&registries, &mirror(&TLS), true).text;
    let expected = r#"# Open: on any refusal the client goes to the registry itself. NOT A GATE.
# copy /etc/containerd/mirror-ca.pem to /etc/containers/certs.d/mirror.test:5443/ca.crt
# copy /etc/containerd/node.crt to /etc/containers/certs.d/mirror.test:5443/client.cert and /etc/containerd/node.key to /etc/containers/certs.d/mirror.test:5443/client.key

[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "mirror.test:5443/quay.io"
"#;
    assert_eq!(open, expected);
    assert!(open.parse::<toml::Table>().is_ok());
}

#[test]
fn a_mirror_is_a_host_and_nothing_more() {
    for bad in [
        "mirror.test",
        "ftp://mirror.test",
        "https://mirror.test/v2",
        "https://u:p@mirror.test",
        "https://mirror.test?x",
        "https://a\"b",
    ] {
        assert!(Mirror::new(bad, &arguments(&[])).is_err(), "{bad}");
    }
    let plain_with_ca = arguments(&["--ca", "/ca.pem"]);
    assert!(Mirror::new("http://mirror.test", &plain_with_ca).is_err());
}

#[test]
fn a_path_cannot_break_out_of_its_quotes() {
    let odd =
        mirror(&["--mirror", "https://mirror.test", "--ca", "/a\"]\nserver = \"https://evil.test"]);
    let parsed: toml::Table = containerd::hosts_toml(None, &odd, false).parse().unwrap();
    assert_eq!(parsed["server"].as_str(), Some("https://mirror.test"));
}

#[test]
fn a_folder_is_written_whole_and_a_second_time_over_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.io").join("hosts.toml");
    write(&path, "one").unwrap();
    write(&path, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
}
