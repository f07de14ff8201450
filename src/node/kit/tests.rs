use super::*;

const WHOLE: &str = r#"runtime = "containerd@1.7.24"
mirrors = ["https://a.test:5000", "https://b.test:5000"]
ca = "/etc/pratique/ca.pem"
client_cert = "/etc/pratique/node.crt"
client_key = "/etc/pratique/node.key"
registries = ["docker.io", "up.test:5000"]
direct = ["harbor.test"]
open = false
canaries = ["docker.io/library/canary:1", "up.test:5000/canary@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
preload = "/var/lib/pratique-preload"
"#;

#[test]
fn a_kit_is_read_as_it_was_written() {
    let kit = Kit::parse("node.toml", WHOLE).unwrap();
    assert_eq!(kit.mirrors.len(), 2);
    assert_eq!(kit.client.as_ref().unwrap().key, Path::new("/etc/pratique/node.key"));
    assert!(kit.to_toml().ends_with(WHOLE), "{}", kit.to_toml());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etc/pratique/node.toml");
    assert_eq!(Kit::read(&path).unwrap(), None, "a node that was not configured has none");
    kit.write(&path).unwrap();
    assert_eq!(Kit::read(&path).unwrap().unwrap(), kit);
}

#[test]
fn only_runtime_and_mirrors_have_to_be_there() {
    let kit = Kit::parse("node.toml", "runtime = \"crio\"\nmirrors = [\"http://127.0.0.1:5000\"]")
        .unwrap();
    assert!(!kit.open && kit.client.is_none() && kit.canaries.is_empty());
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = r#"runtime = "containerdd"
mirrors = ["https://a.test/v2", 5]
ca = "ca.pem"
client_cert = "/etc/pratique/node.crt"
registries = ["docker.io",
  "index.docker.io",
  "not a registry"]
direct = "harbor.test"
open = "no"
canarys = []
"#;
    let problems = Kit::parse("node.toml", text).unwrap_err();
    let found: Vec<_> =
        problems.problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "runtime"),
            (2, "mirrors"),
            (2, "mirrors"),
            (3, "ca"),
            (4, "client_cert"),
            (6, "registries"),
            (7, "registries"),
            (8, "direct"),
            (9, "open"),
            (10, "canarys"),
        ],
        "{problems}"
    );
    let shown = problems.to_string();
    assert!(shown.starts_with("node.toml: 10 problems\n  line 1   runtime"), "{shown}");
    assert!(shown.contains("line 10  canarys      unknown key"), "{shown}");
}

#[test]
fn what_would_say_two_things_is_refused() {
    for (text, expected) in [
        ("", "runtime"),
        ("runtime = \"crio\"\nmirrors = []", "mirrors"),
        ("runtime = \"crio\"\nmirrors = [\"http://a.test\"]\nca = \"/a\"", "ca"),
        (
            "runtime = \"crio\"\nmirrors = [\"http://a.test\"]\nregistries = [\"a.test\"]\ndirect = [\"a.test\"]",
            "direct",
        ),
        ("runtime = \"crio\"\nruntime = \"crio\"", ""),
    ] {
        let problems = Kit::parse("node.toml", text).unwrap_err();
        assert!(problems.problems.iter().any(|problem| problem.key == expected), "{problems}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Kit::read(folder.path()), Err(KitError::Read { .. })));
}
