//! Documents of OpenVEX.
//!
//! Spec: <https://github.com/openvex/spec/blob/v0.2.0/OPENVEX-SPEC.md>

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::format::malformed;
use super::sink::{Sink, name, text, version};
use super::{Component, Document, Product, Statement, Status, VexError};
use crate::oci::{Digest, from_strict_slice};
use crate::scan::database::printable;

/// What the context of every document begins with.
const CONTEXT: &str = "https://openvex.dev/ns";
/// What may follow: the versions before 1.0, all of which are read.
const VERSIONS: &str = "/v0.";
/// Why something that has a vulnerability does not suffer from it.
pub const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "inline_mitigations_already_exist",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_not_present",
];
/// The hashes that may be those of an image, by their names in OpenVEX and in digests.
const HASHES: [(&str, &str); 4] =
    [("sha-256", "sha256"), ("sha256", "sha256"), ("sha-512", "sha512"), ("sha512", "sha512")];

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "@context")]
    context: String,
    /// The mark of the other format.
    #[serde(rename = "bomFormat", default)]
    bom_format: Option<IgnoredAny>,
    #[serde(rename = "@id", default)]
    id: Option<String>,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    version: Option<Value>,
    statements: Vec<Box<RawValue>>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Document, VexError> {
    let raw: Raw = from_strict_slice(bytes).map_err(malformed)?;
    // What says that it is both is read in two ways.
    let context = raw.context.strip_prefix(CONTEXT).filter(|_| raw.bom_format.is_none());
    let rest = context.ok_or(VexError::OtherFormat)?;
    if !rest.is_empty() && !rest.starts_with(VERSIONS) {
        return Err(VexError::Version(printable(&raw.context)));
    }
    let mut sink = Sink::new(raw.id.as_deref(), version(raw.version.as_ref()));
    let issued = Value::Object(
        [("timestamp".to_owned(), raw.timestamp.unwrap_or_default())].into_iter().collect(),
    );
    let issued = sink.moment(&issued, "timestamp", "the document");
    for (number, raw) in raw.statements.iter().enumerate() {
        let what = format!("statement {}", number + 1);
        let Ok(value) = serde_json::from_str::<Value>(raw.get()) else {
            sink.problem(&format!("{what} is not well formed"));
            continue;
        };
        let mut statement = Reader { sink: &mut sink, what: &what, value: &value };
        if let Some(read) = statement.read(issued)? {
            sink.add(read)?;
        }
    }
    Ok(sink.finish())
}

/// One statement that is being read.
struct Reader<'a> {
    sink: &'a mut Sink,
    what: &'a str,
    value: &'a Value,
}

