//! A policy whose signers are others, for tests of it.

use super::Policy;
use super::document::{KeyText, PolicyId, Who};
use crate::oci::Digest;
use crate::time::Window;

impl Policy {
    /// The same policy, in which every signer is the holder of the key that `pem_of` gives for its name.
    /// Keys count when the signer's own key does; for signers that are certificates or identities, always.
    /// Nothing of trust roots and logs is left.
    ///
    /// It is for tests of the policy only: whoever has these keys signs for everybody. So it has an
    /// identity of its own, and no verdict that is reached by it counts anywhere else.
    #[must_use]
    pub fn with_stand_in_signers(&self, mut pem_of: impl FnMut(&str) -> String) -> Self {
        let mut policy = self.clone();
        policy.id = PolicyId(Digest::sha256(format!("stand-in for {}", self.id).as_bytes()));
        policy.trust_roots.clear();
        for signer in &mut policy.signers {
            let window = match &signer.who {
                Who::Key { window, .. } => *window,
                Who::Keyless { .. } | Who::Notation { .. } => Window::default(),
            };
            let text = KeyText::Pem(pem_of(&signer.name));
            signer.who = Who::Key { text, log: None, window, algorithm: None };
        }
        policy
    }
}
