//! `pratique scan`: what is in an image and what is known against it, without a mirror.

mod sarif;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::shown::{ImageView, ScanView};
use super::verify::target::{self, Target};
use super::{CliError, Connection, Exit, output};
use crate::app::Bench;
use crate::config::{self, Settings};
use crate::gate::{ReadyPolicy, Subject};
use crate::layout::Layout;
use crate::mirror::Mirror;
use crate::oci::{ImageReference, Platform, Reference};
use crate::policy::{Policy, ScanGate};
use crate::scan::{Finding, Fix, Severity};
use crate::store::Keeping;
use crate::time::{Clock as _, SystemClock, Timestamp};

/// How long what is under way may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How much later than now a database may be, because another clock made it.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_hours(1);
/// The policy by which everything is looked at.
const HEAD: &str =
    "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: scan, revision: 1}\n";
const RULES: &str = "rules:\n- {id: everything, match: [\"**\"], trust: allow}\n";
/// What the image in a layout is called here: no registry is asked for it.
const LAYOUT_NAME: &str = "layout.invalid/image";

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique db import Debian/all.zip Alpine/all.zip
  pratique scan docker.io/library/alpine:3.20
  pratique scan --fail-on high --only-fixed oci:build:1.4
      An OCI image layout in the folder `build`, before it is pushed.
  pratique scan --format sarif registry.corp:5000/app@sha256:... > app.sarif
  pratique scan --json IMAGE  |  jq '.images[].findings[].id'

What a policy would say of it: pratique verify IMAGE --policy FILE.

Exit codes: 0 done, 3 malware or something at or above --fail-on was found, or not everything could be
looked at (--allow-incomplete makes that 0), or the database is more than 5 days old
(--allow-old-database makes that 0), 2 not readable or no database, 64 wrong use.";

/// What is scanned, and how it is told.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
pub(crate) struct ScanArguments {
    /// An image by tag or digest, or an image layout: oci:FOLDER[:TAG|@DIGEST], or the folder
    #[arg(value_name = "IMAGE|LAYOUT")]
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
    let policy = everything(&platforms(&arguments))?;
    let folder = tempfile::Builder::new()
        .prefix("pratique-scan-")
        .tempdir()
        .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
    settings.data_dir = folder.path().to_owned();
    (settings.store.dir, settings.store.keeping) = (folder.path().to_owned(), Keeping::default());
    let scanned = Box::pin(scan(&arguments, settings, policy)).await;
    folder.close().map_err(|error| {
        CliError::failed("the temporary folder was not removed").caused_by(error)
    })?;
    let mut view = scanned?;
    narrow(&mut view, &arguments, SystemClock.now());
    let format = if connection.json { Format::Json } else { arguments.format };
    match format {
        Format::Table => output::print(&shown::table(&view))?,
        Format::Json => output::print_json(&view)?,
        Format::Sarif => output::print_json(&sarif::log(&view))?,
    }
    Ok(exit(&view, &arguments).into())
}

async fn scan(
    arguments: &ScanArguments,
    settings: Settings,
    policy: ReadyPolicy,
) -> Result<ScanView, CliError> {
    let layout_name = [LAYOUT_NAME.to_owned()];
    let target = [arguments.target.clone()];
    let is_layout = target::is_layout(&arguments.target);
    let names = if is_layout { &layout_name[..] } else { &[] };
    let target = target::read(&target, names)?.pop();
    let Some(target) = target else { return Err(CliError::misused("name an image")) };
    let layout = match &target {
        Target::Layout { path, .. } => Some(Arc::new(Layout::open(path).map_err(|error| {
            CliError::unreachable("the layout could not be read").caused_by(error)
        })?)),
        Target::Image { .. } => None,
    };
    let digest = match (&target, &layout) {
        (Target::Layout { which, .. }, Some(layout)) => {
            Some(layout.select(which).map_err(|error| {
                CliError::unreachable("the layout could not be read").caused_by(error)
            })?)
        }
        (Target::Layout { .. } | Target::Image { .. }, _) => None,
    };
    let bench = Bench::set_up(settings, policy, layout)
        .await
        .map_err(|error| CliError::failed("could not be set up").caused_by(error))?;
    let looking = async {
        let subject = match (target, digest) {
            (Target::Layout { name, .. }, Some(digest)) => Subject { name, digest },
            (Target::Image { image, .. }, _) => resolved(bench.mirror(), &image).await?,
            (Target::Layout { .. }, None) => return Err(CliError::misused("name an image")),
        };
        inspect(bench.mirror(), &arguments.target, &subject).await
    };
    let outcome =
        Box::pin(output::with_progress(&arguments.target, "reading", Box::pin(looking))).await;
    bench.clear(GRACE).await;
    outcome
}

async fn resolved(mirror: &Mirror, image: &ImageReference) -> Result<Subject, CliError> {
    let reference = match (&image.digest, &image.tag) {
        (Some(digest), _) => Reference::Digest(*digest),
        (None, Some(tag)) => Reference::Tag(tag.clone()),
        (None, None) => return Err(CliError::misused(format!("{image}: give a tag or a digest"))),
    };
    let digest = mirror.resolve(&image.name, &reference).await.map_err(|error| {
        CliError::unreachable(format!("{image} could not be had")).caused_by(error)
    })?;
    Ok(Subject { name: image.name.clone(), digest })
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
    Ok(ScanView { target: target.to_owned(), digest: subject.digest, images, stale: None })
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
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    vec![format!("linux/{architecture}")]
}

/// A policy by which every image is looked at, of these platforms only if some are named.
fn everything(platforms: &[String]) -> Result<ReadyPolicy, CliError> {
    let parsed: Result<Vec<Platform>, _> = platforms.iter().map(|text| text.parse()).collect();
    let parsed = parsed.map_err(|error| CliError::misused("--platform").caused_by(error))?;
    let listed: Vec<String> = parsed.iter().map(ToString::to_string).collect();
    let floor = match listed.as_slice() {
        [] => String::new(),
        listed => format!("floor: {{platforms: [{}]}}\n", listed.join(", ")),
    };
    let text = format!("{HEAD}{floor}{RULES}");
    let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let policy = Policy::parse(&text, &no_files).and_then(ReadyPolicy::new);
    policy.map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CliError::misused(format!("--platform: {}", texts.join("; ")))
    })
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
mod tests {
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
        let scan =
            ImageScan { inventory: Arc::new(Inventory::default()), report: Arc::new(report) };
        let image = Inspected { digest, platform: None, scan: Some(scan), unread: Vec::new() };
        let images = vec![ImageView::from(image)];
        let mut view = ScanView { target: "image".to_owned(), digest, images, stale: None };
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