impl Reader<'_> {
    fn problem(&mut self, text: &str) {
        self.sink.problem(&format!("{} {text}", self.what));
    }

    /// The statement; `None` where it cannot be told what it is about or when it was made, which is
    /// told.
    fn read(
        &mut self,
        issued: Option<crate::time::Timestamp>,
    ) -> Result<Option<Statement>, VexError> {
        if !self.value.is_object() {
            self.problem("is no object");
            return Ok(None);
        }
        let vulnerability = self.vulnerability();
        self.sink.count(vulnerability.len())?;
        if vulnerability.is_empty() {
            self.problem("names no vulnerability");
            return Ok(None);
        }
        let status = self.status();
        let own = ["timestamp", "last_updated"];
        let own =
            own.map(|key| self.sink.moment(self.value, key, self.what)).into_iter().flatten().max();
        let at = own.or(issued);
        if at.is_none() && status.clears() {
            self.problem("does not say when it was made");
            return Ok(None);
        }
        let justification = self.justification();
        let products = self.products()?;
        Ok(Some(Statement {
            vulnerability,
            status,
            justification,
            impact: text(self.value.get("impact_statement")),
            action: text(self.value.get("action_statement")),
            products,
            at,
        }))
    }

    /// The names: a text in the first versions, an object since 0.2.0.
    fn vulnerability(&self) -> Vec<String> {
        let Some(value) = self.value.get("vulnerability") else { return Vec::new() };
        if let Some(name) = name(value) {
            return vec![name];
        }
        let main = value.get("name").and_then(name);
        // Where it has no name, it may be addressed by one.
        let id = || value.get("@id").and_then(name).filter(|id| !id.contains('/'));
        let aliases = value.get("aliases").and_then(Value::as_array).into_iter().flatten();
        main.or_else(id).into_iter().chain(aliases.filter_map(name)).collect()
    }

    fn status(&mut self) -> Status {
        let word = self.value.get("status").and_then(Value::as_str);
        match word {
            Some("affected") => Status::Affected,
            Some("fixed") => Status::Fixed,
            Some("not_affected") => Status::NotAffected,
            Some("under_investigation") => Status::UnderInvestigation,
            Some(_) | None => {
                self.problem(&format!("has no known status: {}", word.unwrap_or("none")));
                Status::Unknown
            }
        }
    }

    fn justification(&mut self) -> Option<String> {
        let label = self.value.get("justification")?.as_str()?;
        if label.is_empty() {
            return None;
        }
        if JUSTIFICATIONS.contains(&label) {
            return Some(label.to_owned());
        }
        self.problem(&format!("has no known justification: {label}"));
        None
    }

    /// The products; `None` where it leaves them to what the document is attached to.
    fn products(&mut self) -> Result<Option<Vec<Product>>, VexError> {
        let Some(listed) = self.value.get("products").filter(|it| !it.is_null()) else {
            if self.value.get("subcomponents").is_none_or(Value::is_null) {
                return Ok(None);
            }
            let (component, subcomponents) = (Component::attached(), self.parts(self.value)?);
            return Ok(Some(vec![Product { component, subcomponents }]));
        };
        let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        if listed.is_empty() {
            self.problem("names no product");
        }
        // In the first versions they stand beside the products, and are those of each.
        let shared = self.parts(self.value)?;
        let mut products = Vec::new();
        for value in listed {
            let component = self.component(value)?;
            let own = self.parts(value)?;
            let subcomponents = if own.is_empty() {
                self.sink.repeat(shared.iter().map(Component::weight).sum())?;
                shared.clone()
            } else {
                own
            };
            self.sink.count(subcomponents.len())?;
            products.push(Product { component, subcomponents });
        }
        Ok(Some(products))
    }

    /// The subcomponents in `of`. One that cannot be read is there and names nothing, so that it is
    /// never as if there were none.
    fn parts(&mut self, of: &Value) -> Result<Vec<Component>, VexError> {
        let Some(listed) = of.get("subcomponents").filter(|it| !it.is_null()) else {
            return Ok(Vec::new());
        };
        let Some(listed) = listed.as_array() else {
            self.problem("has subcomponents that are no list");
            return Ok(vec![Component::default()]);
        };
        listed.iter().map(|value| self.component(value)).collect()
    }

    /// A product or subcomponent: a text in the first versions, an object since 0.2.0.
    fn component(&mut self, value: &Value) -> Result<Component, VexError> {
        self.sink.count(1)?;
        let mut component = Component::default();
        let id = if value.is_string() { Some(value) } else { value.get("@id") };
        let id = id.and_then(Value::as_str);
        let listed = value.get("identifiers").and_then(|it| it.get("purl")).and_then(Value::as_str);
        // What is called by something else than a package URL is known by its other names only.
        let is_purl = |text: &&str| text.starts_with("pkg:");
        for text in id.filter(is_purl).into_iter().chain(listed) {
            match text.parse() {
                Ok(purl) if component.purls.contains(&purl) => {}
                Ok(purl) => component.purls.push(purl),
                Err(_) => {
                    self.problem(&format!("has a product that cannot be read: {text}"));
                    return Ok(Component::default());
                }
            }
        }
        for (label, algorithm) in HASHES {
            let hash = value.get("hashes").and_then(|it| it.get(label)).and_then(Value::as_str);
            let Some(hash) = hash else { continue };
            if let Ok(digest) = format!("{algorithm}:{hash}").parse::<Digest>() {
                component.digests.push(digest);
            }
        }
        if component == Component::default() {
            let shown = id.unwrap_or("it has no package URL and no digest");
            self.problem(&format!("has a product that nothing is known by: {shown}"));
        } else if component.purls.iter().any(|it| it.is_image() && it.image_digest().is_none()) {
            self.problem("names an image without its digest");
        }
        Ok(component)
    }
}
