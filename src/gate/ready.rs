//! A policy with everything that it takes to verify signatures by it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::condition::Condition;
use crate::policy::{
    self, AttestationRule, Level, NotationRoot, Policy, Problem, Rule, SubjectType, TrustRootKind,
    WantedText, Who,
};
use crate::signature::{
    DistinguishedName, Enforced, Identity, Key, NotationSigner, Pattern, Signer, SubjectKind,
    TrustRoot, TrustStore, TrustStoreFiles, Wanted, WhenToTimestamp,
};

/// A policy whose keys, trust roots and patterns have all been read.
///
/// Only such a policy comes into force, so that nothing in it turns out to be unusable when an image is
/// judged; and it is read once, not with every judgement.
#[derive(Debug, Clone)]
pub struct ReadyPolicy {
    policy: Policy,
    signers: BTreeMap<String, Signer>,
    /// What has to be made of the attestations of rules, by their paths in the policy.
    builders: BTreeMap<String, Wanted>,
    conditions: BTreeMap<String, Condition>,
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
        let mut roots = Roots::default();
        for root in policy.trust_roots() {
            if let Err((part, text)) = roots.add(root) {
                problems.push(Problem::new(root.position(), root.path_of(part), text));
            }
        }
        if policy.trust_roots().iter().all(|it| it.name() != policy::TrustRoot::PUBLIC_GOOD)
            && policy.signers().iter().any(asks_for_public_good)
        {
            roots.sigstore.insert(policy::TrustRoot::PUBLIC_GOOD, TrustRoot::public_good());
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
        let (mut builders, mut conditions) = (BTreeMap::new(), BTreeMap::new());
        for asked in policy.rules().iter().flat_map(Rule::attestations) {
            let mut problem = |part: &str, text: String| {
                problems.push(Problem::new(asked.position(), asked.path_of(part), text));
            };
            match asked.builder.as_ref().map(wanted) {
                Some(Ok(builder)) => drop(builders.insert(asked.path_of("builder"), builder)),
                Some(Err(text)) => problem("builderRegexp", text),
                None => {}
            }
            match asked.condition.as_deref().map(Condition::new) {
                Some(Ok(condition)) => drop(conditions.insert(asked.path_of("cel"), condition)),
                Some(Err(text)) => problem("cel", text),
                None => {}
            }
        }
        if problems.is_empty() {
            Ok(Self { policy, signers, builders, conditions })
        } else {
            Err(problems)
        }
    }

    /// The policy of a start without configuration, see [`Policy::built_in`].
    pub fn built_in() -> Self {
        // It has no signers, so nothing can be wrong with them.
        Self {
            policy: Policy::built_in(),
            signers: BTreeMap::new(),
            builders: BTreeMap::new(),
            conditions: BTreeMap::new(),
        }
    }

    /// Whom `asked` wants to have built the subject.
    pub(super) fn builder(&self, asked: &AttestationRule) -> Option<&Wanted> {
        self.builders.get(&asked.path_of("builder"))
    }

    /// What `asked` wants to hold of the statement.
    pub(super) fn condition(&self, asked: &AttestationRule) -> Option<&Condition> {
        self.conditions.get(&asked.path_of("cel"))
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
        Who::Notation { .. } => None,
    };
    root == Some(policy::TrustRoot::PUBLIC_GOOD)
}

/// The trust roots of a policy, by their names.
#[derive(Default)]
struct Roots<'a> {
    sigstore: BTreeMap<&'a str, TrustRoot>,
    notation: BTreeMap<&'a str, Arc<TrustStore>>,
}

impl<'a> Roots<'a> {
    /// Reads `root`, or gives which part of it is wrong and how.
    fn add(&mut self, root: &'a policy::TrustRoot) -> Result<(), (&'static str, String)> {
        match root.kind() {
            TrustRootKind::Sigstore { json } => {
                let read = TrustRoot::from_json(json);
                let read = read.map_err(|error| ("trustedRoot", error.to_string()))?;
                self.sigstore.insert(root.name(), read);
            }
            TrustRootKind::Notation(files) => {
                let store = TrustStore::new(&files_of(files)).map_err(|error| {
                    (error.kind, format!("file {} {}", error.number, error.why))
                })?;
                self.notation.insert(root.name(), Arc::new(store));
            }
        }
        Ok(())
    }
}

fn files_of(root: &NotationRoot) -> TrustStoreFiles {
    let NotationRoot { ca, signing_authority, tsa, only_after_expiry, crls, crl_age_max, .. } =
        root;
    TrustStoreFiles {
        ca: ca.clone(),
        signing_authority: signing_authority.clone(),
        tsa: tsa.clone(),
        when: if *only_after_expiry {
            WhenToTimestamp::AfterCertificateExpiry
        } else {
            WhenToTimestamp::Always
        },
        crls: crls.clone(),
        crl_age_max: *crl_age_max,
        unknown_fails: root.unknown_fails,
    }
}

/// The signer, nothing if its trust root could not be read, or which part of it is wrong and how.
fn read(
    signer: &policy::Signer,
    roots: &Roots<'_>,
) -> Result<Option<Signer>, (&'static str, String)> {
    match signer.who() {
        Who::Key { pem, log } => {
            let key = Key::from_pem(pem).map_err(|error| ("pem", error.to_string()))?;
            let Some(log) = log else { return Ok(Some(Signer::key(key))) };
            Ok(roots.sigstore.get(log.as_str()).map(|root| Signer::logged_key(key, root.clone())))
        }
        Who::Keyless { root, issuer, subject, subject_type } => {
            let kind = match subject_type {
                Some(SubjectType::Email) => SubjectKind::Email,
                Some(SubjectType::Uri) => SubjectKind::Uri,
                None => SubjectKind::of(subject.as_str()),
            };
            let issuer = wanted(issuer).map_err(|error| ("issuerRegexp", error))?;
            let subject = wanted(subject).map_err(|error| ("subjectRegexp", error))?;
            let Some(root) = roots.sigstore.get(root.as_str()) else { return Ok(None) };
            if !root.is_for_certificates() {
                let text = "lists no certificate authority or no log of certificates";
                return Err(("root", text.to_owned()));
            }
            let identity = Identity { issuer, subject, kind };
            Ok(Some(Signer::keyless(root.clone(), identity)))
        }
        Who::Notation { root, identity, level } => {
            let identity = identity.as_deref().map(DistinguishedName::parse).transpose();
            let identity = identity.map_err(|error| ("identity", error.to_string()))?;
            let Level { authentic_timestamp, expiry, revocation } = *level;
            let enforced = Enforced { authentic_timestamp, expiry, revocation };
            let store = roots.notation.get(root.as_str());
            Ok(store.map(|store| {
                let store = Arc::clone(store);
                Signer::notation(NotationSigner { store, identity, enforced })
            }))
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
