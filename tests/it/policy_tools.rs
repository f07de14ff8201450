//! `pratique policy`: a policy file on the desk of whoever writes it, without any mirror.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::signer::Signer;

/// What a call did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn assert(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            let said = format!("{}{}", self.stdout, self.stderr);
            assert!(said.contains(text), "{text:?} is not in {self:?}");
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A folder with a policy and the key that it names.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("team.pub", &Signer::generate().public_pem());
        folder.write("policy.yaml", POLICY);
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("policy").args(arguments).current_dir(self.0.path());
        let Output { status, stdout, stderr } = command.output().expect("a run");
        Ran {
            code: status.code().expect("an exit code"),
            stdout: String::from_utf8(stdout).expect("text"),
            stderr: String::from_utf8(stderr).expect("text"),
        }
    }
}

const POLICY: &str = r#"
apiVersion: pratique.dev/v1
kind: Policy
metadata: {name: site, revision: 1}
signers:
  team: {key: {pem: file:team.pub}, transparencyLog: none}
  ci: {keyless: {issuer: "https://issuer.test", subject: "ci@acme.test"}}
floor: {registries: [up.test, docker.io], forbidTags: [latest]}
gates: {strict: {deny: [{severity: high}]}}
rules:
- {id: ours, match: ["up.test/ours/**"], trust: allow, signatures: {atLeast: 1, of: [team, ci]}, gates: [strict]}
- {id: lab, match: ["up.test/ours/lab/*"], trust: approve}
- {id: new, match: ["up.test/ours/lab/*"], tags: {semver: ">=2"}, trust: allow}
- {id: hub, match: ["docker.io/**"], trust: deny}
"#;

#[test]
fn a_table_of_images_holds_or_names_what_differs() {
    let folder = Folder::new();
    let head = "apiVersion: pratique.dev/v1\nkind: PolicyTests\ncases:\n";
    let good = "- {image: \"up.test/ours/app:1\", signedBy: [ci], findings: [], expect: admit, rule: ours}\n\
                - {image: \"up.test/ours/app:1\", signedBy: [], findings: [], expect: deny, reasons: [unsigned]}\n\
                - {image: \"up.test/ours/lab/x:1.0.0\", expect: pending, rule: lab}\n\
                - {image: \"up.test/ours/lab/x:2.0.0\", expect: admit, rule: new}\n\
                - {image: redis, expect: deny}\n";
    folder.write("good.yaml", &format!("{head}{good}"));
    let ran = folder.run(&["test", "policy.yaml", "good.yaml"]);
    ran.assert(0, &["RESULT  LINE  EXPECTED", "good.yaml: 5 passed, 0 failed"]);

    folder.write(
        "bad.yaml",
        &format!(
            "{head}{good}- {{image: \"up.test/ours/app:1\", expect: admit}}\n\
             - {{image: \"up.test/ours/lab/x:1.0.0\", expect: admit}}\n"
        ),
    );
    let ran = folder.run(&["test", "policy.yaml", "bad.yaml"]);
    let pending = "is pending, not admit: rule lab asks for approval";
    ran.assert(1, &["bad.yaml: 5 passed, 2 failed", "write signedBy: [NAME]", pending]);
    let json = folder.run(&["test", "--json", "policy.yaml", "bad.yaml"]).json();
    assert_eq!((&json["passed"], &json["failed"]), (&json!(5), &json!(2)));
    let last = &json["cases"][6];
    assert_eq!((&last["holds"], &last["verdict"]), (&json!(false), &json!("pending")));
    assert_eq!(last["reasons"][0]["code"], "approval-needed");
    assert_eq!(last["line"], 10);

    folder.write("odd.yaml", &format!("{head}- {{image: redis, expects: deny}}\n"));
    let ran = folder.run(&["test", "policy.yaml", "odd.yaml"]);
    ran.assert(64, &["odd.yaml: 2 problems", "line 4:18", "did you mean expect?"]);
    folder.run(&["test", "policy.yaml", "none.yaml"]).assert(2, &["none.yaml cannot be read"]);
}

#[test]
fn an_image_is_explained_by_the_policy_alone() {
    let folder = Folder::new();
    let explain = |rest: &[&str]| folder.run(&[&["explain", "policy.yaml"], rest].concat());
    explain(&["up.test/ours/app:1"]).assert(
        0,
        &[
            "rule     ours",
            "1 of [team, ci], over what is asked for",
            "a scan that refuses high or worse",
            "ci@acme.test by https://issuer.test, root public-good",
            "up.test is listed",
        ],
    );
    explain(&["up.test/ours/lab/x:1.0.0"]).assert(
        0,
        &[
            "rule     lab",
            "new  up.test/ours/lab/* (line 13); does not apply: only for versions >=2",
            "comes next: names no tags",
            "comes next: less text before the first *",
        ],
    );
    explain(&["up.test/ours/lab/x:2.1.0"]).assert(0, &["rule     new"]);
    explain(&["--tag", "2.1.0", "up.test/ours/lab/x:some"]).assert(0, &["rule     new"]);
    explain(&["redis:7"]).assert(3, &["refused  nothing of docker.io/library/redis is served"]);
    explain(&["up.test/ours/app"]).assert(3, &["tag latest is FORBIDDEN"]);
    explain(&["evil.test/a:1"]).assert(3, &["evil.test is NOT listed", "rule     none applies"]);
    explain(&["UPPER"]).assert(64, &["\"UPPER\" is not an image"]);
    let json = explain(&["--json", "up.test/ours/lab/x:1.0.0"]).json();
    assert_eq!(json["rule"], "lab");
    assert_eq!(json["matching"][0]["why_not"], "only for versions >=2");
}

