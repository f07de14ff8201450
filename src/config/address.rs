//! Addresses: of registries, proxies and this mirror. None may carry a login.

use http::Uri;

use crate::oci::Registry;

/// The address of a registry: `https://host[:port][/prefix]`, without a trailing slash.
pub(super) fn registry(text: &str) -> Result<String, String> {
    let uri = web(text, "put them in username_file and password_file")?;
    match uri.query() {
        Some(_) => Err(format!("{text:?} has a query; a registry has none")),
        None => Ok(text.trim_end_matches('/').to_owned()),
    }
}

/// The address that people reach this mirror's pages by, without a trailing slash.
pub(super) fn public(text: &str) -> Result<String, String> {
    let uri = web(text, "remove them")?;
    match uri.query() {
        Some(_) => Err(format!("{text:?} has a query; remove it")),
        None => Ok(text.trim_end_matches('/').to_owned()),
    }
}

/// The address of a receiver of webhooks, whole.
pub(super) fn receiver(text: &str) -> Result<String, String> {
    web(text, "a receiver knows us by our signature").map(|_| text.to_owned())
}

/// Whether an address is one of this machine only.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

/// The address of a proxy, `http://host:port`; empty text means none.
pub(super) fn proxy(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let remedy = "give the whole address in the environment (HTTP_PROXY, HTTPS_PROXY) instead";
    let uri = web(text, remedy)?;
    match uri.scheme_str() {
        Some("http") => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is not a proxy address; only http://host:port is supported")),
    }
}

/// `host` or `host:port`, lower case.
pub(super) fn host(text: &str) -> Result<String, String> {
    match text.parse::<Registry>() {
        Ok(_) => Ok(text.to_ascii_lowercase()),
        Err(_) => {
            Err(format!("{text:?} is not host or host:port (no scheme, no path, no wildcard)"))
        }
    }
}

/// An absolute http or https address without a login. A login is never repeated in the error.
fn web(text: &str, remedy_for_login: &str) -> Result<Uri, String> {
    if text.contains('@') {
        return Err(format!("{:?} has credentials; {remedy_for_login}", redacted(text)));
    }
    let wrong =
        || format!("{text:?} is not an address; write one such as \"https://registry.example\"");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.authority().map_or("", |authority| authority.as_str());
    if !is_web || host.parse::<Registry>().is_err() || text.contains('#') {
        return Err(wrong());
    }
    Ok(uri)
}

/// `text` with everything between the scheme and the last `@` taken out.
pub(super) fn redacted(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://[redacted]@{after}"),
        None => format!("[redacted]@{after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_an_address_is_refused_and_not_repeated() {
        for text in
            ["https://user:hunter2@up.test", "https://hunter2@up.test/x@y", "user:hunter2@up.test"]
        {
            for error in
                [registry(text).unwrap_err(), public(text).unwrap_err(), proxy(text).unwrap_err()]
            {
                assert!(error.contains("has credentials"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }

    #[test]
    fn only_whole_web_addresses_are_taken() {
        for bad in [
            "",
            "up.test",
            "ftp://up.test",
            "https://",
            "https://a b",
            "https://up.test?x=1",
            "https://up.test#x",
            "https:///x",
            "https://up.test:0",
        ] {
            assert!(registry(bad).is_err(), "{bad}");
        }
        assert_eq!(
            registry("https://up.test:5000/cache/"),
            Ok("https://up.test:5000/cache".into())
        );
        assert_eq!(registry("http://[::1]:5000"), Ok("http://[::1]:5000".into()));
        assert_eq!(proxy(""), Ok(None));
        assert!(proxy("https://proxy.test:3128").is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (address, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://localhost:8080/x", true),
            ("http://[::1]:8080", true),
            ("http://localhost.corp", false),
            ("http://127.0.0.1.corp", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(address), expected, "{address}");
        }
    }

    #[test]
    fn hosts_are_hosts_only() {
        assert_eq!(host("Auth.docker.io:443"), Ok("auth.docker.io:443".into()));
        for bad in ["https://auth.test", "*.auth.test", "auth.test/x", ""] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
