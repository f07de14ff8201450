//! From text to settings.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use super::environment::Environment;
use super::problem::{Problems, Report};
use super::section::{Found, Section};
use super::{
    LogFormat, LogSettings, Overrides, Settings, adapters, address, admission, cache, lifecycle,
    limits, listeners, notify, sandbox, scan, upstreams,
};
use crate::adapter::AdapterSettings;
use crate::mirror;
use crate::notify as telling;
use crate::store::{self, VerifyReads};
use crate::upstream::{self, ProxySettings, RegistrySettings};

/// Shortest time that records of the audit stay in the database.
const AUDIT_KEEP_MIN: Duration = Duration::from_hours(24);
/// Longest time that makes sense.
const AUDIT_KEEP_MAX: Duration = Duration::from_hours(24 * 36_525);
/// Largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Memory for the store's index.
const INDEX_CACHE_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(16 << 30);

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file has mistakes.
    #[error("{0}")]
    Problems(Problems),
    /// The file cannot be read.
    #[error("settings file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What settings are made from beside the text.
pub(crate) struct Given<'a> {
    /// The command line.
    pub(crate) overrides: &'a Overrides,
    /// The environment.
    pub(crate) environment: Environment,
    /// Whether a file that the settings name can be read.
    pub(crate) readable: &'a dyn Fn(&Path) -> io::Result<()>,
    /// Where problems go.
    pub(super) report: &'a Report<'a>,
}

impl Given<'_> {
    /// Notes a problem when the file that `key` names cannot be read.
    pub(super) fn must_be_readable(
        &self,
        block: &Section<'_>,
        key: &'static str,
        file: Option<&Found<PathBuf>>,
    ) {
        let Some(Found { value: path, .. }) = file else { return };
        if let Err(error) = (self.readable)(path) {
            block.problem(key, format!("{:?} cannot be read: {error}", path.display().to_string()));
        }
    }
}

/// Loads the settings for a server: from `file` if there is one, with `overrides` over it. Every
/// file that they name must be readable.
///
/// # Errors
/// When the file cannot be read or has mistakes.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Settings, Failure> {
    let readable = |path: &Path| File::open(path)?.read(&mut [0]).map(|_| ());
    from_file(file, overrides, &readable)
}

/// Loads the settings for a client of a running server, which may not be allowed to read the
/// server's secrets: the files that they name are not looked at.
///
/// # Errors
/// When the file cannot be read or has mistakes.
pub fn load_for_client(file: Option<&Path>) -> Result<Settings, Failure> {
    from_file(file, &Overrides::default(), &|_| Ok(()))
}

fn from_file(
    file: Option<&Path>,
    overrides: &Overrides,
    readable: &dyn Fn(&Path) -> io::Result<()>,
) -> Result<Settings, Failure> {
    let environment = Environment::read();
    let (name, text) = match file {
        None => ("command line".to_owned(), String::new()),
        Some(path) => (path.display().to_string(), read_bounded(path)?),
    };
    parse(&name, &text, overrides, environment, readable).map_err(Failure::Problems)
}

fn read_bounded(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        let too_large = format!("larger than {FILE_BYTES_MAX} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, too_large)));
    }
    Ok(text)
}

/// The settings that `text`, which is called `name`, makes together with everything else.
///
/// # Errors
/// Everything that is wrong. A text that is not TOML is reported as that alone.
pub(super) fn parse(
    name: &str,
    text: &str,
    overrides: &Overrides,
    environment: Environment,
    readable: &dyn Fn(&Path) -> io::Result<()>,
) -> Result<Settings, Problems> {
    let report = Report::on(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.add(error.span(), "", format!("is not TOML: {}", error.message()));
    }
    let mut settings = None;
    if errors.is_empty() {
        let given = Given { overrides, environment, readable, report: &report };
        settings = Some(read(Section::root(&report, &document), &given));
    }
    let policy = settings.as_ref().and_then(|settings| settings.policy.clone());
    let problems = report.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        Some(_) | None => Err(Problems { file: name.to_owned(), problems, policy }),
    }
}

/// Reads every section; what is wrong goes into the report, and a default takes its place.
fn read(root: Section<'_>, given: &Given<'_>) -> Settings {
    let default = Settings::default();
    let written = root.file("data_dir").map(|found| found.value);
    let data_dir = given.overrides.data_dir.clone().or(written).unwrap_or(default.data_dir);
    let policy = root.file("policy");
    if given.overrides.policy.is_none() {
        given.must_be_readable(&root, "policy", policy.as_ref());
    }
    let mut node = listeners::node(root.section("node"), given);
    let mut admin = listeners::admin(root.section("admin"), given, node.settings.listen);
    let taken = [node.settings.listen, admin.settings.listen];
    let admission = admission::read(root.section("admission"), given, taken);
    let upstreams = upstreams::read(root.sections("upstream"), given);
    let proxy = proxy(root.section("proxy"), &given.environment.proxy);
    let limits = limits::read(root.section("limits"));
    let evidence = limits::evidence(root.section("evidence"));
    let block = root.section("scan");
    let adapters = adapters::read(block.sections("adapter"), &proxy, given);
    let (scan, update) = scan::read(block, &data_dir);
    let webhooks = notify::read(root.section("notify"), given);
    let lifecycle = lifecycle::read(&root);
    let store = store(root.section("store"), data_dir.clone(), cache::read(root.section("cache")));
    let approvals = approvals(root.section("approvals"));
    let audit_keep = audit_keep(root.section("audit"));
    let sandbox = sandbox::read(root.section("sandbox"));
    let log = log(root.section("log"));
    root.finish();
    let mut dangers = listeners_in_clear(&node, &admin, admission.as_ref());
    dangers.extend(others_in_clear(&upstreams.registries, &adapters, &webhooks));
    if let Some(oidc) = &mut admin.settings.oidc {
        oidc.provider.proxy = proxy.clone();
        let key = "admin.oidc.danger_plain_http".to_owned();
        dangers.extend(oidc.provider.danger_plain_http.then_some(key));
    }
    node.settings.public_url = admin.public_url;
    let notify = telling::Settings {
        webhooks,
        proxy: proxy.clone(),
        public_url: node.settings.public_url.clone(),
        ..telling::Settings::default()
    };
    admin.settings.data_dir.clone_from(&data_dir);
    Settings {
        policy: given.overrides.policy.clone().or(policy.map(|found| found.value)),
        allow_rollback: given.overrides.allow_rollback,
        node: node.settings,
        admin: admin.settings,
        admission: admission.map(|it| it.settings),
        mirror: mirror::Settings {
            hold_timeout: node.hold_timeout.unwrap_or(default.mirror.hold_timeout),
            decide_timeout: default.mirror.decide_timeout,
            tag_ttl: upstreams.tag_ttl,
            lifecycle,
            ..default.mirror
        },
        store,
        upstream: upstream::Settings { registries: upstreams.registries, proxy, limits },
        evidence,
        scan,
        adapters,
        update,
        notify,
        approvals,
        audit_keep,
        sandbox,
        log,
        dangers,
        data_dir,
    }
}

