//! What containers are asked.

use super::super::pod::{Container, List, Pod};
use super::listed;

/// What a container may be given besides nothing: *restricted* allows it.
const CAPABILITY_ALLOWED: &str = "NET_BIND_SERVICE";
/// The profiles that confine.
const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];

/// The containers that are new and that `is_wrong` says yes to, by name; `None`: none is.
fn wrong(
    pod: &Pod,
    before: Option<&Pod>,
    is_wrong: impl Fn(&Container, List) -> bool,
) -> Option<String> {
    let found: Vec<&str> = pod
        .containers()
        .filter(|(list, _, container)| Pod::is_new(before, *list, container))
        .filter(|(list, _, container)| is_wrong(container, *list))
        .map(|(_, _, container)| container.name.as_str())
        .collect();
    (!found.is_empty()).then(|| format!("container {}", listed(found.into_iter())))
}

/// Whether `container` is sure not to run as root, by itself or by its pod.
pub(in super::super) fn is_non_root(pod: &Pod, container: &Container) -> bool {
    let (own, shared) = (&container.security_context, &pod.spec.security_context);
    let user = own.run_as_user.or(shared.run_as_user);
    let non_root = own.run_as_non_root.or(shared.run_as_non_root).unwrap_or(false);
    match user {
        Some(0) => false,
        Some(_) => true,
        None => non_root,
    }
}

/// Whether `container` cannot write to its root filesystem.
pub(in super::super) fn is_read_only(container: &Container) -> bool {
    container.security_context.read_only_root_filesystem == Some(true)
}

pub(super) fn non_root(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who = wrong(pod, before, |container, _| !is_non_root(pod, container))?;
    Some(format!(
        "{who} may run as root; set securityContext.runAsNonRoot: true, and no runAsUser: 0"
    ))
}

pub(super) fn privileged(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let shared = pod.spec.security_context.windows_options.host_process;
    let who = wrong(pod, before, |container, _| {
        let own = &container.security_context;
        own.privileged == Some(true) || own.windows_options.host_process.or(shared) == Some(true)
    })?;
    Some(format!(
        "{who} is privileged, which is root on the node; remove privileged and hostProcess"
    ))
}

pub(super) fn privilege_escalation(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who = wrong(pod, before, |container, _| {
        container.security_context.allow_privilege_escalation != Some(false)
    })?;
    Some(format!("{who} may gain privileges; set securityContext.allowPrivilegeEscalation: false"))
}

pub(super) fn capabilities(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who = wrong(pod, before, |container, _| {
        let asked = &container.security_context.capabilities;
        let drops_all = asked.drop.iter().any(|it| it == "ALL");
        !drops_all || asked.add.iter().any(|it| it != CAPABILITY_ALLOWED)
    })?;
    Some(format!(
        "{who} keeps or adds capabilities; set capabilities: {{drop: [ALL]}}, and add none but {CAPABILITY_ALLOWED}"
    ))
}

pub(super) fn seccomp(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let shared = pod.spec.security_context.seccomp_profile.as_ref();
    let who = wrong(pod, before, |container, _| {
        let profile = container.security_context.seccomp_profile.as_ref().or(shared);
        !profile.is_some_and(|profile| PROFILES.contains(&profile.kind.as_str()))
    })?;
    Some(format!("{who} has no seccomp profile; set seccompProfile: {{type: RuntimeDefault}}"))
}

pub(super) fn read_only_root(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who = wrong(pod, before, |container, _| !is_read_only(container))?;
    Some(format!(
        "{who} can write to its root filesystem; set readOnlyRootFilesystem: true, and mount an emptyDir where it writes"
    ))
}

pub(super) fn resources(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who = wrong(pod, before, |container, list| {
        let (limits, requests) = (&container.resources.limits, &container.resources.requests);
        let needs = |key: &str| requests.contains_key(key) || limits.contains_key(key);
        // Ephemeral containers cannot say.
        list != List::EphemeralContainers
            && !(limits.contains_key("memory") && needs("memory") && needs("cpu"))
    })?;
    Some(format!(
        "{who} sets no bounds; set resources: limits.memory, and requests of memory and cpu"
    ))
}

pub(super) fn host_ports(pod: &Pod, before: Option<&Pod>) -> Option<String> {
    let who =
        wrong(pod, before, |container, _| container.ports.iter().any(|port| port.host_port != 0))?;
    Some(format!("{who} takes a port of the node; remove hostPort, and use a Service"))
}
