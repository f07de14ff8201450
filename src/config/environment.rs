//! The environment variables that count. No other file reads any.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the environment enters the configuration"
)]

use std::env;
use std::io::IsTerminal;

use crate::upstream::ProxySettings;

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, also in lower case.
    pub proxy: ProxySettings,
}

impl Environment {
    /// Reads the variables of this process.
    pub fn read() -> Self {
        let value = |name: &str| {
            let found = env::var(name).or_else(|_| env::var(name.to_ascii_lowercase()));
            found.ok().filter(|value| !value.is_empty())
        };
        let no_proxy = value("NO_PROXY").unwrap_or_default();
        let exceptions = no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Self {
            proxy: ProxySettings {
                http: value("HTTP_PROXY"),
                https: value("HTTPS_PROXY"),
                no_proxy: exceptions.map(str::to_owned).collect(),
            },
        }
    }
}

/// The home of whoever this is, where programs keep their settings.
pub(super) fn home() -> Option<std::path::PathBuf> {
    env::var_os("HOME").map(Into::into).filter(|path: &std::path::PathBuf| path.is_absolute())
}

/// Where the API server of the cluster is that this program runs in, as Kubernetes tells every container: host and
/// port.
pub fn api_server() -> Option<(String, String)> {
    let said = |name| env::var(name).ok().filter(|value| !value.is_empty());
    said("KUBERNETES_SERVICE_HOST").zip(said("KUBERNETES_SERVICE_PORT"))
}

/// Whether `stream` is a terminal and nobody asked for no colour (`NO_COLOR`).
pub fn colour_is_welcome(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var("NO_COLOR").map_or(true, |value| value.is_empty())
}
