//! Envelopes in JSON (flattened JWS).
//!
//! Spec: <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-envelope-jws.md>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::Refusal;
use super::super::crypto::decode_base64;
use super::envelope::{
    AUTHENTIC_SIGNING_TIME, Algorithm, Attributes, CHAIN_LENGTH_MAX, Claims, EXPIRY, Envelope,
    PAYLOAD_TYPE, SCHEME, SIGNING_TIME,
};
use crate::oci::from_strict_slice;
use crate::time::Timestamp;

/// The registered names that stand in a protected header without being attributes.
const REGISTERED: [&str; 3] = ["alg", "crit", "cty"];

#[derive(Deserialize)]
struct Flattened {
    payload: String,
    protected: String,
    header: Unprotected,
    signature: String,
}

#[derive(Deserialize)]
struct Unprotected {
    x5c: Vec<String>,
    #[serde(rename = "io.cncf.notary.timestampSignature")]
    timestamp: Option<String>,
}

/// Reads the envelope in `bytes`; nothing of it is verified.
pub(super) fn read(bytes: &[u8]) -> Result<Envelope, Refusal> {
    let malformed = |_| Refusal::Malformed("envelope");
    let Flattened { payload, protected, header, signature } =
        from_strict_slice(bytes).map_err(malformed)?;
    if header.x5c.len() > CHAIN_LENGTH_MAX {
        return Err(Refusal::TooLarge("chain of certificates"));
    }
    let (algorithm, Claims { scheme, signing_time, expiry }) = protected_header(&protected)?;
    let chain = header.x5c.iter().map(|certificate| decode_base64(certificate, "certificate"));
    let timestamp = header.timestamp.as_deref();
    Ok(Envelope {
        signed: format!("{protected}.{payload}").into_bytes(),
        payload: decode_url(&payload, "payload")?,
        signature: decode_url(&signature, "signature")?,
        algorithm,
        scheme,
        signing_time,
        expiry,
        chain: chain.collect::<Result<_, _>>()?,
        timestamp: timestamp.map(|token| decode_base64(token, "timestamp")).transpose()?,
    })
}

fn protected_header(text: &str) -> Result<(Algorithm, Claims), Refusal> {
    const MALFORMED: Refusal = Refusal::Malformed("protected header");
    let bytes = decode_url(text, "protected header")?;
    let header: Map<String, Value> = from_strict_slice(&bytes).map_err(|_| MALFORMED)?;
    let string = |name: &str| header.get(name).and_then(Value::as_str).ok_or(MALFORMED);
    let algorithm = match string("alg")? {
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "ES512" => Algorithm::Es512,
        _ => return Err(Refusal::AlgorithmNotAllowed),
    };
    if string("cty")? != PAYLOAD_TYPE {
        return Err(Refusal::PayloadKind);
    }
    let time = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| MALFORMED),
        Some(_) => Err(MALFORMED),
    };
    let times: [Result<Option<Timestamp>, Refusal>; 3] =
        [SIGNING_TIME, AUTHENTIC_SIGNING_TIME, EXPIRY].map(time);
    let [signing_time, authentic_signing_time, expiry] = times;
    let critical = header.get("crit").and_then(Value::as_array).ok_or(MALFORMED)?;
    let critical = critical.iter().map(|name| name.as_str().map(str::to_owned).ok_or(MALFORMED));
    let known = [SCHEME, SIGNING_TIME, AUTHENTIC_SIGNING_TIME, EXPIRY];
    let is_extended =
        |name: &&String| !REGISTERED.contains(&name.as_str()) && !known.contains(&name.as_str());
    let attributes = Attributes {
        scheme: string(SCHEME)?.to_owned(),
        signing_time: signing_time?,
        authentic_signing_time: authentic_signing_time?,
        expiry: expiry?,
        critical: critical.collect::<Result<_, _>>()?,
        extended: header.keys().filter(is_extended).cloned().collect(),
    };
    Ok((algorithm, attributes.check()?))
}

/// The bytes that `text` stands for in base64url without padding, the only spelling of JWS.
fn decode_url(text: &str, what: &'static str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::UrlEncoding(what))
}
