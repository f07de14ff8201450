//! A sign-in that was begun: what only whoever began it knows.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::oci::{Digest, Secret};
use crate::people::{NoRandomness, random};
use crate::time::Timestamp;

/// Random bytes in each of its parts.
const PART_BYTES: usize = 32;

/// What is kept until the provider sends somebody back. Good for one answer.
#[derive(Debug, Clone)]
pub struct Attempt {
    state: Secret,
    nonce: Secret,
    verifier: Secret,
    /// Since when somebody has to have signed in there anew, if they have to.
    again: Option<Timestamp>,
}

impl Attempt {
    /// A new one.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn begin() -> Result<Self, NoRandomness> {
        Ok(Self { state: part()?, nonce: part()?, verifier: part()?, again: None })
    }

    /// A new one for which the provider has to ask, after `now`, who it is: that somebody signed in there
    /// before is not enough.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn again(now: Timestamp) -> Result<Self, NoRandomness> {
        Ok(Self { again: Some(now), ..Self::begin()? })
    }

    /// Since when somebody has to have signed in at the provider, if that is not for it to say.
    pub fn since(&self) -> Option<Timestamp> {
        self.again
    }

    /// What the answer has to carry.
    pub(super) fn state(&self) -> &str {
        self.state.expose()
    }

    /// What the ID token has to carry.
    pub(super) fn nonce(&self) -> &str {
        self.nonce.expose()
    }

    /// What proves at the token endpoint that the code was asked for by us.
    pub(super) fn verifier(&self) -> &str {
        self.verifier.expose()
    }

    /// What the authorization endpoint gets of that.
    ///
    /// Spec: RFC 7636 section 4.2, `S256`.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Digest::sha256(self.verifier().as_bytes()).as_bytes())
    }

    /// Whether `state` is that of this attempt, in the same time whatever it is.
    pub fn is_answered_by(&self, state: &str) -> bool {
        verify_slices_are_equal(self.state().as_bytes(), state.as_bytes()).is_ok()
    }
}

fn part() -> Result<Secret, NoRandomness> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::<PART_BYTES>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        let secret = |text: &str| Secret::new(text);
        let verifier = secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let attempt = Attempt { state: secret("a"), nonce: secret("b"), verifier, again: None };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(attempt.is_answered_by("a") && !attempt.is_answered_by(""));
        assert_eq!(Attempt::begin().unwrap().verifier().len(), 43);
    }
}
