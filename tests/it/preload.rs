//! `pratique preload` as people and units run it: saved from a mirror, looked through, loaded by a `ctr`
//! that writes down what it was told.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use pratique::oci::Digest;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, FakeUpstream, Fault, Image, Index};

const RULES: &str = "- {id: open, match: [\"up.test/open/**\"], trust: allow}\n\
                     - {id: never, match: [\"up.test/denied/**\"], trust: deny}\n";
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
/// What `ctr` prints, and does, as far as a loading sees it: each image of an archive that it is given is there,
/// whole and unpacked, and labels are kept.
const CTR: &str = r#"#!/bin/sh
state=$(dirname "$0")
echo "$*" >>"$state/calls"
shift 4
case "$1 $2" in
  "images check") echo "REF TYPE DIGEST STATUS SIZE UNPACKED"; cat "$state/check" 2>/dev/null ;;
  "images list") echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"; cat "$state/list" 2>/dev/null ;;
  "images import")
    number=$(ls "$state" | grep -c '^archive-')
    cat >"$state/archive-$number.tar"
    [ ! -e "$state/full" ] || { echo "no space left on device" >&2; exit 1; }
    index=$(tar -xOf "$state/archive-$number.tar" index.json) || exit 1
    digest=$(echo "$index" | grep -o 'sha256:[0-9a-f]*' | head -1)
    for name in $(echo "$index" | grep -o '"io.containerd.image.name":"[^"]*"' | cut -d'"' -f4); do
      [ -e "$state/lies" ] || echo "$name type $digest complete (3/3) 1.0 MiB/1.0 MiB true" >>"$state/check"
    done ;;
  "images label") echo "$3 type digest 1.0 MiB linux/amd64 $4" >>"$state/list" ;;
esac
exit 0
"#;

