//! Scanners that are programs of their own: what they are told, and what is made of what they say. The
//! scanners are small shell scripts; `tests/adapters/run.sh` does the same with the real Trivy.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pratique::adapter::{
    AdapterError, CommandJob, CommandScanner, Prepared, ScannerInput, ScannerKind, ScannerSettings,
};
use pratique::oci::{Digest, Secret};
use pratique::program::Launcher;
use pratique::scan::{Asked, ReportError, Reported};
use pratique::tasks::Tasks;
use pratique::time::{ManualClock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Rig {
    folder: TempDir,
    settings: ScannerSettings,
    manifest: Digest,
    config: Digest,
}

impl Rig {
    /// A scanner that does `script`, in a shell.
    fn new(kind: ScannerKind, input: ScannerInput, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["layout", "scratch", "cache"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let settings = ScannerSettings {
            kind,
            program: at("scanner"),
            server: None,
            cache: Some(at("cache")),
            scratch: at("scratch"),
            timeout: Duration::from_secs(30),
            memory: 1 << 30,
            input,
            environment: Vec::new(),
        };
        write_program(&settings.program, &format!("#!/bin/sh\n{script}\n"));
        let (manifest, config) = (Digest::sha256(b"manifest"), Digest::sha256(b"config"));
        Self { folder, settings, manifest, config }
    }

    /// A Trivy that says `report`, and as of when its database is.
    fn trivy(report: &Value) -> Self {
        let version =
            json!({"Version": "0.76.0", "VulnerabilityDB": {"UpdatedAt": "2026-11-19T00:00:00Z"}});
        Self::trivy_of(&version, report)
    }

    fn trivy_of(version: &Value, report: &Value) -> Self {
        let script = format!(
            "case \"$*\" in *version*) cat <<'EOF'\n{version}\nEOF\n;; *) cat <<'EOF'\n{report}\nEOF\n;; esac"
        );
        Self::new(ScannerKind::Trivy, ScannerInput::Layout, &script)
    }

    fn scanner(&self) -> CommandScanner {
        let launcher = Launcher::by(Path::new(env!("CARGO_BIN_EXE_pratique")));
        let clock = Arc::new(ManualClock::at(now()));
        CommandScanner::new(self.settings.clone(), launcher, Tasks::new(), clock).unwrap()
    }

    async fn scan_of(&self, image: Prepared<'_>) -> Result<Reported, AdapterError> {
        let asked = Asked { manifest: &self.manifest, indexes: &[], config: Some(&self.config) };
        self.scanner().scan(CommandJob { asked, image }).await
    }

    async fn scan(&self) -> Result<Reported, AdapterError> {
        self.scan_of(Prepared::Layout(&self.folder.path().join("layout"))).await
    }

    /// Waits until nothing is left of any scan.
    async fn is_clean(&self) {
        let left = || std::fs::read_dir(&self.settings.scratch).unwrap().count();
        for _ in 0..500 {
            if left() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} folders are left", left());
    }
}

/// Writes a program by way of another process: one that this process has open for writing while another
/// test starts something could not be run.
pub(crate) fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn trivy_report() -> Value {
    json!({
        "SchemaVersion": 2, "ArtifactType": "container_image", "CreatedAt": "2020-01-01T00:00:00Z",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12"},
            "ImageID": Digest::sha256(b"config").to_string()
        },
        "Results": [{"Class": "os-pkgs", "Type": "debian", "Packages": [{"ID": "a@1"}], "Vulnerabilities": [
            {"VulnerabilityID": "CVE-2026-1", "PkgName": "a", "InstalledVersion": "1", "Severity": "HIGH"}
        ]}]
    })
}

fn grype_report(id: &str) -> Value {
    json!({
        "matches": [{"vulnerability": {"id": id, "severity": "High"},
            "artifact": {"name": "a", "version": "1", "type": "deb"}}],
        "source": {"type": "image", "target": {"manifestDigest": Digest::sha256(b"manifest").to_string()}},
        "distro": {"name": "debian"},
        "descriptor": {"name": "grype", "version": "0.100.0",
            "db": {"status": {"built": "2026-11-18T00:00:00Z", "valid": true}}}
    })
}

#[tokio::test]
async fn what_trivy_says_is_heard_with_its_version_and_its_databases_age() {
    let rig = Rig::trivy(&trivy_report());
    let reported = rig.scan().await.unwrap();
    assert_eq!(reported.scanner, "Trivy 0.76.0");
    assert_eq!(reported.database, Some("2026-11-19T00:00:00Z".parse().unwrap()));
    assert_eq!(reported.at, now(), "by our clock, and not by what the report says");
    assert_eq!(reported.findings[0].id, "CVE-2026-1");
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty());
    rig.is_clean().await;
}

