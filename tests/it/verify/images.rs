//! Images at a registry.

use std::process::Stdio;
use std::time::Duration;

use pratique::oci::MediaType;
use serde_json::json;

use super::Ci;
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Fault, Gate, Image, Index};

#[tokio::test]
async fn a_signed_image_is_admitted_and_an_unsigned_one_is_not_with_the_reason() {
    let ci = Ci::new().await;
    let image = Image::new().layer("one").build();
    let digest = ci.upstream.push("signed/app", "1", &image);
    let ran = ci.verify(&["up.test/signed/app:1"]).await;
    ran.assert(3, &["verdict    DENY", "rule       signed", "found      0 signatures"]);
    ran.assert(3, &["looked for: tag", "no signature found"]);
    let signature = ci.signer.simple_signing("up.test/signed/app", &digest);
    ci.upstream.attach_by_sig_tag("signed/app", &digest, &signature);
    let ran = ci.verify(&["up.test/signed/app:1"]).await;
    ran.assert(0, &["verdict    ADMIT", "signature  pass", &digest.short()]);
    assert_eq!(ran.stderr, "");
    let by_digest = ci.verify(&[&format!("up.test/signed/app@{digest}")]).await;
    by_digest.assert(0, &["verdict    ADMIT"]);
    // No layer was fetched for it.
    assert_eq!(ci.upstream.count(&image.layer(0).to_string()), 0);
}

#[tokio::test]
async fn what_is_printed_is_what_explain_says_at_a_mirror() {
    let ci = Ci::new().await;
    let policy = std::fs::read_to_string(ci.path("policy.yaml")).unwrap();
    let (_, policy) = policy.split_once("signers:").unwrap();
    let mirror = TestMirror::start_with(&format!("signers:{policy}"), |_| {}).await;
    let image = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let signature = ci.signer.simple_signing("up.test/signed/other", &image.digest());
    for upstream in [&ci.upstream, &mirror.upstream] {
        let digest = upstream.push("signed/app", "1", &image);
        upstream.attach_by_sig_tag("signed/app", &digest, &signature);
    }
    let url = mirror.admin_url();
    let token = mirror.folder().join("data/admin.token");
    let explain = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"))
        .args(["explain", "--admin-url", &url, "--token-file", token.to_str().unwrap()])
        .arg("up.test/signed/app:1")
        .output()
        .await
        .unwrap();
    assert_eq!(explain.status.code(), Some(3));
    let explained = String::from_utf8(explain.stdout).unwrap();
    let explained: Vec<_> = explained.lines().filter(|line| !line.starts_with("tag ")).collect();
    let ran = ci.verify(&["up.test/signed/app:1"]).await;
    ran.assert(3, &["linux/amd64 linux/arm64"]);
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), explained);
}

#[tokio::test]
async fn an_image_that_only_lacks_an_approval_is_told_apart() {
    let ci = Ci::new().await;
    let digest = ci.upstream.push("asked/app", "1", &Image::new().layer("one").build());
    let allowed = ["up.test/asked/app:1", "--allow-pending"];
    ci.verify(&allowed).await.assert(3, &["verdict    DENY", "no signature found"]);
    let signature = ci.signer.simple_signing("up.test/asked/app", &digest);
    ci.upstream.attach_by_sig_tag("asked/app", &digest, &signature);
    let ran = ci.verify(&["up.test/asked/app:1"]).await;
    ran.assert(3, &["verdict    PENDING", "signature  pass", "only an approval is missing"]);
    ci.verify(&allowed).await.assert(0, &["verdict    PENDING"]);
}

#[tokio::test]
async fn attestations_are_fetched_and_their_contents_judged() {
    let ci = Ci::new().await;
    for (tag, good) in [("good", true), ("bad", false)] {
        let image = Image::new().layer(tag).build();
        let digest = ci.upstream.push("attested/app", tag, &image);
        let says = json!({"good": good});
        let attested = ci.signer.attestation(&image, "https://slsa.dev/provenance/v1", &says);
        ci.upstream.attach_by_fallback_tag("attested/app", &digest, &attested);
    }
    let ran = ci.verify(&["up.test/attested/app:good"]).await;
    ran.assert(0, &["attestation", "verdict    ADMIT"]);
    ci.verify(&["up.test/attested/app:bad"]).await.assert(3, &["not attested"]);
}

