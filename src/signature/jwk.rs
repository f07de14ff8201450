//! Public keys as JSON Web Keys.
//!
//! A JSON Web Key may say what it is for, and what it says is held against how it would be used here.
//! What is not understood is refused: there is no telling what it would have ruled out.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc7517>, <https://www.rfc-editor.org/rfc/rfc7518#section-6>,
//! <https://www.rfc-editor.org/rfc/rfc8037#section-2>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::KeyError;
use super::key::RSA_ALGORITHM;
use super::refusal::quoted;
use crate::oci::from_strict_slice;

/// Members that only a private or secret key has.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// Members that say nothing about what the key is or is for. `WebCrypto` writes `ext`.
const LABELS: [&str; 2] = ["ext", "kid"];
/// The beginnings of `SubjectPublicKeyInfo`s, up to where the key itself begins.
const P256_HEADER: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
const P384_HEADER: &str = "3076301006072a8648ce3d020106052b8104002203620004";
const ED25519_HEADER: &str = "302a300506032b6570032100";
/// Largest modulus of an RSA key in bytes.
const MODULUS_BYTES_MAX: usize = 1024;
/// Largest exponent of an RSA key in bytes.
const EXPONENT_BYTES_MAX: usize = 8;

/// What a JSON Web Key holds.
pub(super) struct Jwk {
    /// The key as DER. That it is one that can be used is not checked here.
    pub(super) spki: Vec<u8>,
    /// By which algorithm it signs, where it says so.
    pub(super) algorithm: Option<&'static str>,
}

