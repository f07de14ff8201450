//! A policy that is proposed from what was pulled: it says what is known, proves itself, and changes nothing.

use std::time::Duration;

use pratique::gate::{Gathered, Subject};
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::Desk;
use crate::scanning::{know, openssl, vulnerable};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image};

const PROPOSAL: &str = "/api/v1/policy/proposal";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

macro_rules! fixture {
    ($name:literal) => {
        concat!("../../fixtures/signatures/keyless/", $name)
    };
}

/// What somebody signed whom no policy here names.
fn keyless() -> (Artifact, Artifact) {
    let image = Artifact::existing(
        include_bytes!(fixture!("image-manifest.json")),
        &[
            include_bytes!(fixture!("image-config.json")),
            include_bytes!(fixture!("image-layer.tar")),
        ],
    );
    let bundle = include_str!(fixture!("bundle-rekor1.json"));
    let signature =
        Image::artifact(BUNDLE).layer_of(BUNDLE, bundle.to_owned(), &[]).subject(&image).build();
    (image, signature)
}

/// A desk that watches, and has everything gathered.
async fn watching(team: &Signer) -> Desk {
    let root =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/signatures/keyless/trusted-root.json");
    let policy = format!(
        "mode: audit\nfloor: {{forbidTags: [nightly]}}\n\
         trustRoots: {{corp: {{sigstore: {{trustedRoot: \"file:{root}\"}}}}}}\n\
         signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}\
         rules: [{{id: look, match: [\"up.test/**\"], trust: allow}}]\n\
         expressions:\n- {{id: look, when: \"size(signatures) >= 0 && size(scan.findings) >= 0\", \
         message: it could not be looked into}}\n",
        team.policy_pem()
    );
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    know(&desk.mirror, &[openssl()]).await;
    desk
}

