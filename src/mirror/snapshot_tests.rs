//! Policies in folders: what belongs to one, and that nothing that is swapped meanwhile mixes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::policy_disk::{PolicyOnDisk, load_policy};
use super::policy_file::PolicyError;

const KEYS: [&str; 2] = [
    include_str!("../../tests/fixtures/signatures/p256.pub"),
    include_str!("../../tests/fixtures/signatures/p384.pub"),
];
/// Swaps of one test.
const SWAPS: u64 = 300;

fn base(generation: u64) -> String {
    format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: site, revision: {generation}}}\n\
         rules: [{{id: general-{generation}, match: [\"up.test/x\"], trust: deny}}]\n"
    )
}

fn part(name: &str, generation: u64) -> String {
    format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\n\
         metadata: {{name: {name}, owner: \"group:{name}\", scope: [\"up.test/{name}/**\"], revision: {generation}}}\n\
         signers: {{{name}-ci: {{key: {{pem: \"file:{name}.pub\"}}, transparencyLog: none}}}}\n\
         rules: [{{id: {name}-{generation}, match: [\"up.test/{name}/*\"], trust: allow, signatures: {{atLeast: 1, of: [{name}-ci]}}}}]\n"
    )
}

/// Writes a whole policy into `folder`: in every second generation there is one file more, and keys change
/// places.
fn write(folder: &Path, generation: u64) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("base.yaml"), base(generation)).unwrap();
    let odd = usize::try_from(generation % 2).unwrap();
    for (name, key) in [("shop", KEYS[odd]), ("pay", KEYS[1 - odd])] {
        if name == "shop" || odd == 0 {
            fs::write(folder.join(format!("{name}.yaml")), part(name, generation)).unwrap();
            fs::write(folder.join(format!("{name}.pub")), key).unwrap();
        }
    }
}

/// Panics unless all of the policy at `path` is of one generation; gives which.
fn generation_of(path: &Path) -> u64 {
    let policy = load_policy(Some(path))
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    let generation = policy.revision();
    let parts = if generation.is_multiple_of(2) { 2 } else { 1 };
    assert_eq!(
        policy.files().len(),
        1 + parts,
        "generation {generation} lacks a file or has one too many"
    );
    for file in policy.files() {
        assert_eq!(file.revision(), Some(generation), "{} is of another generation", file.path());
    }
    for rule in policy.rules() {
        assert!(
            rule.id().as_str().ends_with(&format!("-{generation}")),
            "{} in {generation}",
            rule.id()
        );
    }
    // The keys of one generation differ, so that one of another would be the same key twice.
    assert_eq!(policy.signers().len(), parts);
    generation
}

/// How often the next swap waits for a load, each time for a tenth of a millisecond.
const WAITS_MAX: u32 = 100_000;

/// Sets a mark when it goes away, whatever takes it.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Loads the policy at `path` while `swap` puts one generation after the other there, and gives how many
/// different ones were seen.
fn while_swapping(path: &Path, swap: impl FnMut(u64) + Send) -> usize {
    let (done, left) = (AtomicBool::new(false), AtomicBool::new(false));
    let loads = AtomicU64::new(0);
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let (mut swap, finished, counted, left) = (swap, SetOnDrop(&done), &loads, &left);
        // Whoever loads no more, as after a failed assertion, is not waited for.
        let _leaves = SetOnDrop(left);
        scope.spawn(move || {
            let _finished = finished;
            for generation in 2..SWAPS {
                if left.load(Ordering::Relaxed) {
                    return;
                }
                swap(generation);
                // A load that is met by one swap after the other gives up, as it should: here each is met by one
                // at most, however slow the machine is.
                let before = counted.load(Ordering::Relaxed);
                for _ in 0..WAITS_MAX {
                    if counted.load(Ordering::Relaxed) > before || left.load(Ordering::Relaxed) {
                        break;
                    }
                    std::thread::park_timeout(std::time::Duration::from_micros(100));
                }
            }
        });
        while !done.load(Ordering::Relaxed) {
            seen.insert(generation_of(path));
            loads.fetch_add(1, Ordering::Relaxed);
        }
        seen.insert(generation_of(path));
    });
    assert!(seen.contains(&(SWAPS - 1)), "the last one is seen at the end");
    seen.len()
}

