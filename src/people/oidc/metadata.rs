//! What a provider says about itself, as far as it is believed.
//!
//! Spec: <https://openid.net/specs/openid-connect-discovery-1_0.html>, section 3 and 4.3.

use http::Uri;
use serde::Deserialize;

use super::Settings;
use crate::oci::from_strict_slice;

/// Most bytes of the document.
pub(super) const METADATA_BYTES_MAX: usize = 128 * 1024;
/// Longest address of an endpoint, in bytes.
const ENDPOINT_BYTES_MAX: usize = 2 * 1024;

/// What is used of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    /// Whether every answer names the issuer.
    pub(super) names_itself: bool,
    /// Whether the secret goes into the form instead of the head.
    pub(super) secret_in_form: bool,
}

/// Why a document cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataProblem {
    /// It is not the issuer that was asked.
    #[error("it names another issuer")]
    Issuer,
    /// An endpoint is where none may be.
    #[error("its {0} is at another host than the issuer, or not over https; see endpoint_hosts")]
    Endpoint(&'static str),
    /// It takes no secret in a way that we know.
    #[error("it takes client secrets neither in the head nor in the form")]
    NoSecret,
    /// It knows no PKCE.
    #[error("it does not take a PKCE challenge by S256")]
    NoPkce,
    /// It is no such document.
    #[error("it is no document of a provider")]
    Malformed,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    authorization_response_iss_parameter_supported: Option<bool>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// What `bytes`, the document at the issuer's address, says.
    ///
    /// # Errors
    /// When it is another issuer's, or leads to where the settings do not allow.
    pub(super) fn parse(bytes: &[u8], settings: &Settings) -> Result<Self, MetadataProblem> {
        let document: Document =
            from_strict_slice(bytes).map_err(|_| MetadataProblem::Malformed)?;
        if document.issuer != settings.issuer {
            return Err(MetadataProblem::Issuer);
        }
        let has = |list: &Option<Vec<String>>, value: &str| {
            list.as_ref().is_some_and(|list| list.iter().any(|it| it == value))
        };
        // A provider that lists none may know it all the same; whether it does shows at the first code.
        let methods = &document.code_challenge_methods_supported;
        if methods.is_some() && !has(methods, "S256") {
            return Err(MetadataProblem::NoPkce);
        }
        let ways = &document.token_endpoint_auth_methods_supported;
        let (basic, post) = (has(ways, "client_secret_basic"), has(ways, "client_secret_post"));
        if settings.client_secret_file.is_some() && ways.is_some() && !basic && !post {
            return Err(MetadataProblem::NoSecret);
        }
        let endpoint = |name, text: String| {
            let is_fine = may_be_at(&text, settings);
            if is_fine { Ok(text) } else { Err(MetadataProblem::Endpoint(name)) }
        };
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                document.authorization_endpoint,
            )?,
            token_endpoint: endpoint("token_endpoint", document.token_endpoint)?,
            jwks_uri: endpoint("jwks_uri", document.jwks_uri)?,
            names_itself: document.authorization_response_iss_parameter_supported == Some(true),
            secret_in_form: ways.is_some() && !basic,
        })
    }
}

/// Whether an endpoint may be at `text`: at the issuer's own origin, or over https at a host that the
/// settings name. So a document leads no request of ours to where nobody meant it to go.
fn may_be_at(text: &str, settings: &Settings) -> bool {
    if text.len() > ENDPOINT_BYTES_MAX || text.contains(['#', '@']) {
        return false;
    }
    let Some((scheme, place)) = origin(text) else { return false };
    if origin(&settings.issuer) == Some((scheme.clone(), place.clone())) {
        return true;
    }
    let with_port = |host: &String| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port {
            host.to_ascii_lowercase()
        } else {
            format!("{host}:443").to_ascii_lowercase()
        }
    };
    scheme == "https" && settings.endpoint_hosts.iter().any(|host| with_port(host) == place)
}

/// Scheme and `host:port` of an address.
fn origin(text: &str) -> Option<(String, String)> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let port = authority.port_u16().unwrap_or(default);
    Some((scheme.to_owned(), format!("{}:{port}", authority.host().to_ascii_lowercase())))
}
