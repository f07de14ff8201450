//! A node is configured and put back, and the run may end anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::node::verify::verify;
use crate::node::{Kit, place};

const CONFIG: &str =
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"p\"\n";
/// More touches than any run here makes.
const TOUCHES_MAX: u32 = 10_000;

struct Node {
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { root: tempfile::tempdir().unwrap() };
        fs::set_permissions(node.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        node
    }

    /// As somebody had configured it: an open file for docker.io, and settings of their own.
    fn with_files() -> Self {
        let node = Self::new();
        node.put("etc/containerd/config.toml", CONFIG, 0o600);
        node.put(
            "etc/containerd/certs.d/docker.io/hosts.toml",
            "server = \"https://registry-1.docker.io\"\n",
            0o640,
        );
        node
    }

    fn put(&self, path: &str, text: &str, mode: u32) {
        place::replace(&self.root.path().join(path), text.as_bytes(), mode).unwrap();
    }

    fn install(&self, kit: &Kit) -> Installed {
        install(self.root.path(), &Plan::make(self.root.path(), kit, false).unwrap()).unwrap()
    }

    /// Every file with its mode and its content, and every folder.
    fn all(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        fn look(folder: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
                if path.is_dir() {
                    found.insert(path.clone(), (mode, Vec::new()));
                    look(&path, found);
                } else {
                    found.insert(path.clone(), (mode, fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = BTreeMap::new();
        look(self.root.path(), &mut found);
        found
    }

    /// The same without what is written down about it.
    fn visible(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let state = self.root.path().join("etc/pratique/node");
        self.all().into_iter().filter(|(path, _)| !path.starts_with(&state)).collect()
    }
}

fn kit(mirror: &str, registries: &str) -> Kit {
    let text = format!(
        "runtime = \"containerd@1.7.24\"\nmirrors = [{mirror:?}]\nregistries = {registries}"
    );
    Kit::parse("test", &text).unwrap()
}

fn one() -> Kit {
    kit("http://127.0.0.1:5000", "[\"docker.io\", \"quay.io\"]")
}

fn two() -> Kit {
    kit("http://127.0.0.1:6000", "[\"ghcr.io\"]")
}

#[test]
fn a_node_is_closed_and_put_back_exactly() {
    let node = Node::with_files();
    let before = node.all();
    let done = node.install(&one());
    assert_eq!(done.restart, Some("systemctl restart containerd"));
    assert!(verify(node.root.path(), &one()).closed);
    let config = fs::read_to_string(node.root.path().join("etc/containerd/config.toml")).unwrap();
    assert!(config.starts_with(CONFIG) && config.contains("config_path"), "{config}");
    let again = node.install(&one());
    assert_eq!(again, Installed::default(), "a second time there is nothing to do");
    let undone = uninstall(node.root.path()).unwrap().unwrap();
    assert!(undone.left.is_empty() && undone.restored.len() == 2, "{undone:?}");
    assert_eq!(node.all(), before);
    assert!(uninstall(node.root.path()).unwrap().is_none());
}

#[test]
fn what_is_not_listed_any_more_does_not_open() {
    let node = Node::with_files();
    let before = node.all();
    node.install(&one());
    let done = node.install(&two());
    // quay.io goes back to _default; docker.io had an open file, which does not come back.
    assert_eq!(done.removed, [PathBuf::from("/etc/containerd/certs.d/quay.io/hosts.toml")]);
    assert!(verify(node.root.path(), &two()).closed, "{:#?}", verify(node.root.path(), &two()));
    uninstall(node.root.path()).unwrap();
    assert_eq!(node.all(), before);
}

#[test]
fn what_others_changed_is_told_and_left() {
    let node = Node::with_files();
    node.install(&one());
    node.put("etc/containerd/certs.d/docker.io/hosts.toml", "# mine\n", 0o644);
    let done = node.install(&one());
    let (path, aside) = &done.changed[0];
    assert!(path.ends_with("docker.io/hosts.toml"));
    assert_eq!(
        fs::read(node.root.path().join(&aside.to_str().unwrap()[1..])).unwrap(),
        b"# mine\n"
    );
    node.put("etc/containerd/certs.d/quay.io/hosts.toml", "# mine too\n", 0o644);
    let undone = uninstall(node.root.path()).unwrap().unwrap();
    assert_eq!(undone.left, [(PathBuf::from("/etc/containerd/certs.d/quay.io/hosts.toml"), None)]);
    assert_eq!(
        fs::read(node.root.path().join("etc/containerd/certs.d/quay.io/hosts.toml")).unwrap(),
        b"# mine too\n"
    );
}

#[test]
fn what_is_in_the_way_is_told_all_at_once_and_nothing_is_changed() {
    let node = Node::with_files();
    node.put(
        "etc/containerd/certs.d/up.test:5000/hosts.toml",
        "server = \"https://up.test:5000\"",
        0o644,
    );
    node.put("etc/containerd/certs.d/gcr.io/ca.crt", "x", 0o644);
    let before = node.all();
    let refused = Plan::make(node.root.path(), &one(), false).unwrap_err().to_string();
    for word in ["2 things in the way", "--registry gcr.io", "--direct up.test:5000", "--replace"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    assert_eq!(node.all(), before);
    let plan = Plan::make(node.root.path(), &one(), true).unwrap();
    install(node.root.path(), &plan).unwrap();
    assert!(
        verify(node.root.path(), &plan.kit).closed,
        "{:#?}",
        verify(node.root.path(), &plan.kit)
    );
    uninstall(node.root.path()).unwrap();
    assert_eq!(node.all(), before);

    let node = Node::new();
    node.put("etc/containerd/config.toml", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"a.io\"]\nendpoint = []", 0o644);
    let refused = Plan::make(node.root.path(), &one(), true).unwrap_err().to_string();
    assert!(refused.contains("config.toml:2: registry.mirrors"), "{refused}");
}

/// Where pulls of `registry` may go by the file that counts for it, as the lines with addresses.
fn leads(node: &Node, registry: &str) -> String {
    let certs_d = node.root.path().join("etc/containerd/certs.d");
    let folder =
        [certs_d.join(registry), certs_d.join("_default")].into_iter().find(|path| path.exists());
    let text =
        folder.map(|folder| fs::read_to_string(folder.join("hosts.toml")).unwrap_or_default());
    text.unwrap_or_default()
}

/// Runs `work` on fresh nodes made by `prepare`, ending before each touch of the disk in turn.
fn ended_everywhere(
    prepare: &dyn Fn() -> Node,
    work: &dyn Fn(&Hands) -> Result<(), InstallError>,
    check: &dyn Fn(&Node),
) {
    for touches in 0..TOUCHES_MAX {
        let node = prepare();
        let ended = work(&Hands::until(node.root.path(), touches)).is_err();
        check(&node);
        if !ended {
            assert!(touches > 20, "the run was ended at {touches} places");
            return;
        }
    }
    panic!("the run does not come to an end");
}

#[test]
fn an_installation_that_is_killed_anywhere_is_completed_by_the_next() {
    let wanted = Node::with_files();
    wanted.install(&one());
    let strip = |node: &Node| -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let files = node.visible().into_iter();
        files
            .map(|(path, is)| (path.strip_prefix(node.root.path()).unwrap().to_owned(), is))
            .collect()
    };
    let original = strip(&Node::with_files());
    ended_everywhere(
        &Node::with_files,
        &|hands| {
            let root = hands.here(Path::new("/"));
            carry_out(hands, &Plan::make(&root, &one(), false)?).map(|_| ())
        },
        &|node| {
            for (path, is) in strip(node) {
                let ours = strip(&wanted).get(&path).cloned();
                let unfinished = path.to_string_lossy().contains(".pratique-");
                assert!(
                    unfinished || original.get(&path) == Some(&is) || ours == Some(is),
                    "{}",
                    path.display()
                );
            }
            node.install(&one());
            assert_eq!(strip(node), strip(&wanted));
            uninstall(node.root.path()).unwrap();
            assert_eq!(strip(node), original);
        },
    );
}

#[test]
fn a_closed_node_is_never_open_while_it_is_configured_anew() {
    let prepare = || {
        let node = Node::with_files();
        node.install(&one());
        node
    };
    let original = Node::with_files().all().len();
    ended_everywhere(
        &prepare,
        &|hands| {
            let root = hands.here(Path::new("/"));
            carry_out(hands, &Plan::make(&root, &two(), false)?).map(|_| ())
        },
        &|node| {
            for registry in ["docker.io", "quay.io", "ghcr.io", "other.test"] {
                let text = leads(node, registry);
                let places: Vec<_> =
                    text.split('"').filter(|word| word.starts_with("http")).collect();
                let closed = places == ["http://127.0.0.1:5000"; 2]
                    || places == ["http://127.0.0.1:6000"; 2];
                assert!(closed, "{registry}: {text}");
            }
            node.install(&two());
            assert!(verify(node.root.path(), &two()).closed);
            uninstall(node.root.path()).unwrap();
            assert_eq!(node.all().len(), original);
        },
    );
}

#[test]
fn an_undoing_that_is_killed_anywhere_is_completed_by_the_next() {
    let before = Node::with_files().all().into_values().collect::<Vec<_>>();
    let prepare = || {
        let node = Node::with_files();
        node.install(&one());
        node
    };
    ended_everywhere(&prepare, &|hands| undo::carry_out(hands).map(|_| ()), &|node| {
        uninstall(node.root.path()).unwrap();
        // Copies whose journal is gone already are left where they are; nothing reads them.
        let state = node.root.path().join("etc/pratique");
        let visible: Vec<_> = node
            .all()
            .into_iter()
            .filter(|(path, _)| !path.starts_with(&state))
            .map(|(_, is)| is)
            .collect();
        assert_eq!(visible, before);
    });
}

#[test]
fn podman_gets_its_certificates_and_k3s_asks_before_it_replaces() {
    let node = Node::new();
    node.put("etc/pratique/ca.pem", "CA", 0o644);
    let podman = Kit::parse("t", "runtime = \"podman\"\nmirrors = [\"https://m.test:5000\"]\nca = \"/etc/pratique/ca.pem\"\nregistries = [\"docker.io\"]").unwrap();
    node.install(&podman);
    let copy = node.root.path().join("etc/containers/certs.d/m.test:5000/ca.crt");
    assert_eq!(fs::read(copy).unwrap(), b"CA");
    assert!(verify(node.root.path(), &podman).closed);

    let node = Node::new();
    node.put("etc/rancher/k3s/registries.yaml", "configs: {}", 0o600);
    let k3s = Kit::parse("t", "runtime = \"k3s\"\nmirrors = [\"https://m.test:5000\"]").unwrap();
    let refused = Plan::make(node.root.path(), &k3s, false).unwrap_err().to_string();
    assert!(refused.contains("credentials would be gone"), "{refused}");
    install(node.root.path(), &Plan::make(node.root.path(), &k3s, true).unwrap()).unwrap();
    assert!(verify(node.root.path(), &k3s).closed);
    uninstall(node.root.path()).unwrap();
    let back = node.root.path().join("etc/rancher/k3s/registries.yaml");
    assert_eq!(fs::read(&back).unwrap(), b"configs: {}");
    assert_eq!(fs::metadata(&back).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn one_run_at_a_time() {
    let node = Node::with_files();
    let plan = Plan::make(node.root.path(), &one(), false).unwrap();
    let held = lock(&Hands::at(node.root.path())).unwrap();
    assert!(matches!(install(node.root.path(), &plan), Err(InstallError::Busy)));
    drop(held);
    install(node.root.path(), &plan).unwrap();
}
