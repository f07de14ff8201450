//! The real Trivy, as it is run beside the mirror: with a database of its own form that is made up, so that
//! what it finds is known. `tests/adapters/run.sh` gets it and runs this; without it this does nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pratique::adapter::{
    AdapterError, CommandJob, CommandScanner, Prepared, ScannerInput, ScannerKind, ScannerSettings,
};
use pratique::program::Launcher;
use pratique::scan::{Asked, Fix, Reported, Severity};
use pratique::tasks::Tasks;
use pratique::time::SystemClock;
use tempfile::TempDir;

use crate::support::archive::{DEBIAN, tar};
use crate::support::layout::TestLayout;
use crate::support::upstream::{Artifact, Image};

/// Where the real program is, and the cache with the database that `tiny_db.py` has written.
fn real() -> Option<(PathBuf, PathBuf)> {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    Some((path("PRATIQUE_TRIVY")?, path("PRATIQUE_TRIVY_CACHE")?))
}

const STATUS: &[u8] = b"\
Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.11-1~deb12u2
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>\n
Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2
Maintainer: Matthias Klose <doko@debian.org>\n\n";
const METADATA: &[u8] = b"Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\n\n";

struct Rig {
    layout: TestLayout,
    image: Artifact,
    scratch: TempDir,
    settings: ScannerSettings,
}

impl Rig {
    /// A Debian with three packages, of which four vulnerabilities are known.
    fn new(input: ScannerInput) -> Option<Self> {
        let (program, cache) = real()?;
        let files: [(&str, &[u8]); 4] = [
            ("etc/os-release", DEBIAN),
            ("etc/debian_version", b"12.5\n"),
            ("var/lib/dpkg/status", STATUS),
            ("opt/app/requests-2.28.1.dist-info/METADATA", METADATA),
        ];
        let image = Image::new().layer(tar(&files)).build();
        let mut layout = TestLayout::new();
        layout.add("app", &image);
        let scratch = tempfile::tempdir().unwrap();
        let settings = ScannerSettings {
            kind: ScannerKind::Trivy,
            program,
            server: None,
            cache: Some(cache),
            scratch: scratch.path().to_owned(),
            timeout: Duration::from_mins(2),
            memory: 2 << 30,
            input,
            environment: Vec::new(),
        };
        Some(Self { layout, image, scratch, settings })
    }

    async fn scan(&self) -> Result<Reported, AdapterError> {
        let launcher = Launcher::by(Path::new(env!("CARGO_BIN_EXE_pratique")));
        let scanner = CommandScanner::new(
            self.settings.clone(),
            launcher,
            Tasks::new(),
            Arc::new(SystemClock),
        )?;
        let (manifest, config) = (self.image.digest(), self.image.config());
        let asked = Asked { manifest: &manifest, indexes: &[], config: Some(&config) };
        let bill = self.bill();
        let image = match self.settings.input {
            ScannerInput::Layout => Prepared::Layout(self.layout.path()),
            ScannerInput::Sbom => Prepared::Sbom(&bill),
        };
        scanner.scan(CommandJob { asked, image }).await
    }

    /// What this program writes as the image's bill of materials.
    fn bill(&self) -> Vec<u8> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pratique"));
        let platform = ["--platform", "linux/amd64"];
        let written = program.arg("sbom").args(platform).arg(self.layout.path()).output().unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        written.stdout
    }
}

/// What `tiny_db.py` knows of the image, by any way.
fn is_all(reported: &Reported) {
    let told = |it: &pratique::scan::Finding| {
        (it.id.clone(), it.package.name.clone(), it.severity, it.fix.clone())
    };
    let found: Vec<_> = reported.findings.iter().map(told).collect();
    let finding =
        |id: &str, name: &str, severity, fix| (id.to_owned(), name.to_owned(), Some(severity), fix);
    let fixed = |version: &str| Fix::In(version.to_owned());
    assert_eq!(
        found,
        [
            finding("CVE-2026-0001", "libssl3", Severity::Critical, fixed("3.0.13-1~deb12u1")),
            finding("CVE-2026-0002", "libssl3", Severity::High, fixed("3.0.11-1")),
            finding("CVE-2026-0004", "requests", Severity::Medium, fixed("2.31.0")),
            finding("CVE-2026-0003", "bash", Severity::Low, Fix::WillNot),
        ]
    );
    assert_eq!(reported.findings[0].score, Some(98));
    assert_eq!(reported.findings[0].advisories, ["DSA-9001-1"]);
    let source = reported.findings[0].package.source.as_ref().map(|source| source.name.as_str());
    assert_eq!(source, Some("openssl"));
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty(), "{reported:?}");
    assert_eq!(reported.database, Some("2026-11-19T06:00:00Z".parse().unwrap()));
    assert!(reported.scanner.starts_with("Trivy 0."), "{}", reported.scanner);
}

