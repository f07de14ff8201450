//! The mirror as a node reaches it.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::oci::Registry;

/// Why a text is not the address of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not http[s]://HOST[:PORT]")]
pub struct EndpointError(String);

/// `https://host[:port]`, with nothing after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    authority: String,
    is_plain: bool,
}

impl Endpoint {
    /// `https://host:port`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`, or `host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is reached without TLS.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        let is_host = authority.as_str().parse::<Registry>().is_ok();
        if !matches!(scheme, "http" | "https") || has_more || !is_host {
            return Err(wrong());
        }
        Ok(Self {
            url: format!("{scheme}://{authority}"),
            authority: authority.to_string(),
            is_plain: scheme == "http",
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_host_and_nothing_more() {
        for bad in [
            "",
            "mirror.test",
            "ftp://mirror.test",
            "https://mirror.test/v2",
            "https://u:p@mirror.test",
            "https://mirror.test?x",
            "https://a\"b",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        let plain: Endpoint = "http://127.0.0.1:5000/".parse().unwrap();
        assert_eq!((plain.url(), plain.authority()), ("http://127.0.0.1:5000", "127.0.0.1:5000"));
        assert!(plain.is_plain());
    }
}
