//! How each scanner is called: the arguments and the environment that keep it from doing anything but
//! looking at what it is given.
//!
//! What older versions do not know is asked for by the environment, which they pass over.
//!
//! Spec: <https://trivy.dev/docs/latest/references/configuration/cli/trivy_image/>,
//! <https://trivy.dev/docs/latest/references/configuration/cli/trivy_sbom/>,
//! <https://oss.anchore.com/docs/reference/grype/configuration/>

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// Which scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScannerKind {
    /// Anchore's Grype, from 0.88 on (version 6 of its database).
    Grype,
    /// Aqua's Trivy, from 0.57 on.
    Trivy,
}

impl ScannerKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grype => "Grype",
            Self::Trivy => "Trivy",
        }
    }
}

/// What a scanner is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScannerInput {
    /// The image, as an OCI image layout: it finds the packages itself.
    Layout,
    /// Our bill of materials, as CycloneDX: it only says what is known against it.
    Sbom,
}

impl ScannerInput {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layout => "an image layout",
            Self::Sbom => "a bill of materials",
        }
    }
}

/// What a scanner is called with.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    pub(super) kind: ScannerKind,
    pub(super) server: Option<&'a str>,
    pub(super) cache: Option<&'a Path>,
    /// The folder that it works in; everything that it may leave behind is in it.
    pub(super) folder: &'a Path,
    pub(super) timeout: Duration,
    /// Memory that it may have, in bytes.
    pub(super) memory: u64,
}

/// How much of its memory a scanner's runtime should try to stay within, in per cent.
const SOFT_MEMORY_PERCENT: u64 = 85;

impl Invocation<'_> {
    /// The arguments for looking at the layout or the bill at `path`.
    pub(super) fn scan(&self, input: ScannerInput, path: &Path) -> Vec<OsString> {
        match self.kind {
            ScannerKind::Grype => {
                let scheme = match input {
                    ScannerInput::Layout => "oci-dir:",
                    ScannerInput::Sbom => "sbom:",
                };
                let mut source = OsString::from(scheme);
                source.push(path);
                vec![source, "--output".into(), "json".into(), "--quiet".into()]
            }
            ScannerKind::Trivy => self.trivy_scan(input, path),
        }
    }

    fn trivy_scan(&self, input: ScannerInput, path: &Path) -> Vec<OsString> {
        let mut all: Vec<OsString> = self.trivy_common();
        let target: [OsString; 2] = match input {
            ScannerInput::Layout => ["image".into(), join("--input=", path)],
            ScannerInput::Sbom => ["sbom".into(), path.into()],
        };
        all.extend(target);
        let fixed = [
            "--format=json",
            "--scanners=vuln",
            "--pkg-types=os,library",
            "--list-all-pkgs",
            // What would be left out is told then, and counts.
            "--show-suppressed",
            "--ignorefile=",
            "--exit-code=0",
            "--skip-db-update",
            "--skip-java-db-update",
            "--offline-scan",
        ];
        all.extend(fixed.map(OsString::from));
        all.push(format!("--timeout={}s", self.timeout.as_secs().max(1)).into());
        if let Some(server) = self.server {
            all.push(format!("--server={server}").into());
        }
        all
    }

    /// The arguments by which it tells its version and its database's age, where its report does not.
    pub(super) fn version(&self) -> Option<Vec<OsString>> {
        match (self.kind, self.server) {
            (ScannerKind::Trivy, None) => {
                let mut all = self.trivy_common();
                all.extend(["version", "--format=json"].map(OsString::from));
                Some(all)
            }
            (ScannerKind::Trivy, Some(_)) | (ScannerKind::Grype, _) => None,
        }
    }

    fn trivy_common(&self) -> Vec<OsString> {
        // Without a name there is no settings file, also not one of the working directory.
        let cache = self.cache.unwrap_or(self.folder);
        vec!["--quiet".into(), "--config=".into(), join("--cache-dir=", cache)]
    }

    /// All of its environment but what the settings add, which cannot change any of it.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let folder = || self.folder.as_os_str().to_owned();
        let soft = self.memory.saturating_mul(SOFT_MEMORY_PERCENT).div_euclid(100);
        let mut all: Vec<(OsString, OsString)> = vec![
            ("GOMEMLIMIT".into(), soft.to_string().into()),
            ("HOME".into(), folder()),
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("TMPDIR".into(), folder()),
            ("XDG_CACHE_HOME".into(), folder()),
            ("XDG_CONFIG_HOME".into(), folder()),
            ("XDG_DATA_HOME".into(), folder()),
        ];
        let fixed: &[(&str, &str)] = match self.kind {
            ScannerKind::Grype => &[
                ("GRYPE_ALERTS_ENABLE_EOL_DISTRO_WARNINGS", "true"),
                ("GRYPE_CHECK_FOR_APP_UPDATE", "false"),
                ("GRYPE_DB_AUTO_UPDATE", "false"),
                ("GRYPE_DB_REQUIRE_UPDATE_CHECK", "false"),
                // How old it may be is the policy's to say; its age is told.
                ("GRYPE_DB_VALIDATE_AGE", "false"),
                ("GRYPE_EXTERNAL_SOURCES_ENABLE", "false"),
                ("GRYPE_SHOW_SUPPRESSED", "true"),
                ("GRYPE_TIMESTAMP", "true"),
            ],
            ScannerKind::Trivy => &[
                // Scans beside each other would wait for the one file of the other kind.
                ("TRIVY_CACHE_BACKEND", "memory"),
                ("TRIVY_DISABLE_TELEMETRY", "true"),
                ("TRIVY_SKIP_VERSION_CHECK", "true"),
                ("TRIVY_SKIP_VEX_REPO_UPDATE", "true"),
            ],
        };
        all.extend(fixed.iter().map(|(name, value)| (OsString::from(*name), (*value).into())));
        if let (ScannerKind::Grype, Some(cache)) = (self.kind, self.cache) {
            all.push(("GRYPE_DB_CACHE_DIR".into(), cache.into()));
        }
        all
    }
}

fn join(option: &str, path: &Path) -> OsString {
    let mut all = OsString::from(option);
    all.push(path);
    all
}
