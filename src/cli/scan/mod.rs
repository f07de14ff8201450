//! `pratique scan`: what is in an image and what is known against it, without a mirror.

pub(in crate::cli) mod look;
mod sarif;
mod shown;
#[cfg(test)]
mod tests;
mod vex;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::look::{Look, platform_here};
use self::shown::{ImageView, ScanView};
use super::{CliError, Connection, Exit, output};
use crate::config;
use crate::gate::Subject;
use crate::mirror::Mirror;
use crate::policy::ScanGate;
use crate::scan::{Finding, Fix, Severity};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// How much later than now a database may be, because another clock made it.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_hours(1);

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique db import Debian/all.zip Alpine/all.zip
  pratique scan docker.io/library/alpine:3.20
  pratique scan --fail-on high --only-fixed oci:build:1.4
      An OCI image layout in the folder `build`, before it is pushed.
  pratique scan --format sarif registry.corp:5000/app@sha256:... > app.sarif
  pratique scan --json IMAGE  |  jq '.images[].findings[].id'
  pratique scan --vex app.openvex.json IMAGE
      What the document says is not affected, or fixed, is shown and does not count.

What a policy would say of it: pratique verify IMAGE --policy FILE.

Exit codes: 0 done, 3 malware or something at or above --fail-on was found, or not everything could be
looked at (--allow-incomplete makes that 0), or the database is more than 5 days old
(--allow-old-database makes that 0), 2 not readable or no database, 64 wrong use.";

/// What is scanned, and how it is told.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
pub(crate) struct ScanArguments {
    /// An image by tag or digest, or an image layout: oci:FOLDER[:TAG|@DIGEST], the folder, or
    /// an archive of one, or of docker save (.tar, .tar.gz, .tar.zst)
    #[arg(value_name = "IMAGE|LAYOUT|TAR")]
    target: String,
    /// End with 3 when a finding is at least that bad
    #[arg(long, value_name = "SEVERITY", value_enum)]
    fail_on: Option<FailOn>,
    /// Show, and count for --fail-on, only findings that a newer version is without
    #[arg(long)]
    only_fixed: bool,
    /// End with 0 although something could not be read, or nothing is known about it
    #[arg(long)]
    allow_incomplete: bool,
    /// End with 0 although the database is too old to say much (more than 5 days)
    #[arg(long)]
    allow_old_database: bool,
    /// How it is told; --json is the same as --format json
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Believe this VEX document (OpenVEX or CycloneDX), signed or not; may be given several times
    #[arg(long = "vex", value_name = "FILE")]
    vex: Vec<PathBuf>,
    /// Compare with this database [default: that of the settings]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Of an index, scan the images for this platform; may be given several times [default: linux and
    /// the architecture of this machine]
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]")]
    platforms: Vec<String>,
    /// Of an index, scan every image
    #[arg(long, conflicts_with = "platforms")]
    all_platforms: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For code hosts (SARIF 2.1.0)
    Sarif,
}

/// Scans the image, prints what was found, and gives the code that it deserves.
///
/// # Errors
/// When it cannot be read, or there is no database.
pub(crate) async fn run(
    arguments: ScanArguments,
    connection: Connection,
) -> Result<ExitCode, CliError> {
    let mut settings = config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    if let Some(database) = &arguments.database {
        settings.scan.database = Some(database.clone());
    }
    let documents = vex::Files::read(&arguments.vex, SystemClock.now())?;
    let platforms = platforms(&arguments);
    let look = Look { target: &arguments.target, platforms: &platforms, settings };
    let scanned =
        Box::pin(look.with(async |mirror: &Mirror, subject| {
            inspect(mirror, &arguments.target, &subject).await
        }));
    let mut view = scanned.await?;
    narrow(&mut view, &arguments, SystemClock.now());
    view.hear(&documents);
    let format = if connection.json { Format::Json } else { arguments.format };
    match format {
        Format::Table => output::print(&shown::table(&view))?,
        Format::Json => output::print_json(&view)?,
        Format::Sarif => output::print_json(&sarif::log(&view))?,
    }
    Ok(exit(&view, &arguments).into())
}

async fn inspect(mirror: &Mirror, target: &str, subject: &Subject) -> Result<ScanView, CliError> {
    let inspected = mirror.inspect(subject).await.map_err(|error| {
        CliError::unreachable(format!("{target} was not scanned")).caused_by(error)
    })?;
    if inspected.is_empty() {
        let hint = "name one by --platform, or say --all-platforms";
        return Err(CliError::unreachable(format!(
            "{target} lists no image for the platform that is asked for; {hint}"
        )));
    }
    let images = inspected.into_iter().map(ImageView::from).collect();
    let (target, digest) = (target.to_owned(), subject.digest);
    Ok(ScanView { target, digest, images, vex_unused: Vec::new(), stale: None })
}

/// Leaves in `view` what is asked for, and says in it if the database is too old.
fn narrow(view: &mut ScanView, arguments: &ScanArguments, now: Timestamp) {
    if arguments.only_fixed {
        // Malware has no newer version that would be without it, and is what one wants to know first.
        view.keep(|finding| finding.malware || matches!(finding.fix, Fix::In(_)));
    }
    view.stale = stale(view, now);
}

