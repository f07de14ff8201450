//! Envelopes in CBOR (`COSE_Sign1`).
//!
//! Spec: <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-envelope-cose.md>

use coset::cbor::Value;
use coset::iana::{self, EnumI64 as _};
use coset::{
    ContentType, CoseSign1, Header, Label, RegisteredLabelWithPrivate, TaggedCborSerializable as _,
};

use super::super::Refusal;
use super::envelope::{
    AUTHENTIC_SIGNING_TIME, Algorithm, Attributes, CHAIN_LENGTH_MAX, Claims, EXPIRY, Envelope,
    PAYLOAD_TYPE, SCHEME, SIGNING_TIME,
};
use crate::time::Timestamp;

const TIMESTAMP: &str = "io.cncf.notary.timestampSignature";
/// The tag of a number that is a time in seconds (RFC 8949, section 3.4.2).
const EPOCH_TIME_TAG: u64 = 1;

const MALFORMED: Refusal = Refusal::Malformed("envelope");

/// Reads the envelope in `bytes`; nothing of it is verified.
pub(super) fn read(bytes: &[u8]) -> Result<Envelope, Refusal> {
    let message = CoseSign1::from_tagged_slice(bytes).map_err(|_| MALFORMED)?;
    let (algorithm, Claims { scheme, signing_time, expiry }) =
        protected_header(&message.protected.header)?;
    let signed = message.tbs_data(&[]);
    let chain = chain(&message.unprotected)?;
    let timestamp = match value(&message.unprotected, TIMESTAMP) {
        None => None,
        Some(Value::Bytes(token)) => Some(token.clone()),
        Some(_) => return Err(MALFORMED),
    };
    Ok(Envelope {
        // What is signed but not there could be anything.
        payload: message.payload.ok_or(MALFORMED)?,
        signed,
        signature: message.signature,
        algorithm,
        scheme,
        signing_time,
        expiry,
        chain,
        timestamp,
    })
}

fn protected_header(header: &Header) -> Result<(Algorithm, Claims), Refusal> {
    let Some(RegisteredLabelWithPrivate::Assigned(algorithm)) = &header.alg else {
        return Err(Refusal::AlgorithmNotAllowed);
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every algorithm that is not named is wrong"
    )]
    let algorithm = match algorithm {
        iana::Algorithm::PS256 => Algorithm::Ps256,
        iana::Algorithm::PS384 => Algorithm::Ps384,
        iana::Algorithm::PS512 => Algorithm::Ps512,
        iana::Algorithm::ES256 => Algorithm::Es256,
        iana::Algorithm::ES384 => Algorithm::Es384,
        iana::Algorithm::ES512 => Algorithm::Es512,
        _ => return Err(Refusal::AlgorithmNotAllowed),
    };
    if header.content_type != Some(ContentType::Text(PAYLOAD_TYPE.to_owned())) {
        return Err(Refusal::PayloadKind);
    }
    let Some(Value::Text(scheme)) = value(header, SCHEME) else { return Err(MALFORMED) };
    let critical = header.crit.iter().map(|label| match label {
        RegisteredLabelWithPrivate::Text(name) => Ok(name.clone()),
        // Nothing with a number has a meaning here that a signer could insist on.
        RegisteredLabelWithPrivate::Assigned(parameter) => {
            Err(Refusal::CriticalAttribute(parameter.to_i64().to_string()))
        }
        RegisteredLabelWithPrivate::PrivateUse(number) => {
            Err(Refusal::CriticalAttribute(number.to_string()))
        }
    });
    let known = [SCHEME, SIGNING_TIME, AUTHENTIC_SIGNING_TIME, EXPIRY];
    let extended = header.rest.iter().filter_map(|(label, _)| match label {
        Label::Text(name) if !known.contains(&name.as_str()) => Some(name.clone()),
        Label::Text(_) | Label::Int(_) => None,
    });
    let attributes = Attributes {
        scheme: scheme.clone(),
        signing_time: time(header, SIGNING_TIME)?,
        authentic_signing_time: time(header, AUTHENTIC_SIGNING_TIME)?,
        expiry: time(header, EXPIRY)?,
        critical: critical.collect::<Result<_, _>>()?,
        extended: extended.collect(),
    };
    Ok((algorithm, attributes.check()?))
}

fn value<'a>(header: &'a Header, name: &str) -> Option<&'a Value> {
    let named = |(label, _): &&(Label, Value)| matches!(label, Label::Text(text) if text == name);
    header.rest.iter().find(named).map(|(_, value)| value)
}

fn time(header: &Header, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = value(header, name) else { return Ok(None) };
    let Value::Tag(EPOCH_TIME_TAG, value) = value else { return Err(MALFORMED) };
    let seconds = value.as_integer().and_then(|seconds| i64::try_from(seconds).ok());
    let milliseconds = seconds.and_then(|seconds| seconds.checked_mul(1_000));
    milliseconds.map(Timestamp::from_milliseconds).map(Some).ok_or(MALFORMED)
}

fn chain(unprotected: &Header) -> Result<Vec<Vec<u8>>, Refusal> {
    let x5chain = Label::Int(iana::HeaderParameter::X5Chain.to_i64());
    let found = unprotected.rest.iter().find(|(label, _)| *label == x5chain);
    let Some((_, Value::Array(certificates))) = found else {
        return Err(Refusal::Malformed("chain of certificates"));
    };
    if certificates.len() > CHAIN_LENGTH_MAX {
        return Err(Refusal::TooLarge("chain of certificates"));
    }
    let bytes = |value: &Value| value.as_bytes().cloned();
    let chain: Option<Vec<_>> = certificates.iter().map(bytes).collect();
    chain.ok_or(Refusal::Malformed("chain of certificates"))
}
