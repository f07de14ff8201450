//! Bills of materials: as referrers of images that were scanned, and by the command line.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use hyper::Method;
use pratique::config::Settings;
use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::oci::Digest;
use serde_json::{Value, json};

use crate::support::archive::{CRITICAL, DEBIAN, debian, record, tar, write_database};
use crate::support::layout::TestLayout;
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image, Index};

const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const SPDX: &str = "application/spdx+json";
const GATED: &str = r#"- {id: a, match: ["up.test/**"], trust: allow, gates: [strict]}"#;

fn policy(gate: &str, floor: &str, rules: &str) -> String {
    format!("gates: {{strict: {{deny: [{{severity: high}}]{gate}}}}}\n{floor}\nrules:\n{rules}\n")
}

async fn mirror(gate: &str, floor: &str) -> TestMirror {
    let policy = policy(gate, floor, GATED);
    // On a busy machine a large image takes longer to read than nodes are held, which is no matter here.
    let patient = |settings: &mut Settings| settings.mirror.hold_timeout = Duration::from_mins(2);
    let mirror = TestMirror::start_with(&policy, patient).await;
    know(&mirror, "CVE-2020-1", "other").await;
    mirror
}

/// Gives the mirror a database that knows something against `package`, and waits until it is in force.
async fn know(mirror: &TestMirror, id: &str, package: &str) {
    let path = mirror.folder().join("vulnerabilities.db");
    let records = [record(id, "Debian:12", package, "9", CRITICAL)];
    write_database(&path, "2026-11-20T09:00:00Z", &records);
    let written = Digest::sha256(&std::fs::read(&path).unwrap());
    for _ in 0..1000 {
        let now = mirror.mirror().scanner().database();
        if now.is_ok_and(|database| database.id().digest == written) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the database did not come into force");
}

fn image() -> Artifact {
    Image::new().layer(debian(&[("openssl", "3.0.13-1"), ("libc6", "2.36-9")])).build()
}

fn decision(mirror: &TestMirror, digest: &Digest) -> Decision {
    Decision {
        subject: Subject { name: "up.test/app".parse().unwrap(), digest: *digest },
        by: "alice".to_owned(),
        reason: "seen".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    }
}

/// What the referrers of `digest` are, each with its type.
async fn referrers(mirror: &TestMirror, digest: &Digest) -> Vec<(String, Digest)> {
    let answer = mirror.get(&format!("app/referrers/{digest}")).await;
    if answer.status != 200 {
        return Vec::new();
    }
    listed(answer.bytes())
}

fn listed(list: &[u8]) -> Vec<(String, Digest)> {
    let list: Value = serde_json::from_slice(list).unwrap();
    let entry = |entry: &Value| {
        let kind = entry["artifactType"].as_str().unwrap_or_default().to_owned();
        (kind, entry["digest"].as_str().unwrap().parse().unwrap())
    };
    list["manifests"].as_array().unwrap().iter().map(entry).collect()
}

/// The bills of `digest`: the manifests of both forms.
async fn bills(mirror: &TestMirror, digest: &Digest) -> Vec<Digest> {
    let listed = referrers(mirror, digest).await;
    let of = |kind: &str| listed.iter().find(|(listed, _)| listed == kind).map(|(_, it)| *it);
    [of(CYCLONEDX), of(SPDX)].into_iter().flatten().collect()
}

/// The bill behind the manifest `digest`, fetched as clients do.
async fn fetched(mirror: &TestMirror, digest: &Digest, of: &Artifact) -> (Digest, Value) {
    let answer = mirror.manifest("app", digest).await;
    assert!(digest.matches(answer.bytes()), "{answer:?}");
    let manifest: Value = serde_json::from_slice(answer.bytes()).unwrap();
    assert_eq!(manifest["subject"]["digest"], of.digest().to_string());
    assert_eq!(manifest["subject"]["size"], of.manifest.len());
    let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
    assert_eq!(mirror.blob("app", &config).await.bytes().as_ref(), b"{}");
    // Clients that show everything ask what refers to it.
    let answer = mirror.get(&format!("app/referrers/{digest}")).await;
    assert_eq!((answer.status, listed(answer.bytes())), (200, Vec::new()));
    let layer = &manifest["layers"][0];
    let layer_digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
    let head = mirror.head(&format!("app/blobs/{layer_digest}")).await;
    assert_eq!((head.status, head.header("content-length")), (200, &*layer["size"].to_string()));
    let blob = mirror.blob("app", &layer_digest).await;
    assert_eq!(blob.status, 200, "{blob:?}");
    assert!(layer_digest.matches(blob.bytes()));
    assert_eq!(layer["size"], blob.bytes().len());
    (layer_digest, serde_json::from_slice(blob.bytes()).unwrap())
}

#[tokio::test]
async fn a_scanned_image_has_both_bills_the_same_however_often_it_is_judged() {
    let mirror = mirror("", "").await;
    let image = image();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    let made = bills(&mirror, &image.digest()).await;
    let [cyclonedx, spdx] = made[..] else { panic!("{made:?}") };
    let (_, bill) = fetched(&mirror, &cyclonedx, &image).await;
    assert_eq!(bill["metadata"]["component"]["name"], "up.test/app");
    let purls: Vec<_> = bill["components"].as_array().unwrap()[1..]
        .iter()
        .map(|component| component["purl"].as_str().unwrap())
        .collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
            "pkg:deb/debian/openssl@3.0.13-1?arch=amd64&distro=debian-12"
        ]
    );
    let (_, document) = fetched(&mirror, &spdx, &image).await;
    assert_eq!(document["packages"].as_array().unwrap().len(), 4);

    // Of one type, where one is asked for.
    let path = |kind: &str| {
        let digest = image.digest();
        format!("/v2/app/referrers/{digest}?ns=up.test&artifactType={kind}")
    };
    for (kind, wanted) in [("application%2Fspdx%2Bjson", vec![spdx]), ("a%2Fother", vec![])] {
        let answer = mirror.ask(Method::GET, &path(kind), &[]).await;
        let digests: Vec<_> = listed(answer.bytes()).into_iter().map(|(_, it)| it).collect();
        assert_eq!(digests, wanted, "{kind}");
    }
    // A new database, and a restart that has forgotten everything but what was learnt.
    know(&mirror, "CVE-2020-2", "another").await;
    mirror.clock.advance(Duration::from_hours(1));
    assert_eq!(bills(&mirror, &image.digest()).await, made);
    let mirror = mirror.restart().await;
    assert_eq!(bills(&mirror, &image.digest()).await, made);
    assert_eq!(fetched(&mirror, &spdx, &image).await.1, document);
}

