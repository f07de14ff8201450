//! An authority whose people sign with envelopes of the Notary Project.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pratique::oci::Digest;
use pratique::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

fn named(common_name: &str, usage: KeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, text) in [
        (DnType::CountryName, "US"),
        (DnType::StateOrProvinceName, "WA"),
        (DnType::OrganizationName, "acme"),
        (DnType::CommonName, common_name),
    ] {
        params.distinguished_name.push(kind, text);
    }
    params.key_usages = vec![usage];
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = named("root", KeyUsagePurpose::KeyCertSign);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().to_vec(), certificate.pem());
        Self { issuer: Issuer::new(params, key), der, pem }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// What `who` signs, with a new certificate of this authority.
    pub(crate) fn envelope(
        &self,
        who: &str,
        image: &Digest,
        at: Timestamp,
        expiry: Option<Timestamp>,
    ) -> String {
        let key = KeyPair::generate().unwrap();
        let leaf = named(who, KeyUsagePurpose::DigitalSignature);
        let leaf = leaf.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let scheme = "io.cncf.notary.signingScheme";
        let mut header = json!({
            "alg": "ES256",
            "cty": "application/vnd.cncf.notary.payload.v1+json",
            "crit": [scheme],
            (scheme): "notary.x509",
            "io.cncf.notary.signingTime": at.to_string(),
        });
        if let Some(expiry) = expiry {
            header["crit"] = json!([scheme, "io.cncf.notary.expiry"]);
            header["io.cncf.notary.expiry"] = json!(expiry.to_string());
        }
        let payload = json!({"targetArtifact": {"digest": image.to_string()}});
        let [protected, payload] =
            [header, payload].map(|it| BASE64_URL_SAFE_NO_PAD.encode(it.to_string()));
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der());
        let message = format!("{protected}.{payload}");
        let signature = pair.unwrap().sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let chain = [leaf, self.der.clone()].map(|der| BASE64_STANDARD.encode(der));
        json!({
            "payload": payload,
            "protected": protected,
            "header": {"x5c": chain},
            "signature": BASE64_URL_SAFE_NO_PAD.encode(signature),
        })
        .to_string()
    }
}
