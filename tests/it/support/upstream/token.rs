//! The token service that every fake upstream has at `/token`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::ledger::Seen;
use super::serve::{Answer, full, status};
use super::{Auth, State};

/// How the token service behaves.
#[derive(Clone)]
pub(crate) struct TokenService {
    /// The login it wants; `None`: everybody gets a token.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// `expires_in` of its answers, any JSON; `null`: left out.
    pub(crate) expires_in: serde_json::Value,
    /// The name of the field for the token: `token` or `access_token`.
    pub(crate) field: &'static str,
    /// 405 to GET, so that only the form by POST works.
    pub(crate) post_only: bool,
    /// The whole answer, word for word, instead of all of the above.
    pub(crate) answer: Option<String>,
}

impl Default for TokenService {
    fn default() -> Self {
        Self { login: None, expires_in: json!(300), field: "token", post_only: false, answer: None }
    }
}

/// The answer of the token service.
pub(super) fn answer(state: &mut State, seen: &Seen) -> Answer {
    let service = state.tokens.clone();
    if service.post_only && seen.method != Method::POST.as_str() {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    if let Some(answer) = service.answer {
        return Response::new(full(answer));
    }
    let parameters = seen.query.clone().unwrap_or_default() + "&" + &seen.body;
    if let Some((user, password)) = service.login {
        let form = parameter(&parameters, "username").as_deref() == Some(user)
            && parameter(&parameters, "password").as_deref() == Some(password);
        if !form && seen.authorization() != Some(&basic(user, password)) {
            return status(StatusCode::UNAUTHORIZED);
        }
    }
    state.tokens_issued += 1;
    let scope = parameter(&parameters, "scope").unwrap_or_default();
    let token = format!("fake.{}.{}", state.tokens_issued, hex::encode(scope));
    let mut body = json!({ service.field: token });
    if !service.expires_in.is_null() {
        body["expires_in"] = service.expires_in;
    }
    Response::new(full(body.to_string()))
}

/// Whether `seen`, which is about `repository`, shows what `auth` asks for; else the challenge.
pub(super) fn challenge(state: &State, seen: &Seen, repository: &str) -> Option<String> {
    match &state.auth {
        Auth::Open => None,
        Auth::Basic(user, password) => {
            let shown = seen.authorization() == Some(&basic(user, password));
            (!shown).then(|| "Basic realm=\"fake\"".to_owned())
        }
        Auth::Token { realm } => {
            let scope = format!("repository:{repository}:pull");
            let shown = seen
                .authorization()
                .and_then(|value| value.strip_prefix("Bearer "))
                .is_some_and(|token| is_good(token, &scope, state.tokens_revoked));
            (!shown).then(|| {
                format!("Bearer realm=\"{realm}\",service=\"fake,registry\",scope=\"{scope}\"")
            })
        }
    }
}

fn is_good(token: &str, scope: &str, revoked: u64) -> bool {
    let mut parts = token.split('.');
    let (Some("fake"), Some(number), Some(covered)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    number.parse::<u64>().is_ok_and(|number| number > revoked) && covered == hex::encode(scope)
}

/// The value of `Authorization` for a user and a password.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn parameter(parameters: &str, name: &str) -> Option<String> {
    let (_, value) = parameters
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?;
    let value = value.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned())
}