#[tokio::test]
async fn a_bill_that_gave_way_is_made_again() {
    let mirror = mirror("", "").await;
    let image = image();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    let [cyclonedx, _] = bills(&mirror, &image.digest()).await[..] else { panic!("both bills") };
    let (digest, before) = fetched(&mirror, &cyclonedx, &image).await;
    assert!(mirror.mirror().store().remove(&digest).await.unwrap(), "it was kept");
    assert_eq!(fetched(&mirror, &cyclonedx, &image).await, (digest, before));
}

#[tokio::test]
async fn what_is_not_admitted_or_not_scanned_has_none_and_what_is_revoked_loses_them() {
    let mirror = mirror("", "").await;
    let good = image();
    let bad = Image::new().layer(debian(&[("other", "1")])).build();
    mirror.upstream.push("app", "good", &good);
    mirror.upstream.push("app", "bad", &bad);
    mirror.pull("app", "bad").await.assert_refused("Denied by rule a: CVE-2020-1");
    assert!(referrers(&mirror, &bad.digest()).await.is_empty());
    mirror.pull("app", "good").await.assert_complete();
    let [cyclonedx, _] = bills(&mirror, &good.digest()).await[..] else { panic!("both bills") };
    let (blob, _) = fetched(&mirror, &cyclonedx, &good).await;
    // In another repository it is nobody's.
    assert_eq!(mirror.blob("elsewhere", &blob).await.status, 403);
    assert_ne!(mirror.manifest("elsewhere", cyclonedx).await.status, 200);

    mirror.mirror().ledger().revoke(decision(&mirror, &good.digest())).await.unwrap();
    assert!(referrers(&mirror, &good.digest()).await.is_empty());
    assert_ne!(mirror.manifest("app", cyclonedx).await.status, 200);
    assert_eq!(mirror.blob("app", &blob).await.status, 403, "although the store has it");

    let open = r#"- {id: open, match: ["up.test/**"], trust: allow}"#;
    let unscanned = TestMirror::start_with(&policy("", "", open), |_| {}).await;
    unscanned.upstream.push("app", "1", &good);
    unscanned.pull("app", "1").await.assert_complete();
    assert_eq!(referrers(&unscanned, &good.digest()).await.len(), 1, "the summary");
}