/// A folder with a set, a list and a `ctr` in it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(desk.path("ctr")).expect("a folder");
        let program = desk.path("ctr/ctr");
        fs::write(&program, CTR).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn run(&self, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("preload").args(words).current_dir(self.0.path());
        let Output { status, stdout, stderr } = command.output().await.expect("it runs");
        let said =
            format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        (status.code().unwrap_or(-1), said)
    }

    async fn save(&self, mirror: &TestMirror, list: &str) -> (i32, String) {
        fs::write(self.path("list"), list).expect("a list");
        let from = format!("http://{}", mirror.node_address());
        let mut words = vec!["save", "--from", &from, "--images", "list", "-o", "set", "--json"];
        for platform in PLATFORMS {
            words.extend(["--platform", platform]);
        }
        self.run(&words).await
    }

    async fn load(&self) -> (i32, String) {
        self.run(&["load", "set", "--ctr", "ctr/ctr", "--address", "/no/socket"]).await
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path("set/blobs/sha256").join(digest.hex())
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("ctr/calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

/// What it said, when it ended as expected and said each of `texts`.
#[track_caller]
fn expect((code, said): (i32, String), expected: i32, texts: &[&str]) -> String {
    assert_eq!(code, expected, "{said}");
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    said
}

/// A desk with a whole set of two images, which share a layer, and what is in it.
async fn saved() -> (TestMirror, Desk, [Artifact; 2]) {
    let mirror = TestMirror::start(RULES).await;
    let both = Index::for_platforms(&["linux/amd64", "linux/arm64", "linux/s390x"]).build();
    let other = both.children.iter().take(2).cloned().fold(Index::new(), Index::child).build();
    mirror.upstream.push("open/pause", "3.10", &both);
    mirror.upstream.push("open/cni", "1", &other);
    let desk = Desk::new();
    let list =
        "# what brings it up\nup.test/open/pause:3.10\n\nup.test/open/cni:1   # the network\n";
    let said = desk.save(&mirror, list).await;
    expect(said, 0, &["\"kept_bytes\""]);
    (mirror, desk, [both, other])
}

fn json(said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_the_bytes_of_the_platforms_under_the_names_that_pods_write() {
    let (mirror, desk, [both, _]) = saved().await;
    let index = json(&fs::read_to_string(desk.path("set/index.json")).unwrap());
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["annotations"]["io.containerd.image.name"].as_str().unwrap())
        .collect();
    let by_digest = format!("up.test/open/pause@{}", both.digest());
    assert_eq!(names.len(), 4);
    assert!(names.contains(&"up.test/open/pause:3.10") && names.contains(&by_digest.as_str()));
    // The index to the letter, the children that were asked for, and nothing of the third.
    assert_eq!(fs::read(desk.blob(&both.digest())).unwrap(), both.manifest);
    let [wanted, also, beyond] = both.children.as_slice() else { panic!("three children") };
    for child in [wanted, also] {
        assert_eq!(fs::read(desk.blob(&child.digest())).unwrap(), child.manifest);
        for blob in &child.blobs {
            let path = desk.blob(&Digest::sha256(blob));
            assert_eq!(fs::read(&path).unwrap(), *blob);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        }
    }
    assert!(!desk.blob(&beyond.digest()).exists() && !desk.blob(&beyond.layer(0)).exists());
    let said = desk.run(&["verify", "set"]).await;
    expect(said, 0, &["whole    2 images", "up.test/open/pause:3.10"]);

    // Once more: nothing but manifests comes; what is damaged is mended.
    let layer = desk.blob(&wanted.layer(0));
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, "other").unwrap();
    fs::write(desk.path("set/blobs/sha256/.arriving-x"), "a run that was ended").unwrap();
    let said = desk.save(&mirror, "up.test/open/pause:3.10\nup.test/open/cni:1\n").await;
    let said = json(&expect(said, 0, &[]));
    assert!(said["kept_bytes"].as_u64().unwrap() > 0, "{said}");
    assert_eq!(fs::read(&layer).unwrap(), wanted.blobs[1]);
    // A smaller list makes a smaller set.
    let said = desk.save(&mirror, "up.test/open/cni:1\n").await;
    expect(said, 0, &[]);
    assert!(!desk.blob(&both.digest()).exists());
    let said = desk.run(&["verify", "set", "--json"]).await;
    assert_eq!(json(&expect(said, 0, &[]))["images"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_mirror_refuses_or_lacks_is_in_no_set() {
    let (mirror, desk, _) = saved().await;
    let before = fs::read(desk.path("set/index.json")).unwrap();
    mirror.upstream.push("denied/app", "1", &Index::for_platforms(&PLATFORMS).build());
    let said = desk.save(&mirror, "up.test/open/pause:3.10\nup.test/denied/app:1\n").await;
    expect(said, 3, &["up.test/denied/app:1", "the mirror refuses it", "rule never"]);
    let said = desk.save(&mirror, "up.test/open/none:1\n").await;
    expect(said, 3, &["up.test/open/none:1", "no such image"]);

    // A layer that upstream has lost is an error, never a smaller set.
    let image = Image::new().layer("a layer that is gone").build();
    mirror.upstream.put_blob("open/half", image.blobs[0].clone());
    let digest = mirror.upstream.put_manifest(
        "open/half",
        image.media_type.as_str(),
        image.manifest.clone(),
    );
    mirror.upstream.tag("open/half", "1", &[digest]);
    let from = format!("http://{}", mirror.node_address());
    let words =
        ["save", "--from", &from, "-o", "set", "--platform", "linux/amd64", "up.test/open/half:1"];
    let said = desk.run(&words).await;
    expect(said, 2, &["up.test/open/half:1", &image.layer(0).to_string()]);
    // An image that is not for the platform.
    mirror.upstream.push("open/arm", "1", &Index::for_platforms(&["linux/arm64"]).build());
    let words =
        ["save", "--from", &from, "-o", "set", "--platform", "linux/amd64", "up.test/open/arm:1"];
    let said = desk.run(&words).await;
    expect(said, 64, &["up.test/open/arm:1 has nothing for linux/amd64; it is for linux/arm64"]);
    // The set of before is as it was, and whole but for what has come since.
    assert_eq!(fs::read(desk.path("set/index.json")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_mistakes_and_a_folder_of_others_are_left_alone() {
    let (mirror, desk, _) = saved().await;
    let said = desk.save(&mirror, "up.test/open/pause:3.10\nUP/Case:1\nup.test/a:b:c\n").await;
    expect(said, 64, &["list:2", "list:3"]);
    let said = desk.save(&mirror, "# nothing\n").await;
    expect(said, 64, &["no image is named"]);
    let from = format!("http://{}", mirror.node_address());
    fs::create_dir(desk.path("home")).unwrap();
    fs::write(desk.path("home/letter"), "mine").unwrap();
    let said = desk.run(&["save", "--from", &from, "-o", "home", "up.test/open/cni:1"]).await;
    expect(said, 64, &["letter"]);
    fs::create_dir(desk.path("theirs")).unwrap();
    fs::write(desk.path("theirs/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(desk.path("theirs/index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let said = desk.run(&["save", "--from", &from, "-o", "theirs", "up.test/open/cni:1"]).await;
    expect(said, 64, &["another program wrote"]);
    // Blobs that lie elsewhere are not touched, damaged or not.
    let elsewhere = desk.path("elsewhere");
    fs::rename(desk.path("set/blobs/sha256"), &elsewhere).unwrap();
    symlink(&elsewhere, desk.path("set/blobs/sha256")).unwrap();
    let before = fs::read_dir(&elsewhere).unwrap().count();
    let said = desk.save(&mirror, "up.test/open/cni:1\n").await;
    expect(said, 64, &["blobs/sha256, which is a link"]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), before);
    assert_eq!(fs::read_dir(desk.path("home")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(desk.path("theirs")).unwrap().count(), 2);
}

/// Does `harm` to a set; then it is damaged by `code`, and a runtime sees nothing of it.
async fn harmed(code: &str, harm: impl FnOnce(&Desk, &Artifact)) {
    let (_mirror, desk, [both, _]) = saved().await;
    harm(&desk, &both);
    let said = desk.run(&["verify", "set", "--json"]).await;
    let said = json(&expect(said, 3, &[]));
    let codes: Vec<&str> = said["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&code), "{code}: {said}");
    let said = desk.load().await;
    expect(said, 3, &[code, "nothing of it was loaded"]);
    assert_eq!(desk.calls(), Vec::<String>::new(), "{code}");
}

fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_set_is_refused_before_the_runtime_sees_any_of_it() {
    harmed("changed", |desk, both| {
        let path = desk.blob(&both.children[0].layer(0));
        let mut content = fs::read(&path).unwrap();
        content[3] ^= 1;
        replace(&path, &content);
    })
    .await;
    harmed("changed", |desk, both| {
        let path = desk.blob(&both.children[1].layer(0));
        let mut content = fs::read(&path).unwrap();
        content.push(b'x');
        replace(&path, &content);
    })
    .await;
    harmed("missing", |desk, both| {
        fs::remove_file(desk.blob(&both.children[1].config())).unwrap();
    })
    .await;
    harmed("missing", |desk, both| fs::remove_file(desk.blob(&both.digest())).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_strays_and_what_others_may_write_are_refused_too() {
    harmed("link", |desk, both| {
        // The right bytes, somewhere else.
        let path = desk.blob(&both.children[0].layer(0));
        let elsewhere = desk.path("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
    })
    .await;
    harmed("link", |desk, _| {
        fs::rename(desk.path("set/blobs/sha256"), desk.path("blobs")).unwrap();
        symlink(desk.path("blobs"), desk.path("set/blobs/sha256")).unwrap();
    })
    .await;
    harmed("extra", |desk, _| fs::write(desk.path("set/blobs/sha256/note"), "x").unwrap()).await;
    harmed("extra", |desk, _| fs::write(desk.path("set/manifest.json"), "[]").unwrap()).await;
    harmed("writable", |desk, _| {
        fs::set_permissions(desk.path("set"), fs::Permissions::from_mode(0o777)).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_platforms_of_a_list_that_was_edited_are_refused() {
    let edited = |from: &'static str, to: &'static str| {
        move |desk: &Desk, _: &Artifact| {
            let path = desk.path("set/index.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            replace(&path, text.replace(from, to).as_bytes());
        }
    };
    harmed("name", edited("up.test/open/cni:1", "--all-platforms")).await;
    harmed("name", edited("up.test/open/cni:1", "cni")).await;
    // It says that it is for a platform of which nothing was saved.
    harmed("missing", edited("linux/amd64,linux/arm64", "linux/amd64,linux/s390x")).await;
    harmed("malformed", edited("linux/amd64,linux/arm64", "linux")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_loaded_image_by_image_pinned_and_left_alone_the_next_time() {
    let (_mirror, desk, [both, other]) = saved().await;
    let said = desk.load().await;
    expect(said, 0, &["loading  up.test/open/pause:3.10", "4 names imported"]);
    let calls = desk.calls();
    let with = |word: &str| calls.iter().filter(|call| call.contains(word)).count();
    assert!(calls.iter().all(|call| call.starts_with("--address /no/socket --namespace k8s.io")));
    assert_eq!((with("images import -"), with("io.cri-containerd.pinned=pinned")), (2, 4));
    for name in ["up.test/open/pause:3.10", &format!("up.test/open/cni@{}", other.digest())] {
        assert!(calls.iter().any(|call| call.contains(&format!("label {name} "))), "{calls:?}");
    }
    // An archive is one image for this machine, its names last.
    let mut archive = tar::Archive::new(fs::File::open(desk.path("ctr/archive-0.tar")).unwrap());
    let entries: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(entries.first().unwrap(), "oci-layout");
    assert_eq!(entries.last().unwrap(), "index.json");
    // The index, one child, its configuration and its layer.
    assert_eq!(entries.len(), 2 + 4, "{entries:?}");
    assert!(entries.contains(&format!("blobs/sha256/{}", both.digest().hex())));

    let said = desk.load().await;
    expect(said, 0, &["0 names imported", "4 there already"]);
    assert_eq!(desk.calls().iter().filter(|call| call.contains("import")).count(), 2);
    // What is there and is not pinned is pinned.
    fs::remove_file(desk.path("ctr/list")).unwrap();
    let said = desk.load().await;
    expect(said, 0, &["0 names imported, 4 pinned"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_fails_or_lies_is_told() {
    let (_mirror, desk, _) = saved().await;
    fs::write(desk.path("ctr/full"), "").unwrap();
    let said = desk.load().await;
    expect(said, 1, &["0 of 2 images were loaded", "no space left on device"]);
    fs::remove_file(desk.path("ctr/full")).unwrap();
    fs::write(desk.path("ctr/lies"), "").unwrap();
    let said = desk.load().await;
    expect(said, 1, &["does not have all of it", "up.test/open/pause:3.10"]);
    let said = desk.run(&["load", "set", "--ctr", "ctr/none"]).await;
    expect(said, 1, &["the runtime was not reached", "ctr/none"]);
    let said = desk.run(&["load", "set", "--runtime", "crio"]).await;
    expect(said, 64, &["skopeo copy"]);
    let said = desk.run(&["load", "nothing-there"]).await;
    expect(said, 2, &["nothing was loaded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_node_tells_when_its_set_is_missing_damaged_or_not_brought_in() {
    let (_mirror, desk, [both, _]) = saved().await;
    let root = desk.0.path().to_str().unwrap().to_owned();
    let node = async |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("node").args(words).args(["--root", &root]).current_dir(desk.0.path());
        let output = command.output().await.expect("it runs");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let install = [
        "install",
        "--runtime",
        "containerd@1.7.24",
        "--mirror",
        "http://127.0.0.1:5000",
        "--registry",
        "docker.io",
        "--preload",
        "/set",
    ];
    let said = node(&install).await;
    expect(said, 3, &["pratique-preload.service is not enabled"]);
    let wants = desk.path("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("../pratique-preload.service", wants.join("pratique-preload.service")).unwrap();
    let said = node(&["verify"]).await;
    expect(said, 0, &["closed"]);
    let blob = desk.blob(&both.children[0].layer(0));
    replace(&blob, b"something else");
    let said = node(&["verify", "--json"]).await;
    expect(said, 3, &["preload-damaged", &blob.display().to_string()]);
    fs::remove_dir_all(desk.path("set")).unwrap();
    let said = node(&["verify", "--json"]).await;
    expect(said, 3, &["preload-missing", "pratique preload save"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_bytes_a_mirror_sends_only_those_of_the_digest_are_in_a_set() {
    let mirror = FakeUpstream::start().await;
    let image = Image::new().layer(vec![7; 100_000]).build();
    mirror.push("open/app", "1", &image);
    let layer = format!("/blobs/{}", image.layer(0));
    for wrong in [vec![8; 100_000], vec![7; 100_001], vec![7; 99_999]] {
        let desk = Desk::new();
        mirror.fault_times(&layer, 1, Fault::Body(wrong.into()));
        let words = [
            "save",
            "--from",
            &mirror.url(),
            "-o",
            "set",
            "--platform",
            "linux/amd64",
            "up.test/open/app:1",
        ];
        let said = desk.run(&words).await;
        expect(said, 2, &[&image.layer(0).to_string(), "goes on where this one ended"]);
        assert!(!desk.path("set/index.json").exists() && !desk.blob(&image.layer(0)).exists());
        // The next run goes on, also over a connection that breaks.
        mirror.fault_times(&layer, 1, Fault::CutAfter(50_000));
        let said = desk.run(&words).await;
        expect(said, 0, &["saved    1 image"]);
        let said = desk.run(&["verify", "set"]).await;
        expect(said, 0, &["whole"]);
    }
    assert!(
        mirror.requests().iter().all(|seen| seen.line().contains("ns=up.test")),
        "{:?}",
        mirror.requests()
    );
}
