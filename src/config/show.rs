//! The effective settings as they would be written, secrets left out.

use std::path::PathBuf;

use serde::Serialize;

use super::address::redacted;
use super::lifecycle::Lifecycle;
use super::sandbox::Sandbox;
use super::show_adapters::Adapter;
use super::show_admission::Admission;
use super::show_notify::Notify;
use super::units::{show_duration, show_size};
use super::{LogFormat, Settings, UpdateSettings, oidc};
use crate::http::{ClientCertificates, RefuseAt, TlsSettings};
use crate::people::oidc::ServiceAccountSettings;
use crate::store::VerifyReads;
use crate::upstream::{CredentialSource, RegistrySettings};

impl Settings {
    /// Everything in force, defaults included, in the shape of the settings file: a file with this
    /// content says the same. Logins in proxy addresses are left out; other secrets are paths.
    pub fn effective(&self) -> impl Serialize + use<> {
        Effective::from(self)
    }
}

#[derive(Debug, Serialize)]
struct Effective {
    data_dir: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PathBuf>,
    node: Node,
    admin: Admin,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<Admission>,
    store: Store,
    cache: Cache,
    #[serde(skip_serializing_if = "Option::is_none")]
    approvals: Option<Approvals>,
    audit: Audit,
    sandbox: Sandbox,
    log: Log,
    proxy: Proxy,
    limits: Limits,
    evidence: Evidence,
    scan: Scan,
    notify: Notify,
    upstream: Vec<Upstream>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lifecycle: Vec<Lifecycle>,
}

#[derive(Debug, Serialize)]
struct Node {
    listen: String,
    danger_plain_http: bool,
    hold_timeout: String,
    default_registry: String,
    refuse_at: &'static str,
    max_connections: usize,
    header_timeout: String,
    idle_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Pods>,
}

#[derive(Debug, Serialize)]
struct Pods {
    issuer: String,
    keys: PathBuf,
    audience: String,
}

impl From<ServiceAccountSettings> for Pods {
    fn from(settings: ServiceAccountSettings) -> Self {
        let ServiceAccountSettings { issuer, keys, audience } = settings;
        Self { issuer, keys, audience }
    }
}

#[derive(Debug, Serialize)]
struct Admin {
    listen: String,
    danger_plain_http: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    max_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<oidc::Shown>,
}

#[derive(Debug, Serialize)]
pub(super) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificates: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Store {
    verify_reads: &'static str,
    index_cache: String,
}

#[derive(Debug, Serialize)]
struct Cache {
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<String>,
    high_watermark: u8,
    low_watermark: u8,
    min_free: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    scrub_rate: String,
    scrub_every: String,
}

#[derive(Debug, Serialize)]
struct Approvals {
    path: PathBuf,
}

#[derive(Debug, Serialize)]
struct Audit {
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<String>,
}

#[derive(Debug, Serialize)]
struct Scan {
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<PathBuf>,
    facts: String,
    timeout: String,
    brake: String,
    layer_timeout: String,
    layer_size: String,
    ratio: u64,
    ratio_from: String,
    max_entries: u64,
    header_size: String,
    file_size: String,
    package_database_size: String,
    program_size: String,
    archive_size: String,
    archive_inflated: String,
    max_packages: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adapter: Vec<Adapter>,
}

#[derive(Debug, Serialize)]
struct Update {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feeds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
}

impl From<&Settings> for Scan {
    fn from(settings: &Settings) -> Self {
        let UpdateSettings { feeds, from, key } = settings.update.clone();
        let update =
            (settings.update != UpdateSettings::default()).then_some(Update { feeds, from, key });
        let adapter = settings.adapters.iter().map(Adapter::from).collect();
        let settings = &settings.scan;
        let limits = &settings.limits;
        Self {
            database: settings.database.clone(),
            facts: show_size(settings.facts_bytes),
            timeout: show_duration(settings.time),
            brake: format!("{}%", settings.brake.share / 100),
            layer_timeout: show_duration(limits.time),
            layer_size: show_size(limits.layer_bytes),
            ratio: limits.ratio,
            ratio_from: show_size(limits.ratio_from_bytes),
            max_entries: limits.entries,
            header_size: show_size(limits.header_bytes),
            file_size: show_size(limits.file_bytes),
            package_database_size: show_size(limits.database_bytes),
            program_size: show_size(limits.program_bytes),
            archive_size: show_size(limits.archive_bytes),
            archive_inflated: show_size(limits.archive_inflated_bytes),
            max_packages: limits.packages,
            update,
            adapter,
        }
    }
}

