//! Places: where a request goes, and lists of hosts that the configuration names.

use std::fmt;

use http::Uri;
use http::uri::{Authority, PathAndQuery};

/// Longest address that is followed, in bytes; signed addresses of blob stores have about 2,000.
const LOCATION_BYTES_MAX: usize = 16 * 1024;

/// How to talk to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port: what credentials belong to. Equal only when all three are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    /// Lower case; an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// An origin and what of it. Neither `Debug` nor `Display` shows the query, which may hold a
/// signature that is as good as a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) origin: Origin,
    pub(super) target: PathAndQuery,
}

/// Why a text is not a place to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocationError {
    Malformed,
    Scheme,
    TooLong,
    UserInfo,
}

impl LocationError {
    /// The end of a sentence that begins "redirects".
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "to a malformed address",
            Self::Scheme => "to an address that is not https",
            Self::TooLong => "to an address that is too long",
            Self::UserInfo => "to an address with a user name in it",
        }
    }
}

impl Origin {
    /// `host` or `host:port`, as the `Host` header wants it.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            return self.bracketed_host();
        }
        self.host_and_port()
    }

    /// `host:port`, always with the port.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Location {
    /// The place that an absolute `http` or `https` address names.
    pub(super) fn parse(text: &str) -> Result<Self, LocationError> {
        if text.len() > LOCATION_BYTES_MAX {
            return Err(LocationError::TooLong);
        }
        let uri: Uri = text.parse().map_err(|_| LocationError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err(LocationError::Scheme),
            None => return Err(LocationError::Malformed),
        };
        let authority = uri.authority().ok_or(LocationError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(LocationError::UserInfo);
        }
        let (host, port) = host_and_port(authority).ok_or(LocationError::Malformed)?;
        let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let port = port.unwrap_or(scheme.default_port());
        Ok(Self { origin: Origin { scheme, host, port }, target })
    }

    /// The place that `reference`, found at this place, means.
    ///
    /// Spec: RFC 3986 section 5.2, without removal of dot segments.
    pub(super) fn join(&self, reference: &str) -> Result<Self, LocationError> {
        let scheme = self.origin.scheme.as_str();
        if reference.starts_with("//") {
            return Self::parse(&format!("{scheme}:{reference}"));
        }
        let head = reference.split(['/', '?', '#']).next().unwrap_or_default();
        if head.contains(':') {
            // `parse` knows no scheme without an authority; such a thing is never followed.
            let web = reference.starts_with("http://") || reference.starts_with("https://");
            return if web { Self::parse(reference) } else { Err(LocationError::Scheme) };
        }
        let path = self.target.path();
        let target = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.is_empty() || reference.starts_with(['?', '#']) {
            format!("{path}{reference}")
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{reference}")
        };
        self.at(target.split('#').next().unwrap_or_default())
    }

    /// Another target at the same origin.
    pub(super) fn at(&self, target: &str) -> Result<Self, LocationError> {
        if target.len() > LOCATION_BYTES_MAX {
            return Err(LocationError::TooLong);
        }
        let target = target.parse().map_err(|_| LocationError::Malformed)?;
        Ok(Self { origin: self.origin.clone(), target })
    }

    /// The whole address, query and all: only for the request line.
    pub(super) fn absolute_form(&self) -> String {
        format!("{}{}", self.origin, self.target)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target.path())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hosts written in the configuration as `host[:port]`; without a port, the scheme's own is meant.
#[derive(Debug, Clone, Default)]
pub(super) struct HostList(Vec<(String, Option<u16>)>);