/// The dangers that others are whom this program speaks to.
fn others_in_clear(
    registries: &[RegistrySettings],
    adapters: &[AdapterSettings],
    webhooks: &[telling::WebhookSettings],
) -> Vec<String> {
    let registries = registries.iter().filter(|it| it.danger_plain_http);
    let scanners = adapters.iter().filter(|adapter| adapter.kind.is_plain_http());
    let receivers = webhooks.iter().filter(|webhook| webhook.danger_plain_http);
    let mut dangers: Vec<String> = Vec::new();
    dangers.extend(in_clear("upstream", registries.map(|it| &it.registry)));
    dangers.extend(in_clear("scan.adapter", scanners.map(|it| &it.name)));
    dangers.extend(in_clear("notify.webhook", receivers.map(|it| &it.name)));
    dangers
}

/// The dangers that the listeners are.
fn listeners_in_clear(
    node: &listeners::NodeBlock,
    admin: &listeners::AdminBlock,
    admission: Option<&admission::AdmissionBlock>,
) -> Vec<String> {
    let all = [
        ("admission.danger_plain_http", admission.is_some_and(|it| it.danger_plain_http)),
        ("node.danger_plain_http", node.danger_plain_http),
        ("admin.danger_plain_http", admin.danger_plain_http),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(key, _)| key.to_owned()).collect()
}

/// The dangers that the blocks `[[block]]` of these names are: they are plain http.
fn in_clear<T: std::fmt::Display>(
    block: &str,
    names: impl Iterator<Item = T>,
) -> impl Iterator<Item = String> {
    names.map(move |name| format!("{block}.danger_plain_http ({name})"))
}

/// `[approvals]`: where files are in which people say yes. It need not be there yet: a mount may come later.
fn approvals(block: Section<'_>) -> Option<PathBuf> {
    let path = block.file("path").map(|found| found.value);
    block.finish();
    path
}

/// `[audit]`: how long records stay in the database.
fn audit_keep(block: Section<'_>) -> Option<Duration> {
    let keep = block.duration("keep", AUDIT_KEEP_MIN..=AUDIT_KEEP_MAX);
    block.finish();
    keep
}

fn proxy(block: Section<'_>, environment: &ProxySettings) -> ProxySettings {
    let http = block.parsed("http", address::proxy);
    let https = block.parsed("https", address::proxy);
    let no_proxy = block.list("no_proxy");
    block.finish();
    ProxySettings {
        http: http.map_or_else(|| environment.http.clone(), |found| found.value),
        https: https.map_or_else(|| environment.https.clone(), |found| found.value),
        no_proxy: no_proxy.map_or_else(
            || environment.no_proxy.clone(),
            |hosts| hosts.into_iter().map(str::to_owned).collect(),
        ),
    }
}

fn store(block: Section<'_>, dir: PathBuf, keeping: store::Keeping) -> store::Settings {
    let default = store::Settings::default();
    let verify_reads = block.parsed("verify_reads", |text| match text {
        "always" => Ok(VerifyReads::Always),
        "changed" => Ok(VerifyReads::Changed),
        "never" => Ok(VerifyReads::Never),
        _ => Err(format!("{text:?} is not one of \"changed\", \"always\", \"never\"")),
    });
    let index_cache_bytes = block.size("index_cache", INDEX_CACHE_BYTES);
    block.finish();
    store::Settings {
        dir,
        verify_reads: verify_reads.map_or(default.verify_reads, |found| found.value),
        index_cache_bytes: index_cache_bytes.unwrap_or(default.index_cache_bytes),
        keeping,
    }
}

fn log(block: Section<'_>) -> LogSettings {
    let default = LogSettings::default();
    let format = block.parsed("format", |text| match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(format!("{text:?} is not one of \"text\", \"json\"")),
    });
    let level = block.parsed("level", level);
    block.finish();
    LogSettings {
        format: format.map_or(default.format, |found| found.value),
        level: level.map_or(default.level, |found| found.value),
    }
}

fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let level_of = |part: &str| part.trim().rsplit('=').next().map(str::to_owned);
    let all_are_levels =
        text.split(',').filter_map(level_of).all(|level| LEVELS.contains(&level.as_str()));
    if all_are_levels && EnvFilter::builder().parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a level; write error, warn, info, debug or trace, or one for a module: \"info,pratique::upstream=debug\""
    ))
}
