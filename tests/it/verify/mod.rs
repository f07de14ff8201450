//! `pratique verify`: the gate without a mirror, as a process of CI runs it.

mod images;
mod layouts;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::signer::Signer;
use crate::support::upstream::FakeUpstream;

/// What a call did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn lines(&self) -> Vec<Value> {
        let line =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        self.stdout.lines().map(line).collect()
    }

    /// Panics unless it ended with `code` and printed each of `texts`.
    #[track_caller]
    fn assert(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            let spoken = format!("{}{}", self.stdout, self.stderr);
            assert!(spoken.contains(text), "{text:?} is not in {self:?}");
        }
    }
}

/// A desk of CI: a policy, settings, a key, and a registry.
struct Ci {
    upstream: FakeUpstream,
    signer: Signer,
    folder: TempDir,
}

impl Ci {
    async fn new() -> Self {
        let ci = Self {
            upstream: FakeUpstream::start().await,
            signer: Signer::generate(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let policy = format!(
            r#"apiVersion: pratique.dev/v1
kind: Policy
metadata: {{name: ci, revision: 1}}
signers:
  team:
    transparencyLog: none
    key:
     pem: |
{}rules:
- {{id: signed, match: ["up.test/signed/**"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}
- {{id: asked, match: ["up.test/asked/**"], trust: approve, signatures: {{atLeast: 1, of: [team]}}}}
- id: attested
  match: ["up.test/attested/**"]
  trust: allow
  attestations: [{{type: slsaprovenance1, signers: [team], cel: "predicate.good"}}]
- {{id: tagged, match: ["up.test/tagged/**"], tags: {{semver: ">=1.0"}}, trust: allow}}
- {{id: elsewhere, match: ["{}/**", "other.test/**"], trust: allow}}
"#,
            ci.signer.policy_pem(),
            ci.upstream.host()
        );
        ci.write("policy.yaml", &policy);
        let url = ci.upstream.url();
        let upstream = |registry: &str| {
            format!(
                "[[upstream]]\nregistry = {registry:?}\nurl = {url:?}\ndanger_plain_http = true\n"
            )
        };
        // Another data directory than the one of the server whose settings these are.
        let head = format!("data_dir = {:?}\n", ci.folder.path().join("data"));
        ci.write("pratique.toml", &(head + &upstream("up.test") + &upstream(&ci.upstream.host())));
        std::fs::create_dir(ci.path("tmp")).expect("a folder");
        ci
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.path(file), content).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("verify").args(arguments).env("TMPDIR", self.path("tmp"));
        command
    }

    /// `pratique verify` with the policy and the settings; nothing may be left of it.
    async fn verify(&self, arguments: &[&str]) -> Ran {
        let (policy, settings) = (self.path("policy.yaml"), self.path("pratique.toml"));
        let (policy, settings) = (policy.to_str().unwrap(), settings.to_str().unwrap());
        self.run(&[arguments, &["--policy", policy, "--config", settings]].concat()).await
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let Output { status, stdout, stderr } =
            self.command(arguments).output().await.expect("a run");
        self.assert_nothing_left();
        Ran {
            code: status.code().expect("an exit code"),
            stdout: String::from_utf8(stdout).expect("text"),
            stderr: String::from_utf8(stderr).expect("text"),
        }
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let left: Vec<_> = std::fs::read_dir(self.path("tmp")).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!self.path("data").exists());
    }
}
