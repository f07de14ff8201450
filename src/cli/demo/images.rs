//! Images and a signing key for the show.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::exit::CliError;
use crate::oci::{Digest, MediaType};

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Width of a line of PEM.
const PEM_LINE: usize = 64;

/// A manifest with the blobs that it lists.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) manifest: Bytes,
    pub(super) blobs: Vec<Bytes>,
}

impl Image {
    /// An image for linux/amd64 that says so little about itself.
    pub(super) fn new(text: &str) -> Self {
        let layer = Bytes::from(text.repeat(4_096));
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]},
        });
        let config = Bytes::from(config.to_string());
        let listed = descriptor("application/vnd.oci.image.layer.v1.tar", &layer);
        Self::assemble(&config, &[listed], vec![layer])
    }

    fn assemble(config: &Bytes, layers: &[Value], mut blobs: Vec<Bytes>) -> Self {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "config": descriptor(MediaType::OCI_CONFIG, config),
            "layers": layers,
        });
        blobs.push(config.clone());
        Self { manifest: Bytes::from(manifest.to_string()), blobs }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }
}

fn descriptor(media_type: &str, content: &Bytes) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content), "size": content.len()})
}

/// A key that signs images in cosign's older form.
pub(super) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(super) fn generate() -> Result<Self, CliError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(Self)
            .map_err(|_| CliError::failed("no key could be made for the demo"))
    }

    pub(super) fn public_pem(&self) -> String {
        let der = self.0.public_key().as_der().map(|der| der.as_ref().to_vec()).unwrap_or_default();
        let text = BASE64_STANDARD.encode(der);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (index, letter) in text.chars().enumerate() {
            if index > 0 && index % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem + "\n-----END PUBLIC KEY-----\n"
    }

    /// The signature manifest over `digest`, called `name`.
    pub(super) fn sign(&self, name: &str, digest: &Digest) -> Result<Image, CliError> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = Bytes::from(payload.to_string());
        let signature = self
            .0
            .sign(&SystemRandom::new(), &payload)
            .map_err(|_| CliError::failed("the demo's image could not be signed"))?;
        let mut layer = descriptor(SIMPLE_SIGNING, &payload);
        if let Some(layer) = layer.as_object_mut() {
            let encoded = BASE64_STANDARD.encode(signature.as_ref());
            let annotations = json!({"dev.cosignproject.cosign/signature": encoded});
            layer.insert("annotations".to_owned(), annotations);
        }
        let config = Bytes::from_static(b"{}");
        Ok(Image::assemble(&config, &[layer], vec![payload]))
    }
}
