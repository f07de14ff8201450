//! What a summary says, and the forms in which clients read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sigstore_verify::types::pae;

use super::SigningKey;
use crate::oci::{Descriptor, Digest, MediaType, Name};
use crate::time::Timestamp;

/// What kind of statement a summary is.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// The empty JSON object, which stands where a manifest must have a config.
pub const EMPTY: &[u8] = b"{}";
/// Who verified: the program, whichever copy of it; the key tells those apart.
const VERIFIER: &str = "https://pratique.dev/mirror";
/// What the image has reached. Levels of SLSA itself are for who looks at provenance to say.
const LEVEL: &str = "PRATIQUE_ADMITTED";
/// Most pieces of evidence that are listed.
const EVIDENCE_MAX: usize = 64;

/// An image that passed, and on what grounds.
#[derive(Debug, Clone)]
pub struct Passed<'a> {
    /// The repository, by its canonical name.
    pub name: &'a Name,
    /// The manifest.
    pub digest: Digest,
    /// The manifest's type.
    pub media_type: &'a MediaType,
    /// The manifest's size in bytes.
    pub size: u64,
    /// When the verdict was reached.
    pub at: Timestamp,
    /// The name of the policy, and its rule.
    pub policy: (&'a str, Option<&'a str>),
    /// The digest of the policy and all its files.
    pub policy_digest: String,
    /// The manifests that carry the evidence.
    pub evidence: Vec<Digest>,
    /// Who approved it and when, where the rule asked people.
    pub approved: Option<(&'a str, Timestamp)>,
}

/// A summary as a referrer of its image: a manifest and what it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How a list of referrers names it.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Bytes,
    /// What the manifest lists, each with its digest.
    pub blobs: [(Digest, Bytes); 2],
}

impl Summary {
    /// What `key` says about `passed`; `None` only if the library refuses to sign.
    pub fn new(passed: &Passed<'_>, key: &SigningKey) -> Option<Self> {
        let bundle = bundle(&statement(passed).to_string(), key)?;
        let bundle = Bytes::from(bundle.to_string());
        let digest = Digest::sha256(&bundle);
        let annotations = json!({
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": PREDICATE_TYPE,
            "org.opencontainers.image.created": passed.at.to_string(),
        });
        let empty = Digest::sha256(EMPTY);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "artifactType": BUNDLE,
            "config": {"mediaType": MediaType::OCI_EMPTY, "digest": empty, "size": EMPTY.len()},
            "layers": [{"mediaType": BUNDLE, "digest": digest, "size": bundle.len()}],
            "subject": {
                "mediaType": passed.media_type.as_str(),
                "digest": passed.digest,
                "size": passed.size,
            },
            "annotations": annotations,
        });
        let manifest = Bytes::from(manifest.to_string());
        let descriptor = json!({
            "mediaType": MediaType::OCI_MANIFEST,
            "digest": Digest::sha256(&manifest),
            "size": manifest.len(),
            "artifactType": BUNDLE,
            "annotations": annotations,
        });
        let descriptor = serde_json::from_value(descriptor).ok()?;
        let blobs = [(digest, bundle), (empty, Bytes::from_static(EMPTY))];
        Some(Self { descriptor, manifest, blobs })
    }
}

fn statement(passed: &Passed<'_>) -> Value {
    let digests = |digest: &Digest| json!({(digest.algorithm().as_str()): digest.hex()});
    let name = passed.name.to_string();
    let evidence = |digest: &Digest| json!({"uri": format!("oci://{name}@{digest}"), "digest": digests(digest)});
    let (policy, rule) = passed.policy;
    let mut predicate = json!({
        "verifier": {"id": VERIFIER, "version": {"pratique": env!("CARGO_PKG_VERSION")}},
        "timeVerified": passed.at.to_string(),
        "resourceUri": format!("oci://{name}@{}", passed.digest),
        "policy": {"uri": policy, "digest": {"sha256": passed.policy_digest}},
        "inputAttestations":
            passed.evidence.iter().take(EVIDENCE_MAX).map(evidence).collect::<Vec<_>>(),
        "verificationResult": "PASSED",
        "verifiedLevels": [LEVEL],
        "slsaVersion": "1.1",
    });
    if let Some(members) = predicate.as_object_mut() {
        let rule = rule.map(|rule| ("https://pratique.dev/rule", json!(rule)));
        let approval = passed.approved.map(|(by, at)| {
            ("https://pratique.dev/approval", json!({"by": by, "at": at.to_string()}))
        });
        let own = rule.into_iter().chain(approval);
        members.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": digests(&passed.digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    })
}

/// `statement` in a Sigstore bundle that rests on `key` alone.
fn bundle(statement: &str, key: &SigningKey) -> Option<Value> {
    let signature = key.sign(&pae(STATEMENT, statement.as_bytes()))?;
    Some(json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.public().id}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    }))
}