#[tokio::test]
async fn of_an_index_each_image_that_was_scanned_has_its_own_and_they_fall_with_the_index() {
    let mirror = mirror("", "floor: {platforms: [linux/amd64, linux/arm64]}").await;
    let of = |platform: &str, version: &str| {
        let layer = debian(&[("openssl", version)]);
        Image::new().platform(platform).layer(layer).build()
    };
    let [amd64, arm64, other] =
        [of("linux/amd64", "3.1-1"), of("linux/arm64", "3.2-1"), of("linux/s390x", "3.3-1")];
    let index = Index::new().child(amd64.clone()).child(arm64.clone()).child(other.clone());
    let index = index.build();
    mirror.upstream.push("app", "1", &index);
    assert_eq!(mirror.manifest("app", "1").await.status, 200);
    // Which image would the one of the index be of?
    assert!(bills(&mirror, &index.digest()).await.is_empty());
    assert!(bills(&mirror, &other.digest()).await.is_empty(), "it was not scanned");
    let mut made = Vec::new();
    for (image, version, platform) in
        [(&amd64, "3.1-1", "linux/amd64"), (&arm64, "3.2-1", "linux/arm64")]
    {
        let [cyclonedx, _] = bills(&mirror, &image.digest()).await[..] else {
            panic!("both bills of {platform}")
        };
        let (blob, bill) = fetched(&mirror, &cyclonedx, image).await;
        assert_eq!(bill["components"][1]["version"], version);
        let component = &bill["metadata"]["component"];
        assert_eq!(component["version"], image.digest().to_string());
        assert_eq!(component["properties"][0]["value"], platform);
        made.push((cyclonedx, blob));
    }
    // One child that people refuse, and then the index.
    let revoked = async |digest: &Digest| {
        mirror.mirror().ledger().revoke(decision(&mirror, digest)).await.unwrap();
    };
    revoked(&arm64.digest()).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for (manifest, blob) in &made {
            statuses.push(mirror.manifest("app", manifest).await.status == 200);
            statuses.push(mirror.blob("app", blob).await.status == 200);
        }
        statuses
    };
    assert_eq!(statuses().await, [true, true, false, false]);
    revoked(&index.digest()).await;
    assert_eq!(statuses().await, [false; 4]);
    assert!(bills(&mirror, &amd64.digest()).await.is_empty());
}

#[tokio::test]
async fn an_image_that_could_not_be_read_completely_has_a_bill_that_says_so() {
    let mirror = mirror(", incomplete: allow", "").await;
    let image = Image::new().layer(debian(&[("openssl", "3.1-1")])).layer(vec![0x42; 4096]).build();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    let [cyclonedx, spdx] = bills(&mirror, &image.digest()).await[..] else { panic!("both bills") };
    let (_, bill) = fetched(&mirror, &cyclonedx, &image).await;
    assert_eq!(bill["compositions"][0]["aggregate"], "incomplete");
    let (_, document) = fetched(&mirror, &spdx, &image).await;
    assert!(document["comment"].as_str().unwrap().contains("could not be read completely"));
}

#[tokio::test]
async fn a_bill_that_is_too_large_is_not_served_and_takes_nothing_else_along() {
    let mirror = mirror("", "").await;
    // Some 40 MB of it, from names that package URLs have to encode.
    let name = "+".repeat(250);
    let names: Vec<String> = (0..30_000).map(|number| format!("{number}{name}")).collect();
    let packages: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let image = Image::new().layer(debian(&packages)).build();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    assert_eq!(referrers(&mirror, &image.digest()).await.len(), 1, "the summary alone");
}

/// A mirror whose gate takes bills of materials by `team`, and that key.
async fn taking(gate: &str) -> (TestMirror, Signer) {
    let team = Signer::generate();
    let pem = team.policy_pem().replace('\n', "\n  ");
    let signers = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n      pem: |\n  {}\n",
        pem.trim_end()
    );
    let gate = format!(", sbom: {{from: [team]}}{gate}");
    let policy = format!("{signers}{}", policy(&gate, "", GATED));
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    know(&mirror, "CVE-2020-1", "other").await;
    (mirror, team)
}

fn says(urls: &[&str]) -> Value {
    let component = |url: &&str| json!({"type": "library", "name": "x", "purl": url});
    let components: Vec<_> = urls.iter().map(component).collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
}

const BOM: &str = "https://cyclonedx.org/bom";

