//! The images of the decoy: small, whole, and new each time, so that no node has them already.

use serde_json::{Value, json};

use crate::oci::{Digest, MediaType};

/// The layer as a plain archive: every runtime reads it.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Bytes of a block of an archive.
const BLOCK: usize = 512;

/// A manifest with what it lists.
#[derive(Debug, Clone)]
pub(super) struct DecoyImage {
    pub(super) manifest: Vec<u8>,
    pub(super) config: Vec<u8>,
    /// `None`: it can be had at the address in the manifest alone.
    pub(super) layer: Option<Vec<u8>>,
}

impl DecoyImage {
    /// An image that `nonce` makes a new one.
    pub(super) fn plain(nonce: &str) -> Self {
        let layer = archive(nonce);
        let listed = descriptor(LAYER, &layer);
        Self::assembled(nonce, &layer, &listed, Some(layer.clone()))
    }

    /// An image whose layer says that it can be had at `url`.
    pub(super) fn with_url(nonce: &str, url: &str) -> Self {
        let layer = archive(nonce);
        let mut listed = descriptor(LAYER, &layer);
        if let Some(listed) = listed.as_object_mut() {
            listed.insert("urls".to_owned(), json!([url]));
        }
        Self::assembled(nonce, &layer, &listed, None)
    }

    fn assembled(nonce: &str, layer: &[u8], listed: &Value, kept: Option<Vec<u8>>) -> Self {
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Labels": {"pratique-canary": nonce}},
            "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(layer)]},
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "config": descriptor(MediaType::OCI_CONFIG, &config),
            "layers": [listed],
        });
        Self { manifest: manifest.to_string().into_bytes(), config, layer: kept }
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content), "size": content.len()})
}

/// An archive with one small file that says what it is.
fn archive(nonce: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let text = format!("canary {nonce}\n");
    header.set_size(u64::try_from(text.len()).unwrap_or_default());
    header.set_mode(0o444);
    header.set_entry_type(tar::EntryType::Regular);
    let mut builder = tar::Builder::new(Vec::with_capacity(4 * BLOCK));
    // Into memory: it cannot fail but by want of it.
    drop(builder.append_data(&mut header, "pratique-canary", text.as_bytes()));
    builder.into_inner().unwrap_or_default()
}

/// What this machine is called in images.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Manifest;

    #[test]
    fn each_image_is_whole_and_new() {
        let (one, other) = (DecoyImage::plain("1"), DecoyImage::plain("2"));
        assert_ne!(Digest::sha256(&one.manifest), Digest::sha256(&other.manifest));
        let manifest: Value = serde_json::from_slice(&one.manifest).unwrap();
        let layer = one.layer.unwrap();
        assert_eq!(manifest["layers"][0]["digest"], Digest::sha256(&layer).to_string());
        assert_eq!(manifest["config"]["digest"], Digest::sha256(&one.config).to_string());
        let mut archive = tar::Archive::new(layer.as_slice());
        assert_eq!(archive.entries().unwrap().count(), 1);
    }

    #[test]
    fn the_mirror_reads_that_a_layer_may_be_had_elsewhere() {
        let url = "http://127.0.0.1:1/urls/1";
        let image = DecoyImage::with_url("1", url);
        assert!(image.layer.is_none());
        let Ok(Manifest::Image(manifest)) = Manifest::parse(&image.manifest, None) else {
            panic!("it is an image");
        };
        assert_eq!(manifest.layers[0].urls, [url]);
    }
}
