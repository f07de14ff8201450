//! `ImageReview` of `imagepolicy.k8s.io/v1alpha1`: what the API server's own `ImagePolicyWebhook` asks.
//!
//! It cannot be answered with a change, and sees what is written: a tag that is not known here is refused,
//! because nothing would bind it to what was judged.
//!
//! Spec: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#imagepolicywebhook>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::known::{Known, Said, Unknown};
use super::{Error, IMAGES_MAX, MESSAGE_LENGTH_MAX, NAME_LENGTH_MAX, Rules, fits, printable};
use crate::oci::from_strict_slice;

const API_VERSION: &str = "imagepolicy.k8s.io/v1alpha1";
const KIND: &str = "ImageReview";
/// By which annotation somebody says that an image is meant to run by a break-glass, and which.
const BREAK_GLASS: &str = "pratique.image-policy.k8s.io/break-glass";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReview {
    /// The images, as they are written; one of an image volume is not among them.
    pub images: Vec<String>,
    /// The namespace of the pod.
    pub namespace: Option<String>,
    /// The ticket or the number of the break-glass that is named, if one is.
    pub break_glass: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    containers: Option<Vec<Container>>,
    annotations: Option<BTreeMap<String, String>>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct Container {
    image: Option<String>,
}

impl ImageReview {
    /// The review in `bytes`; how many these are, the caller has bounded.
    ///
    /// # Errors
    /// When it is no review of this version, or names too many images.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let read: Document = from_strict_slice(bytes).map_err(|error| Error::json(&error))?;
        if read.api_version != API_VERSION || read.kind != KIND {
            let (given, wanted) = ((read.api_version, read.kind), (API_VERSION, KIND));
            return Err(Error::kind(&given, wanted));
        }
        let containers = read.spec.containers.unwrap_or_default();
        if containers.len() > IMAGES_MAX {
            return Err(Error::TooMany);
        }
        let images = containers.into_iter().map(|it| it.image.unwrap_or_default()).collect();
        let mut annotations = read.spec.annotations.unwrap_or_default();
        let ticket = annotations.remove(BREAK_GLASS).filter(|ticket| !ticket.is_empty());
        Ok(Self {
            images,
            namespace: read.spec.namespace.filter(|it| !it.is_empty()),
            break_glass: ticket.map(|ticket| printable(&ticket, NAME_LENGTH_MAX)),
        })
    }

    /// The review that answers this one. `glass` says by which break-glass in force the one that is named
    /// covers an image; one that is not in force says nothing.
    pub fn document(
        &self,
        rules: &Rules,
        known: &BTreeMap<String, Known>,
        glass: impl Fn(&str) -> Option<String>,
    ) -> (Value, bool) {
        let exempt = self.namespace.as_ref().is_some_and(|it| rules.exempt.contains(it));
        let mut reasons = Vec::new();
        let mut annotations = BTreeMap::new();
        for image in self.images.iter().filter(|_| !exempt) {
            let shown = printable(image, NAME_LENGTH_MAX);
            let Some(known) = known.get(image) else {
                reasons.push(format!("{shown}: it was not looked at"));
                continue;
            };
            // A tag that is let in unknown would be whatever it is by the time of the pull.
            let unknown = if image.contains('@') { rules.unknown } else { Unknown::Deny };
            let Some(text) = known.said.refusal(unknown) else {
                annotations.insert("decision", known.said.as_str().to_owned());
                continue;
            };
            let is_open = matches!(known.said, Said::Unknown(_) | Said::Waiting(_));
            match self.break_glass.as_ref().filter(|_| is_open).and_then(|_| glass(image)) {
                Some(id) => drop(annotations.insert("approval", id)),
                None => reasons.push(format!("{shown}: {text}")),
            }
        }
        if self.break_glass.is_some() && !reasons.is_empty() {
            reasons.push("no break-glass that is in force covers it by that annotation".to_owned());
        }
        let allowed = reasons.is_empty();
        let mut status = json!({"allowed": allowed});
        if let Some(status) = status.as_object_mut() {
            if allowed {
                let decision = if exempt { "exempt" } else { "admitted" };
                annotations.entry("decision").or_insert_with(|| decision.to_owned());
            } else {
                annotations.insert("decision", "denied".to_owned());
                let reason = fits(&reasons.join("; "), MESSAGE_LENGTH_MAX);
                status.insert("reason".to_owned(), reason.into());
            }
            let annotations: BTreeMap<&str, String> =
                annotations.into_iter().map(|(key, text)| (key, fits(&text, 253))).collect();
            status.insert("auditAnnotations".to_owned(), json!(annotations));
        }
        (json!({"apiVersion": API_VERSION, "kind": KIND, "status": status}), allowed)
    }
}