/// Why the database says nothing of what is known today.
fn stale(view: &ScanView, now: Timestamp) -> Option<String> {
    let as_of =
        view.images.iter().filter_map(|image| Some(image.database.as_ref()?.as_of)).min()?;
    let most = ScanGate::DATABASE_AGE_MAX;
    if as_of > now.after(CLOCKS_DIFFER_MAX) {
        return Some(format!("the database is as of {as_of}, which is yet to come"));
    }
    let hours = most.as_secs() / 3600;
    (now.since(as_of) > most)
        .then(|| format!("the database is as of {as_of}, more than {hours} hours ago"))
}

/// The platforms whose images are scanned; none is all.
fn platforms(arguments: &ScanArguments) -> Vec<String> {
    if arguments.all_platforms {
        return Vec::new();
    }
    if !arguments.platforms.is_empty() {
        return arguments.platforms.clone();
    }
    vec![platform_here()]
}

fn exit(view: &ScanView, arguments: &ScanArguments) -> Exit {
    let least = arguments.fail_on.map(|fail_on| match fail_on {
        FailOn::Low => Severity::Low,
        FailOn::Medium => Severity::Medium,
        FailOn::High => Severity::High,
        FailOn::Critical => Severity::Critical,
    });
    // What nobody rates may be as bad as anything, and malware is bad whatever anybody says.
    let counts = |finding: &Finding| {
        let is_bad = |least| finding.severity.is_none_or(|severity| severity >= least);
        finding.malware || least.is_some_and(is_bad)
    };
    let is_bad = view.findings().any(counts);
    let is_open = view.images.iter().any(|image| !image.is_complete());
    let is_stale = view.stale.is_some() && !arguments.allow_old_database;
    if is_bad || is_stale || (is_open && !arguments.allow_incomplete) {
        Exit::Refused
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod endings {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::gate::ImageScan;
    use crate::mirror::Inspected;
    use crate::oci::Digest;
    use crate::scan::{DatabaseId, Gap, GapKind, Inventory, Package, PackageKind, Report};

    const NOW: &str = "2026-11-20T09:00:00Z";

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ScanArguments,
    }

    fn report(as_of: &str) -> Report {
        let database = DatabaseId { digest: Digest::sha256(b"db"), as_of: as_of.parse().unwrap() };
        let (findings, unmatched, gaps) = (Vec::new(), Vec::new(), Vec::new());
        let (exploited_as_of, likelihood_as_of) = (None, None);
        Report { database, exploited_as_of, likelihood_as_of, findings, unmatched, gaps }
    }

    fn finding(severity: Severity, malware: bool) -> Finding {
        Finding {
            id: "MAL-2026-1".to_owned(),
            aliases: Arc::default(),
            advisories: Vec::new(),
            package: Package::new(PackageKind::Npm, "left", "1.0.0", "package.json"),
            severity: Some(severity),
            score: None,
            fix: Fix::None,
            published: None,
            exploited: false,
            likelihood: None,
            malware,
            kernel_headers: false,
        }
    }

    /// The code, and the text, of a scan with this report.
    fn ended(report: Report, flags: &[&str]) -> (Exit, String) {
        let line = ["scan"].iter().chain(flags).chain(&["image"]);
        let arguments = Line::parse_from(line).arguments;
        let digest = Digest::sha256(b"image");
        let (inventory, report) = (Arc::new(Inventory::default()), Arc::new(report));
        let scan = ImageScan { inventory, report, attested: Arc::default() };
        let image = Inspected { digest, platform: None, scan: Some(scan), unread: Vec::new() };
        let images = vec![ImageView::from(image)];
        let (target, vex_unused) = ("image".to_owned(), Vec::new());
        let mut view = ScanView { target, digest, images, vex_unused, stale: None };
        narrow(&mut view, &arguments, NOW.parse().unwrap());
        (exit(&view, &arguments), shown::table(&view))
    }

    #[test]
    fn malware_counts_although_no_version_is_without_it() {
        for malware in [true, false] {
            let found = Report { findings: vec![finding(Severity::High, malware)], ..report(NOW) };
            let (code, text) = ended(found, &["--only-fixed", "--fail-on", "low"]);
            assert_eq!(code == Exit::Refused, malware, "{text}");
            assert_eq!(text.contains("MALWARE"), malware, "{text}");
        }
    }

    #[test]
    fn a_database_that_is_too_old_or_not_yet_made_says_nothing() {
        for (as_of, is_stale) in [
            (NOW, false),
            ("2026-11-15T10:00:00Z", false),
            ("2026-11-15T08:00:00Z", true),
            ("2020-01-01T00:00:00Z", true),
            ("2026-11-20T09:30:00Z", false),
            ("2099-01-01T00:00:00Z", true),
        ] {
            let (code, text) = ended(report(as_of), &[]);
            assert_eq!(code == Exit::Refused, is_stale, "{as_of}: {text}");
            assert_eq!(text.contains("TOO OLD"), is_stale, "{text}");
            assert!(ended(report(as_of), &["--allow-old-database"]).0 == Exit::Done, "{as_of}");
        }
    }

    #[test]
    fn a_report_that_was_cut_off_is_incomplete() {
        let text = "what is known is more than FINDINGS_MAX".to_owned();
        let gap = Gap { kind: GapKind::Limit, path: None, layer: None, text };
        let cut = || Report { gaps: vec![gap.clone()], ..report(NOW) };
        let (code, text) = ended(cut(), &[]);
        assert!(code == Exit::Refused && text.contains("NOT READ"), "{text}");
        assert!(ended(cut(), &["--allow-incomplete"]).0 == Exit::Done);
    }
}