impl Desk {
    /// Pulls an image so many times, and waits until all was gathered about it.
    async fn watched(&self, repository: &str, tag: &str, digest: Digest, times: u32) {
        for _ in 0..times {
            self.mirror.pull(repository, tag).await.assert_complete();
        }
        let name = format!("up.test/{repository}").parse().expect("a name");
        let subject = Subject { name, digest };
        let mut last = None;
        for _ in 0..1000 {
            let record = self.mirror.mirror().ledger().record(&subject).await.expect("a ledger");
            if let Some(record) = &record
                && !record.evidence.signatures.is_not_gathered()
                && matches!(record.evidence.scan, Gathered::Found(_))
                && record.judgement.is_some()
            {
                return;
            }
            last = record;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{subject} was not judged beside: {last:#?}");
    }

    async fn proposal(&self, query: &str) -> Value {
        self.mirror.mirror().ledger().flush().await;
        let reply = self.get(&format!("{PROPOSAL}{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

fn rule<'a>(proposal: &'a Value, id: &str) -> &'a Value {
    let rules = proposal["proposal"]["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["id"] == id).unwrap_or_else(|| panic!("{id}: {proposal:#}"))
}

/// Several repositories, each of another kind.
async fn lived_in(team: &Signer) -> Desk {
    let desk = watching(team).await;
    for (tag, content) in [("1.0.0", "a"), ("1.1.0", "b")] {
        let image = Image::new().layer(content.to_owned()).build();
        let digest = desk.mirror.upstream.push("shop/web", tag, &image);
        desk.mirror.upstream.attach_by_fallback_tag("shop/web", &digest, &team.bundle(&image));
        desk.watched("shop/web", tag, digest, 3).await;
    }
    let digest = desk.mirror.upstream.push("plain/debian", "12", &vulnerable());
    desk.watched("plain/debian", "12", digest, 3).await;
    let (image, signature) = keyless();
    let digest = desk.mirror.upstream.push("lib/app", "2", &image);
    desk.mirror.upstream.attach_by_fallback_tag("lib/app", &digest, &signature);
    desk.watched("lib/app", "2", digest, 3).await;
    let digest = desk.push("rare/tool", "1", "rare");
    desk.watched("rare/tool", "1", digest, 1).await;
    desk
}

#[tokio::test]
async fn what_was_pulled_becomes_a_policy_that_says_what_is_known_of_it() {
    let team = Signer::generate();
    let desk = lived_in(&team).await;
    let before = desk.get("/api/v1/policy").await.json();
    let view = desk.proposal("?days=7&min_pulls=3").await;
    assert_eq!(
        (&view["days"], &view["min_pulls"], &view["truncated"]),
        (&json!(7), &json!(3), &json!(false))
    );

    let shop = rule(&view, "shop-web");
    assert_eq!(
        (&shop["trust"], &shop["signers"], &shop["images"], &shop["tags"]),
        (
            &json!("allow"),
            &json!(["team"]),
            &json!(["up.test/shop/web"]),
            &json!("{semver: \">=1.0.0, <2\"}")
        )
    );
    assert_eq!(
        (&shop["pulled_images"], &shop["pulls"], &shop["nodes"]),
        (&json!(2), &json!(12), &json!(1))
    );
    let debian = rule(&view, "plain-debian");
    assert_eq!((&debian["trust"], &debian["signers"]), (&json!("approve"), &json!([])));
    let why = debian["why"].to_string();
    assert!(
        why.contains("Signed by nobody: 1 of 1.") && why.contains("Worst finding: CVE-2026-1"),
        "{why}"
    );
    // The root is one of the policy; the identity nobody wrote into it.
    let app = rule(&view, "lib-app");
    assert_eq!(
        (&app["trust"], &app["signers"]),
        (&json!("approve"), &json!(["acme-app-release.yml"]))
    );
    assert!(
        app["why"].to_string().contains(
            "https://ci.test/acme/app/release.yml@refs/tags/v1 by https://issuer.test: 1 of 1"
        ),
        "{app}"
    );

    let text = view["proposal"]["policy"].as_str().expect("a policy");
    for expected in [
        "subject: \"https://ci.test/acme/app/release.yml@refs/tags/v1\", subjectType: uri",
        "trustRoots:\n  corp: ",
        "  registries: [\"up.test\"]\n",
        "  forbidTags: [\"nightly\"]\n",
        "signatures: {none: \"none of 1 image that were pulled by",
        "#   up.test/rare/tool: 1 image, 2 pulls\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("mode: audit"), "{text}");
    assert_eq!(view["files"].as_object().map(serde_json::Map::len), Some(1), "the root");
    assert_eq!(desk.get("/api/v1/policy").await.json(), before, "nothing is in force of it");

    // It is put in force, and does what it said.
    let head = text.find("floor:").expect("a floor");
    desk.mirror.set_policy(text.split_at(head).1, 7).await;
    desk.mirror.pull("shop/web", "1.1.0").await.assert_complete();
    desk.mirror.pull("plain/debian", "12").await.assert_refused("Pending approval R-1");
    desk.mirror
        .pull("rare/tool", "1")
        .await
        .assert_refused("Denied: no rule lists up.test/rare/tool");
    let stranger = Image::new().layer("stranger").build();
    desk.mirror.upstream.push("shop/web", "1.2.0", &stranger);
    desk.mirror
        .pull("shop/web", "1.2.0")
        .await
        .assert_refused("Denied by rule shop-web: not signed by team");
}

#[tokio::test]
async fn the_command_prints_a_good_policy_and_what_it_would_do() {
    let team = Signer::generate();
    let desk = lived_in(&team).await;
    desk.mirror.mirror().ledger().flush().await;
    let learned = desk.run(&["policy", "learn"]).await;
    assert_eq!(learned.code, 0, "{learned:?}");
    let file = desk.mirror.folder().join("learned.yaml");
    std::fs::write(&file, &learned.stdout).expect("a file");
    let path = file.to_str().expect("a path");
    let checked = desk.run(&["policy", "check", path]).await;
    assert!(checked.code == 0 && checked.stdout.contains("3 rules"), "{checked:?}");
    for expected in [
        "3 rules, learnt from ",
        "         admit  2 images, 12 pulls\n",
        "          hold  2 images, 12 pulls\n",
        "        refuse  1 image, 2 pulls\n",
        "       pending  up.test/plain/debian:12  6 pulls: rule plain-debian asks for approval",
        "          deny  up.test/rare/tool:1  2 pulls: no rule lists up.test/rare/tool",
    ] {
        assert!(learned.stderr.contains(expected), "{expected}\n{}", learned.stderr);
    }
    let explained = desk.run(&["policy", "learn", "--explain"]).await;
    assert!(explained.stdout.starts_with("RULE "), "{explained:?}");
    assert!(
        explained.stdout.contains("shop-web") && explained.stdout.contains("Asks for team."),
        "{explained:?}"
    );
    let json = desk.run(&["policy", "learn", "--json", "--min-pulls", "1"]).await.json();
    assert_eq!(json["proposal"]["rules"].as_array().map(Vec::len), Some(4), "{json}");
    assert_eq!(json["proof"]["after"]["admitted"], json!({"images": 2, "pulls": 12}));
    let wrong = desk.run(&["policy", "learn", "--days", "0"]).await;
    assert_eq!(wrong.code, 64, "{wrong:?}");
}

#[tokio::test]
async fn what_nobody_gathered_is_not_known_and_nobody_is_trusted_for_it() {
    let desk = Desk::start().await;
    desk.push("open/a", "1", "a");
    for _ in 0..3 {
        desk.mirror.pull("open/a", "1").await.assert_complete();
    }
    desk.push("never/b", "1", "b");
    for _ in 0..3 {
        desk.mirror.pull("never/b", "1").await.assert_refused("Denied by rule never");
    }
    let view = desk.proposal("").await;
    let rules = view["proposal"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 1, "what was refused was not pulled: {view:#}");
    assert_eq!((&rules[0]["trust"], &rules[0]["signers"]), (&json!("approve"), &json!([])));
    let why = rules[0]["why"].to_string();
    assert!(why.contains("Signatures not known of 1 of 1: no rule asked for them."), "{why}");
    assert!(why.contains("Not scanned: 1 of 1"), "{why}");
    assert!(!view["proposal"]["policy"].to_string().contains("none:"), "{view}");
    for (query, expected) in [("?days=0", "days is a number from 1 to 366"), ("?day=1", "day")] {
        let reply = desk.get(&format!("{PROPOSAL}{query}")).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{reply:?}");
        assert!(reply.text().contains(expected), "{}", reply.text());
    }
}
