//! `pratique trust-root`, as a process: what it shows, what it finds wrong, and what it does not replace.

mod placing;
mod refresh;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/signatures/keyless");

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

/// With variables of the environment, and no others that have to do with the network.
fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"] {
        command.env_remove(name);
    }
    command.arg("trust-root").args(arguments).envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("a run");
    Ran {
        code: status.code().expect("an exit code"),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

fn root() -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{FIXTURES}/trusted-root.json")).unwrap())
        .unwrap()
}

/// A newer one, which adds a log and ends another.
fn newer_root() -> Value {
    let mut newer = root();
    let mut added = newer["ctlogs"][0].clone();
    added["baseUrl"] = json!("https://new.test");
    added["publicKey"]["validFor"]["start"] = json!("2026-12-01T00:00:00Z");
    newer["tlogs"].as_array_mut().unwrap().push(added);
    newer["tlogs"][0]["publicKey"]["validFor"]["end"] = json!("2026-12-31T00:00:00Z");
    newer
}

/// A folder with files of trust roots.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Imports `root`, with `more` arguments, to where the others went.
    fn import(&self, root: &Value, more: &[&str]) -> Ran {
        let file = self.put("new.json", root.to_string());
        let to = self.path("corp.json");
        let arguments = ["import", &file, "--name", "corp", "--to", to.to_str().unwrap()];
        run(&[&arguments, more].concat())
    }

    fn placed(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("corp.json")).unwrap()).unwrap()
    }
}