#[derive(Debug, Serialize)]
struct Log {
    format: &'static str,
    level: String,
}

#[derive(Debug, Serialize)]
struct Proxy {
    http: String,
    https: String,
    #[serde(rename = "no_proxy")]
    direct: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Limits {
    connect_timeout: String,
    first_byte_timeout: String,
    idle_timeout: String,
    pool_idle_timeout: String,
    max_exchanges: usize,
    max_pool_idle: usize,
    manifest_size: String,
    token_size: String,
    header_size: String,
    max_redirects: usize,
    max_referrer_pages: usize,
    max_tag_pages: usize,
    max_attempts: u32,
    retry_delay: String,
    retry_after_wait: String,
    max_retry_after: String,
    max_resumes: u32,
    max_range_connections: usize,
    range_after: String,
    range_size: String,
    range_segment: String,
    breaker_failures: u32,
    breaker_probe: String,
    login_rest: String,
    helper_timeout: String,
    helper_lifetime: String,
}

#[derive(Debug, Serialize)]
struct Evidence {
    max_fetches: usize,
    timeout: String,
    size: String,
    max_children: usize,
    max_referrers: usize,
    attachment_size: String,
}

#[derive(Debug, Serialize)]
struct Upstream {
    registry: String,
    url: String,
    danger_plain_http: bool,
    tag_ttl: String,
    token_hosts: Vec<String>,
    redirect_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(flatten)]
    login: Login,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credential: Vec<Credential>,
}

#[derive(Debug, Serialize)]
struct Credential {
    #[serde(rename = "match")]
    pattern: String,
    #[serde(flatten)]
    login: Login,
}

#[derive(Debug, Default, Serialize)]
struct Login {
    #[serde(skip_serializing_if = "Option::is_none")]
    username_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    helper: Option<String>,
}

impl From<&CredentialSource> for Login {
    fn from(source: &CredentialSource) -> Self {
        match source.clone() {
            CredentialSource::Files { username, password } => {
                Self { username_file: Some(username), password_file: Some(password), helper: None }
            }
            CredentialSource::Helper(helper) => Self { helper: Some(helper), ..Self::default() },
        }
    }
}

impl From<&TlsSettings> for Tls {
    fn from(tls: &TlsSettings) -> Self {
        let (client_ca, needed) = tls.client_ca.clone().unzip();
        Self {
            cert: tls.cert.clone(),
            key: tls.key.clone(),
            client_ca,
            client_certificates: needed.map(|needed| match needed {
                ClientCertificates::Optional => "optional",
                ClientCertificates::Required => "required",
            }),
        }
    }
}

impl From<&crate::store::Keeping> for Cache {
    fn from(keeping: &crate::store::Keeping) -> Self {
        Self {
            quota: keeping.quota_bytes.map(show_size),
            high_watermark: keeping.high_percent,
            low_watermark: keeping.low_percent,
            min_free: show_size(keeping.min_free_bytes),
            retention: keeping.retention.map(show_duration),
            scrub_rate: show_size(keeping.scrub_rate_bytes),
            scrub_every: show_duration(keeping.scrub_every.unwrap_or_default()),
        }
    }
}

impl From<&crate::upstream::Limits> for Limits {
    fn from(limits: &crate::upstream::Limits) -> Self {
        let size = |bytes: usize| show_size(u64::try_from(bytes).unwrap_or(u64::MAX));
        Self {
            connect_timeout: show_duration(limits.connect_timeout),
            first_byte_timeout: show_duration(limits.first_byte_timeout),
            idle_timeout: show_duration(limits.idle_timeout),
            pool_idle_timeout: show_duration(limits.pool_idle_timeout),
            max_exchanges: limits.exchanges_max,
            max_pool_idle: limits.pool_idle_max,
            manifest_size: size(limits.manifest_bytes),
            token_size: size(limits.token_bytes),
            header_size: size(limits.header_bytes),
            max_redirects: limits.redirects,
            max_referrer_pages: limits.referrer_pages,
            max_tag_pages: limits.tag_pages,
            max_attempts: limits.attempts,
            retry_delay: show_duration(limits.retry_delay),
            retry_after_wait: show_duration(limits.retry_after_wait),
            max_retry_after: show_duration(limits.retry_after_max),
            max_resumes: limits.resumes,
            max_range_connections: limits.range_connections,
            range_after: show_duration(limits.range_after),
            range_size: show_size(limits.range_bytes_min),
            range_segment: show_size(limits.range_segment_bytes),
            breaker_failures: limits.breaker_failures,
            breaker_probe: show_duration(limits.breaker_probe),
            login_rest: show_duration(limits.login_rest),
            helper_timeout: show_duration(limits.helper_timeout),
            helper_lifetime: show_duration(limits.helper_lifetime),
        }
    }
}

