//! A client of fake upstreams.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pratique::metrics::Metrics;
use pratique::oci::{Digest, Name, Registry};
use pratique::tasks::Tasks;
use pratique::time::{Clock, SystemClock};
use pratique::upstream::{
    BlobStream, Client, CredentialSettings, CredentialSource, Error, Limits, ProxySettings,
    RegistrySettings, Settings,
};

use super::upstream::FakeUpstream;

/// The registry that the fake upstream of a test goes by.
pub(crate) const REGISTRY: &str = "up.test";
/// The repository that most tests use.
pub(crate) const REPOSITORY: &str = "lib/app";

/// [`REPOSITORY`] of [`REGISTRY`].
pub(crate) fn name() -> Name {
    Name::new(registry(), REPOSITORY.parse().expect("a repository"))
}

/// [`REGISTRY`].
pub(crate) fn registry() -> Registry {
    REGISTRY.parse().expect("a registry")
}

/// Settings for one fake upstream, to be changed and then [`TestClient::build`]-ed.
pub(crate) struct TestClient {
    pub(crate) registry: RegistrySettings,
    pub(crate) proxy: ProxySettings,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
}

impl TestClient {
    /// For `upstream`, with waits that suit a test.
    pub(crate) fn of(upstream: &FakeUpstream) -> Self {
        let mut settings = RegistrySettings::new(registry(), upstream.url());
        settings.danger_plain_http = upstream.ca_pem().is_none();
        let limits = Limits {
            first_byte_timeout: Duration::from_secs(5),
            retry_delay: Duration::from_millis(1),
            ..Limits::default()
        };
        let proxy = ProxySettings::default();
        Self { registry: settings, proxy, limits, clock: Arc::new(SystemClock) }
    }

    /// With a login from files, for all repositories or those of `pattern`.
    pub(crate) fn login(
        mut self,
        pattern: Option<&str>,
        username: PathBuf,
        password: PathBuf,
    ) -> Self {
        self.registry.credentials.push(CredentialSettings {
            pattern: pattern.map(str::to_owned),
            source: CredentialSource::Files { username, password },
        });
        self
    }

    /// With a change to the settings of the registry.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut RegistrySettings)) -> Self {
        change(&mut self.registry);
        self
    }

    /// With a change to the limits.
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The client.
    pub(crate) fn build(self) -> Client {
        self.try_build().expect("a client")
    }

    /// The client, or what is wrong with the settings.
    pub(crate) fn try_build(self) -> Result<Client, Error> {
        let settings =
            Settings { registries: vec![self.registry], proxy: self.proxy, limits: self.limits };
        Client::new(settings, self.clock, Tasks::new(), Arc::new(Metrics::default()))
    }
}

/// All bytes of `blob`.
pub(crate) async fn read(mut blob: BlobStream) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(piece) = blob.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// All bytes of the blob `digest` of [`name`], which is there.
pub(crate) async fn pull(client: &Client, digest: &Digest) -> Result<Vec<u8>, Error> {
    read(client.fetch_blob(&name(), digest).await?.expect("the blob")).await
}
