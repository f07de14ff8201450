//! Codes of an authenticator: six digits from a shared key and the time.
//!
//! Spec: RFC 6238 over RFC 4226, with SHA-1, six digits and 30 seconds: what every authenticator does.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{NoRandomness, base32, random};
use crate::oci::Secret;
use crate::time::Timestamp;

/// Digits of a code.
pub const CODE_DIGITS: usize = 6;
/// How long a code is shown, in milliseconds.
const STEP_MS: i64 = 30_000;
/// Steps that a clock may be early or late.
const SKEW_STEPS: i64 = 1;
/// Bytes of a key: as many as the hash has.
const KEY_BYTES: usize = 20;

/// Which code of a key it was: they are numbered from 1970 on, one in 30 seconds.
pub type TotpStep = i64;

/// The key that an authenticator shares with us.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpKey([u8; KEY_BYTES]);

impl TotpKey {
    /// A new key.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        random().map(Self)
    }

    /// The key as people type it into an authenticator.
    pub fn text(&self) -> Secret {
        Secret::new(base32::encode(&self.0))
    }

    /// The key as an address that authenticators open, for `account` at `issuer`.
    ///
    /// Spec: <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>
    pub fn uri(&self, issuer: &str, account: &str) -> Secret {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (issuer, account, key) = (encode(issuer), encode(account), base32::encode(&self.0));
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={key}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        ))
    }

    /// Which code `presented` is, if it is one of now that is later than `used`, the last one that
    /// counted; takes the same time whatever it is.
    pub fn check(
        &self,
        presented: &str,
        now: Timestamp,
        used: Option<TotpStep>,
    ) -> Option<TotpStep> {
        let digits: String = presented.chars().filter(|c| !c.is_whitespace()).collect();
        let current = now.milliseconds().div_euclid(STEP_MS);
        let mut found = None;
        for step in current - SKEW_STEPS..=current + SKEW_STEPS {
            let is_it = verify_slices_are_equal(self.code(step).as_bytes(), digits.as_bytes());
            let is_new = used.is_none_or(|used| step > used);
            if is_it.is_ok() && is_new {
                found = Some(step);
            }
        }
        found
    }

    /// The code of `now`, for tests and tools that stand for an authenticator.
    pub fn code_at(&self, now: Timestamp) -> Secret {
        Secret::new(self.code(now.milliseconds().div_euclid(STEP_MS)))
    }

    /// The key that `text` stands for, as people type it; `None` when it is none of ours.
    pub fn from_text(text: &str) -> Option<Self> {
        base32::decode(text).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }

    fn code(&self, step: TotpStep) -> String {
        format!("{:06}", truncated(&self.0, step) % 1_000_000)
    }
}

/// The 31 bits that codes are made of.
///
/// Spec: RFC 4226 section 5.3.
fn truncated(key: &[u8], counter: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = bytes.last().map_or(0, |last| usize::from(last & 0xf));
    let four = bytes.get(offset..offset + 4).and_then(|four| four.try_into().ok());
    u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff
}

impl fmt::Debug for TotpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for TotpKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base32::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for TotpKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| de::Error::custom("no key of an authenticator"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; KEY_BYTES] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1_000)
    }

    #[test]
    fn the_codes_are_those_of_rfc_4226_and_rfc_6238() {
        let codes = [
            755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871,
            520_489,
        ];
        for (counter, code) in codes.into_iter().enumerate() {
            let counter = i64::try_from(counter).unwrap();
            assert_eq!(truncated(KEY, counter) % 1_000_000, code, "{counter}");
        }
        for (seconds, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(truncated(KEY, seconds / 30) % 100_000_000, code, "{seconds}");
        }
    }

    #[test]
    fn a_code_counts_one_step_early_or_late_and_once() {
        let (key, now) = (TotpKey(*KEY), at(1_000_000_000));
        let step = 1_000_000_000 / 30;
        let code = |shift: i64| key.code(step + shift);
        for shift in -1..=1 {
            assert_eq!(key.check(&code(shift), now, None), Some(step + shift), "{shift}");
        }
        for shift in [-100, -2, 2, 100] {
            assert_eq!(key.check(&code(shift), now, None), None, "{shift}");
        }
        assert_eq!(key.check(&code(0), now, Some(step)), None, "it was used");
        assert_eq!(key.check(&code(-1), now, Some(step)), None, "a later one was used");
        assert_eq!(key.check(&code(1), now, Some(step)), Some(step + 1));
        let spaced = format!("{} {}", &code(0)[..3], &code(0)[3..]);
        assert_eq!(key.check(&spaced, now, None), Some(step), "as telephones show it");
        let own = code(0);
        for bad in ["", "000000", "12345", &format!("{own}0"), &own[1..], "٠١٢٣٤٥", "-1"] {
            assert_eq!(key.check(bad, now, None), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_not_shown_but_where_it_is_asked_for() {
        let key = TotpKey::generate().unwrap();
        let text = key.text();
        assert_eq!(TotpKey::from_text(text.expose()), Some(key.clone()));
        assert_eq!(text.expose().len(), 32);
        assert!(!format!("{key:?}").contains(text.expose()));
        let uri = key.uri("Pratique a&b", "al/ice?x=1");
        let expected = "otpauth://totp/Pratique%20a%26b:al%2Fice%3Fx%3D1?secret=";
        assert!(uri.expose().starts_with(expected), "{}", uri.expose());
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<TotpKey>(&json).unwrap(), key);
        for bad in ["\"\"", "\"AAAA\"", "\"1\"", "1"] {
            assert!(serde_json::from_str::<TotpKey>(bad).is_err(), "{bad}");
        }
    }
}