#[tokio::test]
async fn what_a_signed_bill_lists_is_judged_as_what_the_scan_finds() {
    let (mirror, team) = taking("").await;
    let image = image();
    mirror.upstream.push("app", "1", &image);
    let bill = says(&["pkg:deb/debian/other@1?arch=amd64&distro=debian-12"]);
    let attestation = team.attestation(&image, BOM, &bill);
    mirror.upstream.attach_by_fallback_tag("app", &image.digest(), &attestation);
    let pulled = mirror.pull("app", "1").await;
    pulled.assert_refused("Denied by rule a: CVE-2020-1 in other 1, fixed in 9, listed by team");
    assert_eq!(mirror.blob("app", &image.layer(0)).await.status, 403);
}

#[tokio::test]
async fn what_nobody_signed_or_somebody_else_adds_nothing() {
    let (mirror, team) = taking("").await;
    let image = image();
    let other = Image::new().layer(debian(&[("bash", "5")])).build();
    mirror.upstream.push("app", "1", &image);
    let bill = says(&["pkg:deb/debian/other@1"]);
    for attestation in [
        Signer::generate().attestation(&image, BOM, &bill),
        // Of another image, and attached to this one.
        team.attestation(&other, BOM, &bill),
        Image::artifact(CYCLONEDX)
            .layer_of(CYCLONEDX, bill.to_string(), &[])
            .subject(&image)
            .build(),
    ] {
        mirror.upstream.attach_by_fallback_tag("app", &image.digest(), &attestation);
    }
    mirror.pull("app", "1").await.assert_complete();
    let desk = pratique::mirror::desk::Desk::new(mirror.mirror().clone());
    let explained = desk.explain(&format!("up.test/app@{}", image.digest())).await.unwrap();
    let explained = serde_json::to_string(&explained).unwrap();
    assert!(explained.contains("no bill of materials by [team]; not used: "), "{explained}");
}

#[tokio::test]
async fn a_signed_bill_answers_for_an_image_without_a_list_and_for_nothing_else() {
    let noise = vec![0x42; 4096];
    let stripped = || Image::new().layer(tar(&[("etc/os-release", DEBIAN)]));
    let listed = says(&["pkg:deb/debian/openssl@3.0.13-1"]);
    let unlisted = says(&["pkg:npm/left-pad@1"]);
    for (image, bill, refused) in [
        (stripped(), None, Some("nothing is known about the packages of")),
        (stripped(), Some(&listed), None),
        (stripped(), Some(&unlisted), Some("nothing is known about the packages of")),
        // It makes nothing whole that could not be read.
        (stripped().layer(noise), Some(&listed), Some("could not be read completely")),
    ] {
        let (mirror, team) = taking("").await;
        let image = image.build();
        mirror.upstream.push("app", "1", &image);
        if let Some(bill) = bill {
            let attestation = team.attestation(&image, BOM, bill);
            mirror.upstream.attach_by_fallback_tag("app", &image.digest(), &attestation);
        }
        let pulled = mirror.pull("app", "1").await;
        match refused {
            None => pulled.assert_complete(),
            Some(why) => {
                assert_eq!(pulled.manifest.status, 403, "{why}");
                assert!(pulled.manifest.phrase.contains(why), "{}", pulled.manifest.phrase);
            }
        }
    }
}

