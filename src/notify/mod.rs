//! Telling people: webhooks that follow the audit chain.
//!
//! What is told is what is on record, read from the chain itself, so that nothing can be told that did
//! not happen and nothing that happened is forgotten. Promises:
//! - each webhook has a cursor of its own in the ledger, never ahead of what was delivered: at least
//!   once, in order, across restarts; a receiver that is away holds up nobody but itself;
//! - what is sent is signed by Standard Webhooks, to an address of the settings and to none that it
//!   redirects to, which is not private unless that is said for it;
//! - what other people wrote is escaped for each format, and no secret is shown anywhere.
//!
//! It decides nothing, and no decision waits for it.

mod attempt;
mod body;
mod event;
mod follow;
mod gauges;
mod sign;
mod state;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use body::Format;
pub use event::{EventPattern, NoEvent};
pub use sign::SecretError;
pub use state::{DeliveryView, FailureView, WebhookTestView, WebhookView};

use crate::ledger::{self, Ledger};
use crate::oci::Secret;
use crate::tasks::Tasks;
use crate::time::Clock;
use crate::upstream::{self, Hook, HookSettings, ProxySettings};
use attempt::Keys;
use body::From;
use follow::Follower;

/// Most webhooks.
pub const WEBHOOKS_MAX: usize = 16;
/// Where the system says what this machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What there is to be told, and to whom.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The receivers.
    pub webhooks: Vec<WebhookSettings>,
    /// When to try again.
    pub retry: Retry,
    /// The way out of this network.
    pub proxy: ProxySettings,
    /// Where people find requests.
    pub public_url: Option<Arc<str>>,
}

/// A receiver.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The file with the secrets that sign, read again for each delivery; `None`: nothing is signed.
    pub secret_file: Option<PathBuf>,
    /// The shape of what is sent.
    pub format: Format,
    /// Which events.
    pub events: Vec<EventPattern>,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether its address may be one that is not public.
    pub allow_private: bool,
    /// Whether it may be plain HTTP.
    pub danger_plain_http: bool,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Where a receiver is. The paths of some are as good as a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// As this file says, which is read again for each delivery.
    File(PathBuf),
    /// Here.
    Url(Secret),
}

/// When to try again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Wait after the first failure; it doubles with each one, and half of it is random.
    pub min: Duration,
    /// Longest wait.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: Duration::from_secs(5), max: Duration::from_hours(1) }
    }
}

impl Retry {
    /// The wait after so many failures in a row.
    fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max);
        let mut random = [0; 2];
        // Without randomness the wait is merely less well spread.
        let random = aws_lc_rs::rand::fill(&mut random).map_or(0, |()| u16::from_le_bytes(random));
        whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u16::MAX))
    }
}

/// What webhooks work with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where the audit chain is.
    pub ledger: Ledger,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who runs tasks.
    pub tasks: Tasks,
}

/// Why webhooks cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is none.
    #[error("webhook {name}: its address is none that may be sent to")]
    Address {
        /// The webhook.
        name: String,
        /// Why.
        #[source]
        source: upstream::Error,
    },
    /// The cursors cannot be read or written.
    #[error("webhooks cannot begin")]
    Ledger(#[source] Box<ledger::Error>),
    /// A secret cannot be used.
    #[error("webhook {name}: a file that it names cannot be used")]
    Secret {
        /// The webhook.
        name: String,
        /// Why.
        #[source]
        source: SecretError,
    },
}

/// All webhooks; clones are the same.
#[derive(Debug, Clone)]
pub struct Notifier {
    hooks: Arc<[Arc<Follower>]>,
    parts: Option<Parts>,
}

impl Notifier {
    /// One without webhooks.
    pub fn none() -> Self {
        Self { hooks: Arc::new([]), parts: None }
    }

    /// Begins to tell. Webhooks that are in the ledger and not in the settings are forgotten.
    ///
    /// # Errors
    /// When a secret or an address cannot be used, or the ledger fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Self, Error> {
        let from = From {
            source: source(settings.public_url.as_deref()),
            public_url: settings.public_url.as_deref().map(str::to_owned),
        };
        let mut hooks = Vec::new();
        for webhook in settings.webhooks {
            let hook = Hook::new(webhook.line(&settings.proxy), parts.tasks.clone());
            check(&webhook, &hook)?;
            let (from, parts) = (from.clone(), parts.clone());
            hooks.push(Arc::new(Follower::new(webhook, hook, from, settings.retry, parts)));
        }
        let names = hooks.iter().map(|hook| hook.name().to_owned()).collect();
        let failed = |error| Error::Ledger(Box::new(error));
        for name in parts.ledger.keep_webhooks(names).await.map_err(failed)? {
            tracing::info!(webhook = name, "no longer in the settings, forgotten");
        }
        for hook in &hooks {
            drop(parts.tasks.spawn(Arc::clone(hook).run()));
        }
        Ok(Self { hooks: hooks.into(), parts: Some(parts) })
    }

    /// How every webhook is.
    pub fn list(&self) -> Vec<WebhookView> {
        self.hooks.iter().map(|hook| hook.view()).collect()
    }

    /// Sends an event that is none to the webhook `name`, on the word of `by`; `None` when there is no
    /// such webhook.
    pub async fn test(&self, name: &str, by: &str) -> Option<WebhookTestView> {
        let hook = self.hooks.iter().find(|hook| hook.name() == name)?;
        Some(hook.test(by).await)
    }

    /// How every webhook is, for Prometheus.
    pub fn render_gauges(&self) -> String {
        let Some(parts) = &self.parts else { return String::new() };
        let states: Vec<_> = self.hooks.iter().map(|hook| (hook.name(), hook.state())).collect();
        let states: Vec<_> = states.iter().map(|(name, state)| (*name, &**state)).collect();
        gauges::render(&states, parts.clock.now())
    }
}

impl WebhookSettings {
    fn line(&self, proxy: &ProxySettings) -> HookSettings {
        HookSettings {
            ca_file: self.ca_file.clone(),
            allow_private: self.allow_private,
            danger_plain_http: self.danger_plain_http,
            timeout: self.timeout,
            proxy: proxy.clone(),
        }
    }
}

/// Checks what `webhook` names before anything is sent.
fn check(webhook: &WebhookSettings, hook: &Hook) -> Result<(), Error> {
    let name = || webhook.name.clone();
    let keys = Keys::read(webhook).map_err(|source| Error::Secret { name: name(), source })?;
    hook.check(&keys.url).map_err(|source| Error::Address { name: name(), source })
}

/// Who tells, as a URI.
fn source(public_url: Option<&str>) -> String {
    if let Some(url) = public_url {
        return url.to_owned();
    }
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name: String = name.trim().chars().filter(is_plain).collect();
    if name.is_empty() { "urn:pratique".to_owned() } else { format!("//{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_them_is_random() {
        let retry = Retry::default();
        for (failures, whole) in
            [(1, 5), (2, 10), (3, 20), (10, 2_560), (11, 3_600), (9_999, 3_600)]
        {
            let wait = retry.after(failures);
            let whole = Duration::from_secs(whole);
            assert!(whole / 2 <= wait && wait <= whole, "{failures}: {wait:?}");
        }
    }

    #[test]
    fn a_mirror_without_an_address_is_told_by_the_name_of_its_machine() {
        assert_eq!(source(Some("https://mirror.test")), "https://mirror.test");
        let own = source(None);
        assert!(own.starts_with("//") || own == "urn:pratique", "{own}");
    }
}
