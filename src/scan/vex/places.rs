//! What the references of a bill of materials stand for.

use std::collections::HashMap;

use serde::Deserialize;

use super::sink::Sink;
use super::{Component, Product, VexError};
use crate::oci::Digest;

/// A component, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(rename = "bom-ref", default)]
    reference: Option<String>,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    components: Vec<Part>,
}

/// What the references of a document stand for.
pub(super) struct Places {
    serial: Option<String>,
    /// What the document describes, with its reference.
    root: (Option<String>, Component),
    parts: HashMap<String, Component>,
}

impl Places {
    pub(super) fn new(
        serial: Option<String>,
        described: Option<&Part>,
        parts: &[Part],
        sink: &mut Sink,
    ) -> Result<Self, VexError> {
        let reference = described.and_then(|part| part.reference.clone());
        let mut root = described.map(|part| component(part, sink)).unwrap_or_default();
        // Tools say the digest of an image as its version.
        let version = described.and_then(|part| part.version.as_ref());
        root.digests.extend(version.and_then(|version| version.parse::<Digest>().ok()));
        if root == Component::default() {
            let unreadable = described.is_some_and(|part| part.purl.is_some());
            root.is_attached = !unreadable;
        }
        let mut known = HashMap::new();
        let mut left: Vec<&Part> = parts.iter().collect();
        left.extend(described.into_iter().flat_map(|part| &part.components));
        while let Some(part) = left.pop() {
            sink.count(1)?;
            left.extend(&part.components);
            let Some(reference) = &part.reference else { continue };
            // Two of one reference are neither.
            let read = component(part, sink);
            known
                .entry(reference.clone())
                .and_modify(|it| *it = Component::default())
                .or_insert(read);
        }
        Ok(Self { serial, root: (reference, root), parts: known })
    }

    /// The product that `reference` stands for: what the document describes, or only a part of it.
    pub(super) fn product(&self, reference: &str) -> Option<Product> {
        let local = self.local(reference)?;
        let (root, component) = &self.root;
        let component = component.clone();
        if root.as_deref() == Some(local) {
            return Some(Product { component, subcomponents: Vec::new() });
        }
        let part = match self.parts.get(local) {
            Some(part) => part.clone(),
            None => Component { purls: vec![local.parse().ok()?], ..Component::default() },
        };
        (!part.purls.is_empty()).then(|| Product { component, subcomponents: vec![part] })
    }

    /// `reference` without the name of this document in front, if it has that.
    fn local<'a>(&self, reference: &'a str) -> Option<&'a str> {
        let Some(link) = reference.strip_prefix("urn:cdx:") else { return Some(reference) };
        let (document, local) = link.split_once('#')?;
        let own = self.serial.as_deref()?.strip_prefix("urn:uuid:")?;
        let (serial, _version) = document.split_once('/')?;
        serial.eq_ignore_ascii_case(own).then_some(local)
    }
}

/// What a component is known by; what cannot be read is known by nothing.
fn component(part: &Part, sink: &mut Sink) -> Component {
    let mut component = Component::default();
    if let Some(purl) = &part.purl {
        match purl.parse() {
            Ok(purl) => component.purls.push(purl),
            Err(_) => sink.problem(&format!("a component cannot be read: {purl}")),
        }
    }
    component
}
