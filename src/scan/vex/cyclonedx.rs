//! Documents of CycloneDX: analyses of vulnerabilities in a bill of materials.
//!
//! Spec: <https://cyclonedx.org/docs/1.6/json/#vulnerabilities>

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::format::malformed;
use super::sink::{Sink, name, text, version};
use super::{Component, Document, Product, Statement, Status, VexError};
use crate::oci::{Digest, from_strict_slice};
use crate::scan::database::printable;
use crate::time::Timestamp;

/// The versions of the format that are read.
const VERSIONS: &str = "1.";
/// Why something that has a vulnerability does not suffer from it.
const JUSTIFICATIONS: [&str; 9] = [
    "code_not_present",
    "code_not_reachable",
    "protected_at_perimeter",
    "protected_at_runtime",
    "protected_by_compiler",
    "protected_by_mitigating_control",
    "requires_configuration",
    "requires_dependency",
    "requires_environment",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    bom_format: String,
    /// The mark of the other format.
    #[serde(rename = "@context", default)]
    context: Option<IgnoredAny>,
    spec_version: String,
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default)]
    version: Option<Value>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    components: Vec<Part>,
    #[serde(default)]
    vulnerabilities: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    component: Option<Part>,
}

/// A component, as far as it is needed.
#[derive(Deserialize)]
struct Part {
    #[serde(rename = "bom-ref", default)]
    reference: Option<String>,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    components: Vec<Part>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Document, VexError> {
    let raw: Raw = from_strict_slice(bytes).map_err(malformed)?;
    // What says that it is both is read in two ways.
    if raw.bom_format != "CycloneDX" || raw.context.is_some() {
        return Err(VexError::OtherFormat);
    }
    if !raw.spec_version.starts_with(VERSIONS) {
        return Err(VexError::Version(printable(&raw.spec_version)));
    }
    let mut sink = Sink::new(raw.serial_number.as_deref(), version(raw.version.as_ref()));
    let (stamp, described) = match raw.metadata {
        Some(Metadata { timestamp, component }) => (timestamp, component),
        None => (None, None),
    };
    let stamp =
        Value::Object([("timestamp".to_owned(), stamp.unwrap_or_default())].into_iter().collect());
    let issued = sink.moment(&stamp, "timestamp", "the document");
    let places = Places::new(raw.serial_number, described.as_ref(), &raw.components, &mut sink)?;
    for (number, raw) in raw.vulnerabilities.iter().enumerate() {
        let what = format!("vulnerability {}", number + 1);
        let Ok(value) = serde_json::from_str::<Value>(raw.get()) else {
            sink.problem(&format!("{what} is not well formed"));
            continue;
        };
        // What has no analysis only lists what is known.
        let Some(analysis) = value.get("analysis").filter(|it| !it.is_null()) else { continue };
        let mut reader = Reader { sink: &mut sink, what: &what, value: &value, analysis };
        reader.read(issued, &places)?;
    }
    Ok(sink.finish())
}

/// What the references of a document stand for.
struct Places {
    serial: Option<String>,
    /// What the document describes, with its reference.
    root: (Option<String>, Component),
    parts: HashMap<String, Component>,
}

impl Places {
    fn new(
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
    fn product(&self, reference: &str) -> Option<Product> {
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

/// One analysis that is being read.
struct Reader<'a> {
    sink: &'a mut Sink,
    what: &'a str,
    value: &'a Value,
    analysis: &'a Value,
}

impl Reader<'_> {
    fn problem(&mut self, text: &str) {
        self.sink.problem(&format!("{} {text}", self.what));
    }

    fn read(&mut self, issued: Option<Timestamp>, places: &Places) -> Result<(), VexError> {
        let references = self.value.get("references").and_then(Value::as_array);
        let others = references.into_iter().flatten().filter_map(|it| it.get("id"));
        let names = self.value.get("id").into_iter().chain(others).filter_map(name);
        let vulnerability: Vec<String> = names.collect();
        self.sink.count(vulnerability.len())?;
        if vulnerability.is_empty() {
            self.problem("has no id");
            return Ok(());
        }
        let status = self.status();
        let own = ["firstIssued", "lastUpdated"];
        let own =
            own.map(|key| self.sink.moment(self.analysis, key, self.what)).into_iter().flatten();
        let statement = Statement {
            vulnerability,
            status,
            justification: self.justification(),
            impact: text(self.analysis.get("detail")),
            action: self.responses(),
            products: Some(Vec::new()),
            at: own.max().or(issued),
        };
        for (status, products) in self.products(status, places)? {
            let products = Some(products);
            self.sink.add(Statement { status, products, ..statement.clone() })?;
        }
        Ok(())
    }

    fn status(&mut self) -> Status {
        let word = self.analysis.get("state").and_then(Value::as_str);
        match word {
            Some("exploitable") => Status::Affected,
            Some("false_positive" | "not_affected") => Status::NotAffected,
            Some("in_triage") => Status::UnderInvestigation,
            Some("resolved" | "resolved_with_pedigree") => Status::Fixed,
            Some(_) | None => {
                self.problem(&format!("has no known state: {}", word.unwrap_or("none")));
                Status::Unknown
            }
        }
    }

    fn justification(&mut self) -> Option<String> {
        let label = self.analysis.get("justification")?.as_str()?;
        if JUSTIFICATIONS.contains(&label) {
            return Some(label.to_owned());
        }
        self.problem(&format!("has no known justification: {label}"));
        None
    }

    fn responses(&self) -> Option<String> {
        let responses = self.analysis.get("response")?.as_array()?;
        let words: Vec<String> = responses.iter().filter_map(name).take(8).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// What is affected, or not, each with what is said of it.
    fn products(
        &mut self,
        status: Status,
        places: &Places,
    ) -> Result<Vec<(Status, Vec<Product>)>, VexError> {
        let affects = self.value.get("affects").and_then(Value::as_array);
        let affects = affects.map(Vec::as_slice).unwrap_or_default();
        if affects.is_empty() {
            self.problem("does not say what it affects");
        }
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for entry in affects {
            self.sink.count(1)?;
            let reference = entry.get("ref").and_then(Value::as_str).unwrap_or_default();
            let Some(product) = places.product(reference) else {
                self.problem(&format!("affects what cannot be told: {reference}"));
                continue;
            };
            match entry.get("versions").and_then(Value::as_array) {
                None => plain.push(product),
                Some(versions) => {
                    self.sink.count(versions.len())?;
                    others.extend(self.versions(status, &product, versions));
                }
            }
        }
        let plain = (!plain.is_empty()).then_some((status, plain));
        Ok(plain.into_iter().chain(others).collect())
    }

    /// The versions of `product` that something is said of. Ranges are not read: what takes a finding
    /// away has to name the version, and what does not holds for all of them.
    fn versions(
        &mut self,
        status: Status,
        product: &Product,
        versions: &[Value],
    ) -> Vec<(Status, Vec<Product>)> {
        let mut found = Vec::new();
        for entry in versions {
            let status = match entry.get("status").and_then(Value::as_str) {
                // That a version is not affected says no more than the analysis does.
                None | Some("unaffected") => status,
                Some("affected") => Status::Affected,
                Some(_) => Status::Unknown,
            };
            let version = entry.get("version").and_then(Value::as_str);
            match version.and_then(|version| product.at(version)) {
                Some(product) => found.push((status, vec![product])),
                None if status.clears() => self.problem("speaks of versions that it does not name"),
                None => found.push((status, vec![product.clone()])),
            }
        }
        found
    }
}
