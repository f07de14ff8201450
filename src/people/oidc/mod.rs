//! Signing in at a provider by OpenID Connect: the authorization code flow with PKCE, state and nonce.
//!
//! Promises: somebody is who the provider says by issuer and subject, never by an e-mail address or a
//! name; what the provider sends is bounded and believed only with a signature by one of its keys; keys
//! come from the provider's own address alone, never from a token; the client's secret goes nowhere but
//! to the token endpoint.
//!
//! Spec: <https://openid.net/specs/openid-connect-core-1_0.html>, RFC 7636 (PKCE), RFC 9207 (`iss`),
//! RFC 8725 (JWT best practices).

mod attempt;
mod id_token;
mod keys;
mod metadata;
mod provider;
mod service_accounts;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use attempt::Attempt;
pub use id_token::TokenProblem;
pub use metadata::MetadataProblem;
pub use provider::Provider;
pub use service_accounts::{KeysFile, ServiceAccountSettings, ServiceAccounts};

use crate::people::NoRandomness;
use crate::upstream::{self, ProxySettings};

/// The provider, and what we are to it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who it is: `https://host[:port][/path]`, as its own document says.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// The file with the secret that we show it; without one we are a public client.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with the groups of whoever signs in.
    pub groups_claim: String,
    /// The claim with a name for people.
    pub name_claim: String,
    /// Where the provider sends people back to: the address of this server and [`CALLBACK_PATH`].
    pub redirect_uri: String,
    /// Hosts (`host[:port]`) beside the issuer's own that its endpoints may be at.
    pub endpoint_hosts: Vec<String>,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether the issuer may be plain HTTP although it is not on this machine.
    pub danger_plain_http: bool,
    /// The way out of this network.
    pub proxy: ProxySettings,
}

/// Where the provider sends people back to, on this server.
pub const CALLBACK_PATH: &str = "/login/oidc/callback";

/// Who somebody is, on the word of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Who it is there, for ever.
    pub subject: String,
    /// A name for people; proves nothing.
    pub name: Option<String>,
    /// The groups they are in.
    pub groups: Vec<String>,
}

/// Why somebody could not be signed in at the provider.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider said no; the code is one of the specification's, or made plain.
    #[error("the provider refused: {code}")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// The answer is not to what was asked.
    #[error("this answer belongs to no sign-in that was begun here")]
    Foreign,
    /// It is not the provider that was asked who answers.
    #[error("the answer comes from another provider")]
    OtherIssuer,
    /// What the provider says about itself cannot be used.
    #[error("the provider's description of itself cannot be used")]
    Metadata(#[from] MetadataProblem),
    /// What it sends is not as it should be.
    #[error("the provider's answer is malformed: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// The ID token proves nothing.
    #[error("the provider's ID token does not count")]
    Token(#[from] TokenProblem),
    /// It failed a moment ago, and is left alone.
    #[error("the provider failed a moment ago; try again shortly")]
    Resting,
    /// The provider answers with a status that is no success.
    #[error("the provider answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The provider does not answer.
    #[error("the provider cannot be reached")]
    Unreachable(#[from] upstream::Error),
    /// The file with the secret cannot be read.
    #[error("the client secret cannot be read")]
    Secret(#[source] std::io::Error),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}