/// The next generation of a mounted `ConfigMap`, as kubelet writes it.
fn swap_mount(mount: &Path, generation: u64) {
    let name = format!("..2026_11_30_{generation}");
    let folder = mount.join(&name);
    write(&folder, generation);
    symlink(&name, mount.join("..data_tmp")).unwrap();
    let before = fs::read_link(mount.join("..data")).ok();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name();
        let link = mount.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(&name), link).unwrap();
        }
    }
    for entry in fs::read_dir(mount).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() && !path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
    if let Some(before) = before {
        fs::remove_dir_all(mount.join(before)).unwrap();
    }
}

#[test]
fn a_mounted_config_map_is_read_once_and_of_one_generation_while_it_is_swapped() {
    let mount = tempfile::tempdir().unwrap();
    swap_mount(mount.path(), 1);
    // The generations themselves, and what leads to them, are read once: one base, one of each.
    assert_eq!(generation_of(mount.path()), 1);
    let path = mount.path().to_owned();
    let seen = while_swapping(mount.path(), |generation| swap_mount(&path, generation));
    assert!(seen > 3, "{seen} generations seen");
}

#[test]
fn one_file_of_a_mounted_config_map_goes_with_the_keys_of_its_own_generation() {
    let mount = tempfile::tempdir().unwrap();
    let write = |generation: u64| {
        let name = format!("..gen_{generation}");
        let folder = mount.path().join(&name);
        fs::create_dir(&folder).unwrap();
        // Each generation has the key under another name, so that one of another is not there.
        let text = part("shop", generation).replace("shop.pub", &format!("key-{generation}.pub"));
        let text = text.replace("owner: \"group:shop\", scope: [\"up.test/shop/**\"], ", "");
        fs::write(folder.join("policy.yaml"), text).unwrap();
        fs::write(folder.join(format!("key-{generation}.pub")), KEYS[0]).unwrap();
        symlink(&name, mount.path().join("..data_tmp")).unwrap();
        fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
        if generation > 1 {
            fs::remove_dir_all(mount.path().join(format!("..gen_{}", generation - 1))).unwrap();
        }
    };
    write(1);
    symlink("..data/policy.yaml", mount.path().join("policy.yaml")).unwrap();
    let path = mount.path().join("policy.yaml");
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (2..SWAPS).for_each(&write));
        while !writing.is_finished() {
            let policy = load_policy(Some(&path)).unwrap();
            let expected = format!("shop-{}", policy.revision());
            assert_eq!(policy.rules()[0].id().as_str(), expected);
        }
    });
    assert_eq!(load_policy(Some(&path)).unwrap().revision(), SWAPS - 1);
}

#[test]
fn a_checkout_that_is_swapped_by_its_link_is_of_one_revision() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let swap = move |generation: u64| {
        let name = format!("rev-{generation}");
        write(&root.join(&name).join("policy"), generation);
        symlink(&name, root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("current")).unwrap();
        if generation > 1 {
            fs::remove_dir_all(root.join(format!("rev-{}", generation - 1))).unwrap();
        }
    };
    swap(1);
    let seen = while_swapping(&folder.path().join("current/policy"), swap);
    assert!(seen > 3, "{seen} revisions seen");
}

#[test]
fn a_folder_that_changes_places_with_another_is_of_one_generation() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    write(&root.join("policy"), 1);
    let swap = move |generation: u64| {
        write(&root.join("next"), generation);
        let (old, new) = (root.join("policy"), root.join("next"));
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        let here = rustix::fs::CWD;
        rustix::fs::renameat_with(here, &new, here, &old, flags).unwrap();
        fs::remove_dir_all(&new).unwrap();
    };
    let seen = while_swapping(&folder.path().join("policy"), swap);
    assert!(seen > 3, "{seen} generations seen");
}

#[test]
fn what_changes_is_noticed_and_what_does_not_is_not() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2);
    let stamp = || PolicyOnDisk::read(folder.path()).unwrap().stamp();
    let first = stamp();
    assert_eq!(first, stamp());
    // A key that a file names, and the file itself.
    fs::write(folder.path().join("shop.pub"), KEYS[0].replace('\n', "\n\n")).unwrap();
    let second = stamp();
    assert_ne!(first, second);
    fs::write(folder.path().join("shop.yaml"), part("shop", 4)).unwrap();
    assert_ne!(second, stamp());
    let disk = PolicyOnDisk::read(folder.path()).unwrap();
    assert!(disk.is_current());
    fs::remove_file(folder.path().join("pay.yaml")).unwrap();
    assert!(!disk.is_current());
}

