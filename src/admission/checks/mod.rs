//! What a pod may be asked to have besides its images, each off, told or refused.
//!
//! They say what the Pod Security Standard *restricted* says, and a little more; for an estate that wants one
//! answer with clear text. Pod Security Admission needs no webhook and is the first choice (docs/pods.md).

mod of_container;
mod of_pod;

pub(super) use of_container::{is_non_root, is_read_only};

use super::pod::Pod;

/// Most names that one text tells.
const NAMES_MAX: usize = 4;

/// How much a check may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// The pod is refused.
    Deny,
    /// It is not looked at.
    #[default]
    Off,
    /// It is told.
    Warn,
}

impl Strictness {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Warn, Self::Deny];

    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Off => "off",
            Self::Warn => "warn",
        }
    }
}

/// One thing that a pod may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Containers give up every capability, and take none but `NET_BIND_SERVICE`.
    Capabilities,
    /// The pod does not share the node's network, processes or IPC.
    HostNamespaces,
    /// No volume is a path of the node.
    HostPath,
    /// No container takes a port of the node.
    HostPorts,
    /// Containers do not run as root.
    NonRoot,
    /// Containers cannot gain more privileges than they start with.
    PrivilegeEscalation,
    /// No container is privileged, or a process of the node.
    Privileged,
    /// Containers cannot write to their root filesystem.
    ReadOnlyRoot,
    /// Containers say what memory they may have, and what memory and processor they need.
    Resources,
    /// Containers run under a seccomp profile.
    Seccomp,
    /// No token of the service account is mounted by itself.
    ServiceAccountToken,
}

impl Check {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Privileged,
        Self::PrivilegeEscalation,
        Self::NonRoot,
        Self::HostNamespaces,
        Self::HostPath,
        Self::HostPorts,
        Self::Capabilities,
        Self::Seccomp,
        Self::ReadOnlyRoot,
        Self::Resources,
        Self::ServiceAccountToken,
    ];

    /// Its key in the settings.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::HostNamespaces => "host_namespaces",
            Self::HostPath => "host_path",
            Self::HostPorts => "host_ports",
            Self::NonRoot => "non_root",
            Self::PrivilegeEscalation => "privilege_escalation",
            Self::Privileged => "privileged",
            Self::ReadOnlyRoot => "read_only_root",
            Self::Resources => "resources",
            Self::Seccomp => "seccomp",
            Self::ServiceAccountToken => "service_account_token",
        }
    }
}

/// Which checks are asked, and what becomes of what they find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checks([Strictness; Check::ALL.len()]);

impl Checks {
    /// What `check` does.
    pub fn of(&self, check: Check) -> Strictness {
        let found = Check::ALL.iter().zip(&self.0).find(|(it, _)| **it == check);
        found.map(|(_, strictness)| *strictness).unwrap_or_default()
    }

    /// Has `check` do that.
    pub fn set(&mut self, check: Check, strictness: Strictness) {
        for (it, place) in Check::ALL.iter().zip(&mut self.0) {
            if *it == check {
                *place = strictness;
            }
        }
    }

    /// Whether any is asked.
    pub fn are_asked(&self) -> bool {
        self.0.iter().any(|it| *it != Strictness::Off)
    }

    /// What they find about `pod`, each with what becomes of it. Of a pod that was there `before`, only the
    /// containers that are new are looked at: the rest of it cannot be changed any more.
    pub fn ask(&self, pod: &Pod, before: Option<&Pod>) -> Vec<(Check, Strictness, String)> {
        let asked = Check::ALL.iter().map(|check| (*check, self.of(*check)));
        let asked = asked.filter(|(_, strictness)| *strictness != Strictness::Off);
        asked.filter_map(|(check, it)| Some((check, it, check.objection(pod, before)?))).collect()
    }
}

impl Check {
    /// What is wrong with `pod`, and what to write instead; `None`: nothing.
    fn objection(self, pod: &Pod, before: Option<&Pod>) -> Option<String> {
        let text = match self {
            Self::Capabilities => of_container::capabilities(pod, before),
            Self::HostNamespaces => of_pod::host_namespaces(pod, before),
            Self::HostPath => of_pod::host_path(pod, before),
            Self::HostPorts => of_container::host_ports(pod, before),
            Self::NonRoot => of_container::non_root(pod, before),
            Self::PrivilegeEscalation => of_container::privilege_escalation(pod, before),
            Self::Privileged => of_container::privileged(pod, before),
            Self::ReadOnlyRoot => of_container::read_only_root(pod, before),
            Self::Resources => of_container::resources(pod, before),
            Self::Seccomp => of_container::seccomp(pod, before),
            Self::ServiceAccountToken => of_pod::service_account_token(pod, before),
        };
        text.map(|text| format!("{}: {text}", self.key()))
    }
}

/// `names` as they are told: the first few, and how many more there are.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| super::printable(name, 63)).collect();
    let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMES_MAX) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        Some(_) | None => shown,
    }
}
