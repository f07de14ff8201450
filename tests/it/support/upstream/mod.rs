//! `FakeUpstream`: a registry on a loopback port that does what a test tells it to.
//!
//! ```ignore
//! let upstream = FakeUpstream::start().await;
//! let image = Image::new().layer(b"one").layer(b"two").build();
//! let digest = upstream.push("lib/alpine", "3.23", &image);
//! upstream.fault_times("GET /v2/lib/alpine/blobs/", 1, Fault::CutAfter(2));
//! // ... pull ...
//! assert_eq!(upstream.count("GET /v2/lib/alpine/manifests/"), 1);
//! ```
//!
//! Faults and counts choose requests by a *needle*: any part of `METHOD /path?query`.
//! What arrives is in the ledger ([`FakeUpstream::requests`]) from the moment its head was read.

mod fault;
mod image;
mod ledger;
mod serve;
mod token;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pratique::oci::{Descriptor, Digest, MediaType};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub(crate) use fault::{Fault, Gate};
pub(crate) use image::{Artifact, Image, Index};
pub(crate) use ledger::Seen;
pub(crate) use token::TokenService;

use ledger::Ledger;

/// What the registry asks of its clients.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// A user name and a password with every request.
    Basic(&'static str, &'static str),
    /// A token from `realm` that covers the repository. Every fake upstream has a token service of
    /// its own at [`FakeUpstream::realm`] and takes the tokens of every other.
    Token {
        /// Where the challenge sends the client.
        realm: String,
    },
}

/// A registry that a test scripts; it ends with the value.
pub(crate) struct FakeUpstream {
    address: SocketAddr,
    ca_pem: Option<String>,
    shared: Arc<Shared>,
    present: watch::Sender<Presence>,
}

/// Whether connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Away,
    Here,
}

struct Shared {
    state: Mutex<State>,
    ledger: Ledger,
}

#[derive(Default)]
struct State {
    repositories: HashMap<String, Repository>,
    files: HashMap<String, Bytes>,
    faults: Vec<FaultRule>,
    auth: Auth,
    tokens: TokenService,
    tokens_issued: u64,
    tokens_revoked: u64,
    referrers_api: bool,
    page_length: Option<usize>,
    headers: Vec<(&'static str, String)>,
}

#[derive(Default)]
struct Repository {
    manifests: HashMap<Digest, (MediaType, Bytes)>,
    blobs: HashMap<Digest, Bytes>,
    tags: BTreeMap<String, VecDeque<Digest>>,
    referrers: HashMap<Digest, Vec<Descriptor>>,
}

struct FaultRule {
    needle: String,
    left: Option<u64>,
    fault: Fault,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeUpstream {
    /// A plain HTTP registry on a free loopback port: open, empty, without a referrers API.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same over TLS, with a certificate for `127.0.0.1` and `localhost` of an authority of its
    /// own ([`Self::ca_pem`]).
    pub(crate) async fn start_tls() -> Self {
        Self::start_with(Some(serve::tls())).await
    }

    async fn start_with(tls: Option<(TlsAcceptor, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { state: Mutex::new(State::default()), ledger: Ledger::default() });
        let (present, presence) = watch::channel(Presence::Here);
        let (acceptor, ca_pem) = tls.unzip();
        serve::spawn(listener, acceptor, Arc::clone(&shared), presence);
        Self { address, ca_pem, shared, present }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:port`, or `https://…` for the TLS variant.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority behind the certificate of the TLS variant.
    pub(crate) fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The address of this registry's own token service.
    pub(crate) fn realm(&self) -> String {
        format!("{}/token", self.url())
    }

    // ---- content ----

    /// Adds `artifact` with everything below it, and points `tag` at it.
    pub(crate) fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> Digest {
        let digest = self.push_untagged(repository, artifact);
        self.tag(repository, tag, &[digest]);
        digest
    }

    /// Adds `artifact` with everything below it, reachable by digest only.
    pub(crate) fn push_untagged(&self, repository: &str, artifact: &Artifact) -> Digest {
        for child in &artifact.children {
            self.push_untagged(repository, child);
        }
        for blob in &artifact.blobs {
            self.put_blob(repository, blob.clone());
        }
        self.put_manifest(repository, artifact.media_type.as_str(), artifact.manifest.clone())
    }

    /// Adds a manifest, whatever its bytes are.
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        self.repository(repository, |repository| {
            repository.manifests.insert(digest, (MediaType::new(media_type), bytes));
        });
        digest
    }

    /// Adds a blob.
    pub(crate) fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256(&bytes);
        self.repository(repository, |repository| {
            repository.blobs.insert(digest, bytes);
        });
        digest
    }

    /// Points `tag` at `digests`: one after the other, one request each, and then for ever the last.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digests: &[Digest]) {
        self.repository(repository, |repository| {
            repository.tags.insert(tag.to_owned(), digests.iter().copied().collect());
        });
    }

    /// Deletes `tag`.
    pub(crate) fn untag(&self, repository: &str, tag: &str) {
        self.repository(repository, |repository| {
            repository.tags.remove(tag);
        });
    }