/// Reads the JSON Web Key in `json`.
pub(super) fn read(json: &str) -> Result<Jwk, KeyError> {
    let members: Map<String, Value> = from_strict_slice(json.as_bytes())
        .map_err(|error| wrong(format!("is not strict JSON: {}", error.without_content())))?;
    if let Some(name) = PRIVATE.iter().find(|name| members.contains_key(**name)) {
        let text = "a policy takes the public key, and this one is now known";
        return Err(wrong(format!("has the private member \"{name}\"; {text}")));
    }
    if members.contains_key("keys") {
        return Err(wrong("is a set of keys; take the one that is meant out of it"));
    }
    let reader = Reader { members: &members };
    reader.check_use()?;
    let (names, spki, algorithms): (&[&str], Vec<u8>, &[(&str, &'static str)]) =
        match (reader.text("kty")?, reader.optional("crv")?) {
            ("EC", Some("P-256")) => {
                let spki = [hex_of(P256_HEADER), reader.bytes("x", 32)?, reader.bytes("y", 32)?];
                (&["crv", "x", "y"], spki.concat(), &[("ES256", "ecdsa-p256-sha256")])
            }
            ("EC", Some("P-384")) => {
                let spki = [hex_of(P384_HEADER), reader.bytes("x", 48)?, reader.bytes("y", 48)?];
                (&["crv", "x", "y"], spki.concat(), &[("ES384", "ecdsa-p384-sha384")])
            }
            ("EC", Some("P-521")) => return Err(KeyError::P521),
            ("OKP", Some("Ed25519")) => {
                let spki = [hex_of(ED25519_HEADER), reader.bytes("x", 32)?];
                (&["crv", "x"], spki.concat(), &[("EdDSA", "ed25519"), ("Ed25519", "ed25519")])
            }
            ("RSA", None) => (&["n", "e"], reader.rsa()?, &[("RS256", "rsa-pkcs1v15-sha256")]),
            ("RSA", Some(_)) => {
                return Err(wrong("has kty RSA and the crv of another kind of key"));
            }
            ("EC" | "OKP", None) => return Err(wrong("has no crv")),
            (kty, crv) => {
                let kind = quoted(&format!("{kty} {}", crv.unwrap_or_default()));
                let text = "is not supported; expected EC P-256 or P-384, OKP Ed25519, or RSA";
                return Err(wrong(format!("of the kind {} {text}", kind.trim())));
            }
        };
    let algorithm = reader.algorithm(algorithms)?;
    reader.nothing_else(names)?;
    Ok(Jwk { spki, algorithm })
}

fn wrong(text: impl Into<String>) -> KeyError {
    KeyError::Jwk(text.into())
}

fn hex_of(header: &str) -> Vec<u8> {
    // A header that were wrong would make no key at all, and every test of a key fail.
    hex::decode(header).unwrap_or_default()
}

struct Reader<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    fn optional(&self, name: &str) -> Result<Option<&'a str>, KeyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(format!("has a {name} that is no text"))),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, KeyError> {
        self.optional(name)?.ok_or_else(|| wrong(format!("has no {name}")))
    }

    /// The bytes of the member `name`, in the one spelling that they have.
    fn decoded(&self, name: &str) -> Result<Vec<u8>, KeyError> {
        let decoded = URL_SAFE_NO_PAD.decode(self.text(name)?);
        decoded.map_err(|_| wrong(format!("has a {name} that is not base64url without padding")))
    }

    fn bytes(&self, name: &str, length: usize) -> Result<Vec<u8>, KeyError> {
        let bytes = self.decoded(name)?;
        if bytes.len() == length {
            return Ok(bytes);
        }
        let count = bytes.len();
        Err(wrong(format!("has a {name} of {count} bytes, and its curve has {length}")))
    }

    /// The number in the member `name`, which is never longer than it has to be.
    fn number(&self, name: &str, bytes_max: usize) -> Result<Vec<u8>, KeyError> {
        let bytes = self.decoded(name)?;
        match bytes.first() {
            Some(first) if *first > 0 && bytes.len() <= bytes_max => Ok(bytes),
            Some(0) => Err(wrong(format!("has a {name} that begins with a zero"))),
            _ => Err(wrong(format!("has a {name} of {} bytes", bytes.len()))),
        }
    }

    fn rsa(&self) -> Result<Vec<u8>, KeyError> {
        let modulus = integer(&self.number("n", MODULUS_BYTES_MAX)?);
        let exponent = integer(&self.number("e", EXPONENT_BYTES_MAX)?);
        let key = [vec![0], tlv(0x30, &[modulus, exponent].concat())].concat();
        Ok(tlv(0x30, &[RSA_ALGORITHM.to_vec(), tlv(0x03, &key)].concat()))
    }

    /// Whether it is a key that signatures are verified with, by what it says itself.
    fn check_use(&self) -> Result<(), KeyError> {
        if self.optional("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(wrong("has a use other than \"sig\": it is not for signatures"));
        }
        match self.members.get("key_ops") {
            None => Ok(()),
            Some(Value::Array(operations)) if operations.as_slice() == ["verify"] => Ok(()),
            Some(_) => Err(wrong("has key_ops other than [\"verify\"]: it is not for verifying")),
        }
    }

    /// By which algorithm the key signs, where it says so; `known` are those that it may, by the names
    /// that a policy has for them.
    fn algorithm(&self, known: &[(&str, &'static str)]) -> Result<Option<&'static str>, KeyError> {
        let Some(alg) = self.optional("alg")? else { return Ok(None) };
        let found = known.iter().find(|(name, _)| *name == alg);
        found.map(|(_, algorithm)| Some(*algorithm)).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let alg = quoted(alg);
            wrong(format!("has the alg \"{alg}\", and such a key signs by {}", names.join(" or ")))
        })
    }

    fn nothing_else(&self, names: &[&str]) -> Result<(), KeyError> {
        let known = |name: &&String| {
            let name = name.as_str();
            ["alg", "key_ops", "kty", "use"].contains(&name)
                || names.contains(&name)
                || LABELS.contains(&name)
        };
        match self.members.keys().find(|name| !known(name)) {
            Some(name) => {
                let name = quoted(name);
                Err(wrong(format!("has the member \"{name}\", which nothing here would act on")))
            }
            None => Ok(()),
        }
    }
}

/// A positive number as DER; `bytes` begin with one that is not zero.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let is_negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let sign: &[u8] = if is_negative { &[0] } else { &[] };
    tlv(0x02, &[sign, bytes].concat())
}

/// `content` under `tag` as DER: at most 65,535 bytes, which [`MODULUS_BYTES_MAX`] sees to.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header = match content.len() {
        0..128 => vec![tag, low],
        128..256 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}
