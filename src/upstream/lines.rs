//! What every transport is made of: limits, proxies, the certificates that are believed.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::dial::Dialer;
use super::error::Error;
use super::location::HostList;
use super::pool::Pool;
use super::proxy::Proxies;
use super::ranges::SEGMENTS_MAX;
use super::settings::{Limits, ProxySettings};
use super::tls;
use super::transport::Transport;
use crate::metrics::Metrics;
use crate::oci::Registry;
use crate::tasks::Tasks;

/// What all transports of one client have in common.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) limits: Arc<Limits>,
    segments: Arc<Semaphore>,
    proxies: Arc<Proxies>,
    tasks: Tasks,
    pub(super) metrics: Arc<Metrics>,
}

impl Lines {
    /// # Errors
    /// When a proxy cannot be used.
    pub(super) fn new(
        proxy: &ProxySettings,
        limits: Limits,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let proxies = Proxies::parse(proxy)
            .map_err(|setting| Error::Setting { registry: "all".to_owned(), setting })?;
        let segments = Arc::new(Semaphore::new(SEGMENTS_MAX));
        Ok(Self { limits: Arc::new(limits), segments, proxies: Arc::new(proxies), tasks, metrics })
    }

    /// A transport of its own for `registry`, which believes the authorities in `ca_file`, too; the
    /// hosts in `exempt` may have addresses that are not public.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn transport(
        &self,
        registry: &Registry,
        ca_file: Option<&Path>,
        exempt: Vec<HostList>,
    ) -> Result<Transport, Error> {
        let limits = &self.limits;
        let (idle_max, idle_timeout) = (limits.pool_idle_max, limits.pool_idle_timeout);
        Ok(Transport {
            registry: registry.clone(),
            dialer: Dialer {
                registry: registry.clone(),
                tls: Arc::new(tls::client_config(ca_file)?),
                proxies: Arc::clone(&self.proxies),
                connect_timeout: limits.connect_timeout,
                metrics: Arc::clone(&self.metrics),
            },
            exempt,
            pool: Arc::new(Pool::new(idle_max, idle_timeout, self.tasks.clone())),
            permits: Arc::new(Semaphore::new(limits.exchanges_max)),
            segments: Arc::clone(&self.segments),
            limits: Arc::clone(limits),
            tasks: self.tasks.clone(),
            metrics: Arc::clone(&self.metrics),
        })
    }
}
