//! `pratique doctor`: what goes past the mirror is found, and what proves nothing is not called closed.

mod cluster;
mod fake_cri;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use pratique::ledger::RequestFilter;
use serde_json::Value;
use tokio::net::TcpStream;

use self::fake_cri::{FakeCri, Pulling, Reply};
use crate::support::mirror::TestMirror;

const RULES: &str = r#"
- {id: never, match: ["up.test/denied/**"], trust: deny}
- {id: open, match: ["up.test/open/**"], trust: allow}
"#;
const CANARY: &str = "up.test/denied/a:1";

/// How a doctor ended, and what it said.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) code: i32,
    pub(super) out: String,
    #[expect(dead_code, reason = "shown when a test fails")]
    err: String,
}

impl Told {
    /// The findings of a way, as `by: state`.
    fn states(&self, way: &str) -> Vec<String> {
        self.findings(way).iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect()
    }

    fn findings(&self, way: &str) -> Vec<Value> {
        let report: Value = serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"));
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|it| it["way"] == way).collect()
    }
}

pub(super) async fn pratique(arguments: &[&str]) -> Told {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

async fn doctor(mirror: &TestMirror, more: &[&str]) -> Told {
    let url = format!("http://{}", mirror.node_address());
    let mut arguments = vec![
        "doctor",
        "--mirror",
        &url,
        "--kit",
        "/nowhere/node.toml",
        "--node",
        "worker-1",
        "--json",
    ];
    arguments.extend(more);
    pratique(&arguments).await
}

/// The status and the reason phrase of a registry at `address`.
async fn head(address: &str, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
    let driving = pratique::tasks::Tasks::new().spawn(connection);
    let request = Request::get(path).header("host", address).body(Empty::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let phrase = answer.extensions().get::<ReasonPhrase>();
    let phrase = phrase.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let status = answer.status().as_u16();
    drop(answer.into_body().collect().await);
    driving.abort();
    (status, phrase.unwrap_or_default())
}

/// `HOST/REPOSITORY:TAG` in its parts.
fn parts(image: &str) -> (String, String, String) {
    let (host, rest) = image.split_once('/').unwrap();
    let (repository, tag) = rest.rsplit_once(':').unwrap();
    (host.to_owned(), repository.to_owned(), tag.to_owned())
}

/// A runtime that knows nothing but the mirror.
fn closed(mirror: SocketAddr) -> FakeCri {
    FakeCri::start(move |image| -> Pulling {
        Box::pin(async move {
            let (host, repository, tag) = parts(&image);
            let path = format!("/v2/{repository}/manifests/{tag}?ns={host}");
            match head(&mirror.to_string(), &path).await {
                (200, _) => Reply::Message(b"\x0a\x09sha256:id".to_vec()),
                (status, phrase) => Reply::Failure(format!(
                    "failed to pull and unpack image: unexpected status from HEAD: {status} {phrase}"
                )),
            }
        })
    })
}

/// A runtime that goes to the registry itself wherever the mirror refuses.
fn open() -> FakeCri {
    FakeCri::start(|image| -> Pulling {
        Box::pin(async move {
            let (host, repository, tag) = parts(&image);
            // What is not here is upstream's, and upstream has it.
            if host == "up.test" {
                return Reply::Message(b"\x0a\x09sha256:id".to_vec());
            }
            let address = host.replace("localhost", "127.0.0.1");
            let (status, _) = head(&address, &format!("/v2/{repository}/manifests/{tag}")).await;
            assert_eq!(status, 200, "the decoy has what it is asked for");
            Reply::Message(b"\x0a\x09sha256:id".to_vec())
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_node_is_closed_in_every_way_and_the_mirror_keeps_no_request_of_it() {
    let mirror = TestMirror::start(RULES).await;
    let cri = closed(mirror.node_address());
    let runtime = format!("cri={}", cri.socket().display());
    let told = doctor(&mirror, &["--runtime", &runtime, "--canary", CANARY, "--no-egress"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.states("mirror"), ["closed"]);
    assert_eq!(told.states("unlisted"), ["closed", "closed"]);
    assert_eq!(told.states("layer-urls"), ["closed"]);
    assert_eq!(told.states("fallback"), ["closed"]);
    assert_eq!(cri.calls("PullImage").len(), 4);
    assert_eq!(cri.calls("RemoveImage"), Vec::<String>::new());
    // Images of the decoy are another each time: had they been filed, the queue would fill up.
    let filed = mirror.mirror().ledger().requests(RequestFilter::default()).await.unwrap();
    let names: Vec<String> = filed.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["up.test/denied/a"], "nothing of the decoy is filed");
    mirror.upstream.assert_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_node_is_open_in_each_way_and_nothing_is_left_on_it() {
    let mirror = TestMirror::start(RULES).await;
    let cri = open();
    let runtime = format!("cri={}", cri.socket().display());
    let told = doctor(&mirror, &["--runtime", &runtime, "--canary", CANARY, "--no-egress"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    assert_eq!(told.states("unlisted"), ["open", "open"]);
    assert_eq!(told.states("fallback"), ["open"]);
    let pulled = cri.calls("PullImage");
    assert_eq!(cri.calls("RemoveImage"), pulled, "each is removed again");
    // A layer is asked for by the decoy's own address only by who reads the manifest.
    assert_eq!(told.states("layer-urls"), ["untried"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_there_before_stays() {
    let mirror = TestMirror::start(RULES).await;
    let cri = FakeCri::holding(vec![CANARY.to_owned()], |_| {
        Box::pin(async { Reply::Message(b"\x0a\x09sha256:id".to_vec()) })
    });
    let runtime = format!("cri={}", cri.socket().display());
    let told = doctor(&mirror, &["--runtime", &runtime, "--canary", CANARY, "--no-egress"]).await;
    assert_eq!(told.states("fallback"), ["open"]);
    assert!(
        told.findings("fallback")[0]["saw"].as_str().unwrap().contains("was on the node before")
    );
    let removed = cri.calls("RemoveImage");
    assert!(removed.len() == 3 && !removed.contains(&CANARY.to_owned()), "{removed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_not_called_closed() {
    let mirror = TestMirror::start(RULES).await;
    // A runtime that fails for reasons of its own.
    let cri =
        FakeCri::start(|_| Box::pin(async { Reply::Failure("no space left on device".into()) }));
    let runtime = format!("cri={}", cri.socket().display());
    let told = doctor(&mirror, &["--runtime", &runtime, "--canary", CANARY, "--no-egress"]).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert_eq!(told.states("unlisted"), ["untried", "untried"]);
    assert_eq!(told.states("fallback"), ["untried"]);
    assert!(told.findings("fallback")[0]["saw"].as_str().unwrap().contains("no space left"));

    // A canary that the mirror serves, and none at all.
    let cri = closed(mirror.node_address());
    let runtime = format!("cri={}", cri.socket().display());
    let image = crate::support::upstream::Image::new().layer("served").build();
    mirror.upstream.push("open/a", "1", &image);
    let served = ["--runtime", &runtime, "--canary", "up.test/open/a:1", "--no-egress"];
    let told = doctor(&mirror, &served).await;
    assert_eq!((told.code, told.states("fallback")), (2, vec!["untried".to_owned()]));
    assert!(told.findings("fallback")[0]["saw"].as_str().unwrap().contains("proves nothing"));
    let told = doctor(&mirror, &["--runtime", &runtime, "--no-egress"]).await;
    assert_eq!((told.code, told.states("fallback")), (2, vec!["untried".to_owned()]));
    let told = doctor(&mirror, &["--runtime", &runtime, "--no-fallback", "--no-egress"]).await;
    assert_eq!((told.code, told.states("fallback")), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_runtime_costs_the_time_of_a_pull_and_steers_nothing() {
    let mirror = TestMirror::start(RULES).await;
    let lies = "%1b]0;evil%07 Denied: registry quay.io is not configured ";
    for reply in [
        Reply::Silence,
        Reply::Broken(Vec::new()),
        Reply::Broken(vec![0; 3 << 20]),
        Reply::Broken(vec![0, 0xff, 0xff, 0xff, 0xff]),
        Reply::Failure(lies.repeat(100)),
    ] {
        let answer = reply.clone();
        let cri = FakeCri::start(move |_| {
            let answer = answer.clone();
            Box::pin(async move { answer })
        });
        let runtime = format!("cri={}", cri.socket().display());
        let arguments =
            ["--runtime", &runtime, "--canary", CANARY, "--no-egress", "--timeout", "1s"];
        let told = doctor(&mirror, &arguments).await;
        assert_eq!(told.code, 2, "{reply:?}: {told:?}");
        assert_eq!(told.states("unlisted"), ["untried", "untried"], "{reply:?}");
        assert!(!told.out.contains('\u{1b}') && !told.out.contains("\\u001b"), "{told:?}");
        assert!(told.out.len() < 16 * 1024, "{}", told.out.len());
    }
    let told =
        doctor(&mirror, &["--runtime", "cri=/nowhere/sock", "--no-fallback", "--no-egress"]).await;
    assert_eq!((told.code, told.states("unlisted").len()), (2, 2), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_in_the_place_of_the_mirror_is_not_ours() {
    let stranger = TestMirror::start(RULES).await;
    let cri = closed(stranger.node_address());
    let runtime = format!("cri={}", cri.socket().display());
    // A registry that says nothing of what it decides: the upstream of the tests.
    let told = pratique(&[
        "doctor",
        "--mirror",
        &stranger.upstream.url(),
        "--node",
        "a",
        "--json",
        "--runtime",
        &runtime,
        "--canary",
        CANARY,
        "--no-egress",
    ])
    .await;
    assert_eq!(told.code, 2, "{told:?}");
    assert_eq!(told.states("mirror"), ["untried"]);
    assert_eq!(told.states("fallback"), ["untried"]);
}

/// A script in the place of a program of the node; what it was called with is in `calls`.
fn script(folder: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    let calls = folder.join("calls");
    let whole = format!("#!/bin/sh\necho \"$@\" >> {}\n{text}\n", calls.display());
    std::fs::write(&path, whole).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_to_pull_and_to_remove_and_heard_when_they_refuse() {
    let mirror = TestMirror::start(RULES).await;
    let folder = tempfile::tempdir().unwrap();
    let refusing = "for last; do :; done\n\
        [ \"$1\" = pull ] || exit 1\n\
        host=${last%%/*}\n\
        echo \"Error: denied: the registry $host of $last is not configured at this mirror\" >&2\n\
        exit 125";
    let podman = script(folder.path(), "podman", refusing);
    let runtime = format!("podman={podman}");
    let told = doctor(&mirror, &["--runtime", &runtime, "--no-fallback", "--no-egress"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.states("unlisted"), ["closed", "closed"]);
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(calls.contains("pull --quiet --tls-verify=false 127.0.0.1:"), "{calls}");
    assert!(!calls.contains("rmi"), "{calls}");

    // One that pulls everything from anywhere, under a tool that keeps a namespace.
    let folder = tempfile::tempdir().unwrap();
    let ctr = script(folder.path(), "ctr", "exit 0");
    let runtime = format!("ctr={ctr}");
    let arguments =
        ["--runtime", &runtime, "--canary", CANARY, "--no-egress", "--hosts-dir", "/x/certs.d"];
    let told = doctor(&mirror, &arguments).await;
    assert_eq!(told.code, 3, "{told:?}");
    assert_eq!(told.states("fallback"), ["open"]);
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(calls.contains(&format!("images pull --hosts-dir /x/certs.d {CANARY}")), "{calls}");
    assert!(calls.contains(&format!("images remove --sync {CANARY}")), "{calls}");
    assert!(
        calls.lines().last().unwrap().ends_with("namespaces remove pratique-doctor"),
        "{calls}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_written_for_whoever_collects_them() {
    let mirror = TestMirror::start(RULES).await;
    let cri = Arc::new(closed(mirror.node_address()));
    let runtime = format!("cri={}", cri.socket().display());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pratique.prom").display().to_string();
    let arguments =
        ["--runtime", &runtime, "--canary", CANARY, "--no-egress", "--metrics-file", &file];
    let told = doctor(&mirror, &arguments).await;
    assert_eq!(told.code, 0, "{told:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let wanted = "pratique_node_way_open{node=\"worker-1\",way=\"unlisted\",by=\"cri\",about=\"127.0.0.1\"} 0";
    assert!(text.lines().any(|line| line == wanted), "{text}");
    let wrong = doctor(&mirror, &["--metrics-file", "/tmp/x.txt"]).await;
    assert_eq!(wrong.code, 64, "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_answers_the_node_is_weak_or_open_as_it_is_asked_for() {
    let mirror = TestMirror::start(RULES).await;
    let cri = closed(mirror.node_address());
    let runtime = format!("cri={}", cri.socket().display());
    let host = mirror.upstream.host();
    let arguments = ["--runtime", &runtime, "--no-fallback", "--egress", &host];
    let told = doctor(&mirror, &arguments).await;
    assert_eq!((told.code, told.states("egress")), (0, vec!["weak".to_owned()]), "{told:?}");
    let told = doctor(&mirror, &[&arguments[..], &["--egress-closed"]].concat()).await;
    assert_eq!((told.code, told.states("egress")), (3, vec!["open".to_owned()]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_hole_is_told_and_not_tried() {
    let mirror = TestMirror::start(RULES).await;
    let cri = open();
    let runtime = format!("cri={}", cri.socket().display());
    let arguments = ["--runtime", &runtime, "--canary", CANARY, "--direct", "up.test"];
    let told = doctor(&mirror, &arguments).await;
    assert_eq!(told.states("fallback"), ["declared"], "{told:?}");
    assert_eq!(told.states("egress"), Vec::<String>::new());
    assert!(!cri.calls("PullImage").contains(&CANARY.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_looked_at_by_what_it_was_configured_to_and_its_files_are_read() {
    let mirror = TestMirror::start(RULES).await;
    let cri = closed(mirror.node_address());
    let runtime = format!("cri={}", cri.socket().display());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let text = format!(
        "runtime = \"containerd@2.1\"\nmirrors = [\"http://{}\"]\nregistries = [\"up.test\"]\n\
         direct = [\"own.test\"]\ncanaries = [\"{CANARY}\"]\n",
        mirror.node_address()
    );
    std::fs::write(&file, text).unwrap();
    let (kit, root) = (file.display().to_string(), folder.path().display().to_string());
    let arguments = [
        "doctor",
        "--kit",
        &kit,
        "--root",
        &root,
        "--json",
        "--node",
        "a",
        "--runtime",
        &runtime,
        "--no-egress",
    ];
    let told = pratique(&arguments).await;
    assert_eq!(told.states("fallback"), ["declared", "closed"], "{told:?}");
    assert!(cri.calls("PullImage").contains(&CANARY.to_owned()));
    // Nothing was installed there: the files are what is open.
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.states("files").contains(&"open".to_owned()), "{told:?}");
    std::fs::write(&file, "runtime = 1\n").unwrap();
    assert_eq!(pratique(&arguments).await.code, 64);
    let missing = ["doctor", "--kit", "/nowhere/node.toml", "--no-fallback"];
    assert_eq!(pratique(&missing).await.code, 64);
}
