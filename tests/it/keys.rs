//! Keys that count for a while, and what happens to their images as time goes by.

use std::time::Duration;

use pratique::time::{Clock as _, Timestamp};
use serde_json::json;

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::Image;

const SIGNED: &str = "lib/app";
const ATTESTED: &str = "lib/said";

/// Rules for images that `team` signed, and for those that it attested something about.
fn policy(team: &Signer, window: &str) -> String {
    let pem = team.policy_pem();
    format!(
        "signers:\n  team:\n    key:\n      {window}\n      pem: |\n{}    transparencyLog: none\n\
         rules:\n\
         - {{id: signed, match: [\"up.test/lib/app\"], trust: allow, \
           signatures: {{atLeast: 1, of: [team]}}}}\n\
         - {{id: said, match: [\"up.test/lib/said\"], trust: allow, \
           attestations: [{{type: spdx, signers: [team]}}]}}\n",
        pem.replace("      ", "        ")
    )
}

#[tokio::test]
async fn images_are_served_while_the_key_counts_that_vouches_for_them() {
    let team = Signer::generate();
    let start: Timestamp = "2026-11-20T11:00:00Z".parse().unwrap();
    let end = start.after(Duration::from_hours(24));
    let window = format!("notBefore: {start}\n      notAfter: {end}");
    let mirror = TestMirror::start_with(&policy(&team, &window), |_| {}).await;
    assert_eq!(start.since(mirror.clock.now()), Duration::from_hours(1));
    let image = Image::new().layer("content").build();
    for repository in [SIGNED, ATTESTED] {
        mirror.upstream.push(repository, "1", &image);
    }
    let digest = image.digest();
    let attestation = team.attestation(&image, "https://spdx.dev/Document", &json!({}));
    mirror.upstream.attach_by_fallback_tag(SIGNED, &digest, &team.bundle(&image));
    mirror.upstream.attach_by_fallback_tag(ATTESTED, &digest, &attestation);
    let refused = async || {
        for (repository, text) in [
            (SIGNED, "Denied by rule signed: not signed by team"),
            (ATTESTED, "Denied by rule said: spdx not attested by team"),
        ] {
            let pulled = mirror.pull(repository, "1").await;
            pulled.assert_refused(text);
            let message = pulled.manifest.error()["message"].to_string();
            let why = format!("its key counts only from {start}");
            assert!(message.contains(&why), "{message}");
        }
    };
    refused().await;
    mirror.clock.advance(Duration::from_hours(1));
    for repository in [SIGNED, ATTESTED] {
        mirror.pull(repository, "1").await.assert_complete();
    }
    mirror.clock.advance(Duration::from_hours(23));
    for repository in [SIGNED, ATTESTED] {
        mirror.pull(repository, "1").await.assert_complete();
    }
    // Verdicts end with the key, those in memory too.
    mirror.clock.advance(Duration::from_hours(1));
    refused().await;
}