#[tokio::test]
async fn a_database_whose_age_trivy_does_not_tell_has_none() {
    for version in [
        json!({"Version": "0.76.0"}),
        json!({"Version": "0.76.0", "VulnerabilityDB": {"UpdatedAt": "0001-01-01T00:00:00Z"}}),
        json!({"Version": "0.76.0", "VulnerabilityDB": null}),
    ] {
        assert_eq!(Rig::trivy_of(&version, &trivy_report()).scan().await.unwrap().database, None);
    }
    let error = Rig::trivy_of(&json!([1]), &trivy_report()).scan().await.unwrap_err();
    assert!(matches!(error, AdapterError::Version { scanner: "Trivy" }), "{error}");
}

#[tokio::test]
async fn what_grype_says_is_heard() {
    let script = format!("cat <<'EOF'\n{}\nEOF", grype_report("CVE-2026-1"));
    let rig = Rig::new(ScannerKind::Grype, ScannerInput::Layout, &script);
    let reported = rig.scan().await.unwrap();
    assert_eq!((reported.scanner.as_str(), reported.at), ("Grype 0.100.0", now()));
    assert_eq!(reported.database, Some("2026-11-18T00:00:00Z".parse().unwrap()));
    assert_eq!(reported.findings[0].id, "CVE-2026-1");
}

/// All that a scanner of this kind is called with, and its environment.
async fn told(rig: &Rig) -> String {
    let image = rig.folder.path().join("layout");
    let image = match rig.settings.input {
        ScannerInput::Layout => Prepared::Layout(&image),
        ScannerInput::Sbom => Prepared::Sbom(b"{}"),
    };
    let error = rig.scan_of(image).await.unwrap_err();
    let AdapterError::Program { source, .. } = error else { panic!("{error}") };
    source.to_string()
}

const TELL: &str = "case \"$*\" in *version*) echo '{\"Version\":\"1\"}' ;; *) { echo \"[$*]\"; env | sort; } >&2; exit 1 ;; esac";

#[tokio::test]
async fn trivy_is_told_to_fetch_nothing_and_to_leave_nothing_out() {
    let mut rig = Rig::new(ScannerKind::Trivy, ScannerInput::Layout, TELL);
    let setting = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    rig.settings.environment = vec![
        setting("TRIVY_CACHE_BACKEND", "redis://x"),
        setting("HOME", "/root"),
        setting("ONE", "1"),
    ];
    let told = told(&rig).await;
    let place = |name: &str| rig.folder.path().join(name).display().to_string();
    for part in [
        "--config= ",
        " image --input=",
        " --skip-db-update",
        " --skip-java-db-update",
        " --offline-scan",
        " --show-suppressed",
        " --ignorefile= ",
        " --scanners=vuln",
        " --format=json",
        " TRIVY_CACHE_BACKEND=memory ",
        " TRIVY_SKIP_VERSION_CHECK=true",
        " TRIVY_DISABLE_TELEMETRY=true",
        " ONE=1 ",
        &format!("--cache-dir={} ", place("cache")),
        &format!("--input={} ", place("layout")),
        &format!("HOME={}", place("scratch")),
        &format!("TMPDIR={}", place("scratch")),
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!told.contains("redis") && !told.contains("HOME=/root"), "{told}");
    rig.is_clean().await;
}

