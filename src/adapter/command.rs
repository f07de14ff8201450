//! A scanner that is run for each image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde::Deserialize;
use tempfile::TempDir;

use super::error::AdapterError;
use super::invocation::{Invocation, ScannerInput, ScannerKind};
use crate::oci::{Digest, Secret, from_strict_slice};
use crate::program::{Launcher, Output, Program, ProgramLimits};
use crate::scan::{Asked, REPORT_BYTES_MAX, Reported};
use crate::tasks::Tasks;
use crate::time::{Clock, Timestamp};

/// The bill of materials in the folder that a scanner works in.
const BILL: &str = "bom.cdx.json";
/// The folder for all else that it writes.
const WORK: &str = "work";
/// How much longer a scanner may run than it was told: by then it ended by itself, and said why.
const GRACE: Duration = Duration::from_secs(10);
/// How long it may take to tell its version, and how much that may be.
const VERSION_TIME: Duration = Duration::from_secs(60);
const VERSION_BYTES: usize = 64 * 1024;
/// Processors that a scanner is thought to use at once.
const PROCESSORS: u32 = 4;
/// Variables that name certificates to trust: a scanner has to be able to read those.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_DIR", "SSL_CERT_FILE"];

/// A scanner, as it is set up.
#[derive(Debug, Clone)]
pub struct ScannerSettings {
    /// Which it is.
    pub kind: ScannerKind,
    /// Its file, by an absolute path.
    pub program: PathBuf,
    /// The Trivy server that compares; `None`: the program does, with the database in
    /// [`cache`](Self::cache).
    pub server: Option<String>,
    /// The folder with its database, which it only reads: what `--cache-dir` is to Trivy, and
    /// `GRYPE_DB_CACHE_DIR` to Grype.
    pub cache: Option<PathBuf>,
    /// The folder in which each scan has one of its own while it runs. Layers are unpacked there.
    pub scratch: PathBuf,
    /// How long a scan may take.
    pub timeout: Duration,
    /// Memory that it may write to, in bytes.
    pub memory: u64,
    /// What it is given.
    pub input: ScannerInput,
    /// What else is in its environment; none of what it is always told can be changed by it.
    pub environment: Vec<(String, Secret)>,
}

/// An image that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// By what digests it goes: a report that names another image is refused.
    pub asked: Asked<'a>,
    /// What the scanner is given of it.
    pub image: Prepared<'a>,
}

