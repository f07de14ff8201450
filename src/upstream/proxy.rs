//! Which proxy, if any, leads to an origin.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;

use super::location::{Location, Origin, Scheme};
use super::settings::ProxySettings;

/// The proxies of this network, ready for use.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Exception>,
}

/// One proxy. It is reached without the address filter: it stands in the configuration.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of `Proxy-Authorization`, marked as sensitive so that `Debug` does not show it.
    pub(super) authorization: Option<HeaderValue>,
}

#[derive(Debug, PartialEq, Eq)]
enum Exception {
    All,
    Domain { suffix: String, port: Option<u16>, only_below: bool },
    Network { address: IpAddr, prefix_bits: u32, port: Option<u16> },
}

impl Proxies {
    /// `Err` names the setting that cannot be used.
    pub(super) fn parse(settings: &ProxySettings) -> Result<Self, &'static str> {
        let parse = |text: &Option<String>, setting| {
            text.as_deref().map(|text| Proxy::parse(text).ok_or(setting)).transpose()
        };
        let direct = settings.no_proxy.iter().flat_map(|entries| entries.split(','));
        Ok(Self {
            http: parse(&settings.http, "http proxy")?,
            https: parse(&settings.https, "https proxy")?,
            direct: direct.filter_map(Exception::parse).collect(),
        })
    }

    /// The proxy for `origin`; `None`: it is reached directly.
    pub(super) fn to(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| !self.direct.iter().any(|exception| exception.covers(origin)))
    }
}

impl Proxy {
    fn parse(text: &str) -> Option<Self> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let rest = text.strip_prefix("http://")?;
        let authority = rest.split('/').next()?;
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let origin = Location::parse(&format!("http://{address}")).ok()?.origin;
        let authorization = login.map(|login| {
            let login = percent_encoding::percent_decode_str(login).collect::<Vec<u8>>();
            let value = format!("Basic {}", BASE64_STANDARD.encode(login));
            HeaderValue::try_from(value).ok().map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let authorization = match authorization {
            Some(None) => return None,
            other => other.flatten(),
        };
        Some(Self { host: origin.host, port: origin.port, authorization })
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let (address, prefix_bits) = (address.parse().ok()?, bits.parse().ok()?);
            return Some(Self::Network { address, prefix_bits, port: None });
        }
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Some(Self::Network { address, prefix_bits: 128, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Network { address, prefix_bits: 128, port });
        }
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let suffix = below.unwrap_or(host).to_owned();
        Some(Self::Domain { suffix, port, only_below: below.is_some() })
    }

    fn covers(&self, origin: &Origin) -> bool {
        let same_port = |port: &Option<u16>| port.is_none_or(|port| port == origin.port);
        match self {
            Self::All => true,
            Self::Domain { suffix, port, only_below } => {
                let below = origin
                    .host
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.ends_with('.'));
                same_port(port) && (below || (!only_below && origin.host == *suffix))
            }
            Self::Network { address, prefix_bits, port } => {
                let inside =
                    origin.host.parse().is_ok_and(|host| within(host, *address, *prefix_bits));
                same_port(port) && inside
            }
        }
    }
}

fn within(host: IpAddr, network: IpAddr, prefix_bits: u32) -> bool {
    let (difference, width) = match (host, network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            (u128::from(host.to_bits() ^ network.to_bits()), 32)
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => (host.to_bits() ^ network.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let free_bits: u32 = width - prefix_bits.min(width);
    difference.checked_shr(free_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(no_proxy: &str) -> Proxies {
        Proxies::parse(&ProxySettings {
            http: Some("http://proxy.test:3128".to_owned()),
            https: Some("user:p%40ss@proxy.test:3129".to_owned()),
            no_proxy: vec![no_proxy.to_owned()],
        })
        .unwrap()
    }

    #[test]
    fn no_proxy_names_hosts_domains_networks_and_ports() {
        for (no_proxy, address, direct) in [
            ("", "https://reg.test/", false),
            ("*", "https://reg.test/", true),
            ("reg.test", "https://reg.test/", true),
            ("reg.test", "https://a.reg.test/", true),
            ("reg.test", "https://evilreg.test/", false),
            (".reg.test", "https://a.reg.test/", true),
            (".reg.test", "https://reg.test/", false),
            ("*.reg.test", "https://a.reg.test/", true),
            ("reg.test:5000", "http://reg.test:5000/", true),
            ("reg.test:5000", "https://reg.test/", false),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.0.0.0/33", "http://10.0.0.1/", false),
            ("10.0.0.1", "http://10.0.0.1:81/", true),
            ("10.0.0.1:80", "http://10.0.0.1:81/", false),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("::1", "http://[::1]:5000/", true),
            ("[::1]:5000", "http://[::1]:5000/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("a.test, REG.test", "https://reg.test/", true),
            ("bad/entry,:x", "https://reg.test/", false),
        ] {
            let origin = Location::parse(address).unwrap().origin;
            assert_eq!(proxies(no_proxy).to(&origin).is_none(), direct, "{no_proxy} {address}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_not_shown() {
        let proxies = proxies("");
        let proxy = proxies.https.as_ref().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.test", 3129));
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(!format!("{proxies:?}").contains("dXNlcjpwQHNz"));
    }

    #[test]
    fn a_proxy_that_speaks_something_else_is_a_mistake() {
        for text in ["socks5://x:1", "https://x:1", "http://", "http://x:0"] {
            assert!(Proxy::parse(text).is_none(), "{text}");
        }
    }
}