#[tokio::test]
async fn what_cannot_be_decided_or_is_not_there_is_neither_yes_nor_no() {
    let ci = Ci::new().await;
    let image = Image::new().layer("one").build();
    ci.upstream.push("signed/app", "1", &image);
    ci.verify(&["up.test/signed/app:2"]).await.assert(2, &["says that there is no such image"]);
    ci.upstream.fault(".sig", Fault::Status(500));
    let ran = ci.verify(&["up.test/signed/app:1"]).await;
    ran.assert(2, &["verdict    UNDECIDED", "could not get the signatures"]);
    ci.upstream.go_away();
    let ran = ci.verify(&["up.test/signed/app:1", "--json"]).await;
    assert_eq!((ran.code, ran.lines()[0]["verdict"].as_str()), (2, Some("undecided")), "{ran:?}");
}

#[tokio::test]
async fn of_several_images_each_is_one_line_of_json_and_the_worst_counts() {
    let ci = Ci::new().await;
    let digest = ci.upstream.push("signed/app", "1", &Image::new().layer("one").build());
    let signature = ci.signer.simple_signing("up.test/signed/app", &digest);
    ci.upstream.attach_by_sig_tag("signed/app", &digest, &signature);
    ci.upstream.push("signed/bare", "1", &Image::new().layer("two").build());
    let (good, absent) = ("up.test/signed/app:1", "up.test/signed/none:1");
    let ran = ci.verify(&["--json", good, absent, "up.test/signed/bare:1"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    let lines = ran.lines();
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["admit", "absent", "deny"]);
    assert_eq!((&lines[0]["target"], &lines[0]["digest"]), (&json!(good), &json!(digest)));
    assert_eq!(lines[2]["reasons"][0]["code"], "unsigned");
    ran.assert(3, &["3 images: 1 admitted, 1 denied, 0 waiting for an approval, 1 undecided"]);
    assert_eq!(ci.verify(&[good, absent]).await.code, 2);
    assert_eq!(ci.verify(&[good, good]).await.code, 0);
}

#[tokio::test]
async fn a_registry_is_asked_as_the_settings_say_and_no_other_is() {
    let ci = Ci::new().await;
    let image = Image::new().layer("one").build();
    ci.upstream.push("lib/app", "1", &image);
    let by_address = format!("{}/lib/app:1", ci.upstream.host());
    ci.verify(&[&by_address]).await.assert(0, &["verdict    ADMIT"]);
    ci.upstream.clear_requests();
    let ran = ci.verify(&["other.test/lib/app:1"]).await;
    ran.assert(64, &["registry other.test is not known", "[[upstream]]"]);
    // Nothing has to be known about what no rule speaks of.
    ci.verify(&["stranger.test/lib/app:1"]).await.assert(3, &["verdict    DENY"]);
    ci.upstream.assert_untouched();
}

#[tokio::test]
async fn mistakes_are_named_and_nothing_is_asked() {
    let ci = Ci::new().await;
    ci.write(
        "bad.yaml",
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: x, revision: 0}\nrulez: []\n",
    );
    let bad = ci.path("bad.yaml");
    let ran = ci.run(&["up.test/a:1", "--policy", bad.to_str().unwrap()]).await;
    ran.assert(64, &["bad.yaml:", "rulez"]);
    ci.run(&["up.test/a:1", "--policy", "/no/such"]).await.assert(2, &["/no/such"]);
    ci.run(&["up.test/a:1"]).await.assert(64, &["give --policy FILE"]);
    ci.verify(&[]).await.assert(64, &["Usage"]);
    ci.verify(&["up.test/UPPER"]).await.assert(64, &["neither an image nor a folder"]);
    ci.verify(&["up.test/signed/app:1", "--name", "up.test/a"])
        .await
        .assert(64, &["for image layouts"]);
    ci.upstream.assert_untouched();
}

