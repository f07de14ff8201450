//! `pratique node` as people run it, on a node whose root is a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str =
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"pause\"\n";
const OPEN: &str = "server = \"https://registry-1.docker.io\"\n";
const MIRROR: &str = "http://127.0.0.1:5000";
/// Runs that are killed, each a little later than the one before.
const KILLS: u32 = 40;

struct Node(TempDir);

impl Node {
    /// A node on which somebody had configured containerd, with one file that leads to the registry.
    fn new() -> Self {
        let node = Self(tempfile::tempdir().expect("a folder"));
        fs::set_permissions(node.0.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        for (path, text) in [
            ("etc/containerd/config.toml", CONFIG),
            ("etc/containerd/certs.d/docker.io/hosts.toml", OPEN),
        ] {
            let path = node.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        node
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("node").args(words).arg("--root").arg(self.0.path());
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str], code: i32) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().expect("it runs");
        let said =
            format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(status.code(), Some(code), "{words:?}: {said}");
        said
    }

    /// Every file, by its path on the node.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut waiting = vec![self.0.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(self.0.path()).expect("inside").to_owned();
                    found.push((name, fs::read_to_string(path).expect("text")));
                }
            }
        }
        found.sort();
        found
    }
}

const INSTALL: [&str; 7] =
    ["install", "--runtime", "containerd@1.7.24", "--mirror", MIRROR, "--registry", "docker.io"];

#[test]
fn a_node_is_looked_at_closed_kept_and_put_back() {
    let node = Node::new();
    let before = node.files();
    let said = node.run(&["verify"], 64);
    assert!(said.contains("say --mirror"), "{said}");
    let said = node.run(&["verify", "--mirror", MIRROR, "--runtime", "containerd@1.7.24"], 3);
    assert!(said.contains("no config_path") && said.contains("to do:"), "{said}");

    let dry = node.run(&[&INSTALL[..], &["--dry-run"]].concat(), 0);
    assert!(
        dry.contains("certs.d/_default/hosts.toml") && dry.contains("nothing was changed"),
        "{dry}"
    );
    assert_eq!(node.files(), before);
    let said = node.run(&INSTALL, 0);
    assert!(said.contains("systemctl restart containerd") && said.contains("closed "), "{said}");
    assert!(node.run(&["install"], 0).contains("nothing to do"));
    node.run(&["verify"], 0);

    let default = node.0.path().join("etc/containerd/certs.d/_default/hosts.toml");
    fs::write(&default, "server = ").expect("a file");
    let report: Value = serde_json::from_str(&node.run(&["verify", "--json"], 3)).expect("JSON");
    assert_eq!(report["closed"], false);
    assert_eq!(report["findings"][0]["code"], "parse-error");
    assert_eq!(report["findings"][0]["file"], "/etc/containerd/certs.d/_default/hosts.toml");
    let metrics = node.0.path().join("node.prom");
    let said = node.run(&["keep", "--once", "--metrics-file", metrics.to_str().expect("text")], 0);
    assert!(said.contains("installed /etc/containerd/certs.d/_default/hosts.toml"), "{said}");
    let gauges = fs::read_to_string(&metrics).expect("a file");
    assert!(gauges.contains("pratique_node_closed 1\n"), "{gauges}");
    fs::remove_file(metrics).expect("a file");

    let folder = node.0.path().join("etc/containerd/certs.d/quay.io");
    fs::create_dir(&folder).expect("a folder");
    let said = node.run(&[&INSTALL[..], &["--registry", "ghcr.io"]].concat(), 64);
    assert!(said.contains("--direct quay.io"), "{said}");
    fs::remove_dir(folder).expect("a folder");

    let said = node.run(&["uninstall"], 0);
    assert!(said.contains("as it was  /etc/containerd/config.toml"), "{said}");
    // What somebody had changed in between is kept beside; everything else is as it was.
    let backup = |(path, _): &(PathBuf, String)| !path.starts_with("etc/pratique/node/backup");
    assert_eq!(node.files().into_iter().filter(backup).collect::<Vec<_>>(), before);
}

#[test]
fn an_installation_that_is_killed_is_completed_by_the_next() {
    let wanted = Node::new();
    wanted.run(&INSTALL, 0);
    let state = |path: &PathBuf| path.starts_with("etc/pratique/node");
    let visible = |node: &Node| -> Vec<_> {
        node.files().into_iter().filter(|(path, _)| !state(path)).collect()
    };
    let (before, after) = (Node::new().files(), visible(&wanted));
    for number in 0..KILLS {
        let node = Node::new();
        let mut child = node
            .command(&INSTALL)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        for _ in 0..number * 200 {
            std::thread::yield_now();
        }
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        for (path, text) in visible(&node) {
            let is_whole = |all: &[(PathBuf, String)]| all.contains(&(path.clone(), text.clone()));
            let unfinished = path.to_string_lossy().contains(".pratique-");
            assert!(
                unfinished || is_whole(&before) || is_whole(&after),
                "{}: {text}",
                path.display()
            );
        }
        node.run(&INSTALL, 0);
        assert_eq!(visible(&node), after);
        node.run(&["uninstall"], 0);
        assert_eq!(visible(&node), before);
    }
}