fn refused(path: &Path) -> String {
    match load_policy(Some(path)) {
        Err(error @ PolicyError::Problems { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_part_of_a_policy_is_left_and_what_may_be_meant_as_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2);
    for name in [
        ".hidden.yaml",
        "shop.yaml~",
        "#shop.yaml#",
        ".#shop.yaml",
        ".shop.yaml.swp",
        "shop.yaml.bak",
        "shop.yaml.orig",
        "README.md",
        "CODEOWNERS",
        "trusted_root.json",
    ] {
        fs::write(folder.path().join(name), "nothing: that is a policy").unwrap();
    }
    fs::create_dir(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join(".git/x.yaml"), "nothing").unwrap();
    symlink("nowhere", folder.path().join(".link")).unwrap();
    assert_eq!(generation_of(folder.path()), 2);
    // Below, in every spelling of the ending, and as JSON where it says that it is one.
    fs::create_dir_all(folder.path().join("teams/a")).unwrap();
    for (path, name) in
        [("teams/one.YAML", "one"), ("teams/a/two.yml", "two"), ("three.json", "three")]
    {
        let text = part(name, 2).lines().take(3).collect::<Vec<_>>().join("\n");
        let text = if path.ends_with("json") {
            "{\"apiVersion\": \"pratique.dev/v1\", \"kind\": \"Policy\", \"metadata\": {\"name\": \"three\", \"owner\": \"group:three\", \"scope\": [\"up.test/three/**\"]}}".to_owned()
        } else {
            text
        };
        fs::write(folder.path().join(path), text).unwrap();
    }
    let policy = load_policy(Some(folder.path())).unwrap();
    let paths: Vec<&str> = policy.files().iter().map(crate::policy::PolicyFile::path).collect();
    assert_eq!(
        paths,
        ["base.yaml", "pay.yaml", "shop.yaml", "teams/a/two.yml", "teams/one.YAML", "three.json"]
    );
    fs::write(folder.path().join("teams/kustomization.yaml"), "kind: Kustomization\n").unwrap();
    let text = refused(folder.path());
    assert!(text.contains("teams/kustomization.yaml line 1:1"), "{text}");
}

#[test]
fn what_cannot_be_read_as_it_should_be_is_refused_with_its_name() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, &str); 6] = [
        (
            "large",
            |folder| fs::write(folder.join("x.yaml"), "#".repeat((1 << 20) + 1)).unwrap(),
            "x.yaml line 1:1    is larger than 1 MiB",
        ),
        (
            "bytes",
            |folder| fs::write(folder.join("x.yaml"), [0xff, 0xfe]).unwrap(),
            "x.yaml line 1:1    is not text in UTF-8",
        ),
        (
            "link",
            |folder| symlink("/etc", folder.join("more")).unwrap(),
            "more line 1:1    is a link to a folder",
        ),
        (
            "depth",
            |folder| {
                fs::create_dir_all(folder.join("a/b/c/d/e")).unwrap();
                fs::write(folder.join("a/b/c/d/e/x.yaml"), "x").unwrap();
            },
            "is in more than 4 folders",
        ),
        (
            "many",
            |folder| {
                for number in 0..2_001 {
                    fs::write(folder.join(format!("{number}.txt")), "").unwrap();
                }
            },
            "is one of more than 2000 files",
        ),
        (
            "sum",
            |folder| {
                for number in 0..9 {
                    fs::write(folder.join(format!("{number}.yaml")), "#".repeat(1 << 20)).unwrap();
                }
            },
            "all files together are larger than 8 MiB",
        ),
    ];
    for (what, spoil, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2);
        spoil(folder.path());
        let text = refused(folder.path());
        assert!(text.contains(expected), "{what}: {text}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path()).contains("has no policy in it"));
}

#[test]
fn what_lies_beside_the_generations_of_a_mount_is_not_passed_over() {
    let mount = tempfile::tempdir().unwrap();
    swap_mount(mount.path(), 2);
    assert_eq!(generation_of(mount.path()), 2);
    fs::write(mount.path().join("late.yaml"), part("late", 2)).unwrap();
    let text = refused(mount.path());
    assert!(text.contains("late.yaml line 1:1    lies beside ..data"), "{text}");
    fs::remove_file(mount.path().join("late.yaml")).unwrap();
    symlink("/etc/hostname", mount.path().join("late.yaml")).unwrap();
    assert!(refused(mount.path()).contains("lies beside ..data"));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 2);
    let pipe = folder.path().join("pipe.yaml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_bits_truncate(0o600),
        0,
    )
    .unwrap();
    let error = load_policy(Some(folder.path())).expect_err("a pipe");
    assert!(matches!(error, PolicyError::Read { .. }), "{error:?}");
}
