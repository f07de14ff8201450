//! The cookie that a session has in the browser.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::oci::Secret;

/// Its name over TLS: the prefix has browsers refuse one that was set in clear or by another host.
const NAME_TLS: &str = "__Host-pratique";
/// Its name in clear, on this machine.
const NAME_CLEAR: &str = "pratique-session";

/// The name of the cookie.
pub(super) const fn name(is_tls: bool) -> &'static str {
    if is_tls { NAME_TLS } else { NAME_CLEAR }
}

/// The id of the session that the browser sends; `None` when it sends none, or several.
pub(super) fn id(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name(is_tls)).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Sets it to `id`, until the browser ends.
pub(super) fn set(id: &Secret, is_tls: bool) -> Option<HeaderValue> {
    value(id.expose(), "", is_tls)
}

/// Takes it away.
pub(super) fn clear(is_tls: bool) -> Option<HeaderValue> {
    value("", "; Max-Age=0", is_tls)
}

fn value(id: &str, more: &str, is_tls: bool) -> Option<HeaderValue> {
    let secure = if is_tls { "; Secure" } else { "" };
    let name = name(is_tls);
    let text = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            (&["pratique-session=a; pratique-session=b"], None),
            (&["pratique-session=a", "pratique-session=a"], None),
            (&["__Host-pratique=a"], None),
            (&["pratique-sessions=a"], None),
            (&[], None),
        ] {
            assert_eq!(id(&headers(lines), false), expected, "{lines:?}");
        }
        assert_eq!(id(&headers(&["pratique-session=a; __Host-pratique=b"]), true), Some("b"));
    }

    #[test]
    fn it_is_out_of_reach_of_scripts_and_of_other_sites_and_over_tls_of_clear_text() {
        let id = Secret::new("abc");
        let clear_text = set(&id, false).unwrap();
        let expected = "pratique-session=abc; Path=/; HttpOnly; SameSite=Strict";
        assert_eq!(clear_text.to_str().unwrap(), expected);
        let tls = set(&id, true).unwrap();
        let expected = "__Host-pratique=abc; Path=/; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(tls.to_str().unwrap(), expected);
        assert!(clear(true).unwrap().to_str().unwrap().contains("Max-Age=0"));
        assert!(tls.is_sensitive());
    }
}
