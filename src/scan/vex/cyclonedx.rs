//! Documents of CycloneDX: analyses of vulnerabilities in a bill of materials.
//!
//! Spec: <https://cyclonedx.org/docs/1.6/json/#vulnerabilities>

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::format::malformed;
use super::places::{Part, Places};
use super::sink::{Sink, name, text, version};
use super::{Document, Product, Statement, Status, VexError};
use crate::oci::from_strict_slice;
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

/// What one analysis speaks of; each status once.
type ByStatus = Vec<(Status, Vec<Product>)>;

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
            self.sink.count(statement.vulnerability.len())?;
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

    /// What is affected, or not, by what is said of it: a status once, however many versions have it, so
    /// that the names of the vulnerability are not kept for each of them.
    fn products(&mut self, status: Status, places: &Places) -> Result<ByStatus, VexError> {
        let affects = self.value.get("affects").and_then(Value::as_array);
        let affects = affects.map(Vec::as_slice).unwrap_or_default();
        if affects.is_empty() {
            self.problem("does not say what it affects");
        }
        let mut found = Vec::new();
        for entry in affects {
            self.sink.count(1)?;
            let reference = entry.get("ref").and_then(Value::as_str).unwrap_or_default();
            let Some(product) = places.product(reference) else {
                self.problem(&format!("affects what cannot be told: {reference}"));
                continue;
            };
            match entry.get("versions").and_then(Value::as_array) {
                None => self.put(&mut found, status, product)?,
                Some(versions) => {
                    self.sink.count(versions.len())?;
                    self.versions(&mut found, status, &product, versions)?;
                }
            }
        }
        Ok(found)
    }

    fn put(&mut self, found: &mut ByStatus, status: Status, it: Product) -> Result<(), VexError> {
        self.sink.repeat(it.weight())?;
        match found.iter_mut().find(|(of, _)| *of == status) {
            Some((_, products)) => products.push(it),
            None => found.push((status, vec![it])),
        }
        Ok(())
    }

    /// The versions of `product` that something is said of. Ranges are not read: what takes a finding
    /// away has to name the version, and what does not holds for all of them.
    fn versions(
        &mut self,
        found: &mut ByStatus,
        status: Status,
        product: &Product,
        versions: &[Value],
    ) -> Result<(), VexError> {
        for entry in versions {
            let status = match entry.get("status").and_then(Value::as_str) {
                // That a version is not affected says no more than the analysis does.
                None | Some("unaffected") => status,
                Some("affected") => Status::Affected,
                Some(_) => Status::Unknown,
            };
            let version = entry.get("version").and_then(Value::as_str);
            match version.and_then(|version| product.at(version)) {
                Some(product) => self.put(found, status, product)?,
                None if status.clears() => self.problem("speaks of versions that it does not name"),
                None => self.put(found, status, product.clone())?,
            }
        }
        Ok(())
    }
}
