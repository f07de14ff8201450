//! What the configuration of an image says in a case, read as any other.

use serde_json::{Map, Value, json};

use super::manifest::images;
use crate::gate::{ConfigOf, Gathered, ImageConfigs, ManifestFacts, Subject};
use crate::oci::ImageConfig;
use crate::policy::{Case, ConfigFact};

/// The configurations of all images of `case`, which are the same; not gathered where it says nothing of
/// them.
pub(super) fn of(case: &Case, subject: &Subject, facts: &ManifestFacts) -> Gathered<ImageConfigs> {
    let Some(fact) = &case.facts.config else { return Gathered::NotGathered };
    let config = match ImageConfig::parse(document(fact).to_string().as_bytes()) {
        Ok(config) => ConfigOf::Read(Box::new(config)),
        Err(error) => ConfigOf::Unreadable(error.to_string()),
    };
    let images = images(subject, facts).into_iter().map(|digest| (digest, config.clone()));
    Gathered::Found(ImageConfigs { images: images.collect(), read_by: ImageConfig::READING })
}

/// The configuration as an image would have it.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties>
fn document(fact: &ConfigFact) -> Value {
    let named = |names: &[String], value: &Value| -> Map<String, Value> {
        names.iter().map(|name| (name.clone(), value.clone())).collect()
    };
    let mut config = json!({
        "User": fact.user,
        "Env": fact.env,
        "ExposedPorts": named(&fact.exposed_ports, &json!({})),
        "Labels": named(&fact.labels, &json!("set")),
    });
    if let Some(config) = config.as_object_mut().filter(|_| fact.healthcheck) {
        config.insert("Healthcheck".to_owned(), json!({"Test": ["CMD", "check"]}));
    }
    match fact.created {
        Some(created) => json!({"created": created.to_string(), "config": config}),
        None => json!({"config": config}),
    }
}
