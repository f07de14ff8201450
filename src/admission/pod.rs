//! A Pod, as far as it is looked at when it is admitted.
//!
//! Spec: <https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#pod-v1-core>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// What a list or a map is that is not there: `null` says the same as nothing.
fn or_nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Pod {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) ephemeral_containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) volumes: Vec<Volume>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) host_network: bool,
    #[serde(default, rename = "hostPID", deserialize_with = "or_nothing")]
    pub(super) host_pid: bool,
    #[serde(default, rename = "hostIPC", deserialize_with = "or_nothing")]
    pub(super) host_ipc: bool,
    pub(super) automount_service_account_token: Option<bool>,
    pub(super) service_account_name: Option<String>,
    pub(super) runtime_class_name: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) security_context: SecurityContext,
}

/// What a pod or a container says of its security. What only one of them has is nothing in the other.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    pub(super) run_as_user: Option<i64>,
    pub(super) run_as_non_root: Option<bool>,
    pub(super) privileged: Option<bool>,
    pub(super) allow_privilege_escalation: Option<bool>,
    pub(super) read_only_root_filesystem: Option<bool>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) capabilities: Capabilities,
    pub(super) seccomp_profile: Option<Profile>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) windows_options: WindowsOptions,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Capabilities {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) add: Vec<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) drop: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Profile {
    #[serde(default, rename = "type", deserialize_with = "or_nothing")]
    pub(super) kind: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WindowsOptions {
    pub(super) host_process: Option<bool>,
}

/// A container of any of the three lists.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) image: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) security_context: SecurityContext,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) ports: Vec<Port>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) resources: Resources,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) host_port: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Resources {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) limits: BTreeMap<String, Quantity>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) requests: BTreeMap<String, Quantity>,
}

/// An amount, as text or as a number; how much it is, is not looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Quantity {
    Number(serde_json::Number),
    Text(String),
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) name: String,
    pub(super) host_path: Option<HostPath>,
    pub(super) image: Option<ImageVolume>,
    pub(super) projected: Option<Projected>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct HostPath {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) path: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct ImageVolume {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) reference: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Projected {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) sources: Vec<Source>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    pub(super) service_account_token: Option<TokenSource>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct TokenSource {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) audience: String,
}

/// In which list of a pod something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Containers,
    EphemeralContainers,
    InitContainers,
    Volumes,
}

impl List {
    /// Its key in the spec.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::EphemeralContainers => "ephemeralContainers",
            Self::InitContainers => "initContainers",
            Self::Volumes => "volumes",
        }
    }
}

/// An image that a pod names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodImage {
    /// As it is written.
    pub image: String,
    /// What has it: the name of the container or the volume.
    pub name: String,
    /// Whether it is there since this change: of an UPDATE only those are judged.
    pub is_new: bool,
    pub(super) list: List,
    pub(super) index: usize,
}

impl PodImage {
    /// Where the pod has it: `spec.containers[0].image`.
    pub fn place(&self) -> String {
        let last = if self.list == List::Volumes { "image.reference" } else { "image" };
        format!("spec.{}[{}].{last}", self.list.key(), self.index)
    }

    /// The same as a JSON pointer (RFC 6901).
    pub(super) fn pointer(&self) -> String {
        let index = self.index.to_string();
        let own: &[&str] =
            if self.list == List::Volumes { &["image", "reference"] } else { &["image"] };
        let path = ["spec", self.list.key(), &index];
        let steps: Vec<String> = path.iter().chain(own).map(|key| escaped(key)).collect();
        format!("/{}", steps.join("/"))
    }
}

