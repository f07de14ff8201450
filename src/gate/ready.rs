//! A policy with everything that it takes to verify signatures by it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Deref;
use std::sync::Arc;

use super::condition::Condition;
use crate::policy::{
    self, AttestationRule, FileNumber, KeyText, Level, NotationRoot, Policy, Problem, SubjectType,
    TrustRootKind, WantedText, Who,
};
use crate::signature::{
    Demands, DistinguishedName, Enforced, Identity, Key, NotationSigner, Pattern, Signer,
    SubjectKind, TrustRoot, TrustRootError, TrustStore, TrustStoreFiles, Wanted, WhenToTimestamp,
};
use crate::time::Window;

/// A policy whose keys, trust roots and patterns have all been read.
///
/// Only such a policy comes into force, so that nothing in it turns out to be unusable when an image is
/// judged; and it is read once, not with every judgement.
#[derive(Debug, Clone)]
pub struct ReadyPolicy {
    policy: Policy,
    signers: BTreeMap<String, Signer>,
    /// What has to be made of the attestations of rules, by their files and the paths in these.
    builders: BTreeMap<(FileNumber, String), Wanted>,
    conditions: BTreeMap<(FileNumber, String), Condition>,
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
        for (signer, part, first) in twins(policy.signers()) {
            let text = format!("is the same key as that of signer {first}; one key is one signer");
            problems.push(Problem::new(signer.position(), signer.path_of(part), text));
        }
        let (mut builders, mut conditions) = (BTreeMap::new(), BTreeMap::new());
        for asked in policy.attestations() {
            let mut problem = |part: &str, text: String| {
                problems.push(Problem::new(asked.position(), asked.path_of(part), text));
            };
            match asked.builder.as_ref().map(wanted) {
                Some(Ok(builder)) => drop(builders.insert(asked.key_of("builder"), builder)),
                Some(Err(text)) => problem("builderRegexp", text),
                None => {}
            }
            match asked.condition.as_deref().map(Condition::new) {
                Some(Ok(condition)) => drop(conditions.insert(asked.key_of("cel"), condition)),
                Some(Err(text)) => problem("cel", text),
                None => {}
            }
        }
        if problems.is_empty() {
            Ok(Self { policy, signers, builders, conditions })
        } else {
            Err(policy.located(problems))
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

    /// The same policy without waits, see [`crate::policy::FreshGate::observed_age_min`]: for whoever has no
    /// history to count them by.
    #[must_use]
    pub fn without_waits(self) -> Self {
        Self { policy: self.policy.without_waits(), ..self }
    }

    /// Whom `asked` wants to have built the subject.
    pub(super) fn builder(&self, asked: &AttestationRule) -> Option<&Wanted> {
        self.builders.get(&asked.key_of("builder"))
    }

    /// What `asked` wants to hold of the statement.
    pub(super) fn condition(&self, asked: &AttestationRule) -> Option<&Condition> {
        self.conditions.get(&asked.key_of("cel"))
    }

    /// The trust roots of Sigstore instances, by their names, the public one among them.
    pub fn sigstore_roots(&self) -> Vec<(String, TrustRoot)> {
        let mut roots = Roots::default();
        for root in self.policy.trust_roots() {
            // All of them could be read when the policy was.
            drop(roots.add(root));
        }
        let mut roots = roots.sigstore;
        roots.entry(policy::TrustRoot::PUBLIC_GOOD).or_insert_with(TrustRoot::public_good);
        roots.into_iter().map(|(name, root)| (name.to_owned(), root)).collect()
    }

    /// The key of the signer `name`, where that is one whose signatures stand in no log, and when it counts: with
    /// such a key approval files are signed.
    pub fn approver_key(&self, name: &str) -> Option<(Key, Window)> {
        let signer = self.policy.signers().iter().find(|it| it.name() == name)?;
        match signer.who() {
            Who::Key { text, log: None, window, algorithm } => {
                // It could be read when the policy was.
                Some((key_of(text, algorithm.as_deref()).ok()?, *window))
            }
            Who::Key { log: Some(_), .. } | Who::Keyless { .. } | Who::Notation { .. } => None,
        }
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
            TrustRootKind::Sigstore { json, logs_min, timestamp } => {
                let read = TrustRoot::from_json(json);
                let read = read.map_err(|error| ("trustedRoot", error.to_string()))?;
                let demands = Demands { logs_min: *logs_min, timestamp: *timestamp };
                let read = read.demanding(demands).map_err(|error| match error {
                    TrustRootError::Logs { .. } => ("minLogs", error.to_string()),
                    TrustRootError::Lacking(_)
                    | TrustRootError::Malformed(_)
                    | TrustRootError::Metadata { .. }
                    | TrustRootError::TooLarge => ("requireTSA", error.to_string()),
                })?;
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
        Who::Key { text, log, window, algorithm } => {
            let key = key_of(text, algorithm.as_deref())?;
            let Some(log) = log else { return Ok(Some(Signer::key_within(key, *window))) };
            let root = roots.sigstore.get(log.as_str());
            Ok(root.map(|root| Signer::logged_key_within(key, root.clone(), *window)))
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

/// The key in `text`, or which part of it is wrong and how.
fn key_of(text: &KeyText, algorithm: Option<&str>) -> Result<Key, (&'static str, String)> {
    let key = match text {
        KeyText::Jwk(json) => Key::from_jwk(json),
        KeyText::Pem(pem) => Key::from_pem(pem),
    };
    let key = key.map_err(|error| (text.part(), error.to_string()))?;
    let Some(algorithm) = algorithm else { return Ok(key) };
    key.bound_to(algorithm).map_err(|error| ("algorithm", error.to_string()))
}

/// Every signer whose key an earlier one has, in whatever form, with the name of that one.
///
/// One key under two names would let one person count twice.
fn twins(signers: &[policy::Signer]) -> Vec<(&policy::Signer, &'static str, &str)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut twins = Vec::new();
    for signer in signers {
        let Who::Key { text, .. } = signer.who() else { continue };
        let Ok(key) = key_of(text, None) else { continue };
        match seen.entry(key.id()) {
            Entry::Occupied(first) => twins.push((signer, text.part(), *first.get())),
            Entry::Vacant(free) => drop(free.insert(signer.name())),
        }
    }
    twins
}

fn wanted(text: &WantedText) -> Result<Wanted, String> {
    match text {
        WantedText::Exact(text) => Ok(Wanted::Exact(text.clone())),
        WantedText::Regexp(text) => {
            Pattern::new(text).map(Wanted::Pattern).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    const PEM: &str = include_str!("../../tests/fixtures/signatures/p256.pub");

    /// The key of the fixtures as a JSON Web Key.
    fn jwk() -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let body: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let spki = STANDARD.decode(body).unwrap();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        format!("{{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"{x}\", \"y\": \"{y}\"}}")
    }

    fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("key.pub") => Ok(PEM.into()),
            Some("lines.pub") => Ok(PEM.replacen('A', "A\r\n ", 1).into_bytes()),
            Some("key.jwk") => Ok(jwk().into_bytes()),
            Some("spaced.jwk") => Ok(jwk().replace(' ', "\n").into_bytes()),
            Some("root.json") => {
                Ok(include_bytes!("../../tests/fixtures/signatures/keyless/trusted-root.json")
                    .into())
            }
            Some("clockless.json") => {
                let root = read_file(Path::new("root.json"))?;
                let text = String::from_utf8(root).unwrap();
                Ok(text.replace("timestampAuthorities", "others").into_bytes())
            }
            Some("other.pub") => {
                Ok(include_bytes!("../../tests/fixtures/signatures/p384.pub").into())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn ready(signers: &str) -> Result<ReadyPolicy, Vec<Problem>> {
        let text = format!(
            "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: t, revision: 1}}\n\
             rules: [{{id: a, match: [\"**\"], trust: deny}}]\nsigners:\n{signers}"
        );
        Policy::parse(&text, &read_file).and_then(ReadyPolicy::new)
    }

    fn problems(signers: &str) -> String {
        let problems = ready(signers).err().unwrap_or_default();
        let told = |problem: &Problem| format!("{}  {}\n", problem.key, problem.text);
        problems.iter().map(told).collect::<Vec<_>>().concat()
    }

    fn signer(name: &str, key: &str) -> String {
        format!("  {name}: {{key: {{{key}}}, transparencyLog: none}}\n")
    }

    #[test]
    fn one_key_is_one_signer_in_whatever_form_and_however_it_is_restricted() {
        let forms = [
            "pem: file:key.pub",
            "pem: file:lines.pub",
            "jwk: file:key.jwk",
            "jwk: file:spaced.jwk",
            "pem: file:key.pub, notAfter: 2030-01-01T00:00:00Z",
            "jwk: file:key.jwk, algorithm: ecdsa-p256-sha256",
        ];
        for first in forms {
            for second in forms {
                let found = problems(&(signer("first", first) + &signer("second", second)));
                let text = "is the same key as that of signer first; one key is one signer";
                assert!(found.contains(text), "{first} and {second}: {found}");
                assert_eq!(found.lines().count(), 1, "{found}");
            }
            assert_eq!(problems(&signer("first", first)), "", "{first}");
        }
        let log = "  second: {key: {jwk: file:key.jwk}, transparencyLog: public-good}\n";
        let found = problems(&(signer("first", "pem: file:key.pub") + log));
        assert!(found.starts_with("signers.second.key.jwk  is the same key"), "{found}");
        let other = signer("second", "pem: file:other.pub");
        assert_eq!(problems(&(signer("first", "jwk: file:key.jwk") + &other)), "");
    }

    #[test]
    fn every_signer_of_a_policy_in_force_can_be_verified() {
        let roots = "trustRoots: {corp: {sigstore: {trustedRoot: file:root.json}}}\n";
        for (signer, roots) in [
            ("key: {pem: file:key.pub}, transparencyLog: none", ""),
            ("key: {pem: file:key.pub}, transparencyLog: public-good", ""),
            ("key: {pem: file:key.pub}, transparencyLog: corp", roots),
            ("keyless: {root: public-good, issuer: i, subject: s}", ""),
            ("keyless: {root: public-good, issuer: i, subject: s}", roots),
            ("keyless: {root: corp, issuer: i, subject: s}", roots),
        ] {
            let policy = ready(&format!("  x: {{{signer}}}\n{roots}"));
            let policy = policy.unwrap_or_else(|problems| panic!("{signer}: {problems:?}"));
            assert!(policy.verifier("x").is_some(), "{signer}");
            assert!(policy.verifier("y").is_none(), "{signer}");
        }
    }

    #[test]
    fn a_trust_store_is_made_of_all_that_its_root_says() {
        let only = |text: &str| vec![text.as_bytes().to_vec()];
        for (strict, when) in
            [(false, WhenToTimestamp::Always), (true, WhenToTimestamp::AfterCertificateExpiry)]
        {
            let files = files_of(&NotationRoot {
                ca: only("ca"),
                signing_authority: only("signing authority"),
                tsa: only("tsa"),
                only_after_expiry: strict,
                crls: only("crl"),
                crl_age_max: std::time::Duration::from_secs(7),
                unknown_fails: strict,
            });
            let all = [files.ca, files.signing_authority, files.tsa, files.crls];
            assert_eq!(all, ["ca", "signing authority", "tsa", "crl"].map(only));
            assert_eq!(files.crl_age_max.as_secs(), 7);
            assert_eq!((files.when, files.unknown_fails), (when, strict));
        }
    }

    #[test]
    fn what_no_signature_could_ever_show_is_not_asked_for() {
        let root = |inner: &str| {
            problems(&format!(
                "  x: {{keyless: {{root: corp, issuer: i, subject: s}}}}\n\
                trustRoots: {{corp: {{sigstore: {{trustedRoot: file:{inner}}}}}}}\n"
            ))
        };
        assert_eq!(root("root.json, minLogs: 2, requireTSA: true"), "");
        assert_eq!(
            root("root.json, minLogs: 3"),
            "trustRoots.corp.sigstore.minLogs  cannot ask for entries in 3 logs: it lists 2 with \
             keys and addresses of their own\n"
        );
        assert_eq!(
            root("clockless.json, requireTSA: true"),
            "trustRoots.corp.sigstore.requireTSA  lists no timestamp authority; nothing could be \
             verified with it\n"
        );
    }

    #[test]
    fn what_cannot_be_used_of_a_key_is_named_by_its_place() {
        for (key, expected) in [
            (
                "pem: file:key.pub, algorithm: ed25519",
                "signers.x.key.algorithm  ed25519 is not an algorithm of this key (ECDSA P-256); \
                 write one of: ecdsa-p256-sha256\n",
            ),
            ("jwk: '{}'", "signers.x.key.jwk  JSON Web Key has no kty\n"),
            (
                "jwk: '{\"kty\": \"EC\", \"d\": \"AA\"}'",
                "signers.x.key.jwk  JSON Web Key has the private member \"d\"; a policy takes the \
                 public key, and this one is now known\n",
            ),
        ] {
            assert_eq!(problems(&signer("x", key)), expected, "{key}");
        }
    }
}
