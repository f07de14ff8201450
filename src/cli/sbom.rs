//! `pratique sbom`: what is in an image, for other programs.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::scan::look::{Look, platform_here};
use super::verify::target;
use super::{CliError, Connection, Exit, output};
use crate::config;
use crate::gate::Subject;
use crate::mirror::{Mirror, ReadImage};
use crate::oci::Platform;
use crate::scan::{Sbom, SbomFormat};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Largest bill that is written, in bytes: far above that of as many packages as are read.
const BILL_BYTES_MAX: usize = 1 << 30;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique sbom docker.io/library/alpine:3.20 > alpine.cdx.json
  pratique sbom --format spdx -o app.spdx.json oci:build:1.4
      An OCI image layout in the folder `build`, before it is pushed.
  pratique sbom --platform linux/arm64 registry.corp:5000/app@sha256:...
  pratique sbom IMAGE  |  jq -r '.components[].purl'

No vulnerability database is needed: what is known against it, pratique scan IMAGE says.

Exit codes: 0 done, 3 written, but not everything could be read (--allow-incomplete makes that 0),
2 not readable, 64 wrong use.";

/// Of what a bill is made, and in which form.
#[derive(Debug, Args)]
pub(crate) struct SbomArguments {
    /// An image by tag or digest, or an image layout: oci:FOLDER[:TAG|@DIGEST], the folder, or
    /// an archive of one, or of docker save (.tar, .tar.gz, .tar.zst)
    #[arg(value_name = "IMAGE|LAYOUT|TAR")]
    target: String,
    /// The form in which it is written
    #[arg(long, value_enum, default_value_t = Format::Cyclonedx)]
    format: Format,
    /// Of an index, the image for this platform [default: linux and the architecture of this machine]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Write it into this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End with 0 although something of the image could not be read; the bill says so all the same
    #[arg(long)]
    allow_incomplete: bool,
    /// When it says that it was made: with a time of your own, the same image gives the same bytes
    /// [default: now]
    #[arg(long, value_name = "TIME")]
    created: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// CycloneDX 1.6, as JSON
    Cyclonedx,
    /// SPDX 2.3, as JSON
    Spdx,
}

/// Reads the image and writes its bill of materials.
///
/// # Errors
/// When it cannot be read or written, or is more than one image.
pub(crate) async fn run(
    arguments: SbomArguments,
    connection: Connection,
) -> Result<ExitCode, CliError> {
    let mut settings = config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    // Nothing is compared with it.
    settings.scan.database = None;
    let platform = arguments.platform.as_ref().map_or_else(platform_here, ToString::to_string);
    let platforms = [platform];
    let look = Look { target: &arguments.target, platforms: &platforms, settings };
    let bill = Box::pin(look.with(async |mirror: &Mirror, subject| {
        let images = images(mirror, &arguments.target, &subject).await?;
        let image = the_one(images, &arguments)?;
        bill(&image, &subject, &arguments)
    }));
    let Bill { document, gaps } = bill.await?;
    match &arguments.output {
        Some(path) => write(path, &document)?,
        None => output::print(&document)?,
    }
    if gaps == 0 {
        return Ok(Exit::Done.into());
    }
    let target = &arguments.target;
    output::message(&format!("{target}: {gaps} things could not be read, which the bill tells"));
    let exit = if arguments.allow_incomplete { Exit::Done } else { Exit::Refused };
    Ok(exit.into())
}

/// A document, and how many things could not be read.
struct Bill {
    document: String,
    gaps: usize,
}

async fn images(
    mirror: &Mirror,
    target: &str,
    subject: &Subject,
) -> Result<Vec<ReadImage>, CliError> {
    mirror
        .read_images(subject)
        .await
        .map_err(|error| CliError::unreachable(format!("{target} was not read")).caused_by(error))
}

/// The one image that is meant.
fn the_one(images: Vec<ReadImage>, arguments: &SbomArguments) -> Result<ReadImage, CliError> {
    let target = &arguments.target;
    let shown = |image: &ReadImage| {
        image.platform.as_ref().map_or_else(|| image.digest.short(), ToString::to_string)
    };
    let names: Vec<String> = images.iter().map(shown).collect();
    let mut images = images.into_iter();
    let (Some(image), None) = (images.next(), images.next()) else {
        return Err(match names.as_slice() {
            [] => CliError::unreachable(format!(
                "{target} lists no image for the platform that is asked for; name one by --platform"
            )),
            names => CliError::misused(format!(
                "{target} lists several images for that platform: {}; name one by --platform, or its digest",
                names.join(", ")
            )),
        });
    };
    if let (Some(wanted), Some(is)) = (&arguments.platform, &image.platform)
        && !wanted.covers(is)
    {
        return Err(CliError::unreachable(format!("{target} is for {is}, and not for {wanted}")));
    }
    Ok(image)
}

fn bill(image: &ReadImage, subject: &Subject, arguments: &SbomArguments) -> Result<Bill, CliError> {
    let target = &arguments.target;
    let Some((_, inventory)) = &image.inventory else {
        let why = image.unread.join("; ");
        return Err(CliError::unreachable(format!("{target} was not read: {why}")));
    };
    let format = match arguments.format {
        Format::Cyclonedx => SbomFormat::CycloneDx,
        Format::Spdx => SbomFormat::Spdx,
    };
    let bill = Sbom {
        // The image in a folder is in no repository.
        name: (!target::is_layout(target)).then_some(&subject.name),
        digest: image.digest,
        platform: image.platform.as_ref(),
        inventory,
        at: arguments.created.unwrap_or_else(|| SystemClock.now()),
    };
    let document = bill.to_bytes(format, BILL_BYTES_MAX).and_then(|it| String::from_utf8(it).ok());
    let too_large = || format!("{target}: its bill would be larger than {BILL_BYTES_MAX} bytes");
    let document = document.ok_or_else(|| CliError::failed(too_large()))?;
    Ok(Bill { document, gaps: inventory.gaps.len() })
}

/// Puts `document` at `path` in one step: nobody reads half of it.
fn write(path: &Path, document: &str) -> Result<(), CliError> {
    let placed = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        let beside = builder.prefix(".sbom-").permissions(permissions());
        let mut file = beside.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(document.as_bytes())?;
        file.write_all(b"\n")?;
        file.persist(path)?;
        Ok(())
    };
    placed().map_err(|error| {
        CliError::failed(format!("{} was not written", path.display())).caused_by(error)
    })
}

/// Those of files that are meant to be read by others, the mask of the process put aside.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
