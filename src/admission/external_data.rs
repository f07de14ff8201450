//! External data for Gatekeeper: images in, what they are pinned to or why they are refused out.
//!
//! Spec: <https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata/>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::known::{Known, Said};
use super::pods::pinned;
use super::{Error, IMAGES_MAX, MESSAGE_LENGTH_MAX, Rules, fits};
use crate::oci::from_strict_slice;

const API_VERSION: &str = "externaldata.gatekeeper.sh/v1beta1";
const REQUEST: &str = "ProviderRequest";
const RESPONSE: &str = "ProviderResponse";

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(pub Vec<String>);

/// What is answered, and how many of the keys were refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Provided {
    /// The document.
    pub document: Value,
    /// How many keys were refused.
    pub refused: usize,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    keys: Option<Vec<String>>,
}

impl Keys {
    /// The keys in `bytes`; how many these are, the caller has bounded.
    ///
    /// # Errors
    /// When it is no request of this version, or has too many keys.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let read: Document = from_strict_slice(bytes).map_err(|error| Error::json(&error))?;
        if read.api_version != API_VERSION || read.kind != REQUEST {
            let (given, wanted) = ((read.api_version, read.kind), (API_VERSION, REQUEST));
            return Err(Error::kind(&given, wanted));
        }
        let keys = read.request.keys.unwrap_or_default();
        if keys.len() > IMAGES_MAX {
            return Err(Error::TooMany);
        }
        Ok(Self(keys))
    }

    /// For each key what it is pinned to, or why it is refused. The same keys have the same answer for as
    /// long as nothing is decided anew, which is what Gatekeeper calls idempotent.
    pub fn provided(&self, rules: &Rules, known: &BTreeMap<String, Known>) -> Provided {
        let mut refused = 0;
        let mut item = |key: &String| {
            let refusal = match known.get(key) {
                Some(known) => known.said.refusal(rules.unknown),
                None => Some("it was not looked at"),
            };
            if let Some(text) = refusal {
                refused += 1;
                return json!({"key": key, "error": fits(text, MESSAGE_LENGTH_MAX)});
            }
            let digest = known.get(key).filter(|it| matches!(it.said, Said::Served(_)));
            let digest = digest.and_then(|known| known.digest);
            let value = digest.and_then(|digest| pinned(key, &digest));
            json!({"key": key, "value": value.unwrap_or_else(|| key.clone())})
        };
        let items: Vec<Value> = self.0.iter().map(&mut item).collect();
        let response = json!({"idempotent": true, "items": items});
        let document = json!({"apiVersion": API_VERSION, "kind": RESPONSE, "response": response});
        Provided { document, refused }
    }
}
