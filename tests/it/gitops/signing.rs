//! Somebody with a key, and a desk whose policy asks them for files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::mirror::approval_file::{ApprovalFile, Draft, Said, Word};
use pratique::oci::Digest;
use pratique::signature::SigningKey;
use pratique::time::Clock as _;
use serde_json::Value;

use crate::admin::Desk;
use crate::support::mirror::TestMirror;

/// A private key, as a file has it.
pub(super) fn new_key() -> String {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    let text = BASE64_STANDARD.encode(der.expect("a key").as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// The signer `name` with the public half of `key`, as a policy has it.
pub(super) fn signer_of(name: &str, key: &str) -> String {
    let public = SigningKey::from_pem(key).expect("a key").public().base64();
    format!(
        "  {name}:\n    transparencyLog: none\n    key:\n      pem: |\n        -----BEGIN PUBLIC KEY-----\n        \
         {public}\n        -----END PUBLIC KEY-----\n"
    )
}

/// A desk whose policy asks two of alice and bob; carol has a key and is not asked, mallory has none there.
pub(super) struct Office {
    pub(super) desk: Desk,
    pub(super) keys: Vec<(&'static str, String)>,
}

pub(super) const TWO: &str = "approvers: [\"signer:alice\", \"signer:bob\"], quorum: 2";

impl Office {
    pub(super) async fn open() -> Self {
        Self::open_with(TWO).await
    }

    pub(super) async fn open_with(approval: &str) -> Self {
        let keys: Vec<_> =
            ["alice", "bob", "carol", "mallory"].map(|name| (name, new_key())).into();
        let policy = policy(&keys, approval);
        let mirror = TestMirror::start_with(&policy, |settings| {
            let folder = settings.data_dir.parent().expect("a folder").join("approvals");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("README.md"), "ours").expect("a file");
            settings.approvals = Some(folder);
        });
        Self { desk: Desk::of(mirror.await), keys }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.desk.mirror.folder().join("approvals")
    }

    pub(super) fn policy(&self, approval: &str) -> String {
        policy(&self.keys, approval)
    }

    /// The same without the key of `name`.
    pub(super) fn policy_without(&self, name: &str, approval: &str) -> String {
        let left: Vec<_> = self.keys.iter().filter(|(it, _)| *it != name).cloned().collect();
        policy(&left, approval)
    }

    pub(super) fn key(&self, name: &str) -> SigningKey {
        let (_, pem) = self.keys.iter().find(|(it, _)| *it == name).expect("somebody");
        SigningKey::from_pem(pem).expect("a key")
    }

    /// An image that waits as R-1.
    pub(super) async fn waiting(&self) -> Digest {
        let digest = self.desk.push("app", "1", "content");
        self.refused("Pending approval R-1").await;
        digest
    }

    pub(super) async fn refused(&self, phrase: &str) {
        self.desk.mirror.pull("app", "1").await.assert_refused(phrase);
    }

    pub(super) async fn draft(&self, target: &str) -> Draft {
        let target = target.replace('@', "%40").replace('/', "%2F").replace(':', "%3A");
        let reply = self.desk.get(&format!("/api/v1/approval-draft?target={target}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        Draft::parse(&reply.body).expect("a draft")
    }

    pub(super) fn word(&self, signer: &str, decision: Said) -> Word {
        let (at, reason) = (self.desk.mirror.clock.now(), format!("{signer} looked at it"));
        Word { decision, signer: signer.to_owned(), at, reason, expires: None }
    }

    pub(super) fn yes(&self, draft: &Draft, signer: &str) -> ApprovalFile {
        draft.sign(self.word(signer, Said::Approve), &self.key(signer)).expect("a file")
    }

    /// Puts `text` into the folder at once, as a checkout does.
    pub(super) fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let (aside, to) = (self.desk.mirror.folder().join("aside"), self.folder().join(name));
        fs::write(&aside, text).expect("a file");
        fs::rename(aside, to).expect("a file");
    }

    pub(super) fn put_yes(&self, draft: &Draft, signer: &str) {
        self.put(&format!("{signer}.json"), self.yes(draft, signer).envelope.text());
    }

    pub(super) fn take(&self, name: &str) {
        fs::remove_file(self.folder().join(name)).expect("a file");
    }

    pub(super) async fn listed(&self) -> Value {
        self.desk.get("/api/v1/approval-files").await.json()
    }

    /// Waits until the list of files satisfies `is`.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.listed().await;
            if is(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {last:#}");
    }

    /// Waits until `file` is in `state`; gives why it is.
    pub(super) async fn until_state(&self, file: &str, state: &str) -> String {
        let found = |list: &Value| {
            let files = list["files"].as_array().cloned().unwrap_or_default();
            files.into_iter().find(|it| it["file"] == file && it["state"] == state)
        };
        let list = self.until(&format!("{file} {state}"), |list| found(list).is_some()).await;
        let file = found(&list).expect("it");
        file["why"].as_str().expect("a reason").to_owned()
    }

    /// Waits until a pull is refused with `phrase`.
    pub(super) async fn until_refused(&self, phrase: &str) {
        for _ in 0..600 {
            let answer = self.desk.mirror.get("app/manifests/1").await;
            if answer.status == 403 && answer.phrase.starts_with(phrase) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not refused with {phrase}");
    }

    pub(super) async fn until_served(&self) {
        for _ in 0..600 {
            if self.desk.mirror.get("app/manifests/1").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not served: {:#}", self.listed().await);
    }

    /// Approves R-1 by the files of alice and bob.
    pub(super) async fn approved(&self) -> Digest {
        let digest = self.waiting().await;
        let draft = self.draft("R-1").await;
        self.put_yes(&draft, "alice");
        self.put_yes(&draft, "bob");
        self.until_served().await;
        digest
    }

    /// What the audit says that was done, by the word for it.
    pub(super) async fn done(&self, action: &str) -> usize {
        let audit = self.desk.get("/api/v1/audit?limit=1000").await.json();
        let records = audit["records"].as_array().expect("records").clone();
        records.iter().filter(|row| row["action"] == action).count()
    }

    pub(super) async fn restart(self, change: impl FnOnce(&Path)) -> Self {
        let folder = self.folder();
        let mirror = Box::pin(self.desk.mirror.restart_after(|_| change(&folder))).await;
        Self { desk: Desk::of(mirror), keys: self.keys }
    }
}

fn policy(keys: &[(&'static str, String)], approval: &str) -> String {
    let known = keys.iter().filter(|(name, _)| *name != "mallory");
    let signers: String = known.map(|(name, key)| signer_of(name, key)).collect();
    format!(
        "signers:\n{signers}approvalPolicies: {{eyes: {{{approval}}}}}\n\
         rules:\n- {{id: asked, match: [\"up.test/**\"], trust: approve, approval: {{policy: eyes}}}}\n"
    )
}