#[test]
fn the_root_that_is_shipped_says_of_which_day_it_is_and_what_is_in_it() {
    let shown = run(&["show"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.starts_with("public-good  shipped with pratique "), "{shown:?}");
    assert!(shown.stdout.contains(", as of 2026-10-23\nsha256:"), "{shown:?}");
    for expected in [
        "certificate authority  https://fulcio.sigstore.dev ",
        "transparency log       https://rekor.sigstore.dev",
        "ECDSA P-256     2021-01-12  -",
        "Ed25519         2025-09-23  -",
        "timestamp authority    https://timestamp",
        "certificate log        https://ctfe.sigstore.dev/2022",
        "warning: certificate log https://ctfe.sigstore.dev/test has ended",
    ] {
        assert!(shown.stdout.contains(expected), "{expected}\n{}", shown.stdout);
    }
    let table = shown.stdout.lines().filter(|line| !line.starts_with("warning"));
    assert!(table.into_iter().all(|line| line.len() <= 100), "{shown:?}");
    let json: Value =
        serde_json::from_str(&run(&["show", "public-good", "--json"]).stdout).unwrap();
    assert_eq!(json["as_of"], "2026-10-23");
    assert_eq!(json["distinct_logs"], 2);
    assert_eq!(json["parts"].as_array().unwrap().len(), 7);
    assert!(shown.stdout.contains(json["digest"].as_str().unwrap()), "{shown:?}");
    let staging = run(&["show", "staging", "--utc"]);
    assert!(staging.stdout.contains("T00:00:00Z"), "{staging:?}");
}

#[test]
fn a_root_is_shown_by_its_name_in_the_policy_and_by_its_file() {
    let folder = Folder::new();
    folder.put("corp.json", root().to_string());
    let policy = folder.put(
        "policy.yaml",
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
         trustRoots:\n  corp: {sigstore: {trustedRoot: file:corp.json}}\n\
         rules: [{id: a, match: [\"**\"], trust: deny}]\n",
    );
    let settings = folder.put("pratique.toml", format!("policy = {policy:?}\n"));
    let shown = run(&["show", "corp", "--config", &settings]);
    assert!(shown.stdout.starts_with("corp  trustRoots.corp of "), "{shown:?}");
    assert!(shown.stdout.contains("https://rekor.sigstore.test"), "{shown:?}");
    let file = folder.path("corp.json");
    let by_file = run(&["show", file.to_str().unwrap()]);
    assert!(by_file.stdout.contains("https://rekor.sigstore.test"), "{by_file:?}");
    let shipped = run(&["show", "public-good", "--config", &settings]);
    assert!(shipped.stdout.contains("shipped with"), "{shipped:?}");
    for (arguments, code, expected) in [
        (vec!["show", "nobody"], 64, "there is no trust root nobody; give a name"),
        (vec!["show", "corp"], 64, "there is no trust root corp; give a name"),
        (vec!["check", "/nowhere.json"], 2, "cannot read /nowhere.json"),
        (vec!["show", &policy], 64, "is not a Sigstore trusted root"),
    ] {
        let ran = run(&arguments);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn every_mistake_of_a_root_is_named_at_once_and_what_is_odd_is_a_warning() {
    let folder = Folder::new();
    let good = folder.put("good.json", root().to_string());
    let checked = run(&["check", &good]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, &*format!("{good}: no problems\n")));
    let mut bad = root();
    bad["tlogs"][1]["publicKey"]["rawBytes"] = json!("AAAA");
    bad["ctlogs"][0]["publicKey"]["validFor"] =
        json!({"start": "2026-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"});
    bad["timestampAuthorities"][0]["certChain"]["certificates"] = json!([]);
    bad["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = json!("!");
    let file = folder.put("bad.json", bad.to_string());
    let checked = run(&["check", &file]);
    assert_eq!(checked.code, 64, "{checked:?}");
    assert!(checked.stderr.starts_with(&format!("{file}: 4 problems\n")), "{checked:?}");
    for part in
        ["tlogs[1]: ", "ctlogs[0]: ", "timestampAuthorities[0]: ", "certificateAuthorities[0]: "]
    {
        assert!(checked.stderr.contains(&format!("\n  {part}")), "{part} {checked:?}");
    }
    let json: Value = serde_json::from_str(&run(&["check", "--json", &file]).stdout).unwrap();
    assert_eq!(json["mistakes"].as_array().unwrap().len(), 4);
    let mut twice = root();
    twice["tlogs"][1]["logId"] = twice["tlogs"][0]["logId"].clone();
    let file = folder.put("twice.json", twice.to_string());
    assert!(run(&["check", &file]).stderr.contains("duplicate"));

    let mut odd = root();
    let ended = json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
    odd["certificateAuthorities"][0]["validFor"] = ended;
    odd["tlogs"][0]["publicKey"]["validFor"] = json!({"start": "2999-01-01T00:00:00Z"});
    odd["tlogs"][1]["baseUrl"] = odd["tlogs"][0]["baseUrl"].clone();
    odd["timestampAuthority"] = odd["timestampAuthorities"].take();
    odd["timestampAuthorities"] = json!([]);
    odd["ctlogs"] = json!([]);
    let file = folder.put("odd.json", odd.to_string());
    let checked = run(&["check", &file]);
    assert_eq!(checked.code, 0, "{checked:?}");
    for expected in [
        "has the member \"timestampAuthority\", which nothing acts on",
        "lists no certificate log; no certificate can be verified",
        "lists no timestamp authority; nothing proves when an entry of Rekor 2 was made",
        "every certificate authority has ended",
        "1 of the authorities never counts: its certificates are not valid when it should",
        "lists 2 transparency logs with 1 distinct keys and addresses: they count as 1",
        "counts only from 2999-01-01T00:00:00Z on",
        "has ended: it counts for what it saw before 2021-01-01T00:00:00Z",
    ] {
        assert!(checked.stdout.contains(expected), "{expected}\n{}", checked.stdout);
    }
}

#[test]
fn what_is_no_trust_root_is_refused_with_what_it_is() {
    let folder = Folder::new();
    let metadata = |role: &str| json!({"signatures": [], "signed": {"_type": role}}).to_string();
    for (text, expected) in [
        (metadata("Root"), "Docker Content Trust (Notary v1), which is retired and not supported"),
        (metadata("Targets"), "sign with cosign or notation instead"),
        (metadata("root"), "take the trusted_root.json that the repository has"),
        ("{".to_owned(), "is not a Sigstore trusted root"),
        (format!("{}{}", root(), root()), "trailing characters"),
        (" ".repeat(300 * 1024), "larger than 256 KiB"),
        (root().to_string().replacen('{', "{\"tlogs\": [],", 1), "duplicate"),
    ] {
        let file = folder.put("it.json", &text);
        for command in ["check", "show"] {
            let ran = run(&[command, &file]);
            assert_eq!(ran.code, 64, "{ran:?}");
            assert!(ran.stderr.contains(expected), "{expected} {ran:?}");
        }
        let to = folder.path("corp.json");
        let ran =
            run(&["import", &file, "--name", "corp", "--to", to.to_str().unwrap(), "--force"]);
        assert_eq!(ran.code, 64, "{ran:?}");
        assert!(ran.stderr.contains(expected) && !to.exists(), "{ran:?}");
    }
}

#[test]
fn an_import_is_checked_written_whole_and_says_what_changes() {
    let folder = Folder::new();
    let imported = folder.import(&root(), &[]);
    assert_eq!(imported.code, 0, "{imported:?}");
    let to = folder.path("corp.json");
    let line = format!("corp: {{sigstore: {{trustedRoot: \"file:{}\"}}}}", to.display());
    assert!(imported.stdout.contains(&line), "{imported:?}");
    assert_eq!(fs::read(&to).unwrap(), fs::read(folder.path("new.json")).unwrap());
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o022, 0);
    let again = folder.import(&root(), &[]);
    assert!(again.code == 0 && again.stdout.contains("has it already"), "{again:?}");

    let newer = newer_root();
    let imported = folder.import(&newer, &["--json"]);
    assert_eq!(imported.code, 0, "{imported:?}");
    let json: Value = serde_json::from_str(&imported.stdout).unwrap();
    let changes = json["changes"].to_string();
    assert!(changes.contains("+ transparency log https://new.test"), "{changes}");
    assert!(
        changes.contains("~ transparency log https://rekor.sigstore.test counts from"),
        "{changes}"
    );
    assert_eq!((folder.placed(), &json["changed"]), (newer.clone(), &json!(true)));

    // Back is a rollback: less, older, and open again what had an end.
    let refused = folder.import(&root(), &[]);
    assert_eq!(refused.code, 3, "{refused:?}");
    for expected in [
        "was not replaced: the new root is not a newer one",
        "transparency log https://new.test is missing",
        "its newest part begins at",
        "transparency log https://rekor.sigstore.test would count longer than it does",
        "- transparency log https://new.test",
        "say --force",
    ] {
        assert!(refused.stderr.contains(expected), "{expected} {refused:?}");
    }
    assert_eq!(folder.placed(), newer);
    let forced = folder.import(&root(), &["--force"]);
    assert_eq!((forced.code, folder.placed()), (0, root()), "{forced:?}");
}

#[test]
fn an_import_leaves_what_is_there_alone_unless_it_is_known_to_be_better() {
    let folder = Folder::new();
    let to = folder.put("corp.json", "not a root, and perhaps something else that matters");
    let refused = folder.import(&root(), &[]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("what is there is not a Sigstore trusted root"), "{refused:?}");
    assert!(fs::read_to_string(&to).unwrap().starts_with("not a root"));
    let other: Value =
        serde_json::from_str(&fs::read_to_string(format!("{FIXTURES}/other-root.json")).unwrap())
            .unwrap();
    assert_eq!(folder.import(&other, &["--force"]).code, 0);
    let stranger = folder.import(&root(), &[]);
    assert_eq!(stranger.code, 3, "a root of somebody else: {stranger:?}");
    assert_eq!(folder.placed(), other);

    let file = folder.put("new.json", root().to_string());
    for (name, to, code, expected) in [
        ("a b", "x.json", 64, "is not a plain name"),
        ("", "x.json", 64, "is not a plain name"),
        ("corp", "no/such/folder/x.json", 1, "was not written"),
        ("corp", ".", 2, "cannot read"),
    ] {
        let to = folder.path(to);
        let ran = run(&["import", &file, "--name", name, "--to", to.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    let left = fs::read_dir(folder.0.path()).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> =
        left.filter(|name| Path::new(name).extension() != Some("json".as_ref())).collect();
    assert!(left.is_empty(), "nothing half done is left: {left:?}");
}
