//! What a rule asks of the pods that run its images.

use std::fmt;

/// The label by which a pod says that nothing may leave it; the `NetworkPolicy` that we ship selects it.
pub const EGRESS_LABEL: &str = "pratique.dev/egress";
/// What that label says then.
pub const EGRESS_DENIED: &str = "denied";

/// What pods have to have that run the images of a rule: `requires`. It is looked at when a pod is admitted;
/// a pull knows of no pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Isolation {
    /// One of these runtime classes; none listed is any.
    pub runtime_classes: Vec<String>,
    /// Not root.
    pub non_root: bool,
    /// A root filesystem that cannot be written.
    pub read_only_root: bool,
    /// The label that the `NetworkPolicy` against everything outgoing selects. No network policy can be seen
    /// from a pod: that there is one, and that the cluster's network obeys it, is not shown by this.
    pub deny_egress: bool,
}

impl Isolation {
    /// Whether anything is asked for.
    pub fn is_asked(&self) -> bool {
        !self.runtime_classes.is_empty() || self.non_root || self.read_only_root || self.deny_egress
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.runtime_classes.is_empty() {
            parts.push(format!("the runtime class {}", self.runtime_classes.join(" or ")));
        }
        if self.non_root {
            parts.push("not to run as root".to_owned());
        }
        if self.read_only_root {
            parts.push("a read-only root filesystem".to_owned());
        }
        if self.deny_egress {
            parts.push(format!("the label {EGRESS_LABEL}: {EGRESS_DENIED}"));
        }
        f.write_str(&parts.join(", "))
    }
}