#[tokio::test]
async fn an_image_layout_is_looked_at_without_a_network() {
    let Some(rig) = Rig::new(ScannerInput::Layout) else { return };
    is_all(&rig.scan().await.unwrap());
}

#[tokio::test]
async fn a_bill_of_materials_gives_the_same() {
    let Some(rig) = Rig::new(ScannerInput::Sbom) else { return };
    is_all(&rig.scan().await.unwrap());
}

#[tokio::test]
async fn scans_beside_each_other_do_not_wait_for_each_other_or_fail() {
    let Some(rig) = Rig::new(ScannerInput::Layout) else { return };
    let (a, b, c) = tokio::join!(rig.scan(), rig.scan(), rig.scan());
    for reported in [a, b, c] {
        is_all(reported.as_ref().unwrap());
    }
}

#[tokio::test]
async fn without_a_database_there_is_no_report() {
    let Some(mut rig) = Rig::new(ScannerInput::Layout) else { return };
    let empty = tempfile::tempdir().unwrap();
    rig.settings.cache = Some(empty.path().to_owned());
    let error = rig.scan().await.unwrap_err();
    assert!(matches!(error, AdapterError::Program { .. }), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing was fetched");
}

#[tokio::test]
async fn an_image_of_a_distribution_that_it_does_not_know_is_not_clean() {
    let Some(mut rig) = Rig::new(ScannerInput::Layout) else { return };
    let files: [(&str, &[u8]); 2] =
        [("etc/os-release", b"ID=nobodys\nVERSION_ID=1\n"), ("var/lib/dpkg/status", STATUS)];
    rig.image = Image::new().layer(tar(&files)).build();
    rig.layout = TestLayout::new();
    rig.layout.add("app", &rig.image);
    let reported = rig.scan().await.unwrap();
    assert!(reported.findings.is_empty());
    assert_eq!(reported.unknown.len(), 1, "{reported:?}");
}

#[tokio::test]
async fn too_little_memory_or_time_is_an_error() {
    let Some(mut rig) = Rig::new(ScannerInput::Layout) else { return };
    rig.settings.memory = 8 << 20;
    let error = rig.scan().await.unwrap_err();
    assert!(matches!(error, AdapterError::Program { .. }), "{error}");
    assert_eq!(std::fs::read_dir(rig.scratch.path()).unwrap().count(), 0);
}

/// A Trivy server, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_server_compares_and_says_how_old_its_database_is() {
    let Some(mut rig) = Rig::new(ScannerInput::Layout) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let work = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([rig.settings.cache.as_ref().unwrap(), work.path()])
        .status();
    assert!(copied.unwrap().success());
    let cache = work.path().join(rig.settings.cache.as_ref().unwrap().file_name().unwrap());
    let mut server = Command::new(&rig.settings.program);
    server.args(["server", "--skip-db-update", "--listen", &address, "--cache-dir"]).arg(cache);
    server.current_dir(work.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(server.spawn().unwrap());
    for _ in 0..300 {
        if std::net::TcpStream::connect(&address).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.settings.cache = None;
    rig.settings.server = Some(format!("http://{address}"));
    for input in [ScannerInput::Layout, ScannerInput::Sbom] {
        rig.settings.input = input;
        is_all(&rig.scan().await.unwrap());
    }
    // A port that nobody listens on.
    rig.settings.server = Some("http://127.0.0.1:1".to_owned());
    rig.settings.timeout = Duration::from_secs(5);
    let error = rig.scan().await.unwrap_err();
    assert!(matches!(error, AdapterError::Program { .. }), "{error}");
}
