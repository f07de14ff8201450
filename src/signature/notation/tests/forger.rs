//! Somebody with certificates of a good authority, who writes whatever envelope he likes.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::oci::Digest;
use crate::signature::notation::{
    Enforced, NotationSigner, TrustStore, TrustStoreFiles, WhenToTimestamp, verify,
};
use crate::signature::{Form, Proof, Refusal};
use crate::time::Timestamp;

pub(super) struct Forger {
    root: Issuer<'static, KeyPair>,
    root_der: Vec<u8>,
    key: KeyPair,
    pub(super) chain: Vec<Vec<u8>>,
    /// A certificate that is its own authority, and in everybody's store.
    alone: Option<Vec<u8>>,
}

/// A name with the attributes that must be there.
pub(super) fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let attributes = [
        (DnType::CountryName, "US"),
        (DnType::StateOrProvinceName, "WA"),
        (DnType::OrganizationName, "Forgers"),
        (DnType::CommonName, common_name),
    ];
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, text) in attributes {
        params.distinguished_name.push(kind, text);
    }
    params
}

pub(super) fn authority(common_name: &str) -> CertificateParams {
    let mut params = named(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

pub(super) fn leaf() -> CertificateParams {
    let mut params = named("leaf");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

impl Forger {
    /// With a root in everybody's store, and a good certificate by it.
    pub(super) fn new() -> Self {
        Self::with_root(authority("root"))
    }

    pub(super) fn with_root(params: CertificateParams) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_der = params.self_signed(&root_key).unwrap().der().to_vec();
        let root = Issuer::new(params, root_key);
        let key = KeyPair::generate().unwrap();
        let mut forger = Self { root, root_der, key, chain: Vec::new(), alone: None };
        forger.chain = forger.certified(&leaf());
        forger
    }

    /// The chain of a certificate that the root issues.
    pub(super) fn certified(&self, params: &CertificateParams) -> Vec<Vec<u8>> {
        let leaf = params.signed_by(&self.key, &self.root).unwrap();
        vec![leaf.der().to_vec(), self.root_der.clone()]
    }

    /// The chain of a good certificate below another authority below the root.
    pub(super) fn below(&self, authority: CertificateParams) -> Vec<Vec<u8>> {
        let key = KeyPair::generate().unwrap();
        let certificate = authority.signed_by(&key, &self.root).unwrap().der().to_vec();
        let issuer = Issuer::new(authority, key);
        let leaf = leaf().signed_by(&self.key, &issuer).unwrap().der().to_vec();
        vec![leaf, certificate, self.root_der.clone()]
    }

    /// The chain of a certificate that is its own root.
    pub(super) fn alone(&mut self, params: &CertificateParams) -> Vec<Vec<u8>> {
        let der = params.self_signed(&self.key).unwrap().der().to_vec();
        self.alone = Some(der.clone());
        vec![der]
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.key.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// An envelope with that protected header and payload, validly signed, as JSON.
    pub(super) fn envelope(&self, protected: &str, payload: &str) -> Value {
        let protected = URL_SAFE_NO_PAD.encode(protected);
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature =
            URL_SAFE_NO_PAD.encode(self.sign(format!("{protected}.{payload}").as_bytes()));
        let chain: Vec<String> = self.chain.iter().map(|der| STANDARD.encode(der)).collect();
        json!({
            "payload": payload, "protected": protected, "signature": signature,
            "header": {"x5c": chain, "io.cncf.notary.signingAgent": "forger"},
        })
    }

    pub(super) fn good(&self) -> Value {
        self.envelope(&protected().to_string(), &payload())
    }

    /// A signer that everybody's store takes, whatever certificate of this forger it is.
    pub(super) fn signer(&self) -> NotationSigner {
        let root = self.root_der.clone();
        let mut ca = vec![root.clone()];
        ca.extend(self.alone.clone());
        let files = TrustStoreFiles {
            ca,
            signing_authority: vec![root],
            when: WhenToTimestamp::Always,
            ..TrustStoreFiles::default()
        };
        let store = Arc::new(TrustStore::new(&files).unwrap());
        NotationSigner { store, identity: None, enforced: Enforced::STRICT }
    }

    pub(super) fn judge(&self, envelope: &[u8], form: Form) -> Result<Proof, Refusal> {
        verify(envelope, form, &self.signer(), &image(), now())
    }

    /// What comes of a JSON envelope.
    pub(super) fn outcome(&self, envelope: &str) -> Result<Proof, String> {
        self.judge(envelope.as_bytes(), Form::NotationJws).map_err(|refusal| refusal.to_string())
    }
}

pub(super) fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

pub(super) fn image() -> Digest {
    Digest::sha256(b"an image")
}

pub(super) fn payload() -> String {
    let digest = image().to_string();
    json!({"targetArtifact": {"mediaType": "x/y", "digest": digest, "size": 8}}).to_string()
}

pub(super) fn protected() -> Value {
    json!({
        "alg": "ES256",
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": ["io.cncf.notary.signingScheme"],
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": "2026-05-01T00:00:00Z",
    })
}
