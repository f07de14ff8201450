//! A transparency log that enters whatever it is told to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::forger::Forger;

pub(in crate::signature) struct Log {
    pub(in crate::signature) key: Forger,
    name: &'static str,
}

/// Where an entry stands in its log, and when it came there.
#[derive(Clone, Copy)]
pub(in crate::signature) struct Place {
    pub(in crate::signature) index: u64,
    pub(in crate::signature) at: i64,
}

impl Log {
    pub(in crate::signature) fn new(name: &'static str) -> Self {
        Self { key: Forger::p256(), name }
    }

    pub(in crate::signature) fn id(&self) -> Vec<u8> {
        Sha256::digest(self.key.spki()).to_vec()
    }

    /// The entry of Rekor 1 with that body: with a promise, and a proof that it stands there.
    pub(in crate::signature) fn entry(
        &self,
        kind: (&str, &str),
        body: &str,
        place: Place,
    ) -> Value {
        let mut entry = self.second_entry(kind, body);
        entry["logIndex"] = json!(place.index.to_string());
        entry["integratedTime"] = json!(place.at.to_string());
        entry["inclusionPromise"] = json!({"signedEntryTimestamp": self.promise(body, place)});
        entry
    }

    /// The entry of Rekor 2 with that body: a proof and no time.
    pub(in crate::signature) fn second_entry(&self, kind: (&str, &str), body: &str) -> Value {
        json!({
            "logIndex": "1",
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": kind.0, "version": kind.1},
            "inclusionProof": self.proof(body),
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    /// The promise to enter `body`, in base64.
    pub(in crate::signature) fn promise(&self, body: &str, place: Place) -> String {
        let (body, Place { index, at }) = (STANDARD.encode(body), place);
        let id = hex::encode(self.id());
        let message = format!(
            r#"{{"body":"{body}","integratedTime":{at},"logID":"{id}","logIndex":{index}}}"#
        );
        STANDARD.encode(self.key.sign(message.as_bytes()))
    }

    /// The proof that `body` is the second of two entries.
    pub(in crate::signature) fn proof(&self, body: &str) -> Value {
        let other = leaf(b"an entry of somebody else");
        let root = Sha256::digest([&[1][..], &other, &leaf(body.as_bytes())].concat());
        json!({
            "logIndex": "1",
            "treeSize": "2",
            "rootHash": STANDARD.encode(root),
            "hashes": [STANDARD.encode(other)],
            "checkpoint": {"envelope": self.checkpoint(2, &root)},
        })
    }

    /// The log's own word for what is in it.
    pub(in crate::signature) fn checkpoint(&self, size: u64, root: &[u8]) -> String {
        let note = format!("{}\n{size}\n{}\n", self.name, STANDARD.encode(root));
        let line = [&self.id()[..4], &self.key.sign(note.as_bytes())].concat();
        format!("{note}\n\u{2014} {} {}\n", self.name, STANDARD.encode(line))
    }
}

fn leaf(body: &[u8]) -> Vec<u8> {
    Sha256::digest([&[0][..], body].concat()).to_vec()
}
