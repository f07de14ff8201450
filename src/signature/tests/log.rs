//! Transparency logs of the tests' own, and trust roots that list them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::forger::{Forger, pem};
use crate::signature::TrustRoot;

/// A log that writes down whatever it is told, each in a tree of its own.
pub(super) struct Log {
    pair: Forger,
    url: &'static str,
}

impl Log {
    pub(super) fn new(url: &'static str) -> Self {
        Self { pair: Forger::p256(), url }
    }

    pub(super) fn id(&self) -> Vec<u8> {
        Sha256::digest(self.pair.spki()).to_vec()
    }

    /// The log as a trust root lists it.
    pub(super) fn trusted(&self) -> Value {
        self.trusted_as(&self.id())
    }

    pub(super) fn trusted_as(&self, id: &[u8]) -> Value {
        json!({
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(self.pair.spki()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": STANDARD.encode(id)},
        })
    }

    /// An entry for `body`, promised at `at` (seconds), and proven.
    pub(super) fn entry(&self, body: &[u8], at: i64) -> Value {
        let read: Value = serde_json::from_slice(body).unwrap();
        let root = STANDARD.encode(Sha256::digest([&[0], body].concat()));
        let note = format!("{} - 1\n1\n{root}\n", self.url);
        let signed = [&self.id()[..4], &self.pair.sign(note.as_bytes())].concat();
        let promise = json!({
            "body": STANDARD.encode(body), "integratedTime": at, "logID": hex::encode(self.id()),
            "logIndex": 0,
        });
        json!({
            "logIndex": "0",
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": read["kind"], "version": read["apiVersion"]},
            "integratedTime": at.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": STANDARD.encode(self.pair.sign(promise.to_string().as_bytes())),
            },
            "inclusionProof": {
                "logIndex": "0", "rootHash": root, "treeSize": "1", "hashes": [],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} {} {}\n", self.url, STANDARD.encode(signed))},
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }
}

/// What Rekor writes down of a bundle that `signer` made.
pub(super) fn body_of(bundle: &Value, signer: &Forger) -> Vec<u8> {
    let envelope = &bundle["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let hash =
        |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(Sha256::digest(bytes))});
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": hash(envelope.to_string().as_bytes()),
            "payloadHash": hash(&payload),
            "signatures": [{
                "signature": envelope["signatures"][0]["sig"],
                "verifier": STANDARD.encode(pem("PUBLIC KEY", &signer.spki())),
            }],
        },
    });
    body.to_string().into_bytes()
}

/// A trust root of `logs` alone.
pub(super) fn root_of(logs: &[Value]) -> TrustRoot {
    TrustRoot::from_json(&root_json(logs)).unwrap()
}

pub(super) fn root_json(logs: &[Value]) -> String {
    let kind = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
    json!({"mediaType": kind, "tlogs": logs}).to_string()
}
