//! Trust tied to isolation: what the rule of an image asks of the pod that runs it.

use super::checks::{is_non_root, is_read_only};
use super::pod::{List, Pod, PodImage};
use crate::policy::{EGRESS_DENIED, EGRESS_LABEL, Isolation};

/// What `pod` does not have that `wanted` asks of whoever runs `image`; each in words.
///
/// What is asked of containers is asked of the one that runs the image: an image volume is run by nobody.
pub(super) fn unmet(pod: &Pod, image: &PodImage, wanted: &Isolation) -> Vec<String> {
    let mut unmet = Vec::new();
    let class = pod.spec.runtime_class_name.as_deref();
    let classes = &wanted.runtime_classes;
    if !classes.is_empty() && !class.is_some_and(|class| classes.iter().any(|it| it == class)) {
        unmet.push(format!("runtimeClassName: {}", classes.join(" or ")));
    }
    let container = pod
        .containers()
        .find(|(list, index, _)| *list == image.list && *index == image.index)
        .map(|(_, _, container)| container);
    if wanted.non_root && container.is_some_and(|it| !is_non_root(pod, it)) {
        unmet.push("securityContext.runAsNonRoot: true".to_owned());
    }
    if wanted.read_only_root && container.is_some_and(|it| !is_read_only(it)) {
        unmet.push("securityContext.readOnlyRootFilesystem: true".to_owned());
    }
    if wanted.deny_egress && !denies_egress(pod) {
        unmet.push(format!("the label {EGRESS_LABEL}: {EGRESS_DENIED}"));
    }
    debug_assert!(container.is_some() || image.list == List::Volumes, "an image is somebody's");
    unmet
}

/// Whether the pod has the label that the `NetworkPolicy` selects.
pub(super) fn denies_egress(pod: &Pod) -> bool {
    pod.label(EGRESS_LABEL) == Some(EGRESS_DENIED)
}
