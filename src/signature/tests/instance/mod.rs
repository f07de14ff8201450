//! A throw-away Sigstore instance that does whatever it is told to: authorities, a log of
//! certificates, two transparency logs and a clock.

pub(in crate::signature) mod certificate;
pub(in crate::signature) mod clock;
pub(in crate::signature) mod der;
pub(in crate::signature) mod log;

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::forger::{Forger, STATEMENT, pae, payload, pem, statement, subject};
use crate::oci::Digest;
use crate::signature::{
    FoundSignature, Identity, Material, Refusal, Signer, SimpleSigningProof, SubjectKind,
    TrustRoot, Wanted,
};
use crate::time::Timestamp;
use certificate::{Authority, CODE_SIGNING, Draft, uri};
use clock::{Stamp, TIMESTAMP_INFO};
use log::{Log, Place};

/// When everything here is signed, in seconds since 1970: in November 2023.
pub(in crate::signature) const SIGNED: i64 = 1_700_000_000;
pub(in crate::signature) const DAY: i64 = 24 * 60 * 60;
pub(in crate::signature) const WHO: &str = "https://ci.test/acme/app/release.yml@refs/tags/v1";
pub(in crate::signature) const ISSUER: &str = "https://issuer.test";
/// How long authorities are valid, and signers.
pub(in crate::signature) const LONG: (i64, i64) = (SIGNED - 1_000 * DAY, SIGNED + 1_000 * DAY);
pub(in crate::signature) const SHORT: (i64, i64) = (SIGNED - 60, SIGNED + 540);
/// Where signatures are entered.
pub(in crate::signature) const PLACE: Place = Place { index: 4711, at: SIGNED };

pub(in crate::signature) struct Instance {
    pub(in crate::signature) root: Authority,
    /// The authority that issues certificates to signers.
    pub(in crate::signature) between: Authority,
    pub(in crate::signature) certificates: Forger,
    pub(in crate::signature) rekor: Log,
    pub(in crate::signature) second: Log,
    pub(in crate::signature) clock_root: Authority,
    pub(in crate::signature) clock: Authority,
}

/// A statement that somebody signed, with a certificate.
pub(in crate::signature) struct Signed {
    pub(in crate::signature) key: Forger,
    pub(in crate::signature) certificate: Vec<u8>,
    pub(in crate::signature) payload: String,
    pub(in crate::signature) signature: Vec<u8>,
}

/// A signer as everybody here knows them.
pub(in crate::signature) fn signer() -> Draft {
    Draft::signer(&[uri(WHO)], ISSUER, SHORT)
}

impl Instance {
    pub(in crate::signature) fn new() -> Self {
        Self::with(LONG, LONG)
    }

    /// One whose root and intermediate authority are valid only then.
    pub(in crate::signature) fn with(root: (i64, i64), between: (i64, i64)) -> Self {
        let root = Draft::authority("root", root, None).root();
        let between =
            Draft::authority("between", between, Some(0)).purposes(&[CODE_SIGNING]).below(&root);
        let clock_root = Draft::authority("clock root", LONG, None).root();
        let clock = Draft::clock(certificate::common_name("clock"), LONG).below(&clock_root);
        Self {
            root,
            between,
            certificates: Forger::p256(),
            rekor: Log::new("rekor.test"),
            second: Log::new("log.test"),
            clock_root,
            clock,
        }
    }

    /// What people trust who trust this instance.
    pub(in crate::signature) fn trusted(&self) -> Value {
        let key = |key: &Forger| {
            json!({
                "baseUrl": "https://log.test",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.spki()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": "2020-01-01T00:00:00Z"},
                },
                "logId": {"keyId": STANDARD.encode(Sha256::digest(key.spki()))},
            })
        };
        let chain = |chain: &[&Authority]| {
            let raw = |it: &&Authority| json!({"rawBytes": STANDARD.encode(&it.certificate)});
            json!({
                "subject": {"organization": "test", "commonName": "test"},
                "uri": "https://authority.test",
                "certChain": {"certificates": chain.iter().map(raw).collect::<Vec<_>>()},
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [key(&self.rekor.key), key(&self.second.key)],
            "ctlogs": [key(&self.certificates)],
            "certificateAuthorities": [chain(&[&self.between, &self.root])],
            "timestampAuthorities": [chain(&[&self.clock, &self.clock_root])],
        })
    }

    /// The signer everybody here knows, for those who trust this instance.
    pub(in crate::signature) fn wanted(&self) -> Signer {
        wanted(&self.trusted())
    }

    /// The image signature of the signer everybody here knows.
    pub(in crate::signature) fn sign(&self) -> Signed {
        self.sign_by(&signer())
    }

    /// The image signature of somebody with this certificate, issued and logged as it should be.
    pub(in crate::signature) fn sign_by(&self, draft: &Draft) -> Signed {
        self.sign_statement(draft, &statement(&subject()).to_string())
    }

