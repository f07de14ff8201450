//! Trust stores: the authorities whose certificates count.

use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::super::crypto;
use super::certificate::Certificate;
use super::envelope::Scheme;
use super::revocation::{Revocation, RevocationList};

/// Most certificates of one kind, and most revocation lists.
pub(super) const ENTRIES_MAX: usize = 100;
/// What a sequence begins with in DER, and no text does.
const DER_SEQUENCE: u8 = 0x30;

/// Whose certificates count, by what they vouch for.
///
/// Spec:
/// <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#trust-store>
#[derive(Debug)]
pub struct TrustStore {
    ca: Vec<Certificate>,
    signing_authority: Vec<Certificate>,
    pub(super) tsa: Vec<Certificate>,
    pub(super) when: WhenToTimestamp,
    pub(super) revocation: Option<Revocation>,
}

/// When a signature must carry a timestamp, in a store that has timestamp authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenToTimestamp {
    /// Always.
    #[default]
    Always,
    /// Once a certificate of the signer has expired.
    AfterCertificateExpiry,
}

/// The content of the files that a store is made of, each with one certificate or several in PEM, or
/// one in DER.
#[derive(Debug, Clone, Default)]
pub struct TrustStoreFiles {
    /// Authorities that certify signers, or certificates of signers themselves.
    pub ca: Vec<Vec<u8>>,
    /// The same for those that vouch for the signing time, too.
    pub signing_authority: Vec<Vec<u8>>,
    /// The roots of timestamp authorities.
    pub tsa: Vec<Vec<u8>>,
    /// When timestamps are needed.
    pub when: WhenToTimestamp,
    /// Revocation lists. Without any, nothing is ever taken for revoked.
    pub crls: Vec<Vec<u8>>,
    /// How old the last issue of a list may be.
    pub crl_age_max: Duration,
    /// Whether a certificate that no list in force covers is refused.
    pub unknown_fails: bool,
}

/// Why files make no trust store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: file {number} {why}")]
pub struct TrustStoreError {
    /// What the file is for, by its name in a policy.
    pub kind: &'static str,
    /// Which of those files, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub why: String,
}

impl TrustStore {
    /// The store that `files` make.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn new(files: &TrustStoreFiles) -> Result<Self, TrustStoreError> {
        let revocation = Revocation {
            lists: read("crls", &files.crls, lists)?,
            age_max: files.crl_age_max,
            unknown_fails: files.unknown_fails,
        };
        Ok(Self {
            ca: read("ca", &files.ca, signers)?,
            signing_authority: read("signingAuthority", &files.signing_authority, signers)?,
            tsa: read("tsa", &files.tsa, roots)?,
            when: files.when,
            revocation: Some(revocation).filter(|it| !it.lists.is_empty() || it.unknown_fails),
        })
    }

    /// The certificate of `chain` that the store has for signatures of `scheme`.
    pub(super) fn trusted<'a>(
        &self,
        chain: &'a [Certificate],
        scheme: Scheme,
    ) -> Option<&'a Certificate> {
        let store = match scheme {
            Scheme::X509 => &self.ca,
            Scheme::SigningAuthority => &self.signing_authority,
        };
        chain.iter().find(|certificate| store.iter().any(|it| it.der() == certificate.der()))
    }
}

fn read<T>(
    kind: &'static str,
    files: &[Vec<u8>],
    entries: fn(&[u8]) -> Result<Vec<T>, String>,
) -> Result<Vec<T>, TrustStoreError> {
    let mut all = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let wrong = |why| TrustStoreError { kind, number: at + 1, why };
        let broke = || Err("makes the reader break down".to_owned());
        let read = crypto::caught(|| entries(file)).unwrap_or_else(broke).map_err(wrong)?;
        all.extend(read);
        if all.len() > ENTRIES_MAX {
            return Err(wrong(format!("makes it more than {ENTRIES_MAX} entries")));
        }
    }
    Ok(all)
}

fn certificates(file: &[u8]) -> Result<Vec<Certificate>, String> {
    let ders = if file.first() == Some(&DER_SEQUENCE) {
        vec![CertificateDer::from(file.to_vec())]
    } else {
        let blocks = CertificateDer::pem_slice_iter(file).collect::<Result<Vec<_>, _>>();
        blocks.map_err(|_| "is no PEM text of certificates".to_owned())?
    };
    if ders.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    let read = |der: &CertificateDer<'_>| {
        Certificate::read(der).map_err(|refusal| format!("is no usable certificate: {refusal}"))
    };
    ders.iter().map(read).collect()
}

fn signers(file: &[u8]) -> Result<Vec<Certificate>, String> {
    let certificates = certificates(file)?;
    match certificates.iter().find(|it| !it.is_authority() && !it.is_self_signed()) {
        None => Ok(certificates),
        Some(leaf) => {
            let subject = leaf.subject();
            Err(format!(
                "has the certificate of {subject}, which is neither an authority's nor signed by itself"
            ))
        }
    }
}

fn roots(file: &[u8]) -> Result<Vec<Certificate>, String> {
    let certificates = certificates(file)?;
    match certificates.iter().find(|it| !it.is_authority() || !it.is_self_signed()) {
        None => Ok(certificates),
        Some(other) => {
            Err(format!("has the certificate of {}, which is no root authority's", other.subject()))
        }
    }
}

fn lists(file: &[u8]) -> Result<Vec<RevocationList>, String> {
    let ders = if file.first() == Some(&DER_SEQUENCE) {
        vec![CertificateRevocationListDer::from(file.to_vec())]
    } else {
        let blocks =
            CertificateRevocationListDer::pem_slice_iter(file).collect::<Result<Vec<_>, _>>();
        blocks.map_err(|_| "is no PEM text of revocation lists".to_owned())?
    };
    if ders.is_empty() {
        return Err("holds no revocation list".to_owned());
    }
    ders.iter().map(|der| RevocationList::read(der).map_err(str::to_owned)).collect()
}