/// What a scanner is given of an image.
#[derive(Debug, Clone, Copy)]
pub enum Prepared<'a> {
    /// An OCI image layout with one manifest, that of the image.
    Layout(&'a Path),
    /// Our bill of materials of it, as CycloneDX.
    Sbom(&'a [u8]),
}

/// A scanner that is run for each image. Clones are the same one.
#[derive(Debug, Clone)]
pub struct CommandScanner {
    settings: Arc<ScannerSettings>,
    /// The port of the server.
    connect: Vec<u16>,
    launcher: Launcher,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

/// What `trivy version` says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<DatabaseTimes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DatabaseTimes {
    updated_at: Option<String>,
}

impl CommandScanner {
    /// A scanner by its settings. Nothing is run yet, or looked for.
    ///
    /// # Errors
    /// When the settings do not go together.
    pub fn new(
        settings: ScannerSettings,
        launcher: Launcher,
        tasks: Tasks,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AdapterError> {
        let wrong = |key, why| AdapterError::Setting { key, why };
        if !settings.program.is_absolute() {
            return Err(wrong("program", "is not an absolute path; write where the program is"));
        }
        let connect = match (&settings.server, settings.kind) {
            (None, _) => Vec::new(),
            (Some(_), ScannerKind::Grype) => {
                return Err(wrong("server", "Grype has none; leave it out, or use Trivy"));
            }
            (Some(server), ScannerKind::Trivy) => vec![port(server).ok_or_else(|| {
                wrong("server", "is no address of a Trivy server, such as http://trivy:4954")
            })?],
        };
        Ok(Self { settings: Arc::new(settings), connect, launcher, tasks, clock })
    }

    /// Which scanner it is.
    pub fn kind(&self) -> ScannerKind {
        self.settings.kind
    }

    /// What [`scan`](Self::scan) has to be given.
    pub fn input(&self) -> ScannerInput {
        self.settings.input
    }

    /// What it says of an image. It runs for as long as the settings let it, and is one of the most
    /// expensive things there are: whoever calls sees to it that few run at once.
    ///
    /// # Errors
    /// When it says nothing that can be used; nothing is known of the image then.
    ///
    /// # Cancel safety
    /// When the future is dropped, everything that was started is ended, and its folder removed.
    pub async fn scan(&self, job: Job<'_>) -> Result<Reported, AdapterError> {
        let scanner = self.kind().name();
        let bill = match (job.image, self.input()) {
            (Prepared::Layout(_), ScannerInput::Layout) => None,
            (Prepared::Sbom(bytes), ScannerInput::Sbom) => Some(bytes.to_vec()),
            (Prepared::Layout(_) | Prepared::Sbom(_), wanted) => {
                return Err(AdapterError::Input { scanner, wanted: wanted.name() });
            }
        };
        let folder = self.folder(bill).await?;
        let at = self.clock.now();
        let work = folder.path().join(WORK);
        let bill = folder.path().join(BILL);
        let image = match job.image {
            Prepared::Layout(path) => path,
            Prepared::Sbom(_) => &bill,
        };
        // Before the scan: the database may be replaced by a newer one meanwhile.
        let version = self.version(&work).await?;
        let output = self.look(image, &work).await?;
        let reported = self.read(output.bytes, job.asked, at, version).await;
        // What a scanner leaves may be large.
        drop(self.tasks.spawn_blocking(move || drop(folder)));
        reported
    }

    /// A folder for one scan, with the bill in it if there is one.
    async fn folder(&self, bill: Option<Vec<u8>>) -> Result<TempDir, AdapterError> {
        let scratch = self.settings.scratch.clone();
        let make = move || {
            let folder = tempfile::Builder::new().prefix("scan-").tempdir_in(scratch)?;
            std::fs::create_dir(folder.path().join(WORK))?;
            if let Some(bytes) = bill {
                std::fs::write(folder.path().join(BILL), bytes)?;
            }
            Ok(folder)
        };
        let folder =
            self.tasks.spawn_blocking(make).await.unwrap_or_else(|error| Err(error.into()));
        folder.map_err(|source| AdapterError::Work { scanner: self.kind().name(), source })
    }

    fn invocation<'a>(&'a self, work: &'a Path) -> Invocation<'a> {
        let ScannerSettings { kind, server, cache, timeout, memory, .. } = &*self.settings;
        Invocation {
            kind: *kind,
            server: server.as_deref(),
            cache: cache.as_deref(),
            folder: work,
            timeout: *timeout,
            memory: *memory,
        }
    }

    /// Its version and its database's age, where its report does not have them.
    async fn version(
        &self,
        work: &Path,
    ) -> Result<Option<(String, Option<Timestamp>)>, AdapterError> {
        let invocation = self.invocation(work);
        let Some(arguments) = invocation.version() else { return Ok(None) };
        let mut program = self.program(&invocation, arguments, &[]);
        program.limits.time = VERSION_TIME;
        program.limits.output = VERSION_BYTES;
        let output = self.run(&program).await?;
        let version: Version = from_strict_slice(&output.bytes)
            .map_err(|_| AdapterError::Version { scanner: self.kind().name() })?;
        let updated = version.database.and_then(|database| database.updated_at);
        let updated = updated.and_then(|text| text.parse().ok());
        Ok(Some((version.version, updated.filter(|at: &Timestamp| at.milliseconds() > 0))))
    }

    async fn look(&self, image: &Path, work: &Path) -> Result<Output, AdapterError> {
        let invocation = self.invocation(work);
        let arguments = invocation.scan(self.input(), image);
        self.run(&self.program(&invocation, arguments, &[image])).await
    }

    async fn run(&self, program: &Program) -> Result<Output, AdapterError> {
        let scanner = self.kind().name();
        self.launcher.run(program).await.map_err(|source| AdapterError::Program { scanner, source })
    }

    fn program(
        &self,
        invocation: &Invocation<'_>,
        arguments: Vec<OsString>,
        images: &[&Path],
    ) -> Program {
        let ScannerSettings { cache, timeout, memory, environment, .. } = &*self.settings;
        // What is always told comes last, and counts.
        let extra = environment.iter().map(|(name, value)| (name.into(), value.expose().into()));
        let certificates =
            environment.iter().filter(|(name, _)| CERTIFICATES.contains(&name.as_str()));
        let certificates = certificates.map(|(_, value)| PathBuf::from(value.expose()));
        let images = images.iter().map(|path| path.to_path_buf());
        Program {
            path: self.settings.program.clone(),
            arguments,
            environment: extra.chain(invocation.environment()).collect(),
            folder: invocation.folder.to_owned(),
            readable: cache.iter().cloned().chain(images).chain(certificates).collect(),
            writable: Vec::new(),
            connect: self.connect.clone(),
            limits: ProgramLimits {
                time: timeout.saturating_add(GRACE),
                processor: timeout.saturating_mul(PROCESSORS),
                memory: *memory,
                output: REPORT_BYTES_MAX,
                ..ProgramLimits::default()
            },
        }
    }

    /// Reads what it wrote, beside the runtime's workers.
    async fn read(
        &self,
        bytes: Vec<u8>,
        asked: Asked<'_>,
        at: Timestamp,
        version: Option<(String, Option<Timestamp>)>,
    ) -> Result<Reported, AdapterError> {
        let (kind, scanner) = (self.kind(), self.kind().name());
        let (manifest, config) = (*asked.manifest, asked.config.copied());
        let indexes: Vec<Digest> = asked.indexes.to_vec();
        let read = move || {
            let asked = Asked { manifest: &manifest, indexes: &indexes, config: config.as_ref() };
            match kind {
                ScannerKind::Grype => Reported::from_grype(&bytes, &asked, Some(at)),
                ScannerKind::Trivy => Reported::from_trivy(&bytes, &asked, Some(at)),
            }
        };
        let read = self.tasks.spawn_bulk_blocking(read).await;
        let read = read.map_err(|error| AdapterError::Work { scanner, source: error.into() })?;
        let reported = read.map_err(|source| AdapterError::Report { scanner, source })?;
        Ok(match version {
            Some((version, database)) => reported.by(scanner, &version, database),
            None => reported,
        })
    }
}

/// The port of a server's address.
fn port(server: &str) -> Option<u16> {
    let address: Uri = server.parse().ok()?;
    address.host().filter(|host| !host.is_empty())?;
    match (address.scheme_str()?, address.port_u16()) {
        ("http" | "https", Some(port)) => Some(port),
        ("http", None) => Some(80),
        ("https", None) => Some(443),
        _ => None,
    }
}
