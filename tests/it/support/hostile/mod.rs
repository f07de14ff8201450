//! `HostileUpstream`: a registry on a raw socket that misbehaves by plan.
//!
//! Not hyper: it has to send what no HTTP library would. Content and the right answers are those of
//! any registry; a *plan* says which requests are answered otherwise, and how. What arrived is in the
//! ledger, with the time, the headers, and how many bytes went out in answer.
//!
//! ```ignore
//! let upstream = HostileUpstream::start().await;
//! upstream.push("open/app", "1", &Image::new().layer("one").build());
//! upstream.plan_times("GET /v2/open/app/blobs/", 1, Fault::ResetAt(7));
//! ```

mod fault;
pub(crate) mod invariants;
mod ledger;
pub(crate) mod rig;
mod seed;
mod tls;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pratique::oci::{Digest, MediaType};
use pratique::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub(crate) use fault::Fault;
pub(crate) use ledger::Entry;
pub(crate) use seed::Seed;
pub(crate) use tls::Tls;

use super::upstream::Artifact;
use ledger::Ledger;

/// What is in every error body, and must not come out on the other side.
pub(crate) const ERROR_CANARY: &str = "words-of-the-upstream";

/// What the registry asks of its clients.
#[derive(Debug, Clone, Default)]
pub(crate) enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// This login with every request for a repository that starts so.
    Basic(&'static str, &'static str, &'static str),
    /// A token for every repository, from this realm.
    Token(String),
}

/// A registry that misbehaves; it ends with the value.
pub(crate) struct HostileUpstream {
    address: SocketAddr,
    ca_pem: Option<String>,
    shared: Arc<Shared>,
    presence: watch::Sender<Presence>,
}

/// Whether connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Away,
    Here,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ledger: Ledger,
}

#[derive(Default)]
struct State {
    repositories: HashMap<String, Repository>,
    plan: Vec<Rule>,
    auth: Auth,
    /// Logins that the token service takes; empty: it asks for none.
    logins: Vec<(String, String)>,
    tokens: u64,
    /// Header lines of every answer of the registry API.
    headers: Vec<(&'static str, String)>,
}

#[derive(Default)]
struct Repository {
    manifests: HashMap<Digest, (MediaType, Bytes)>,
    blobs: HashMap<Digest, Bytes>,
    /// Where a tag points: the first one now, and with every request the next one, round and round.
    tags: BTreeMap<String, (usize, Vec<Digest>)>,
}

struct Rule {
    needle: String,
    left: Option<u64>,
    fault: Fault,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostileUpstream {
    /// Over plain HTTP.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Over TLS of this kind.
    pub(crate) async fn start_tls(kind: Tls) -> Self {
        Self::start_with(Some(kind)).await
    }

    async fn start_with(kind: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let (presence, seen) = watch::channel(Presence::Here);
        let (acceptor, ca_pem) = kind.map(tls::acceptor).unzip();
        serve(listener, acceptor, kind == Some(Tls::Stalled), Arc::clone(&shared), seen);
        Self { address, ca_pem, shared, presence }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:port`, or `https://…`.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority that the certificate should be of.
    pub(crate) fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The address of its own token service.
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

    /// Adds `artifact` with everything below it.
    pub(crate) fn push_untagged(&self, repository: &str, artifact: &Artifact) -> Digest {
        for child in &artifact.children {
            self.push_untagged(repository, child);
        }
        for blob in &artifact.blobs {
            self.repository(repository, |it| {
                it.blobs.insert(Digest::sha256(blob), blob.clone());
            });
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
        self.repository(repository, |it| {
            it.manifests.insert(digest, (MediaType::new(media_type), bytes));
        });
        digest
    }

    /// Forgets a repository with everything in it.
    pub(crate) fn clear(&self, repository: &str) {
        self.shared.state().repositories.remove(repository);
    }

    /// Points `tag` at each of `digests` in turn: another one with every request.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digests: &[Digest]) {
        self.repository(repository, |it| {
            it.tags.insert(tag.to_owned(), (0, digests.to_vec()));
        });
    }

    fn repository<T>(&self, name: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.shared.state().repositories.entry(name.to_owned()).or_default())
    }

    // ---- behaviour ----

    /// Answers every request that `needle` is part of with `fault`. Of several rules that fit, the
    /// newest acts.
    pub(crate) fn plan(&self, needle: &str, fault: Fault) {
        self.add_rule(needle, None, fault);
    }

    /// The same for the next `times` such requests only.
    pub(crate) fn plan_times(&self, needle: &str, times: u64, fault: Fault) {
        self.add_rule(needle, Some(times), fault);
    }

    fn add_rule(&self, needle: &str, left: Option<u64>, fault: Fault) {
        self.shared.state().plan.push(Rule { needle: needle.to_owned(), left, fault });
    }

    /// Behaves again.
    pub(crate) fn heal(&self) {
        self.shared.state().plan.clear();
    }

    /// Sets what clients must show.
    pub(crate) fn set_auth(&self, auth: Auth) {
        self.shared.state().auth = auth;
    }

    /// Sets the logins that the token service takes.
    pub(crate) fn set_logins(&self, logins: &[(&str, &str)]) {
        let logins = logins.iter().map(|(user, word)| ((*user).to_owned(), (*word).to_owned()));
        self.shared.state().logins = logins.collect();
    }

    /// Adds a header line to every answer of the registry API, or changes it.
    pub(crate) fn set_header(&self, name: &'static str, value: &str) {
        let mut state = self.shared.state();
        state.headers.retain(|(key, _)| *key != name);
        state.headers.push((name, value.to_owned()));
    }

    /// Cuts all connections and every new one, until [`Self::come_back`].
    pub(crate) fn go_away(&self) {
        self.presence.send_replace(Presence::Away);
    }

    /// Serves again.
    pub(crate) fn come_back(&self) {
        self.presence.send_replace(Presence::Here);
    }

    // ---- ledger ----

    /// Everything that arrived.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.shared.ledger.all()
    }

    /// The requests that `needle` is part of.
    pub(crate) fn entries_of(&self, needle: &str) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.line().contains(needle)).collect()
    }

    /// How many requests `needle` is part of.
    pub(crate) fn count(&self, needle: &str) -> usize {
        self.entries_of(needle).len()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.ledger.connections()
    }

    /// Forgets what arrived so far.
    pub(crate) fn clear_entries(&self) {
        self.shared.ledger.clear();
    }
}

fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    is_stalled: bool,
    shared: Arc<Shared>,
    mut presence: watch::Receiver<Presence>,
) {
    let tasks = Tasks::new();
    drop(tasks.clone().spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                gone = presence.changed() => match gone {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let Ok((stream, _)) = accepted else { continue };
            shared.ledger.connected();
            if *presence.borrow() == Presence::Away {
                continue;
            }
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            let mut presence = presence.clone();
            drop(tasks.spawn(async move {
                tokio::select! {
                    () = connection(stream, acceptor, is_stalled, shared) => {}
                    _ = presence.changed() => {}
                }
            }));
        }
    }));
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    is_stalled: bool,
    shared: Arc<Shared>,
) {
    if is_stalled {
        std::future::pending::<()>().await;
    }
    match acceptor {
        None => wire::serve(stream, &shared).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                wire::serve(stream, &shared).await;
            }
        }
    }
}