#[test]
fn two_policies_are_compared_by_what_they_say() {
    let folder = Folder::new();
    let newer = POLICY
        .replace("revision: 1", "revision: 2")
        .replace("trust: approve", "trust: allow")
        .replace("registries: [up.test, docker.io]", "registries: [docker.io, up.test, ghcr.io]");
    folder.write("new.yaml", &newer);
    let ran = folder.run(&["diff", "policy.yaml", "new.yaml"]);
    ran.assert(
        0,
        &[
            "policy site revision 1 -> site revision 2",
            "+ floor.registries  ghcr.io",
            "~ rules.lab.trust  approve -> allow",
            "2 differences.",
        ],
    );
    folder.run(&["diff", "--exit-code", "policy.yaml", "new.yaml"]).assert(3, &[]);
    let same = folder.run(&["diff", "--exit-code", "policy.yaml", "policy.yaml"]);
    same.assert(0, &["They say the same."]);
    let json = folder.run(&["diff", "--json", "policy.yaml", "new.yaml"]).json();
    assert_eq!(
        json["changes"][1],
        json!({"kind": "changed", "key": "rules.lab.trust", "old": "approve", "new": "allow"})
    );
    folder.run(&["diff", "policy.yaml"]).assert(64, &["give the old policy first"]);
    folder.write("broken.yaml", "rules: []\n");
    folder.run(&["diff", "policy.yaml", "broken.yaml"]).assert(64, &["broken.yaml: "]);
}

#[test]
fn the_schema_is_printed_as_it_is_kept() {
    let ran = Folder::new().run(&["schema"]);
    ran.assert(0, &["\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""]);
    assert_eq!(ran.stdout, pratique::policy::SCHEMA);
}

#[test]
fn policies_of_other_tools_are_printed_as_one_that_loads() {
    let folder = Folder::new();
    let pem = Signer::generate().public_pem();
    let pem = pem.trim().replace('\n', "\n        ");
    let cip = format!(
        "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: acme}}\nspec:\n  images: [{{glob: \"ghcr.io/acme/**\"}}]\n  authorities:\n  - key:\n      data: |\n        {pem}\n    ctlog: {{}}\n"
    );
    folder.write("cip.yaml", &cip);
    let printed = folder.run(&["import", "--from", "cip", "--name", "acme", "cip.yaml"]);
    printed.assert(0, &["overlays:", "transparencyLog: \"none\""]);
    folder.write("imported.yaml", &printed.stdout);
    folder
        .run(&["check", "imported.yaml"])
        .assert(0, &["no problems (policy acme, revision 1, 1 rule)"]);
    let explained = folder.run(&["explain", "imported.yaml", "ghcr.io/acme/app:1"]);
    explained.assert(0, &["overlay  acme", "1 of [acme-0], over what is asked for"]);

    folder.write("source.yaml", &format!("{cip}    source: [{{oci: reg.test/x}}]\n"));
    let refused = folder.run(&["import", "--from", "cip", "source.yaml"]);
    refused.assert(64, &["source.yaml  line ", "spec.authorities[0].source", "--allow-lossy"]);
    assert_eq!(refused.stdout, "", "nothing is printed that could be taken for a policy");
    let lossy = folder.run(&["import", "--from", "cip", "--allow-lossy", "source.yaml"]);
    lossy.assert(0, &["# What could not be said is denied:", "trust: deny"]);

    folder.write("policy.json", "{\"default\": [{\"type\": \"reject\"}]}");
    folder.run(&["import", "--from", "policy.json", "policy.json"]).assert(0, &["trust: deny"]);
    folder.write("twice.json", "{\"default\": [], \"default\": []}");
    folder.run(&["import", "--from", "policy.json", "twice.json"]).assert(64, &["duplicate key"]);
    folder.run(&["import", "--from", "policy.json", "none.json"]).assert(2, &["cannot be read"]);
    folder.run(&["import", "--from", "cue", "policy.json"]).assert(64, &[]);

    std::fs::create_dir_all(folder.0.path().join("store/x509/ca/acme")).expect("a folder");
    folder.write("store/x509/ca/acme/ca.pem", "any");
    let trust = |scope: &str| {
        format!(
            "{{\"name\": \"n{}\", \"registryScopes\": [\"{scope}\"], \"signatureVerification\": {{\"level\": \"strict\"}}, \"trustStores\": [\"ca:acme\"], \"trustedIdentities\": [\"*\"]}}",
            scope.len()
        )
    };
    let policies = |all: &[String]| {
        format!("{{\"version\": \"1.0\", \"trustPolicies\": [{}]}}", all.join(", "))
    };
    folder.write("trust.json", &policies(&[trust("reg.test/app")]));
    let import = ["import", "--from", "trustpolicy", "--trust-store", "store", "trust.json"];
    folder.run(&import).assert(0, &["file:store/x509/ca/acme/ca.pem"]);
    // Two for one repository contradict each other.
    folder.write("trust.json", &policies(&[trust("reg.test/app"), trust("reg.test/app")]));
    folder.run(&import).assert(64, &["what they say together is no policy", "equally"]);
    // A link in the store may lead anywhere.
    folder.write("trust.json", &policies(&[trust("reg.test/app")]));
    std::os::unix::fs::symlink("/etc/passwd", folder.0.path().join("store/x509/ca/acme/b.pem"))
        .expect("a link");
    folder.run(&import).assert(64, &["b.pem is no plain file"]);
}
