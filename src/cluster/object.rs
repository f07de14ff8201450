//! Pods and nodes as their API has them, as far as an inventory takes it. Fields that are not named here are
//! read over; a list that is `null`, as Go writes an empty one, is an empty one.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A stretch of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    pub(super) metadata: Option<ListMeta>,
    #[serde(default = "none")]
    pub(super) items: Option<Vec<T>>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListMeta {
    #[serde(default, rename = "continue")]
    pub(super) next: Option<String>,
}

/// What an API server says that does not do what was asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// A pod or a node, in a list of whatever kinds.
#[derive(Debug, Deserialize)]
pub(super) struct Object {
    #[serde(default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Option<Spec>,
    #[serde(default)]
    pub(super) status: Option<ObjectStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnerReference {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) node_name: Option<String>,
    #[serde(default)]
    pub(super) containers: Option<Vec<Container>>,
    #[serde(default)]
    pub(super) init_containers: Option<Vec<Container>>,
    #[serde(default)]
    pub(super) ephemeral_containers: Option<Vec<Container>>,
    #[serde(default)]
    pub(super) volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    #[serde(default)]
    pub(super) image: Option<ImageVolume>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageVolume {
    #[serde(default)]
    pub(super) reference: Option<String>,
}

/// Of a pod, or of a node: what one has the other lacks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectStatus {
    #[serde(default)]
    pub(super) phase: Option<String>,
    #[serde(default)]
    pub(super) start_time: Option<String>,
    #[serde(default)]
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    #[serde(default)]
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
    #[serde(default)]
    pub(super) ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
    /// Of a node: what its kubelet says is there.
    #[serde(default)]
    pub(super) images: Option<Vec<NodeImage>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "imageID")]
    pub(super) image_id: Option<String>,
    #[serde(default)]
    pub(super) state: Option<State>,
}

#[derive(Debug, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    pub(super) running: Option<Started>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Started {
    #[serde(default)]
    pub(super) started_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeImage {
    #[serde(default)]
    pub(super) names: Option<Vec<String>>,
}
