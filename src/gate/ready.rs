//! A policy with everything that it takes to verify signatures by it.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::policy::{self, Policy, Problem, SubjectType, WantedText, Who};
use crate::signature::{Identity, Key, Pattern, Signer, SubjectKind, TrustRoot, Wanted};

/// A policy whose keys, trust roots and patterns have all been read.
///
/// Only such a policy comes into force, so that nothing in it turns out to be unusable when an image is
/// judged; and it is read once, not with every judgement.
#[derive(Debug, Clone)]
pub struct ReadyPolicy {
    policy: Policy,
    signers: BTreeMap<String, Signer>,
}

impl Deref for ReadyPolicy {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

impl ReadyPolicy {
    /// Reads what `policy` says about signers.
    ///
    /// # Errors
    /// Every key, trust root and pattern that cannot be used.
    pub fn new(policy: Policy) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut roots = BTreeMap::new();
        for root in policy.trust_roots() {
            match TrustRoot::from_json(root.json()) {
                Ok(read) => drop(roots.insert(root.name(), read)),
                Err(error) => {
                    let text = error.to_string();
                    problems.push(Problem::new(root.position(), root.key_path(), text));
                }
            }
        }
        if policy.trust_roots().iter().all(|it| it.name() != policy::TrustRoot::PUBLIC_GOOD)
            && policy.signers().iter().any(asks_for_public_good)
        {
            roots.insert(policy::TrustRoot::PUBLIC_GOOD, TrustRoot::public_good());
        }
        let mut signers = BTreeMap::new();
        for signer in policy.signers() {
            match read(signer, &roots) {
                Ok(Some(read)) => drop(signers.insert(signer.name().to_owned(), read)),
                // Its root is reported already.
                Ok(None) => {}
                Err((part, text)) => {
                    let path = signer.path_of(part);
                    problems.push(Problem::new(signer.position(), path, text));
                }
            }
        }
        if problems.is_empty() { Ok(Self { policy, signers }) } else { Err(problems) }
    }

    /// The policy of a start without configuration, see [`Policy::built_in`].
    pub fn built_in() -> Self {
        // It has no signers, so nothing can be wrong with them.
        Self { policy: Policy::built_in(), signers: BTreeMap::new() }
    }

    /// What verifies the signatures of the signer `name`.
    pub(super) fn verifier(&self, name: &str) -> Option<&Signer> {
        self.signers.get(name)
    }
}

fn asks_for_public_good(signer: &policy::Signer) -> bool {
    let root = match signer.who() {
        Who::Key { log, .. } => log.as_deref(),
        Who::Keyless { root, .. } => Some(root.as_str()),
    };
    root == Some(policy::TrustRoot::PUBLIC_GOOD)
}

/// The signer, nothing if its trust root could not be read, or which part of it is wrong and how.
fn read(
    signer: &policy::Signer,
    roots: &BTreeMap<&str, TrustRoot>,
) -> Result<Option<Signer>, (&'static str, String)> {
    match signer.who() {
        Who::Key { pem, log } => {
            let key = Key::from_pem(pem).map_err(|error| ("pem", error.to_string()))?;
            let Some(log) = log else { return Ok(Some(Signer::key(key))) };
            Ok(roots.get(log.as_str()).map(|root| Signer::logged_key(key, root.clone())))
        }
        Who::Keyless { root, issuer, subject, subject_type } => {
            let kind = match subject_type {
                Some(SubjectType::Email) => SubjectKind::Email,
                Some(SubjectType::Uri) => SubjectKind::Uri,
                None => SubjectKind::of(subject.as_str()),
            };
            let issuer = wanted(issuer).map_err(|error| ("issuerRegexp", error))?;
            let subject = wanted(subject).map_err(|error| ("subjectRegexp", error))?;
            let Some(root) = roots.get(root.as_str()) else { return Ok(None) };
            if !root.is_for_certificates() {
                let text = "lists no certificate authority or no log of certificates";
                return Err(("root", text.to_owned()));
            }
            let identity = Identity { issuer, subject, kind };
            Ok(Some(Signer::keyless(root.clone(), identity)))
        }
    }
}

fn wanted(text: &WantedText) -> Result<Wanted, String> {
    match text {
        WantedText::Exact(text) => Ok(Wanted::Exact(text.clone())),
        WantedText::Regexp(text) => {
            Pattern::new(text).map(Wanted::Pattern).map_err(|error| error.to_string())
        }
    }
}
