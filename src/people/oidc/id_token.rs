//! An ID token, and what it has to say before it counts.
//!
//! Spec: <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::keys::{self, Key, NoKey, SignedBy};
use super::{Identity, Settings};
use crate::oci::from_strict_slice;
use crate::time::Timestamp;

/// Most bytes of a token.
pub(super) const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Longest subject: what the specification allows, in bytes.
const SUBJECT_BYTES_MAX: usize = 255;
/// Most groups that are taken from a token; one with more proves nothing, for some would be missing.
const GROUPS_MAX: usize = 500;
/// Longest group, in bytes.
const GROUP_BYTES_MAX: usize = 256;
/// Longest name that is taken from a token, in characters; the rest is cut.
const NAME_LENGTH_MAX: usize = 100;
/// How far the provider's clock and ours may be apart.
const SKEW_MS: i64 = 60_000;
/// Oldest that a token may be, counted from when it was made: it was made for this sign-in.
const AGE_MAX_MS: i64 = 15 * 60_000;

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    /// Its algorithm is none that counts.
    #[error("it is not signed by an algorithm that counts")]
    Algorithm,
    /// It is for somebody else.
    #[error("it is for another client")]
    Audience,
    /// It is over.
    #[error("it has expired")]
    Expired,
    /// It is of a time to come.
    #[error("it is of a time to come; compare the clocks")]
    Future,
    /// It has too many groups, or what is no list of names.
    #[error("its groups are no list of names of a sane length")]
    Groups,
    /// It is of somebody else.
    #[error("it is of another issuer")]
    Issuer,
    /// It names a key that the provider does not have.
    #[error("it is signed by no key of the provider")]
    KeyUnknown,
    /// It could be by more than one key.
    #[error("the provider has several keys of that name")]
    KeyAmbiguous,
    /// It is not for this sign-in.
    #[error("it was made for another sign-in")]
    Nonce,
    /// It does not say that whoever it is about was asked anew.
    #[error("the provider did not ask anew who it is (auth_time)")]
    NotAgain,
    /// It is none.
    #[error("it is malformed")]
    Malformed,
    /// It is too old.
    #[error("it is too old")]
    Old,
    /// Its signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// It names nobody.
    #[error("its subject is none")]
    Subject,
}

/// What is read of a header. `jwk`, `jku`, `x5c` and `x5u`, which bring a key along, are nobody's to
/// bring; they are not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that must be understood: there are none that we do.
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Who `token` says has signed in, if it counts at `now` for the sign-in with `nonce`, and they were asked who
/// they are after `since` where that is given.
///
/// # Errors
/// See [`TokenProblem`].
pub(super) fn verify(
    token: &str,
    keys: &[Key],
    settings: &Settings,
    (nonce, since): (&str, Option<Timestamp>),
    now: Timestamp,
) -> Result<Identity, TokenProblem> {
    let claims: Claims = signed(token, keys)?;
    if claims.iss != settings.issuer {
        return Err(TokenProblem::Issuer);
    }
    let by_us = claims.azp.as_deref().is_none_or(|azp| azp == settings.client_id);
    if !by_us || !claims.aud.is_only(&settings.client_id) {
        return Err(TokenProblem::Audience);
    }
    if claims.nonce.as_deref() != Some(nonce) {
        return Err(TokenProblem::Nonce);
    }
    let times = Times { exp: claims.exp, iat: claims.iat, nbf: claims.nbf };
    if times.check(now)?.saturating_add(AGE_MAX_MS) < now.milliseconds() {
        return Err(TokenProblem::Old);
    }
    if let Some(since) = since {
        check_asked_anew(&claims, since)?;
    }
    let has_control = claims.sub.chars().any(char::is_control);
    if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES_MAX || has_control {
        return Err(TokenProblem::Subject);
    }
    let groups = groups(claims.more.get(&settings.groups_claim))?;
    let name = claims.more.get(&settings.name_claim).and_then(Value::as_str).map(|name| {
        name.chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect::<String>()
    });
    let name = name.filter(|name| !name.trim().is_empty());
    Ok(Identity { issuer: claims.iss, subject: claims.sub, name, groups })
}

