//! What stands in a trust root, for people who look after one.

use std::fmt;

use sigstore_verify::Verifier;
use sigstore_verify::crypto::KeyAlgorithm;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{DerPublicKey, TimeRange};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::refusal::quoted;
use super::{TrustRoot, TrustRootError, crypto};
use crate::oci::Digest;
use crate::time::{Timestamp, Window};

/// The members of a trusted root, each with the list of one kind.
const LISTS: [&str; 4] = ["certificateAuthorities", "ctlogs", "timestampAuthorities", "tlogs"];

/// What a part of a trust root vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// It issues certificates.
    CertificateAuthority,
    /// It logs certificates.
    CertificateLog,
    /// It says when a signature was there.
    TimestampAuthority,
    /// It logs signatures.
    TransparencyLog,
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CertificateAuthority => "certificate authority",
            Self::CertificateLog => "certificate log",
            Self::TimestampAuthority => "timestamp authority",
            Self::TransparencyLog => "transparency log",
        })
    }
}

/// An authority or a log. Texts are bounded and printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it vouches for.
    pub kind: PartKind,
    /// What it is called: its address, or its subject where it has none.
    pub name: String,
    /// Its key, or how many certificates it has.
    pub key: String,
    /// Over its key or certificates: what is equal here is the same.
    pub fingerprint: Digest,
    /// When it vouches.
    pub window: Window,
    /// When the first of its certificates ends, where it has some.
    pub certificates_end: Option<Timestamp>,
}

impl TrustRoot {
    /// Everything in it, by kind, in its own order.
    pub fn parts(&self) -> Vec<Part> {
        let root = self.listed();
        let authorities = root.certificate_authorities.iter().map(|it| {
            let of = [&it.subject.organization, &it.subject.common_name];
            let chain = it.cert_chain.certificates.iter().map(|it| it.raw_bytes.as_bytes());
            let name = named(&it.uri, of);
            authority(
                PartKind::CertificateAuthority,
                name,
                &chain.collect::<Vec<_>>(),
                it.valid_for,
            )
        });
        let certificate_logs = root.ctlogs.iter().map(|it| {
            let key = &it.public_key;
            log(PartKind::CertificateLog, &it.base_url, &key.raw_bytes, key.valid_for)
        });
        let logs = root.tlogs.iter().map(|it| {
            let key = &it.public_key;
            log(PartKind::TransparencyLog, &it.base_url, &key.raw_bytes, key.valid_for)
        });
        let clocks = root.timestamp_authorities.iter().map(|it| {
            let of = [&it.subject.organization, &it.subject.common_name];
            let chain = it.cert_chain.certificates.iter().map(|it| it.raw_bytes.as_bytes());
            let name = named(it.uri.as_deref().unwrap_or_default(), of);
            authority(PartKind::TimestampAuthority, name, &chain.collect::<Vec<_>>(), it.valid_for)
        });
        authorities.chain(certificate_logs).chain(logs).chain(clocks).collect()
    }

    /// What its keeper should know at `now`, though it can be used.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let parts = self.parts();
        let mut warnings = Vec::new();
        for (kind, without) in [
            (PartKind::CertificateAuthority, "no certificate can be verified: only keys can sign"),
            (PartKind::CertificateLog, "no certificate can be verified: only keys can sign"),
            (PartKind::TimestampAuthority, "nothing proves when an entry of Rekor 2 was made"),
        ] {
            let mut of_kind = parts.iter().filter(|part| part.kind == kind).peekable();
            if of_kind.peek().is_none() {
                warnings.push(format!("lists no {kind}; {without}"));
            } else if of_kind.all(|part| part.has_ended(now)) {
                warnings.push(format!("every {kind} has ended; nothing new can be verified"));
            }
        }
        if parts.iter().all(|it| it.kind != PartKind::TransparencyLog || it.has_ended(now)) {
            warnings
                .push("every transparency log has ended; nothing new can be verified".to_owned());
        }
        let distinct = self.log_count();
        let listed = parts.iter().filter(|it| it.kind == PartKind::TransparencyLog).count();
        if distinct < listed {
            warnings.push(format!(
                "lists {listed} transparency logs with {distinct} distinct keys and addresses: they count as {distinct}"
            ));
        }
        warnings.extend(parts.iter().flat_map(|part| part.warnings(now)));
        warnings
    }
}

