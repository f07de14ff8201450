//! What the pod itself is asked. It is what it is once it was made: nothing here is asked again of one that was
//! there before.

use super::super::pod::Pod;
use super::listed;

/// How the volume is called that the API server adds for the token.
const TOKEN_VOLUME: &str = "kube-api-access-";

pub(super) fn host_namespaces(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let spec = &pod.spec;
    let shared = [
        ("hostNetwork", spec.host_network),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
    ];
    let shared: Vec<&str> = shared.iter().filter(|(_, on)| *on).map(|(key, _)| *key).collect();
    let is_wrong = before.is_none() && !shared.is_empty();
    is_wrong
        .then(|| format!("the pod shares what is the node's ({}); remove that", shared.join(", ")))
}

pub(super) fn host_path(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let of_node = |volume: &&super::super::pod::Volume| volume.host_path.is_some();
    let found: Vec<&str> =
        pod.spec.volumes.iter().filter(of_node).map(|volume| volume.name.as_str()).collect();
    let is_wrong = before.is_none() && !found.is_empty();
    is_wrong.then(|| {
        let names = listed(found.into_iter());
        format!("volume {names} is a path of the node (hostPath); use another kind of volume")
    })
}

pub(super) fn service_account_token(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    // What the service account says is not seen here: the API server has put the volume there by then, or not.
    let is_token = |volume: &super::super::pod::Volume| {
        let sources = volume.projected.iter().flat_map(|it| &it.sources);
        volume.name.starts_with(TOKEN_VOLUME)
            && sources.into_iter().any(|source| source.service_account_token.is_some())
    };
    let is_mounted = pod.spec.automount_service_account_token == Some(true)
        || pod.spec.volumes.iter().any(is_token);
    let is_wrong = before.is_none() && is_mounted;
    is_wrong.then(|| {
        "the pod gets a token for the API server; set automountServiceAccountToken: false, or mount one with an audience"
            .to_owned()
    })
}
