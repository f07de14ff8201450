//! Who signed, where nobody in particular is asked for: to tell people, never to judge.

use super::bundle;
use super::identity::{Identity, SubjectKind, Wanted};
use super::signer::{Signer, verify_logged};
use super::{FoundSignature, Refusal, TrustRoot, crypto};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// What stands between subject and issuer in a proof.
const BY: &str = " by ";
/// Most ways in which one proof is read.
const READINGS_MAX: usize = 4;

/// Somebody whom a certificate of a trust root names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whoever {
    /// The identity provider.
    pub issuer: String,
    /// Whom it vouches for.
    pub subject: String,
    /// As which kind of name.
    pub kind: SubjectKind,
}

impl Whoever {
    /// Who made the signature `found` over the image `subject` of repository `name`, by a certificate of an
    /// authority of `root`. Whatever is given is whom a signer with exactly that issuer and subject takes the
    /// signature from; what no policy could name (control characters, overlong texts) is nobody.
    ///
    /// That somebody signed says nothing of whether they may: it is for telling people.
    ///
    /// # Errors
    /// The check that failed.
    pub fn signed(
        found: &FoundSignature,
        root: &TrustRoot,
        name: &Name,
        subject: &Digest,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let by = crypto::guarded(|| {
            verify_logged(found, bundle::Trust::Anybody { root }, name, subject)
        })?
        .by;
        let (kind, rest) = by.split_once(' ').ok_or(Refusal::Nameless)?;
        let kind = match kind {
            "email" => SubjectKind::Email,
            "uri" => SubjectKind::Uri,
            _ => return Err(Refusal::Nameless),
        };
        // Either text may hold what stands between them: the one reading counts that is proven.
        for (at, _) in rest.rmatch_indices(BY).take(READINGS_MAX) {
            let (Some(who), Some(issuer)) = (rest.get(..at), rest.get(at + BY.len()..)) else {
                continue;
            };
            let exact = |text: &str| Wanted::Exact(text.to_owned());
            let identity = Identity { issuer: exact(issuer), subject: exact(who), kind };
            let signer = Signer::keyless(root.clone(), identity);
            if signer.verify(found, name, subject, now).is_ok() {
                return Ok(Self { issuer: issuer.to_owned(), subject: who.to_owned(), kind });
            }
        }
        Err(Refusal::Nameless)
    }
}
