//! `pratique scan`: what is in an image and what is known against it, without a mirror.

pub(in crate::cli) mod look;
mod sarif;
mod shown;
#[cfg(test)]
mod tests;
mod vex;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::look::{Look, platform_here};
use self::shown::{ImageView, ScanView};
use super::{CliError, Connection, Exit, output};
use crate::config;
use crate::gate::Subject;
use crate::mirror::Mirror;
use crate::scan::{Finding, Fix, Severity};
use crate::time::{Clock as _, SystemClock};

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

Exit codes: 0 done, 3 something at or above --fail-on was found, or not everything could be looked at
(--allow-incomplete makes that 0), 2 not readable or no database, 64 wrong use.";

/// What is scanned, and how it is told.
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
    if arguments.only_fixed {
        view.keep(|finding| matches!(finding.fix, Fix::In(_)));
    }
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
    Ok(ScanView { target, digest, images, vex_unused: Vec::new() })
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
    if is_bad || (is_open && !arguments.allow_incomplete) { Exit::Refused } else { Exit::Done }
}
