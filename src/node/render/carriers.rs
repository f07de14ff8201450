//! What brings files onto a node when it is made: cloud-init, Ignition, Cluster API.
//!
//! Sources:
//! - cloud-init: <https://cloudinit.readthedocs.io/en/latest/reference/modules.html>, `write_files`.
//! - Ignition: <https://coreos.github.io/ignition/configuration-v3_3/>, `storage.files`; what butane makes.
//! - Cluster API: <https://cluster-api.sigs.k8s.io/tasks/bootstrap/kubeadm-bootstrap/>, `files` of a
//!   `KubeadmConfigTemplate`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{RenderError, Rendered, line, yaml};
use crate::node::Kind;

/// What a data URL leaves as it is.
const DATA_URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What brings files onto a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `#cloud-config` with `write_files`.
    CloudInit,
    /// An Ignition configuration, spec 3.3.
    Ignition,
    /// A `KubeadmConfigTemplate`.
    ClusterApi,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::CloudInit => "cloud-init",
            Self::Ignition => "ignition",
            Self::ClusterApi => "cluster-api",
        }
    }

    /// `files`, which the runtime `kind` reads, as something that brings them onto a node.
    ///
    /// # Errors
    /// When `kind` is not configured by files of a node.
    pub fn carry(self, kind: Kind, files: &[Rendered]) -> Result<Rendered, RenderError> {
        if files.iter().any(|file| !file.path.is_absolute()) {
            return Err(RenderError::NoFiles { runtime: kind.name(), carrier: self.name() });
        }
        Ok(match self {
            Self::CloudInit => Rendered::at("user-data", cloud_init(files)),
            Self::Ignition => Rendered::at("pratique.ign", ignition(files)),
            Self::ClusterApi => Rendered::at("kubeadm-config-template.yaml", cluster_api(files)),
        })
    }
}

fn cloud_init(files: &[Rendered]) -> String {
    let mut text = String::from("#cloud-config\nwrite_files:\n");
    for file in files {
        yaml_file(&mut text, file, "  ");
    }
    text
}

fn cluster_api(files: &[Rendered]) -> String {
    let mut text = String::from(
        "# The same files belong into spec.kubeadmConfigSpec.files of the KubeadmControlPlane.\n\
         apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigTemplate\nmetadata:\n  name: pratique\n\
         spec:\n  template:\n    spec:\n      files:\n",
    );
    for file in files {
        yaml_file(&mut text, file, "        ");
    }
    text
}

/// One file, in the words that cloud-init and kubeadm's bootstrap provider share.
fn yaml_file(text: &mut String, file: &Rendered, indent: &str) {
    let path = yaml(&file.path.to_string_lossy());
    line(text, &format!("{indent}- path: {path}"));
    line(text, &format!("{indent}  owner: root:root"));
    line(text, &format!("{indent}  permissions: \"{:04o}\"", file.mode));
    line(text, &format!("{indent}  content: |"));
    for content in file.text.lines() {
        let written = format!("{indent}    {content}");
        line(text, written.trim_end());
    }
}

fn ignition(files: &[Rendered]) -> String {
    let file = |file: &Rendered| {
        let content = utf8_percent_encode(&file.text, DATA_URL);
        json!({
            "path": file.path,
            "mode": file.mode,
            "overwrite": true,
            "contents": { "source": format!("data:,{content}") },
        })
    };
    let files: Vec<_> = files.iter().map(file).collect();
    format!("{:#}\n", json!({ "ignition": { "version": "3.3.0" }, "storage": { "files": files } }))
}