impl Part {
    /// Whether nothing that is made at `now` can rest on it.
    fn has_ended(&self, now: Timestamp) -> bool {
        self.window.end.is_some_and(|end| end <= now)
            || self.certificates_end.is_some_and(|end| end <= now)
    }

    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let Self { kind, name, .. } = self;
        let mut warnings = Vec::new();
        if let Some(end) = self.window.end.filter(|end| *end <= now) {
            warnings
                .push(format!("{kind} {name} has ended: it counts for what it saw before {end}"));
        } else if let Some(end) = self.certificates_end.filter(|end| *end <= now) {
            warnings.push(format!("{kind} {name} has a certificate that expired at {end}"));
        }
        if let Some(start) = self.window.start.filter(|start| *start > now) {
            warnings.push(format!("{kind} {name} counts only from {start} on"));
        }
        warnings
    }
}

/// Everything that is wrong with the trust root in `json`; nothing when it can be used.
pub fn mistakes_in(json: &str) -> Vec<String> {
    let Err(error) = TrustRoot::from_json(json) else { return Vec::new() };
    let whole = vec![error.to_string()];
    let TrustRootError::Malformed(_) = error else { return whole };
    let Ok(serde_json::Value::Object(root)) = serde_json::from_str(json) else { return whole };
    let mut mistakes = Vec::new();
    for name in LISTS {
        let list = root.get(name).and_then(serde_json::Value::as_array);
        for (index, part) in list.into_iter().flatten().enumerate() {
            let alone = serde_json::json!({"mediaType": root.get("mediaType"), name: [part]});
            if let Some(wrong) = wrong_with(&alone.to_string()) {
                mistakes.push(format!("{name}[{index}]: {wrong}"));
            }
        }
    }
    // What is wrong only about all of it together shows when nothing else is.
    if mistakes.is_empty() { whole } else { mistakes }
}

/// What keeps a trusted root with one part from being used.
fn wrong_with(json: &str) -> Option<String> {
    let read = crypto::caught(|| {
        let root = TrustedRoot::from_json(json).map_err(|error| error.to_string())?;
        Verifier::new(&root).map(drop).map_err(|error| error.to_string())
    });
    let wrong = read.unwrap_or_else(|| Err("the reader broke down".to_owned())).err()?;
    // Where it stands in a text that nobody has seen says nothing.
    let wrong = wrong.split(" at line ").next().unwrap_or_default();
    Some(quoted(wrong))
}

/// What an authority is called: by its address, or by its subject where it has none.
fn named(address: &str, of: [&Option<String>; 2]) -> String {
    let of: Vec<&str> = of.into_iter().flatten().map(String::as_str).collect();
    if address.is_empty() { quoted(&of.join(", ")) } else { quoted(address) }
}

fn window(valid: Option<TimeRange>) -> Window {
    let timestamp = |at: jiff::Timestamp| Timestamp::from_milliseconds(at.as_millisecond());
    Window {
        start: valid.map(|range| timestamp(range.start)),
        end: valid.and_then(|range| range.end).map(timestamp),
    }
}

fn log(kind: PartKind, address: &str, key: &DerPublicKey, valid: Option<TimeRange>) -> Part {
    Part {
        kind,
        name: quoted(address),
        key: key_name(key).to_owned(),
        fingerprint: Digest::sha256(key.as_bytes()),
        window: window(valid),
        certificates_end: None,
    }
}

fn key_name(key: &DerPublicKey) -> &'static str {
    match KeyAlgorithm::from_spki(key) {
        Ok(KeyAlgorithm::EcdsaP256) => "ECDSA P-256",
        Ok(KeyAlgorithm::EcdsaP384) => "ECDSA P-384",
        Ok(KeyAlgorithm::Ed25519) => "Ed25519",
        // Logs of certificates may have theirs as bare PKCS #1.
        Ok(KeyAlgorithm::Rsa) | Err(_) => "RSA",
        Ok(_) => "other",
    }
}

fn authority(kind: PartKind, name: String, chain: &[&[u8]], valid: Option<TimeRange>) -> Part {
    let ends = chain.iter().filter_map(|der| {
        let validity = Certificate::from_der(der).ok()?.tbs_certificate.validity;
        let milliseconds = validity.not_after.to_unix_duration().as_millis();
        i64::try_from(milliseconds).ok().map(Timestamp::from_milliseconds)
    });
    let count = chain.len();
    Part {
        kind,
        name,
        key: format!("{count} certificate{}", if count == 1 { "" } else { "s" }),
        fingerprint: Digest::sha256(&chain.concat()),
        window: window(valid),
        certificates_end: ends.min(),
    }
}