    pub(in crate::signature) fn sign_statement(&self, draft: &Draft, statement: &str) -> Signed {
        let key = Forger::p256();
        let certificate = draft.logged(&key, &self.between, &self.certificates, SIGNED);
        Signed::new(key, certificate, statement)
    }

    /// The token of the clock for `signature`.
    pub(in crate::signature) fn stamp(&self, signature: &[u8], at: i64) -> Vec<u8> {
        Stamp { at, ..self.stamped(signature) }.token()
    }

    /// What the clock puts into a token for `signature`.
    pub(in crate::signature) fn stamped<'a>(&'a self, signature: &'a [u8]) -> Stamp<'a> {
        Stamp {
            signer: &self.clock,
            issuer: &self.clock_root.name,
            serial: 1,
            seen: signature,
            at: SIGNED,
            kind: TIMESTAMP_INFO,
            bound: &self.clock.certificate,
            brings: vec![self.clock.certificate.clone()],
        }
    }

    /// The entry of Rekor 1 for `signed`, of the kind `dsse`.
    pub(in crate::signature) fn entry(&self, signed: &Signed) -> Value {
        self.rekor.entry(("dsse", "0.0.1"), &signed.dsse(), PLACE)
    }

    /// The entry of Rekor 2 for `signed`.
    pub(in crate::signature) fn second_entry(&self, signed: &Signed) -> Value {
        self.second.second_entry(("hashedrekord", "0.0.2"), &signed.hashed())
    }

    /// The bundles of `signed` that must count, each with its name: all kinds of entries.
    pub(in crate::signature) fn good(&self, signed: &Signed) -> Vec<(&'static str, Value)> {
        let stamp = self.stamp(&signed.signature, SIGNED);
        let intoto = self.rekor.entry(("intoto", "0.0.2"), &signed.intoto(), PLACE);
        vec![
            ("rekor 1", signed.bundle(&[self.entry(signed)], &[])),
            ("rekor 1 with a timestamp", signed.bundle(&[self.entry(signed)], &[stamp.clone()])),
            ("rekor 1, intoto", signed.bundle(&[intoto], &[])),
            ("rekor 2", signed.bundle(&[self.second_entry(signed)], &[stamp])),
        ]
    }
}

/// The signer everybody here knows, for those who trust `root`.
pub(in crate::signature) fn wanted(root: &Value) -> Signer {
    let exact = |text: &str| Wanted::Exact(text.to_owned());
    let identity = Identity { issuer: exact(ISSUER), subject: exact(WHO), kind: SubjectKind::Uri };
    Signer::keyless(trust(root), identity)
}

/// The holder of `key`, logged, for those who trust `root`.
pub(in crate::signature) fn logged(key: &Forger, root: &Value) -> Signer {
    Signer::logged_key(key.key(), trust(root))
}

pub(in crate::signature) fn trust(root: &Value) -> TrustRoot {
    TrustRoot::from_json(&root.to_string()).unwrap()
}

/// What `signer` makes of a bundle about the image of everybody here.
pub(in crate::signature) fn outcome(bundle: &Value, signer: &Signer) -> Result<String, Refusal> {
    let found = super::forger::bundled(bundle);
    let name = super::forger::name();
    let proof = signer.verify(&found, &name, &subject(), Timestamp::from_milliseconds(0));
    proof.map(|proof| proof.by)
}

/// Checks that an outcome is a refusal that says `why`.
#[track_caller]
pub(in crate::signature) fn assert_refused<T: Debug>(outcome: Result<T, Refusal>, why: &str) {
    match outcome {
        Err(refusal) => assert!(refusal.to_string().contains(why), "{refusal}, not {why}"),
        Ok(proof) => panic!("accepted: {proof:?}, not {why}"),
    }
}

impl Signed {
    /// `payload`, a statement, signed with `key`.
    pub(in crate::signature) fn new(key: Forger, certificate: Vec<u8>, payload: &str) -> Self {
        let signature = key.sign(&pae(STATEMENT, payload));
        Self { key, certificate, payload: payload.to_owned(), signature }
    }

    fn verifier(&self) -> String {
        STANDARD.encode(pem("CERTIFICATE", &self.certificate))
    }

    /// What Rekor 1 enters of kind `dsse`.
    pub(in crate::signature) fn dsse(&self) -> String {
        self.dsse_with(&self.verifier())
    }

