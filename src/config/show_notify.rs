//! `[[notify.webhook]]`, as it is in force.

use std::path::PathBuf;

use serde::Serialize;

use super::units::show_duration;
use crate::notify::{Address, WebhookSettings};

/// `[notify]`
#[derive(Debug, Serialize)]
pub(super) struct Notify {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook: Vec<Webhook>,
}

#[derive(Debug, Serialize)]
struct Webhook {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    format: &'static str,
    events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    allow_private: bool,
    danger_plain_http: bool,
    timeout: String,
}

impl From<&[WebhookSettings]> for Notify {
    fn from(webhooks: &[WebhookSettings]) -> Self {
        Self { webhook: webhooks.iter().map(Webhook::from).collect() }
    }
}

impl From<&WebhookSettings> for Webhook {
    fn from(settings: &WebhookSettings) -> Self {
        let (url, url_file) = match &settings.address {
            Address::File(path) => (None, Some(path.clone())),
            // It stands in the file that this is made of.
            Address::Url(url) => (Some(url.expose().to_owned()), None),
        };
        Self {
            name: settings.name.clone(),
            url,
            url_file,
            secret_file: settings.secret_file.clone(),
            format: settings.format.as_str(),
            events: settings.events.iter().map(ToString::to_string).collect(),
            ca_file: settings.ca_file.clone(),
            allow_private: settings.allow_private,
            danger_plain_http: settings.danger_plain_http,
            timeout: show_duration(settings.timeout),
        }
    }
}
