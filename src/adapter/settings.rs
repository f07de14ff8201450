//! The scanners of the settings, made ready.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    Adapter, AdapterError, CommandScanner, HarborAdapter, HarborError, HarborScanner,
    HarborSettings, ScannerSettings,
};
use crate::oci::Secret;
use crate::program::Launcher;
use crate::tasks::Tasks;
use crate::time::Clock;

/// The variable in which Trivy is told the token of its server.
const SERVER_TOKEN: &str = "TRIVY_TOKEN";
/// Largest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// One scanner of the settings.
#[derive(Debug, Clone)]
pub struct AdapterSettings {
    /// What policies call it.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
}

/// What a scanner is.
#[derive(Debug, Clone)]
pub enum AdapterKind {
    /// A program that is run for each image.
    Command {
        /// How.
        settings: ScannerSettings,
        /// The file with the token of its server.
        token_file: Option<PathBuf>,
        /// Whether that may be asked over plain HTTP on the network.
        danger_plain_http: bool,
    },
    /// A service that speaks Harbor's scanner API.
    Harbor {
        /// Where it is.
        settings: HarborSettings,
        /// The address at which it finds the registry that we are.
        registry_url: String,
        /// The file with the value of the `Authorization` header that it asks for.
        authorization_file: Option<PathBuf>,
    },
}

impl AdapterKind {
    /// Whether it may be asked over plain HTTP on the network.
    pub fn is_plain_http(&self) -> bool {
        match self {
            Self::Command { danger_plain_http, .. } => *danger_plain_http,
            Self::Harbor { settings, .. } => settings.danger_plain_http,
        }
    }
}

/// Why a scanner cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdapterSettingsError {
    /// A file with a secret cannot be read.
    #[error("scanner {name}: {path} cannot be read")]
    Secret {
        /// The scanner.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program cannot be run as the settings say.
    #[error("scanner {name} cannot be used")]
    Command {
        /// The scanner.
        name: String,
        /// Why.
        #[source]
        source: Box<AdapterError>,
    },
    /// An adapter cannot be asked as the settings say.
    #[error("scanner {name} cannot be used")]
    Harbor {
        /// The scanner.
        name: String,
        /// Why.
        #[source]
        source: Box<HarborError>,
    },
}

/// Makes the scanners of `settings` ready, by their names; programs work in folders below `work`. Nothing is
/// asked of them yet. It reads files, and blocks for that.
///
/// # Errors
/// When one of them cannot be used as it is set up.
pub fn adapters(
    settings: Vec<AdapterSettings>,
    work: &Path,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<BTreeMap<String, Arc<dyn Adapter>>, AdapterSettingsError> {
    let made = settings.into_iter().map(|AdapterSettings { name, kind }| {
        let adapter = one(&name, kind, work, clock, tasks)?;
        Ok((name, adapter))
    });
    made.collect()
}

fn one(
    name: &str,
    kind: AdapterKind,
    work: &Path,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Arc<dyn Adapter>, AdapterSettingsError> {
    let (clock, tasks) = (Arc::clone(clock), tasks.clone());
    match kind {
        AdapterKind::Command { mut settings, token_file, .. } => {
            work.clone_into(&mut settings.scratch);
            let token = secret(name, token_file.as_deref())?;
            settings.environment.extend(token.map(|token| (SERVER_TOKEN.to_owned(), token)));
            let scanner = CommandScanner::new(settings, Launcher::own(), tasks, clock);
            let scanner = scanner.map_err(|error| AdapterSettingsError::Command {
                name: name.to_owned(),
                source: Box::new(error),
            })?;
            Ok(Arc::new(scanner))
        }
        AdapterKind::Harbor { mut settings, registry_url, authorization_file } => {
            settings.authorization = secret(name, authorization_file.as_deref())?;
            let scanner = HarborScanner::new(settings, clock, tasks).map_err(|error| {
                AdapterSettingsError::Harbor { name: name.to_owned(), source: Box::new(error) }
            })?;
            Ok(Arc::new(HarborAdapter::new(scanner, registry_url)))
        }
    }
}

/// What stands in `file`, without the line break at its end.
fn secret(name: &str, file: Option<&Path>) -> Result<Option<Secret>, AdapterSettingsError> {
    use std::io::Read as _;
    let Some(path) = file else { return Ok(None) };
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|source| AdapterSettingsError::Secret {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(Secret::new(text.trim())))
}