/// The claims of `token` if one of `keys` signed it.
pub(super) fn signed<C: DeserializeOwned>(token: &str, keys: &[Key]) -> Result<C, TokenProblem> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenProblem::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(head), Some(body), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenProblem::Malformed);
    };
    let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenProblem::Malformed);
    let header: Header = from_strict_slice(&decode(head)?).map_err(|_| TokenProblem::Malformed)?;
    if header.crit.is_some() || !header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("jwt")) {
        return Err(TokenProblem::Malformed);
    }
    let by = SignedBy::parse(&header.alg).ok_or(TokenProblem::Algorithm)?;
    let key = keys::find(keys, header.kid.as_deref(), by).map_err(|none| match none {
        NoKey::Ambiguous => TokenProblem::KeyAmbiguous,
        NoKey::Unknown => TokenProblem::KeyUnknown,
    })?;
    let message = token.get(..head.len() + 1 + body.len()).unwrap_or_default();
    if !key.verifies(by, message.as_bytes(), &decode(signature)?) {
        return Err(TokenProblem::Signature);
    }
    from_strict_slice(&decode(body)?).map_err(|_| TokenProblem::Malformed)
}

impl Audience {
    /// Whether it is for `us` and nobody else: one that is for others, too, could be shown here by them.
    pub(super) fn is_only(&self, us: &str) -> bool {
        match self {
            Self::One(one) => one == us,
            Self::Several(several) => several.iter().all(|one| one == us) && !several.is_empty(),
        }
    }
}

/// When a token was made and counts, in seconds as it has them.
pub(super) struct Times {
    pub(super) exp: f64,
    pub(super) iat: f64,
    pub(super) nbf: Option<f64>,
}

impl Times {
    /// When it was made, in milliseconds, if it counts at `now`.
    pub(super) fn check(&self, now: Timestamp) -> Result<i64, TokenProblem> {
        let now = now.milliseconds();
        let (until, since) = (milliseconds(self.exp)?, milliseconds(self.iat)?);
        if until.saturating_add(SKEW_MS) <= now {
            return Err(TokenProblem::Expired);
        }
        if since > now.saturating_add(SKEW_MS) {
            return Err(TokenProblem::Future);
        }
        if let Some(not_before) = self.nbf
            && milliseconds(not_before)? > now.saturating_add(SKEW_MS)
        {
            return Err(TokenProblem::Future);
        }
        Ok(since)
    }
}

/// `auth_time` is there and not before `since`, but for how far clocks may be apart.
fn check_asked_anew(claims: &Claims, since: Timestamp) -> Result<(), TokenProblem> {
    let at = claims.more.get("auth_time").and_then(Value::as_f64).ok_or(TokenProblem::NotAgain)?;
    let is_new = milliseconds(at)?.saturating_add(SKEW_MS) >= since.milliseconds();
    if is_new { Ok(()) } else { Err(TokenProblem::NotAgain) }
}

/// Seconds as a token has them, in milliseconds.
pub(super) fn milliseconds(seconds: f64) -> Result<i64, TokenProblem> {
    /// Later than any date that means something: the year 9999.
    const SECONDS_MAX: f64 = 253_402_300_800.0;
    if !(0.0..SECONDS_MAX).contains(&seconds) {
        return Err(TokenProblem::Malformed);
    }
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "within bounds")]
    Ok((seconds * 1_000.0) as i64)
}

/// The groups of a claim: a list of names, or one name.
fn groups(claim: Option<&Value>) -> Result<Vec<String>, TokenProblem> {
    let listed: Vec<&Value> = match claim {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    if listed.len() > GROUPS_MAX {
        return Err(TokenProblem::Groups);
    }
    let plain = |name: &&str| {
        !name.is_empty() && name.len() <= GROUP_BYTES_MAX && !name.chars().any(char::is_control)
    };
    let name = |value: &Value| value.as_str().filter(plain).map(str::to_owned);
    let mut names: Vec<String> =
        listed.into_iter().map(name).collect::<Option<_>>().ok_or(TokenProblem::Groups)?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