    /// Serves `bytes` at `path`, outside the registry API and without any authentication, as a
    /// content delivery network does.
    pub(crate) fn put_file(&self, path: &str, bytes: impl Into<Bytes>) {
        self.shared.state().files.insert(path.to_owned(), bytes.into());
    }

    /// Adds `artifact` as a cosign signature of `subject`: under the tag `sha256-<hex>.sig`.
    pub(crate) fn attach_by_sig_tag(
        &self,
        repository: &str,
        subject: &Digest,
        artifact: &Artifact,
    ) -> Digest {
        self.push(repository, &format!("sha256-{}.sig", subject.hex()), artifact)
    }

    /// Adds `artifact` as a referrer of `subject` for the referrers API (which must be turned on).
    pub(crate) fn attach_referrer(
        &self,
        repository: &str,
        subject: &Digest,
        artifact: &Artifact,
    ) -> Digest {
        let digest = self.push_untagged(repository, artifact);
        self.repository(repository, |repository| {
            repository.referrers.entry(*subject).or_default().push(artifact.descriptor());
        });
        digest
    }

    /// Adds `artifact` as a referrer of `subject` for clients that find no referrers API: in the
    /// index under the tag `sha256-<hex>`, together with those attached so before.
    pub(crate) fn attach_by_fallback_tag(
        &self,
        repository: &str,
        subject: &Digest,
        artifact: &Artifact,
    ) -> Digest {
        let digest = self.attach_referrer(repository, subject, artifact);
        let listed =
            self.repository(repository, |repository| repository.referrers[subject].clone());
        let index = image::referrers_index(&listed);
        let index = self.put_manifest(repository, MediaType::OCI_INDEX, index);
        self.tag(repository, &format!("sha256-{}", subject.hex()), &[index]);
        digest
    }

    // ---- behaviour ----

    /// Sets what clients must show.
    pub(crate) fn set_auth(&self, auth: Auth) {
        self.shared.state().auth = auth;
    }

    /// Sets how the token service behaves.
    pub(crate) fn set_token_service(&self, tokens: TokenService) {
        self.shared.state().tokens = tokens;
    }

    /// Makes every token issued so far worthless.
    pub(crate) fn revoke_tokens(&self) {
        let mut state = self.shared.state();
        state.tokens_revoked = state.tokens_issued;
    }

    /// Turns the referrers API on or off (off: 404).
    pub(crate) fn set_referrers_api(&self, offered: bool) {
        self.shared.state().referrers_api = offered;
    }

    /// Splits tag lists and referrers into pages of at most `length` entries.
    pub(crate) fn set_page_length(&self, length: usize) {
        self.shared.state().page_length = Some(length);
    }

    /// Adds a header to every answer of the registry API.
    pub(crate) fn add_header(&self, name: &'static str, value: &str) {
        self.shared.state().headers.push((name, value.to_owned()));
    }

    /// Answers every request that `needle` is part of with `fault`. Of several rules that fit, the
    /// newest acts.
    pub(crate) fn fault(&self, needle: &str, fault: Fault) {
        self.add_fault(needle, None, fault);
    }

    /// The same for the next `times` such requests only.
    pub(crate) fn fault_times(&self, needle: &str, times: u64, fault: Fault) {
        self.add_fault(needle, Some(times), fault);
    }

    fn add_fault(&self, needle: &str, left: Option<u64>, fault: Fault) {
        self.shared.state().faults.push(FaultRule { needle: needle.to_owned(), left, fault });
    }

    /// Forgets all faults.
    pub(crate) fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// Cuts all connections and every new one, until [`Self::come_back`].
    pub(crate) fn go_away(&self) {
        self.present.send_replace(Presence::Away);
    }

    /// Serves again.
    pub(crate) fn come_back(&self) {
        self.present.send_replace(Presence::Here);
    }

    // ---- ledger ----

    /// Everything that was asked for, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.ledger.all()
    }

    /// The requests that `needle` is part of.
    pub(crate) fn requests_of(&self, needle: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.fits(needle)).collect()
    }

    /// How many requests `needle` is part of.
    pub(crate) fn count(&self, needle: &str) -> usize {
        self.requests_of(needle).len()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.ledger.connections()
    }

    /// Completes when at least `count` requests that `needle` is part of have arrived.
    pub(crate) async fn wait_for(&self, needle: &str, count: usize) {
        self.shared.ledger.wait_for(needle, count).await;
    }

    /// Forgets what was asked for so far.
    pub(crate) fn clear_requests(&self) {
        self.shared.ledger.clear();
    }

    /// Fails the test when anything at all was asked for.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        let requests = self.requests();
        assert!(requests.is_empty(), "expected no request, got {requests:#?}");
    }

    /// Fails the test when any request carried credentials.
    #[track_caller]
    pub(crate) fn assert_no_credentials_seen(&self) {
        for seen in self.requests() {
            assert!(!seen.carries_credentials(), "credentials arrived: {seen:#?}");
        }
    }

    fn repository<T>(&self, name: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.shared.state().repositories.entry(name.to_owned()).or_default())
    }
}
