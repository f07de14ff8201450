//! From pods and nodes to what runs and what lies where.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::Deserialize;

use super::api::{ApiServer, Error};
use super::image::{RunningId, running_id};
use super::object::{Container, ContainerStatus, ListMeta, Metadata, Object, ObjectStatus, Spec};
use super::report::{
    Cached, ClusterName, InventoryReport, Running, UsedAs, Workload, image as image_text, word,
};
use crate::doctor::{Every, NodeName};
use crate::oci::{Digest, ImageReference, Name};
use crate::time::Timestamp;

/// Most bytes that are read of a file.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// Most pods, and most nodes, of a cluster: the largest that are supported have 150,000 and 5,000.
const PODS_MAX: u64 = 200_000;
const NODES_MAX: u64 = 10_000;
/// Most images that one pod names, and most that one node lists.
const POD_IMAGES_MAX: usize = 200;
const NODE_IMAGES_MAX: usize = 1_000;
/// Most names of one image on a node.
const NODE_IMAGE_NAMES_MAX: usize = 16;
/// Most different entries of what runs, and of what is cached, that are put together.
const ENTRIES_KEPT_MAX: usize = 100_000;
/// As many images a kubelet tells of, where its configuration does not say another number
/// (`nodeStatusMaxImages`).
const KUBELET_TELLS: usize = 50;

/// What was found in a cluster.
#[derive(Debug, Default)]
pub struct Found {
    pods: u64,
    ended: u64,
    running: BTreeMap<Key, Entry>,
    nodes: Option<u64>,
    /// Nodes that list as many images as a kubelet tells of.
    full_nodes: u64,
    cached: BTreeMap<(Name, Digest), BTreeSet<NodeName>>,
    left_out: BTreeSet<String>,
}

/// What pods of one workload have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    namespace: String,
    workload: Workload,
    role: UsedAs,
    image: String,
    name: Option<Name>,
    digest: Option<Digest>,
    config: Option<Digest>,
}

#[derive(Debug, Default)]
struct Entry {
    pods: u64,
    since: Option<Timestamp>,
    nodes: BTreeSet<NodeName>,
}

