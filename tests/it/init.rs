//! `pratique init`: five answers over a pipe become a folder that a mirror starts from.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

fn pratique() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pratique"))
}

fn init(folder: &Path, flags: &[&str], answers: &str) -> Output {
    let mut command = pratique();
    command
        .arg("init")
        .arg("--output")
        .arg(folder)
        .args(flags)
        .current_dir(folder.parent().unwrap());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that asks nothing may be gone already.
    drop(child.stdin.take().unwrap().write_all(answers.as_bytes()));
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the program says of a folder: settings and policy are without a mistake.
fn assert_good(folder: &Path) {
    for words in [
        vec![
            "config".to_owned(),
            "check".to_owned(),
            folder.join("pratique.toml").display().to_string(),
        ],
        vec![
            "policy".to_owned(),
            "check".to_owned(),
            folder.join("policy.yaml").display().to_string(),
        ],
    ] {
        let output = pratique().args(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
}

fn new_folder() -> (TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("pratique");
    (above, folder)
}

#[test]
fn five_answers_over_a_pipe_become_a_folder_that_is_without_a_mistake() {
    let (above, folder) = new_folder();
    let data = above.path().join("state");
    let answers = format!(
        "https://mirror.example:15000\ndocker.io, corp.example=https://registry.internal:5443\n\
         approve\n{}\nhttps://mirror.example:15001\n",
        data.display()
    );
    let output = init(&folder, &[], &answers);
    assert!(output.status.success(), "{}", said(&output));
    for number in 1..=5 {
        assert!(said(&output).contains(&format!("{number}/5 ")), "{}", said(&output));
    }
    assert_good(&folder);
    let settings: toml::Table =
        fs::read_to_string(folder.join("pratique.toml")).unwrap().parse().unwrap();
    assert_eq!(settings["data_dir"].as_str(), data.to_str());
    assert_eq!(settings["node"]["listen"].as_str(), Some("0.0.0.0:15000"));
    assert_eq!(settings["admin"]["public_url"].as_str(), Some("https://mirror.example:15001"));
    assert_eq!(settings["upstream"][0]["url"].as_str(), Some("https://registry.internal:5443"));
    // Keys are their owner's alone, and the certificate names what nodes come by.
    for key in ["ca.key", "tls.key"] {
        let mode = fs::metadata(folder.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let pem = fs::read(folder.join("tls.crt")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    assert!(certificate.windows(14).any(|bytes| bytes == b"mirror.example"));
    let hosts = fs::read_to_string(folder.join("nodes/containerd/_default/hosts.toml")).unwrap();
    assert!(hosts.contains("https://mirror.example:15000"), "{hosts}");
    assert!(hosts.contains("/etc/containerd/pratique-ca.crt"), "{hosts}");
    assert!(!hosts.contains("NOT A GATE"), "{hosts}");
    assert!(folder.join("nodes/containerd/corp.example/hosts.toml").exists());
    // It says what comes next.
    let next = String::from_utf8_lossy(&output.stdout);
    assert!(next.contains("pratique serve --config"), "{next}");
    assert!(!fs::read_dir(above.path()).unwrap().any(|entry| {
        entry.unwrap().file_name().to_string_lossy().starts_with(".pratique-init")
    }));
}

#[test]
fn with_yes_nothing_is_asked_and_every_default_is_good() {
    for trust in ["watch", "approve"] {
        let (_above, folder) = new_folder();
        let output = init(&folder, &["--yes", "--trust", trust], "");
        assert!(output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("1/5"), "{}", said(&output));
        assert_good(&folder);
        let policy = fs::read_to_string(folder.join("policy.yaml")).unwrap();
        assert_eq!(policy.contains("mode: audit"), trust == "watch", "{policy}");
        let hosts =
            fs::read_to_string(folder.join("nodes/containerd/_default/hosts.toml")).unwrap();
        assert_eq!(hosts.contains("NOT A GATE"), trust == "watch", "{hosts}");
    }
}

#[test]
fn images_that_must_be_signed_need_the_key() {
    let (above, folder) = new_folder();
    let key = crate::support::signer::Signer::generate().public_pem();
    fs::write(above.path().join("cosign.pub"), key).unwrap();
    let output = init(&folder, &["--yes", "--trust", "signed:nowhere.pub"], "");
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("nowhere.pub"), "{}", said(&output));
    assert!(!folder.exists(), "nothing is left of what did not go");
    let output = init(&folder, &["--yes", "--trust", "signed:cosign.pub"], "");
    assert!(output.status.success(), "{}", said(&output));
    assert_good(&folder);
}

#[test]
fn nothing_is_overwritten_and_an_answer_that_cannot_be_used_is_told() {
    let (_above, folder) = new_folder();
    assert!(init(&folder, &["--yes"], "").status.success());
    let before = fs::read(folder.join("ca.key")).unwrap();
    let output = init(&folder, &["--yes"], "");
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("is not overwritten"), "{}", said(&output));
    assert_eq!(fs::read(folder.join("ca.key")).unwrap(), before);
    let (_above, folder) = new_folder();
    for (answers, why) in [
        ("mirror\n", "is not https://NAME:PORT"),
        ("http://mirror.example\n", "write https"),
        ("\n\nperhaps\n", "is not one of watch, approve, signed:FILE"),
        ("\n\n", "nobody answered question 3; give --trust or --yes"),
    ] {
        let output = init(&folder, &[], answers);
        assert_eq!(output.status.code(), Some(64), "{answers:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{answers:?}: {}", said(&output));
        assert!(!folder.exists());
    }
}
