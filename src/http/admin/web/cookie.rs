//! The cookies that a browser gets.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::oci::Secret;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// What a browser has to show that somebody signed in with. It opens nothing.
    Device,
    /// A sign-in at the provider that was begun. It comes along when the provider's page leads back, and
    /// opens nothing.
    Provider,
    /// A session, or a sign-in that is half done.
    Session,
}

impl Cookie {
    /// Its name; over TLS with the prefix that has browsers refuse one that was set in clear or by another
    /// host.
    pub(super) const fn name(self, is_tls: bool) -> &'static str {
        match (self, is_tls) {
            (Self::Device, true) => "__Host-pratique-device",
            (Self::Device, false) => "pratique-device",
            (Self::Provider, true) => "__Host-pratique-provider",
            (Self::Provider, false) => "pratique-provider",
            (Self::Session, true) => "__Host-pratique",
            (Self::Session, false) => "pratique-session",
        }
    }

    /// The id in it that the browser sends; `None` when it sends none, or several.
    pub(super) fn id(self, headers: &HeaderMap, is_tls: bool) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs =
            lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == self.name(is_tls)).map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Sets it to `id`, until the browser ends; what it has to show for itself for a year.
    pub(super) fn set(self, id: &Secret, is_tls: bool) -> Option<HeaderValue> {
        let more = match self {
            Self::Device => "; Max-Age=31536000",
            Self::Provider | Self::Session => "",
        };
        self.value(id.expose(), more, is_tls)
    }

    /// Takes it away.
    pub(super) fn clear(self, is_tls: bool) -> Option<HeaderValue> {
        self.value("", "; Max-Age=0", is_tls)
    }

    fn value(self, id: &str, more: &str, is_tls: bool) -> Option<HeaderValue> {
        let secure = if is_tls { "; Secure" } else { "" };
        let site = match self {
            Self::Provider => "Lax",
            Self::Device | Self::Session => "Strict",
        };
        let name = self.name(is_tls);
        let text = format!("{name}={id}; Path=/; HttpOnly; SameSite={site}{secure}{more}");
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_of_the_right_name_counts() {
        let headers = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            headers
        };
        for (lines, expected) in [
            (&["pratique-session=a"][..], Some("a")),
            (&["x=1; pratique-session=a ;y=2"], Some("a")),
            (&["x=1", "pratique-session=a"], Some("a")),
            (&["pratique-provider=b; pratique-session=a"], Some("a")),
            (&["pratique-session=a; pratique-session=b"], None),
            (&["pratique-session=a", "pratique-session=a"], None),
            (&["__Host-pratique=a"], None),
            (&["pratique-sessions=a"], None),
            (&["pratique-provider=a"], None),
            (&[], None),
        ] {
            assert_eq!(Cookie::Session.id(&headers(lines), false), expected, "{lines:?}");
        }
        let both = headers(&["pratique-session=a; __Host-pratique=b"]);
        assert_eq!(Cookie::Session.id(&both, true), Some("b"));
    }

    #[test]
    fn it_is_out_of_reach_of_scripts_and_of_other_sites_and_over_tls_of_clear_text() {
        let id = Secret::new("abc");
        let clear_text = Cookie::Session.set(&id, false).unwrap();
        let expected = "pratique-session=abc; Path=/; HttpOnly; SameSite=Strict";
        assert_eq!(clear_text.to_str().unwrap(), expected);
        let tls = Cookie::Session.set(&id, true).unwrap();
        let expected = "__Host-pratique=abc; Path=/; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(tls.to_str().unwrap(), expected);
        let provider = Cookie::Provider.set(&id, true).unwrap();
        let expected = "__Host-pratique-provider=abc; Path=/; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(provider.to_str().unwrap(), expected);
        assert!(Cookie::Session.clear(true).unwrap().to_str().unwrap().contains("Max-Age=0"));
        assert!(tls.is_sensitive());
    }
}