    /// The same by another verifier, in base64.
    pub(in crate::signature) fn dsse_with(&self, verifier: &str) -> String {
        json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": sha256(self.envelope().to_string())},
                "payloadHash": {"algorithm": "sha256", "value": sha256(&self.payload)},
                "signatures": [
                    {"signature": STANDARD.encode(&self.signature), "verifier": verifier},
                ],
            },
        })
        .to_string()
    }

    /// What Rekor 1 enters of kind `intoto`.
    pub(in crate::signature) fn intoto(&self) -> String {
        let signature = STANDARD.encode(STANDARD.encode(&self.signature));
        let signature = json!({"publicKey": self.verifier(), "sig": signature});
        json!({
            "apiVersion": "0.0.2",
            "kind": "intoto",
            "spec": {"content": {
                "envelope": {"payloadType": STATEMENT, "signatures": [signature]},
                "hash": {"algorithm": "sha256", "value": sha256(self.envelope().to_string())},
                "payloadHash": {"algorithm": "sha256", "value": sha256(&self.payload)},
            }},
        })
        .to_string()
    }

    /// What Rekor 2 enters: of a statement, the hash of what is signed.
    pub(in crate::signature) fn hashed(&self) -> String {
        self.hashed_over(&pae(STATEMENT, &self.payload))
    }

    pub(in crate::signature) fn hashed_over(&self, message: &[u8]) -> String {
        json!({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {"hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(message))},
                "signature": {
                    "content": STANDARD.encode(&self.signature),
                    "verifier": {
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                        "x509Certificate": {"rawBytes": STANDARD.encode(&self.certificate)},
                    },
                },
            }},
        })
        .to_string()
    }

    pub(in crate::signature) fn envelope(&self) -> Value {
        json!({
            "payload": STANDARD.encode(&self.payload),
            "payloadType": STATEMENT,
            "signatures": [{"sig": STANDARD.encode(&self.signature)}],
        })
    }

    /// The bundle with these entries and timestamps.
    pub(in crate::signature) fn bundle(&self, entries: &[Value], stamps: &[Vec<u8>]) -> Value {
        let stamp = |token: &Vec<u8>| json!({"signedTimestamp": STANDARD.encode(token)});
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&self.certificate)},
                "tlogEntries": entries,
                "timestampVerificationData": {
                    "rfc3161Timestamps": stamps.iter().map(stamp).collect::<Vec<_>>(),
                },
            },
            "dsseEnvelope": self.envelope(),
        })
    }
}

impl Signed {
    /// The bundle that rests on the key alone, with these entries.
    pub(in crate::signature) fn keyed(&self, entries: &[Value]) -> Value {
        let mut bundle = self.bundle(entries, &[]);
        let material = bundle["verificationMaterial"].as_object_mut().unwrap();
        material.remove("certificate");
        material.insert("publicKey".to_owned(), json!({"hint": ""}));
        bundle
    }

    /// The key in PEM.
    pub(in crate::signature) fn public(&self) -> String {
        pem("PUBLIC KEY", &self.key.spki())
    }
}

/// Simple signing of an image, by a certificate, with the promise of a log.
pub(in crate::signature) struct Simple {
    pub(in crate::signature) certificate: Vec<u8>,
    pub(in crate::signature) payload: String,
    pub(in crate::signature) signature: Vec<u8>,
    /// The kind and body of the log entry.
    pub(in crate::signature) body: String,
}

impl Simple {
    /// What the signer everybody here knows signs about the image `digest`, called `reference`.
    pub(in crate::signature) fn new(instance: &Instance, reference: &str, digest: &Digest) -> Self {
        let key = Forger::p256();
        let certificate = signer().logged(&key, &instance.between, &instance.certificates, SIGNED);
        let payload = payload(reference, digest);
        let signature = key.sign(payload.as_bytes());
        let body = rekord(&payload, &signature, &pem("CERTIFICATE", &certificate));
        Self { certificate, payload, signature, body }
    }

    /// With the promise that `log` gave for `body`, entered at `place`.
    pub(in crate::signature) fn found(&self, log: &Log, place: Place) -> FoundSignature {
        let promise = json!({
            "SignedEntryTimestamp": log.promise(&self.body, place),
            "Payload": {
                "body": STANDARD.encode(&self.body),
                "integratedTime": place.at,
                "logIndex": place.index,
                "logID": hex::encode(log.id()),
            },
        });
        self.found_with(Some(promise.to_string()))
    }

    pub(in crate::signature) fn found_with(&self, promise: Option<String>) -> FoundSignature {
        super::forger::found(Material::SimpleSigning {
            payload: STANDARD.encode(&self.payload),
            signature: STANDARD.encode(&self.signature),
            proof: SimpleSigningProof {
                certificate: Some(pem("CERTIFICATE", &self.certificate)),
                bundle: promise,
                ..SimpleSigningProof::default()
            },
        })
    }
}

/// What Rekor 1 enters of a signature over bytes.
pub(in crate::signature) fn rekord(message: &str, signature: &[u8], verifier: &str) -> String {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": sha256(message)}},
            "signature": {
                "content": STANDARD.encode(signature),
                "publicKey": {"content": STANDARD.encode(verifier)},
            },
        },
    })
    .to_string()
}

fn sha256(content: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(content))
}
