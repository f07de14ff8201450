//! Who runs the images of a review, for what is not for everybody: `clients` of the policy.

use std::fmt;

use super::review::{Object, Review};
use crate::policy::{ClientRule, Workload};

/// The service account of a pod that names none.
const ACCOUNT_DEFAULT: &str = "default";

/// Who runs an image, as far as that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runner {
    /// Pods of a namespace, whose service account is not said.
    Namespace(String),
    /// A pod.
    Pod(Workload),
    /// Nothing is said.
    Unknown,
}

impl Runner {
    /// Whether `rule` is for others, whatever is not said here.
    pub fn is_left_out_by(&self, rule: &ClientRule) -> bool {
        match self {
            Self::Namespace(namespace) => rule.is_for_none_of(namespace),
            Self::Pod(pod) => !rule.is_for(pod),
            Self::Unknown => false,
        }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(namespace) => write!(f, "namespace {namespace}"),
            Self::Pod(pod) => pod.fmt(f),
            Self::Unknown => f.write_str("an unknown pod"),
        }
    }
}

impl Review {
    /// Who runs the images of the object.
    pub fn runner(&self) -> Runner {
        let Some(namespace) = self.namespace.clone() else { return Runner::Unknown };
        match &self.object {
            Object::Pod { new, .. } => {
                let named = new.spec.service_account_name.clone().filter(|it| !it.is_empty());
                let service_account = named.unwrap_or_else(|| ACCOUNT_DEFAULT.to_owned());
                Runner::Pod(Workload { namespace, service_account })
            }
            Object::Other | Object::Unreadable(_) | Object::Workload { .. } => {
                Runner::Namespace(namespace)
            }
        }
    }
}