#[tokio::test]
async fn who_is_interrupted_leaves_nothing_behind() {
    let ci = Ci::new().await;
    ci.upstream.push("signed/app", "1", &Image::new().layer("one").build());
    ci.upstream.fault(".sig", Fault::Hold(Gate::closed()));
    let (policy, settings) = (ci.path("policy.yaml"), ci.path("pratique.toml"));
    let mut command = ci.command(&["up.test/signed/app:1"]);
    command.arg("--policy").arg(policy).arg("--config").arg(settings);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(20), ci.upstream.wait_for(".sig", 1));
    asked.await.expect("it asks");
    assert!(std::fs::read_dir(ci.path("tmp")).unwrap().next().is_some());
    let id = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output());
    let ended = ended.await.expect("it ends").unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("not all images were judged"));
    ci.assert_nothing_left();
}

#[tokio::test]
async fn a_scanner_of_the_settings_is_given_the_image_and_what_it_finds_counts() {
    let ci = Ci::new().await;
    let image = crate::scanning::vulnerable();
    ci.upstream.push("app", "1", &image);
    let policy = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: ci, revision: 1}\n\
                  gates: {strict: {deny: [{severity: high}], scanner: {all: [ours]}}}\n\
                  rules: [{id: all, match: [\"up.test/**\"], trust: allow, gates: [strict]}]\n";
    ci.write("policy.yaml", policy);
    // It sees the image that it is asked about, in a layout of its own, and says what it finds.
    let digest = image.digest();
    let report = json!({
        "SchemaVersion": 2,
        "ArtifactName": "app",
        "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "12.8"}},
        "Results": [{
            "Target": "app", "Class": "os-pkgs", "Type": "debian",
            "Packages": [{"ID": "openssl@3.0.11-1", "Name": "openssl", "Version": "3.0.11-1"}],
            "Vulnerabilities": [{
                "VulnerabilityID": "CVE-2026-7", "PkgName": "openssl",
                "InstalledVersion": "3.0.11-1", "FixedVersion": "3.0.14-1",
                "Severity": "CRITICAL", "Status": "fixed",
            }],
        }],
    });
    let updated = pratique::time::Clock::now(&pratique::time::SystemClock);
    let version = json!({
        "Version": "0.76.0", "VulnerabilityDB": {"UpdatedAt": updated.to_string()},
    });
    let layer = image.layer(0).hex();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *version*) cat <<'EOF'\n{version}\nEOF\nexit;; esac\n\
         for it; do case \"$it\" in --input=*) layout=${{it#--input=}};; esac; done\n\
         grep -q {} \"$layout/index.json\" && [ -s \"$layout/blobs/sha256/{layer}\" ] || exit 9\n\
         cat <<'EOF'\n{report}\nEOF\n",
        digest.hex()
    );
    let program = ci.path("scanner");
    crate::adapters::write_program(&program, &script);
    let settings = std::fs::read_to_string(ci.path("pratique.toml")).unwrap();
    let adapter =
        format!("[[scan.adapter]]\nname = \"ours\"\nkind = \"trivy\"\nprogram = {program:?}\n");
    ci.write("pratique.toml", &(settings + &adapter));
    let ran = ci.verify(&["up.test/app:1"]).await;
    ran.assert(3, &["Trivy 0.76.0: 1 critical found, 1 of them refused", "except CVE-2026-7."]);
}

#[tokio::test]
async fn what_gates_ask_of_configurations_is_judged() {
    let ci = Ci::new().await;
    let policy = std::fs::read_to_string(ci.path("policy.yaml")).unwrap();
    let gates = "gates: {strict: {user: {nonRoot: true}, exposedPorts: {deny: [22]}}}\nrules:\n\
                 - {id: strict, match: [\"up.test/strict/**\"], trust: allow, gates: [strict]}\n";
    ci.write("policy.yaml", &policy.replace("rules:\n", gates));
    for (tag, config, code, expected) in [
        ("1", json!({"User": "app"}), 0, "config     pass"),
        (
            "2",
            json!({"ExposedPorts": {"22/tcp": {}}}),
            3,
            "FAIL                 runs as root: its configuration has no USER; port 22/tcp",
        ),
    ] {
        let config = json!({"os": "linux", "architecture": "amd64", "config": config}).to_string();
        let image = Image::new().config(MediaType::OCI_CONFIG, config).layer(tag).build();
        ci.upstream.push("strict/app", tag, &image);
        ci.verify(&[&format!("up.test/strict/app:{tag}")]).await.assert(code, &[expected]);
        assert_eq!(ci.upstream.count(&image.layer(0).to_string()), 0, "no layer was fetched");
    }
}
