//! Keys that stand in for the signers of a policy, and what they sign.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::gate::Subject;
use crate::oci::Digest;
use crate::signature::{FoundSignature, Material, SimpleSigningProof};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// The signer for whom no key could be made.
#[derive(Debug)]
pub(super) struct NoKey(pub(super) String);

/// One key for each signer.
#[derive(Debug)]
pub(super) struct Pens(BTreeMap<String, Pen>);

struct Pen {
    pair: EcdsaKeyPair,
    pem: String,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pen")
    }
}

impl Pens {
    /// New keys for `names`.
    pub(super) fn new(names: impl Iterator<Item = String>) -> Result<Self, NoKey> {
        let pen = |name: String| match Pen::new() {
            Some(pen) => Ok((name, pen)),
            None => Err(NoKey(name)),
        };
        names.map(pen).collect::<Result<_, _>>().map(Self)
    }

    /// The public key that stands in for the signer `name`, as a policy has it.
    pub(super) fn pem_of(&self, name: &str) -> String {
        self.0.get(name).map(|pen| pen.pem.clone()).unwrap_or_default()
    }

    /// A signature of the signer `name` over `subject`; `None` when there is no such signer, or it could
    /// not be made, and then the gate finds none.
    pub(super) fn sign(&self, name: &str, subject: &Subject) -> Option<FoundSignature> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": subject.name.to_string()},
                "image": {"docker-manifest-digest": subject.digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = payload.to_string();
        let signature = self.0.get(name)?.sign(payload.as_bytes())?;
        Some(FoundSignature {
            source: Digest::sha256(format!("{name} signs {subject}").as_bytes()),
            material: Material::SimpleSigning {
                payload: STANDARD.encode(&payload),
                signature,
                proof: SimpleSigningProof::default(),
            },
        })
    }

    /// A bundle in which the signer `name` attests a statement of `predicate_type` about `subject`.
    pub(super) fn attest(
        &self,
        name: &str,
        subject: &Subject,
        predicate_type: &str,
        predicate: &Value,
    ) -> Option<String> {
        let algorithm = subject.digest.algorithm().as_str();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: subject.digest.hex()}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        });
        let statement = statement.to_string();
        // Spec: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
        let head = format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), statement.len());
        let signed = [head.as_bytes(), statement.as_bytes()].concat();
        let signature = self.0.get(name)?.sign(&signed)?;
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": ""}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": STATEMENT,
                "signatures": [{"sig": signature}],
            },
        });
        Some(bundle.to_string())
    }
}

impl Pen {
    fn new() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
        let der = pair.public_key().as_der().ok()?;
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        Some(Self { pair, pem })
    }

    fn sign(&self, bytes: &[u8]) -> Option<String> {
        let signature = self.pair.sign(&SystemRandom::new(), bytes).ok()?;
        Some(STANDARD.encode(signature.as_ref()))
    }
}