#[tokio::test]
async fn grype_is_told_to_fetch_nothing() {
    let mut rig = Rig::new(ScannerKind::Grype, ScannerInput::Layout, TELL);
    rig.settings.environment = vec![("GRYPE_DB_AUTO_UPDATE".to_owned(), Secret::new("true"))];
    let told = told(&rig).await;
    for part in [
        "[oci-dir:/",
        " --output json --quiet]",
        " GRYPE_DB_AUTO_UPDATE=false ",
        " GRYPE_CHECK_FOR_APP_UPDATE=false ",
        &format!(" GRYPE_DB_CACHE_DIR={} ", rig.folder.path().join("cache").display()),
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    rig.settings.input = ScannerInput::Sbom;
    let told = self::told(&rig).await;
    assert!(told.contains("[sbom:/") && told.contains("/bom.cdx.json "), "{told}");
}

#[tokio::test]
async fn a_bill_of_materials_is_there_to_read_and_gone_afterwards() {
    let report = grype_report("CVE-BILL");
    let script = format!("sed \"s/CVE-BILL/$(cat \"${{1#sbom:}}\")/\" <<'EOF'\n{report}\nEOF");
    let rig = Rig::new(ScannerKind::Grype, ScannerInput::Sbom, &script);
    let reported = rig.scan_of(Prepared::Sbom(b"CVE-2026-77")).await.unwrap();
    assert_eq!(reported.findings[0].id, "CVE-2026-77");
    rig.is_clean().await;
    let error = rig.scan().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Grype is set up to be given a bill of materials, and was given something else"
    );
}

#[tokio::test]
async fn what_is_no_report_of_this_image_is_an_error() {
    let mut other = trivy_report();
    other["Metadata"]["ImageID"] = json!(Digest::sha256(b"other").to_string());
    let error = Rig::trivy(&other).scan().await.unwrap_err();
    let is_other = |error: &AdapterError| {
        matches!(error, AdapterError::Report { source: ReportError::OtherImage { .. }, .. })
    };
    assert!(is_other(&error), "{error}");
    for text in ["", "FATAL", "{}", "null"] {
        let script = format!("echo '{text}'");
        let rig = Rig::new(ScannerKind::Grype, ScannerInput::Layout, &script);
        let error = rig.scan().await.unwrap_err();
        assert!(matches!(error, AdapterError::Report { .. }), "{error}");
        rig.is_clean().await;
    }
    // A whole report, and an end that is no good one.
    let script =
        format!("cat <<'EOF'\n{}\nEOF\necho trouble >&2; exit 2", grype_report("CVE-2026-1"));
    let error =
        Rig::new(ScannerKind::Grype, ScannerInput::Layout, &script).scan().await.unwrap_err();
    assert!(matches!(error, AdapterError::Program { .. }), "{error}");
}

#[tokio::test]
async fn a_scan_that_nobody_waits_for_any_more_leaves_nothing() {
    let rig =
        Rig::new(ScannerKind::Grype, ScannerInput::Layout, "touch \"$HOME/began\"; sleep 300");
    let began = || {
        let mut scans = std::fs::read_dir(&rig.settings.scratch).unwrap();
        scans.any(|scan| scan.unwrap().path().join("work/began").exists())
    };
    let waiting = async {
        while !began() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = rig.scan() => panic!("{ended:?}"),
        () = waiting => {}
    }
    rig.is_clean().await;
}

#[tokio::test]
async fn the_database_is_only_read() {
    let rig = Rig::new(
        ScannerKind::Grype,
        ScannerInput::Layout,
        "echo x >\"$GRYPE_DB_CACHE_DIR/x\"; exit 0",
    );
    std::fs::write(rig.settings.cache.as_ref().unwrap().join("y"), "").unwrap();
    assert!(rig.scan().await.is_err());
    assert!(!rig.settings.cache.as_ref().unwrap().join("x").exists());
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let rig = Rig::trivy(&trivy_report());
    let refused = |change: &dyn Fn(&mut ScannerSettings)| {
        let mut settings = rig.settings.clone();
        change(&mut settings);
        let clock = Arc::new(ManualClock::at(now()));
        let made = CommandScanner::new(settings, Launcher::own(), Tasks::new(), clock);
        made.err().map(|error| error.to_string().split(':').next().unwrap().to_owned())
    };
    let server =
        |text: &'static str| refused(&move |settings| settings.server = Some(text.to_owned()));
    assert_eq!(server("http://trivy:4954"), None);
    assert_eq!(server("https://trivy.example"), None);
    for wrong in ["trivy:4954", "trivy", "", "ftp://trivy:1", "http://:80", "/x"] {
        assert_eq!(server(wrong).as_deref(), Some("server"), "{wrong}");
    }
    let of_grype = |settings: &mut ScannerSettings| {
        settings.kind = ScannerKind::Grype;
        settings.server = Some("http://x:1".to_owned());
    };
    assert_eq!(refused(&of_grype).as_deref(), Some("server"));
    let relative = |settings: &mut ScannerSettings| settings.program = PathBuf::from("trivy");
    assert_eq!(refused(&relative).as_deref(), Some("program"));
}