/// What runs in the cluster of `server`, and what lies on its nodes. Where the account may not list nodes, that
/// is told in what is left out.
///
/// # Errors
/// When the pods cannot be listed, or the nodes for another reason.
pub async fn from_api(server: &ApiServer) -> Result<Found, Error> {
    let mut found = server.list("/api/v1/pods", Found::pod).await?;
    match server.list("/api/v1/nodes", Found::node).await {
        Ok(nodes) => {
            (found.cached, found.full_nodes) = (nodes.cached, nodes.full_nodes);
            found.nodes = Some(nodes.nodes.unwrap_or(0));
            found.left_out.extend(nodes.left_out);
        }
        Err(error @ Error::Refused { .. }) => {
            found.leave_out(format!("what lies on nodes: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// What the list in `text` says, as `kubectl get pods -A -o json` prints it, or `kubectl get pods,nodes`.
///
/// # Errors
/// When it is no such list, or too large.
pub fn from_json(text: impl Read) -> Result<Found, Error> {
    let mut bounded = std::io::BufReader::new(text.take(FILE_BYTES_MAX));
    let read: Result<Printed, _> = serde_json::from_reader(&mut bounded);
    let list = match read {
        Err(_) if bounded.get_ref().limit() == 0 => return Err(Error::TooLarge),
        read => read.map_err(Error::NoList)?,
    };
    let mut found = Found::default();
    let of_list = list.kind.strip_suffix("List").unwrap_or_default().to_owned();
    for object in list.items {
        match object.kind.as_deref().unwrap_or(&of_list) {
            "Pod" => found.pod(object),
            "Node" => found.node(object),
            _ => found.leave_out("objects that are neither pods nor nodes".to_owned()),
        }
    }
    if list.metadata.and_then(|it| it.next).is_some_and(|it| !it.is_empty()) {
        found.leave_out("the list goes on elsewhere: it was printed in part".to_owned());
    }
    Ok(found)
}

#[derive(Debug, Deserialize)]
struct Printed {
    kind: String,
    #[serde(default)]
    metadata: Option<ListMeta>,
    items: Vec<Object>,
}

impl Found {
    /// How many pods there are that have not ended.
    pub const fn pods(&self) -> u64 {
        self.pods
    }

    pub(super) fn is_full(&self) -> bool {
        self.pods.saturating_add(self.ended) >= PODS_MAX || self.nodes >= Some(NODES_MAX)
    }

    pub(super) fn leave_out(&mut self, what: String) {
        self.left_out.insert(what);
    }

    fn pod(&mut self, pod: Object) {
        let Object { metadata, spec, status, .. } = pod;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        if self.is_full() {
            return self.leave_out(format!("there are more than {PODS_MAX} pods"));
        }
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            self.ended = self.ended.saturating_add(1);
            return;
        }
        self.pods = self.pods.saturating_add(1);
        let node = spec.node_name.as_deref().and_then(|name| name.parse::<NodeName>().ok());
        let (namespace, workload) = (word(&text(metadata.namespace.as_ref())), workload(&metadata));
        let images = images_of(&spec, &status);
        if images.len() > POD_IMAGES_MAX {
            self.leave_out(format!("images of pods that name more than {POD_IMAGES_MAX}"));
        }
        let started = status.start_time.clone();
        for (role, image, status) in images.into_iter().take(POD_IMAGES_MAX) {
            let (name, digest, config) = identified(image, status);
            let (namespace, workload) = (namespace.clone(), workload.clone());
            let image = image_text(image);
            let key = Key { namespace, workload, role, image, name, digest, config };
            if self.running.len() >= ENTRIES_KEPT_MAX && !self.running.contains_key(&key) {
                return self.leave_out(format!("more than {ENTRIES_KEPT_MAX} different entries"));
            }
            let entry = self.running.entry(key).or_default();
            entry.pods = entry.pods.saturating_add(1);
            entry.nodes.extend(node.clone());
            let running = status.and_then(|it| it.state.as_ref()?.running.as_ref());
            let of_pod = started.as_deref().filter(|_| role == UsedAs::Volume);
            let began = running.and_then(|it| it.started_at.as_deref()).or(of_pod);
            let began = began.and_then(|it| it.parse().ok());
            entry.since = [entry.since, began].into_iter().flatten().min();
        }
    }

    fn node(&mut self, node: Object) {
        if self.is_full() {
            return self.leave_out(format!("there are more than {NODES_MAX} nodes"));
        }
        self.nodes = Some(self.nodes.unwrap_or(0).saturating_add(1));
        let name = node.metadata.name.as_deref().and_then(|name| name.parse::<NodeName>().ok());
        let images = node.status.and_then(|it| it.images).unwrap_or_default();
        self.full_nodes += u64::from(images.len() == KUBELET_TELLS);
        let Some(node) = name else { return };
        for image in images.into_iter().take(NODE_IMAGES_MAX) {
            for name in image.names.unwrap_or_default().iter().take(NODE_IMAGE_NAMES_MAX) {
                // What has no digest is a tag, which says nothing of what lies there.
                let Some(RunningId::Manifest { name: Some(name), digest }) = running_id(name)
                else {
                    continue;
                };
                let is_new = !self.cached.contains_key(&(name.clone(), digest));
                if is_new && self.cached.len() >= ENTRIES_KEPT_MAX {
                    return self.leave_out(format!("more than {ENTRIES_KEPT_MAX} cached images"));
                }
                self.cached.entry((name, digest)).or_default().insert(node.clone());
            }
        }
    }

    /// The same as a report about `cluster`, of `at`, within its bounds.
    pub fn report(
        self,
        cluster: ClusterName,
        at: Timestamp,
        every: Option<Every>,
    ) -> InventoryReport {
        let running = self.running.into_iter().map(|(key, entry)| {
            let Key { namespace, workload, role, image, name, digest, config } = key;
            let Entry { pods, since, nodes } = entry;
            let nodes = nodes.into_iter().collect();
            let more_nodes = 0;
            Running {
                namespace,
                workload,
                role,
                image,
                name,
                digest,
                config,
                pods,
                since,
                nodes,
                more_nodes,
            }
        });
        let cached = self.cached.into_iter().map(|((name, digest), nodes)| {
            let nodes = nodes.into_iter().collect();
            Cached { name, digest, nodes, more_nodes: 0 }
        });
        let mut report = InventoryReport {
            cluster,
            at,
            every_seconds: every,
            pods: self.pods,
            nodes: self.nodes,
            left_out: Vec::new(),
            running: running.collect(),
            cached: cached.collect(),
        };
        for what in &self.left_out {
            report.leave_out(what);
        }
        if self.full_nodes > 0 {
            report.leave_out(&format!(
                "what more lies on {} that list {KUBELET_TELLS} images, which is all that a kubelet tells \
                 where nodeStatusMaxImages says nothing else",
                crate::text::count(self.full_nodes, "node")
            ));
        }
        report.fit()
    }
}

/// Every image that a pod names, with what its node says of it.
fn images_of<'a>(
    spec: &'a Spec,
    status: &'a ObjectStatus,
) -> Vec<(UsedAs, &'a str, Option<&'a ContainerStatus>)> {
    type Containers = Option<Vec<Container>>;
    type Statuses = Option<Vec<ContainerStatus>>;
    let lists: [(UsedAs, &Containers, &Statuses); 3] = [
        (UsedAs::Container, &spec.containers, &status.container_statuses),
        (UsedAs::Init, &spec.init_containers, &status.init_container_statuses),
        (UsedAs::Ephemeral, &spec.ephemeral_containers, &status.ephemeral_container_statuses),
    ];
    let mut images = Vec::new();
    for (role, containers, statuses) in lists {
        for container in containers.iter().flatten() {
            let Some(image) = container.image.as_deref().filter(|it| !it.is_empty()) else {
                continue;
            };
            let status = statuses.iter().flatten().find(|it| it.name == container.name);
            images.push((role, image, status));
        }
    }
    let volumes = spec.volumes.iter().flatten();
    let references = volumes.filter_map(|it| it.image.as_ref()?.reference.as_deref());
    images.extend(references.map(|image| (UsedAs::Volume, image, None)));
    images
}

/// The repository, manifest and configuration of an image that is written `image`: what its node says comes
/// first, as a tag may have moved; before it says anything, the digest that is written.
fn identified(
    image: &str,
    status: Option<&ContainerStatus>,
) -> (Option<Name>, Option<Digest>, Option<Digest>) {
    let written: Option<ImageReference> = image.parse().ok();
    let (name, pinned) = written.map_or((None, None), |it| (Some(it.name), it.digest));
    match status.and_then(|it| it.image_id.as_deref()).and_then(running_id) {
        Some(RunningId::Manifest { name: said, digest }) => (said.or(name), Some(digest), None),
        // What is written is what was asked for, and a manifest.
        Some(RunningId::Config(config)) => (name, pinned, Some(config)),
        None => (name, pinned, None),
    }
}

/// What a pod is of: its controller, and for a `ReplicaSet` that a `Deployment` named, that one. A static pod is
/// its node's, and stands for itself.
fn workload(metadata: &Metadata) -> Workload {
    let own = || Workload { kind: "Pod".to_owned(), name: word(&text(metadata.name.as_ref())) };
    let owners = metadata.owner_references.iter().flatten();
    let Some(owner) = owners.clone().find(|it| it.controller == Some(true)) else { return own() };
    if owner.kind == "Node" {
        return own();
    }
    let hash = metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash
        .filter(|hash| owner.kind == "ReplicaSet" && !hash.is_empty())
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match deployment {
        Some(name) => Workload { kind: "Deployment".to_owned(), name: word(name) },
        None => Workload { kind: word(&owner.kind), name: word(&owner.name) },
    }
}

fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests;