impl From<&crate::evidence::Limits> for Evidence {
    fn from(limits: &crate::evidence::Limits) -> Self {
        Self {
            max_fetches: limits.fetches_at_once,
            timeout: show_duration(limits.time),
            size: show_size(limits.bytes),
            max_children: limits.children,
            max_referrers: limits.referrers,
            attachment_size: show_size(limits.attachment_bytes),
        }
    }
}

impl From<&Settings> for Effective {
    fn from(settings: &Settings) -> Self {
        let node = &settings.node;
        let is_in_clear = |block: &str| settings.dangers.iter().any(|danger| danger == block);
        Self {
            data_dir: settings.data_dir.clone(),
            policy: settings.policy.clone(),
            node: Node {
                listen: node.listen.to_string(),
                danger_plain_http: is_in_clear("node.danger_plain_http"),
                hold_timeout: show_duration(settings.mirror.hold_timeout),
                default_registry: node.default_registry.to_string(),
                refuse_at: match node.refuse_at {
                    RefuseAt::Get => "get",
                    RefuseAt::Head => "head",
                },
                max_connections: node.connections_max,
                header_timeout: show_duration(node.header_timeout),
                idle_timeout: show_duration(node.idle_timeout),
                tls: node.tls.as_ref().map(Tls::from),
                pods: node.pods.clone().map(Pods::from),
            },
            admin: Admin {
                listen: settings.admin.listen.to_string(),
                danger_plain_http: is_in_clear("admin.danger_plain_http"),
                public_url: node.public_url.as_ref().map(ToString::to_string),
                max_connections: settings.admin.connections_max,
                tls: settings.admin.tls.as_ref().map(Tls::from),
                oidc: settings.admin.oidc.as_ref().map(oidc::Shown::from),
            },
            admission: settings.admission.as_ref().map(|admission| {
                Admission::new(admission, is_in_clear("admission.danger_plain_http"))
            }),
            store: Store {
                verify_reads: match settings.store.verify_reads {
                    VerifyReads::Always => "always",
                    VerifyReads::Changed => "changed",
                    VerifyReads::Never => "never",
                },
                index_cache: show_size(settings.store.index_cache_bytes),
            },
            cache: Cache::from(&settings.store.keeping),
            approvals: settings.approvals.clone().map(|path| Approvals { path }),
            audit: Audit { keep: settings.audit_keep.map(show_duration) },
            sandbox: Sandbox::from(&settings.sandbox),
            log: Log {
                format: match settings.log.format {
                    LogFormat::Json => "json",
                    LogFormat::Text => "text",
                },
                level: settings.log.level.clone(),
            },
            proxy: Proxy {
                http: settings.upstream.proxy.http.as_deref().map(redacted).unwrap_or_default(),
                https: settings.upstream.proxy.https.as_deref().map(redacted).unwrap_or_default(),
                direct: settings.upstream.proxy.no_proxy.clone(),
            },
            limits: Limits::from(&settings.upstream.limits),
            evidence: Evidence::from(&settings.evidence),
            scan: Scan::from(settings),
            notify: Notify::from(&*settings.notify.webhooks),
            upstream: settings
                .upstream
                .registries
                .iter()
                .map(|registry| upstream(registry, settings))
                .collect(),
            lifecycle: settings.mirror.lifecycle.iter().map(Lifecycle::from).collect(),
        }
    }
}

fn upstream(registry: &RegistrySettings, settings: &Settings) -> Upstream {
    let ttl = settings.mirror.tag_ttl.get(&registry.registry);
    let whole = registry.credentials.iter().find(|credential| credential.pattern.is_none());
    let parts = registry.credentials.iter().filter_map(|credential| {
        let pattern = credential.pattern.as_ref()?;
        Some(Credential {
            pattern: format!("{}/{pattern}", registry.registry),
            login: Login::from(&credential.source),
        })
    });
    Upstream {
        registry: registry.registry.to_string(),
        url: registry.url.clone(),
        danger_plain_http: registry.danger_plain_http,
        tag_ttl: show_duration(ttl.copied().unwrap_or(settings.mirror.tag_ttl_default)),
        token_hosts: registry.token_hosts.clone(),
        redirect_hosts: registry.redirect_hosts.clone(),
        ca_file: registry.ca_file.clone(),
        login: whole.map(|credential| Login::from(&credential.source)).unwrap_or_default(),
        credential: parts.collect(),
    }
}
