//! OCI image layouts as tools write them, and as nobody should.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pratique::oci::{Descriptor, Digest};
use serde_json::json;
use tempfile::TempDir;

use super::upstream::Artifact;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout in a folder of its own.
pub(crate) struct TestLayout {
    folder: TempDir,
    listed: Vec<Descriptor>,
}

impl TestLayout {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).expect("a folder for blobs");
        let layout = Self { folder, listed: Vec::new() };
        layout.write("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        layout.write_index();
        layout
    }

    /// Adds `artifact` with everything below it, listed under `tag`.
    pub(crate) fn add(&mut self, tag: &str, artifact: &Artifact) -> Digest {
        self.add_as(artifact, &[(REF_NAME, tag)])
    }

    /// The same without a tag, and with these annotations in `index.json`.
    pub(crate) fn add_as(&mut self, artifact: &Artifact, annotations: &[(&str, &str)]) -> Digest {
        self.blobs_of(artifact);
        let mut listed = artifact.descriptor();
        let annotation = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        listed.annotations = annotations.iter().map(annotation).collect::<BTreeMap<_, _>>();
        self.listed.push(listed);
        self.write_index();
        artifact.digest()
    }

    /// Adds what `artifact` consists of, listed nowhere.
    pub(crate) fn blobs_of(&self, artifact: &Artifact) {
        artifact.children.iter().for_each(|child| self.blobs_of(child));
        for content in artifact.blobs.iter().chain([&artifact.manifest]) {
            std::fs::write(self.blob(&Digest::sha256(content)), content).expect("a blob");
        }
    }

    fn write_index(&self) {
        self.write(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": self.listed}).to_string(),
        );
    }

    /// Writes a file of the layout as it is.
    pub(crate) fn write(&self, file: &str, content: &str) {
        std::fs::write(self.folder.path().join(file), content).expect("a file");
    }

    /// Where a blob lies.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs/sha256").join(digest.hex())
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, as a word of a command line.
    pub(crate) fn word(&self) -> String {
        format!("oci:{}", self.folder.path().display())
    }
}