#[tokio::test]
async fn what_a_bill_lists_is_compared_again_with_a_new_database() {
    let (mirror, team) = taking(", onNewFinding: revoke").await;
    let image = image();
    mirror.upstream.push("app", "1", &image);
    let bill = says(&["pkg:deb/debian/curl@7.88-1"]);
    // As cosign 2 attaches it.
    let tag = format!("sha256-{}.att", image.digest().hex());
    mirror.upstream.push("app", &tag, &team.attached(&image.digest(), BOM, &bill));
    mirror.pull("app", "1").await.assert_complete();
    mirror.upstream.go_away();
    know(&mirror, "CVE-2026-7", "curl").await;
    for _ in 0..500 {
        if mirror.manifest("app", image.digest()).await.status == 403 {
            let answer = mirror.manifest("app", image.digest()).await;
            assert!(answer.phrase.contains("CVE-2026-7 in curl 7.88-1"), "{}", answer.phrase);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it was not compared again");
}

#[tokio::test]
async fn a_component_that_cannot_be_read_is_unknown_and_denied() {
    for (gate, status) in [("", 403), (", unknown: allow", 200)] {
        let (mirror, team) = taking(gate).await;
        let image = image();
        mirror.upstream.push("app", "1", &image);
        let attestation = team.attestation(&image, BOM, &says(&["pkg:generic/thing@1"]));
        mirror.upstream.attach_by_fallback_tag("app", &image.digest(), &attestation);
        let answer = mirror.manifest("app", "1").await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 403 {
            assert!(
                answer.phrase.contains("nothing is known about pkg:generic/thing@1"),
                "{answer:?}"
            );
        }
    }
}

/// What `pratique sbom` did, with nothing but `folder` to write to.
async fn sbom(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    command.arg("sbom").args(arguments).env("TMPDIR", folder).current_dir(folder);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test]
async fn the_command_writes_either_form_of_a_layout_and_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = TestLayout::new();
    layout.add("1", &image());
    let word = layout.word();
    let at = ["--created", "2026-11-20T09:00:00Z"];
    for (format, pointer) in [("cyclonedx", "/components/2/purl"), ("spdx", "/packages/3/name")] {
        let arguments = [&[&*word, "--format", format], &at[..]].concat();
        let (code, stdout, stderr) = sbom(folder.path(), &arguments).await;
        assert_eq!((code, stderr.as_str()), (0, ""), "{format}");
        let bill: Value = serde_json::from_str(&stdout).unwrap();
        assert!(bill.pointer(pointer).unwrap().to_string().contains("openssl"), "{bill}");
        assert!(stdout.contains("2026-11-20T09:00:00Z") && !stdout.contains("layout.invalid"));
        assert_eq!(sbom(folder.path(), &arguments).await.1, stdout);
        let into = [&arguments[..], &["-o", "bill.json"]].concat();
        assert_eq!(sbom(folder.path(), &into).await, (0, String::new(), String::new()));
        assert_eq!(std::fs::read_to_string(folder.path().join("bill.json")).unwrap(), stdout);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is left but the file");
    let (code, _, stderr) = sbom(folder.path(), &[&word, "-o", "no/such/folder"]).await;
    assert_eq!((code, stderr.contains("no/such/folder was not written")), (1, true), "{stderr}");
}

#[tokio::test]
async fn the_command_wants_one_image_and_says_what_could_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let of = |platform: &str| {
        let package = platform.replace('/', "-");
        Image::new().platform(platform).layer(debian(&[(&package, "1")])).build()
    };
    let mut layout = TestLayout::new();
    let index = Index::new().child(of("linux/amd64")).child(of("linux/arm/v6"));
    layout.add("1", &index.child(of("linux/arm/v7")).build());
    let word = layout.word();
    let (code, stdout, _) = sbom(folder, &[&word, "--platform", "linux/arm/v7"]).await;
    assert_eq!((code, stdout.contains("linux/arm/v7")), (0, true), "{stdout}");
    for (platform, code, expected) in [
        ("linux/s390x", 2, "lists no image for the platform"),
        ("linux/arm", 64, "several images for that platform: linux/arm/v6, linux/arm/v7"),
        ("linux", 64, "os/architecture"),
    ] {
        let (is, stdout, stderr) = sbom(folder, &[&word, "--platform", platform]).await;
        assert_eq!((is, stdout.as_str()), (code, ""), "{platform}: {stderr}");
        assert!(stderr.contains(expected), "{platform}: {stderr}");
    }
    let mut single = TestLayout::new();
    single.add("1", &of("linux/arm64"));
    assert_eq!(sbom(folder, &[&single.word()]).await.0, 0, "a single image is what it is");
    let (code, _, stderr) = sbom(folder, &[&single.word(), "--platform", "linux/amd64"]).await;
    assert_eq!((code, stderr.contains("is for linux/arm64")), (2, true), "{stderr}");

    let mut holed = TestLayout::new();
    holed.add("1", &Image::new().layer(tar(&[("etc/os-release", DEBIAN)])).layer("noise").build());
    let (code, stdout, stderr) = sbom(folder, &[&holed.word()]).await;
    assert_eq!((code, stdout.contains("\"incomplete\"")), (3, true), "{stdout}");
    assert!(stderr.contains("could not be read, which the bill tells"), "{stderr}");
    assert_eq!(sbom(folder, &[&holed.word(), "--allow-incomplete"]).await.0, 0);
    let mut chart = TestLayout::new();
    chart.add("1", &Image::artifact("application/vnd.cncf.helm.config.v1+json").layer("x").build());
    let (code, stdout, stderr) = sbom(folder, &[&chart.word()]).await;
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("is no image"), "{stderr}");
    assert_eq!(sbom(folder, &["no image at all"]).await.0, 64);
}