impl HostList {
    /// `None` when an entry is not `host[:port]`.
    pub(super) fn parse(entries: &[String]) -> Option<Self> {
        let entry = |entry: &String| {
            let authority: Authority = entry.parse().ok()?;
            if entry.contains('@') { None } else { host_and_port(&authority) }
        };
        entries.iter().map(entry).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether `origin` is one of these: the whole host and the port, never a part of a name.
    pub(super) fn contains(&self, origin: &Origin) -> bool {
        self.0.iter().any(|(host, port)| {
            *host == origin.host && port.unwrap_or(origin.scheme.default_port()) == origin.port
        })
    }
}

fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if host.contains('%') || host.split('.').any(str::is_empty) {
        return None;
    }
    let after_host =
        authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
    match after_host.rsplit_once(':') {
        None => Some((host, None)),
        Some((_, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_mean_what_the_rfc_says() {
        let base = Location::parse("https://reg.test/v2/a/blobs/x?q=1").unwrap();
        for (reference, expected) in [
            ("https://cdn.test/y?sig=z", "https://cdn.test/y?sig=z"),
            ("HTTPS://CDN.test:443/y", "scheme"),
            ("https://CDN.test:443/y", "https://cdn.test/y"),
            ("//cdn.test:8443/y", "https://cdn.test:8443/y"),
            ("/y?z", "https://reg.test/y?z"),
            ("?page=2", "https://reg.test/v2/a/blobs/x?page=2"),
            ("y", "https://reg.test/v2/a/blobs/y"),
            ("/y#part", "https://reg.test/y"),
            ("http://[::1]:5000/y", "http://[::1]:5000/y"),
            ("file:///etc/passwd", "scheme"),
            ("gopher://x/", "scheme"),
            ("javascript:x", "scheme"),
            ("https://user:pass@cdn.test/", "user"),
            ("https:///y", "malformed"),
            ("https://x:0/y", "malformed"),
            ("https://x:99999/y", "malformed"),
        ] {
            let joined = match base.join(reference) {
                Ok(location) => location.absolute_form(),
                Err(LocationError::Scheme) => "scheme".to_owned(),
                Err(LocationError::UserInfo) => "user".to_owned(),
                Err(LocationError::Malformed | LocationError::TooLong) => "malformed".to_owned(),
            };
            assert_eq!(joined, expected, "{reference}");
        }
    }

    #[test]
    fn a_host_has_no_empty_label_but_a_final_dot() {
        for text in ["https://../y", "https://./y", "https://x..test/y", "https://.test/y"] {
            assert_eq!(Location::parse(text), Err(LocationError::Malformed), "{text}");
        }
        let dotted = Location::parse("https://cdn.test./y").unwrap();
        assert_eq!(dotted.absolute_form(), "https://cdn.test/y");
    }

    #[test]
    fn a_query_is_not_shown() {
        let location = Location::parse("https://cdn.test/blob?signature=secret").unwrap();
        assert_eq!(format!("{location} {location:?}").matches("secret").count(), 0);
    }

    #[test]
    fn a_host_list_compares_whole_hosts_and_ports() {
        let entries = ["auth.test", "reg.test:5000", "[::1]:80"].map(str::to_owned);
        let list = HostList::parse(&entries).unwrap();
        for (address, expected) in [
            ("https://auth.test/token", true),
            ("https://AUTH.test:443/", true),
            ("https://auth.test:8443/", false),
            ("https://evilauth.test/", false),
            ("https://auth.test.evil.test/", false),
            ("https://x.auth.test/", false),
            ("http://reg.test:5000/", true),
            ("https://reg.test/", false),
            ("http://[::1]/", true),
        ] {
            let origin = Location::parse(address).unwrap().origin;
            assert_eq!(list.contains(&origin), expected, "{address}");
        }
        assert!(HostList::parse(&["https://x".to_owned()]).is_none());
        assert!(HostList::parse(&["user@x".to_owned()]).is_none());
    }

    proptest! {
        #[test]
        fn joining_never_panics_and_stays_at_home_for_paths(reference in ".{0,100}", path in "/[a-z?#/]{0,20}") {
            let base = Location::parse("https://reg.test/v2/").unwrap();
            drop(base.join(&reference));
            if !path.starts_with("//") && let Ok(joined) = base.join(&path) {
                prop_assert_eq!(joined.origin, base.origin);
            }
        }
    }
}