/// A key as it stands in a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Pod {
    /// The containers with the lists that they are in, in the order in which they run.
    pub(super) fn containers(&self) -> impl Iterator<Item = (List, usize, &Container)> {
        let lists = [
            (List::InitContainers, &self.spec.init_containers),
            (List::Containers, &self.spec.containers),
            (List::EphemeralContainers, &self.spec.ephemeral_containers),
        ];
        lists.into_iter().flat_map(|(list, items)| {
            items.iter().enumerate().map(move |(index, container)| (list, index, container))
        })
    }

    /// Whether `container` of `list` is in this pod as it is there.
    fn has(&self, list: List, container: &Container) -> bool {
        self.containers().any(|(of, _, it)| of == list && it == container)
    }

    /// Whether a container is one that `before` did not have like this.
    pub(super) fn is_new(before: Option<&Self>, list: List, container: &Container) -> bool {
        before.is_none_or(|before| !before.has(list, container))
    }

    /// The images that it names, all of them: of containers, init containers, ephemeral containers and image
    /// volumes. What `before` had alike is not new. That somebody deletes the pod makes no difference.
    pub fn images(&self, before: Option<&Self>) -> Vec<PodImage> {
        let of_containers = self.containers().map(|(list, index, container)| PodImage {
            image: container.image.clone(),
            name: container.name.clone(),
            is_new: Self::is_new(before, list, container),
            list,
            index,
        });
        let volumes = self.spec.volumes.iter().enumerate();
        let of_volumes = volumes.filter_map(|(index, volume)| {
            let image = volume.image.as_ref()?;
            Some(PodImage {
                image: image.reference.clone(),
                name: volume.name.clone(),
                is_new: before.is_none_or(|before| !before.spec.volumes.contains(volume)),
                list: List::Volumes,
                index,
            })
        });
        of_containers.chain(of_volumes).filter(|it| !it.image.is_empty()).collect()
    }

    /// What the pod says by the label `key`.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    #[test]
    fn every_list_that_names_images_is_read() {
        let pod = pod(&json!({
            "initContainers": [{"name": "wait", "image": "busybox"}],
            "containers": [{"name": "web", "image": "nginx"}, {"name": "none"}],
            "ephemeralContainers": [{"name": "debug", "image": "alpine"}],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "model", "image": {"reference": "ghcr.io/acme/model:2"}}],
        }));
        let found: Vec<_> = pod
            .images(None)
            .iter()
            .map(|it| (it.image.clone(), it.place(), it.pointer()))
            .collect();
        let expected = [
            ("busybox", "spec.initContainers[0].image", "/spec/initContainers/0/image"),
            ("nginx", "spec.containers[0].image", "/spec/containers/0/image"),
            ("alpine", "spec.ephemeralContainers[0].image", "/spec/ephemeralContainers/0/image"),
            (
                "ghcr.io/acme/model:2",
                "spec.volumes[1].image.reference",
                "/spec/volumes/1/image/reference",
            ),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(escaped("a/b~c"), "a~1b~0c");
    }

    #[test]
    fn null_is_nothing_and_another_kind_is_an_error() {
        let empty = pod(&json!({
            "containers": [{"name": "a", "image": null, "securityContext": null, "ports": null, "resources": null}],
            "initContainers": null, "volumes": null, "securityContext": null, "hostNetwork": null,
        }));
        assert_eq!(empty.images(None), []);
        for wrong in [
            json!({"containers": {}}),
            json!({"containers": [{"image": 5}]}),
            json!({"hostPID": "true"}),
            json!({"volumes": [{"image": "nginx"}]}),
        ] {
            let read: Result<Pod, _> = serde_json::from_value(json!({"spec": wrong}));
            assert!(read.is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_an_update_only_what_changed_is_new() {
        let before = pod(
            &json!({"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]}),
        );
        let after = pod(&json!({
            "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}],
            "ephemeralContainers": [{"name": "a", "image": "x:1"}],
        }));
        let new: Vec<_> =
            after.images(Some(&before)).into_iter().map(|it| (it.image, it.is_new)).collect();
        let expected = [("x:1", false), ("y:2", true), ("x:1", true)];
        assert_eq!(new, expected.map(|(image, new)| (image.to_owned(), new)));
    }
}
