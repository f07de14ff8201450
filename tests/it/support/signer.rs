//! A key that signs images as cosign does, in both forms that it makes today.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pratique::oci::Digest;
use serde_json::{Value, json};

use super::upstream::{Artifact, Image};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// An ECDSA P-256 key.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    /// A new key.
    pub(crate) fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
    }

    /// The public key, as a policy names it.
    pub(crate) fn public_pem(&self) -> String {
        let der = self.0.public_key().as_der().expect("a public key");
        let text = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The public key as it stands in a policy's YAML block, indented by six.
    pub(crate) fn policy_pem(&self) -> String {
        let indent = |text: String, line: &str| text + "      " + line + "\n";
        self.public_pem().lines().fold(String::new(), indent)
    }

    /// A simple-signing signature of `subject`, called `name` by the signer; it belongs under the
    /// `.sig` tag.
    pub(crate) fn simple_signing(&self, name: &str, subject: &Digest) -> Artifact {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": subject},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = payload.to_string();
        let signature = self.sign(payload.as_bytes());
        let annotations = [("dev.cosignproject.cosign/signature", signature.as_str())];
        Image::new().layer_of(SIMPLE_SIGNING, payload, &annotations).build()
    }

    /// A Sigstore bundle over `subject`; it belongs among the referrers.
    pub(crate) fn bundle(&self, subject: &Artifact) -> Artifact {
        self.attestation(subject, "https://sigstore.dev/cosign/sign/v1", &json!({}))
    }

    /// A Sigstore bundle with a statement about `subject`; it belongs among the referrers.
    pub(crate) fn attestation(&self, about: &Artifact, kind: &str, says: &Value) -> Artifact {
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": ""}},
            "dsseEnvelope": self.envelope(&about.digest(), kind, says),
        });
        Image::artifact(BUNDLE).layer_of(BUNDLE, bundle.to_string(), &[]).subject(about).build()
    }

    /// The same as cosign 2 makes it: an envelope that belongs under the `.att` tag.
    pub(crate) fn attached(&self, about: &Digest, kind: &str, says: &Value) -> Artifact {
        let envelope = self.envelope(about, kind, says).to_string();
        Image::new().layer_of(ENVELOPE, envelope, &[("predicateType", kind)]).build()
    }

    fn envelope(&self, about: &Digest, kind: &str, says: &Value) -> Value {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": about.hex()}}],
            "predicateType": kind,
            "predicate": says,
        });
        let statement = statement.to_string();
        let mut signed =
            format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), statement.len()).into_bytes();
        signed.extend_from_slice(statement.as_bytes());
        json!({
            "payload": BASE64_STANDARD.encode(&statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": self.sign(&signed)}],
        })
    }

    /// A signature of exactly these bytes, in base64.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let signature = self.0.sign(&SystemRandom::new(), message).expect("a signature");
        BASE64_STANDARD.encode(signature.as_ref())
    }
}
