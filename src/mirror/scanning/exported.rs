//! One image in a folder of its own, for scanners that read files.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;

use crate::mirror::Mirror;
use crate::oci::{ByteRange, Digest, ImageManifest, Name};
use crate::store::ReadMode;

/// Largest image that is put into a folder, in bytes of its config and layers.
const IMAGE_BYTES_MAX: u64 = 32 << 30;

impl Mirror {
    /// An OCI image layout of the image `manifest` of `name`, whose bytes are `bytes`: copies, so that
    /// whoever reads it can change nothing that is served. It is removed when it is dropped.
    ///
    /// # Errors
    /// Why it cannot be made, short and fit for clients.
    pub(super) async fn layout_of(
        &self,
        name: &Name,
        (bytes, manifest): (&Bytes, &ImageManifest),
    ) -> Result<TempDir, String> {
        let contents = || manifest.layers.iter().chain([&manifest.config]);
        let size = contents().fold(0, |sum: u64, it| sum.saturating_add(it.size));
        if size > IMAGE_BYTES_MAX {
            return Err(format!("it has {size} bytes, more than {IMAGE_BYTES_MAX}"));
        }
        let (work, written, kind) =
            (self.scanner().settings.work.clone(), bytes.clone(), manifest.media_type.to_string());
        let making = self.tasks().spawn_blocking(move || begin(&work, &written, &kind));
        let layout = making.await.map_err(|_panicked| "it broke down".to_owned())?;
        let layout = layout.map_err(|error| format!("no folder for it can be made: {error}"))?;
        let mut known = std::collections::BTreeSet::new();
        for content in contents().filter(|content| known.insert(content.digest)) {
            self.export(
                name,
                &content.digest,
                content.size,
                &place(layout.path(), &content.digest),
            )
            .await?;
        }
        Ok(layout)
    }

    async fn export(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
        path: &Path,
    ) -> Result<(), String> {
        let failed = |what: &dyn std::fmt::Display| {
            format!("a layer could not be put into its folder: {what}")
        };
        let content = self.content(name, digest, size).await.map_err(|error| failed(&error))?;
        let mut stream = content.reader(ByteRange::whole(size), ReadMode::Copy);
        let at = path.to_owned();
        let opening = self.tasks().spawn_blocking(move || std::fs::File::create_new(at));
        let broke_down = |_| "it broke down".to_owned();
        let mut file = opening.await.map_err(broke_down)?.map_err(|error| failed(&error))?;
        while let Some(chunk) = stream.next().await.map_err(|error| failed(&error))? {
            let writing = self.tasks().spawn_blocking(move || {
                let written = file.write_all(&chunk);
                (file, written)
            });
            let (back, written) = writing.await.map_err(broke_down)?;
            file = back;
            written.map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

fn place(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// A layout with nothing in it but the manifest.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>
fn begin(work: &Path, manifest: &[u8], media_type: &str) -> std::io::Result<TempDir> {
    std::fs::create_dir_all(work)?;
    let layout = tempfile::Builder::new().prefix("image-").tempdir_in(work)?;
    for algorithm in ["sha256", "sha512"] {
        std::fs::create_dir_all(layout.path().join("blobs").join(algorithm))?;
    }
    let digest = Digest::sha256(manifest);
    let listed = json!({
        "mediaType": media_type,
        "digest": digest.to_string(),
        "size": manifest.len(),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [listed],
    });
    std::fs::write(place(layout.path(), &digest), manifest)?;
    std::fs::write(layout.path().join("index.json"), index.to_string())?;
    std::fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(layout)
}
