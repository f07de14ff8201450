//! `pratique preload save`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::archive::{self, Contents, IMAGES_MAX, Progress, Source, SourceSettings, Writer, pull};
use crate::cli::scan::look::platform_here;
use crate::cli::{CliError, Exit, output};
use crate::node::{Endpoint, Kit, kit};
use crate::oci::{ImageReference, Platform, Reference};
use crate::tasks::Tasks;
use crate::text::{bytes, count};
use crate::time::SystemClock;

/// Largest list of images, in bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;
/// Most problems of a list that are told.
const TOLD_MAX: usize = 20;

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique preload save --from https://mirror.example:5000 --ca ca.crt --images bring-up.txt -o set
  pratique preload save --images bring-up.txt -o set
      On a node: from the mirror that /etc/pratique/node.toml names.
  pratique preload save --from URL -o set --platform linux/amd64 registry.k8s.io/pause:3.10

The list has one image a line, as pods name it; # begins a comment. Only what the mirror serves now
can be in the set. The same command again fetches only what is missing or damaged, and brings tags
up to date. A run that was ended leaves what preload verify calls unfinished, until it is run again:
copy what is whole.

Exit codes: 0 saved, 2 not fetched or not written, 3 the mirror refuses an image, 64 wrong use.";

/// What to save, from where, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct SaveArguments {
    /// The mirror as nodes reach it, https://host:port [default: that of /etc/pratique/node.toml]
    #[arg(long, value_name = "URL")]
    from: Option<Endpoint>,
    /// A PEM file with the authority of the mirror's certificate [default: that of node.toml]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with one image a line; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "named")]
    images: Option<PathBuf>,
    /// More images, by tag or digest
    #[arg(value_name = "IMAGE")]
    named: Vec<String>,
    /// A platform whose images are saved; may be repeated [default: linux and the architecture of this
    /// machine]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// The folder of the set
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Print nothing but the result
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Saved<'a> {
    folder: &'a Path,
    platforms: Vec<String>,
    images: Vec<SavedImage>,
    blobs: usize,
    bytes: u64,
    fetched_bytes: u64,
    kept_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct SavedImage {
    pub(super) names: Vec<String>,
    pub(super) digest: String,
    pub(super) platforms: Vec<String>,
    pub(super) bytes: u64,
}

/// Saves the images.
///
/// # Errors
/// When arguments cannot be used, the mirror refuses or lacks an image, or the folder cannot be written.
pub(super) async fn run(arguments: SaveArguments, json: bool) -> Result<ExitCode, CliError> {
    let images = list(&arguments)?;
    let settings = source(&arguments, &images)?;
    let platforms = if arguments.platform.is_empty() {
        let here = platform_here().parse().map_err(CliError::misused)?;
        vec![here]
    } else {
        arguments.platform.clone()
    };
    let tasks = Tasks::new();
    let source = Source::new(&settings, &tasks, Arc::new(SystemClock))
        .map_err(|error| CliError::misused("the mirror cannot be asked").caused_by(error))?;
    let writer = Writer::open(&arguments.output).map_err(told)?;
    let progress = Progress::default();
    let doing = || {
        let (done, came) = (progress.images(), bytes(progress.fetched()));
        format!("save: {done} of {} images, {came} fetched", images.len())
    };
    let work = Box::pin(all(&source, &writer, &images, &platforms, &progress));
    let listed =
        if arguments.quiet { work.await? } else { output::while_told(doing, work).await? };
    // Everything is hashed once more, from the disk.
    let finished = tokio::task::block_in_place(|| writer.finish(&listed, &platforms));
    let contents = finished.map_err(told)?;
    if json {
        output::print_json(&view(&arguments.output, &contents, &progress))?;
    } else {
        output::print(&shown(&arguments.output, &contents, &progress))?;
    }
    Ok(Exit::Done.into())
}

/// Every image with each name under which pods may ask for it.
async fn all(
    source: &Source,
    writer: &Writer,
    images: &[ImageReference],
    platforms: &[Platform],
    progress: &Progress,
) -> Result<Vec<(String, crate::oci::Descriptor)>, CliError> {
    let mut listed: Vec<(String, crate::oci::Descriptor)> = Vec::new();
    for image in images {
        let pulled = pull(source, writer, image, platforms, progress).await.map_err(told)?;
        // By its digest, too: that is what pods name whose tag was pinned. A tag beside a digest is not a
        // name, because nobody was asked what it means.
        let by_digest = format!("{}@{}", image.name, pulled.descriptor.digest);
        let by_tag = match image.reference() {
            Reference::Tag(tag) => Some(format!("{}:{tag}", image.name)),
            Reference::Digest(_) => None,
        };
        for name in by_tag.into_iter().chain([by_digest]) {
            if !listed.iter().any(|(known, _)| *known == name) {
                listed.push((name, pulled.descriptor.clone()));
            }
        }
    }
    Ok(listed)
}

/// The images that are named, each once; every mistake at once.
fn list(arguments: &SaveArguments) -> Result<Vec<ImageReference>, CliError> {
    let text = arguments.images.as_deref().map_or(Ok(String::new()), read)?;
    let file = arguments.images.as_deref().map(|path| path.display().to_string());
    let of_file = text.lines().enumerate().map(|(number, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (format!("{}:{}", file.as_deref().unwrap_or_default(), number + 1), line)
    });
    let of_flags = arguments.named.iter().map(|text| ("command line".to_owned(), text.trim()));
    let (mut images, mut problems) = (Vec::new(), Vec::new());
    for (place, text) in of_file.chain(of_flags).filter(|(_, text)| !text.is_empty()) {
        match text.parse::<ImageReference>() {
            Ok(image) if images.contains(&image) => {}
            Ok(image) => images.push(image),
            Err(error) => problems.push(format!("{place}  {text:?}: {error}")),
        }
    }
    if !problems.is_empty() {
        problems.truncate(TOLD_MAX);
        let text = format!("what to save cannot be read\n  {}", problems.join("\n  "));
        return Err(CliError::misused(text));
    }
    match images.len() {
        0 => Err(CliError::misused("no image is named; write one a line, as pods name it")),
        1..=IMAGES_MAX => Ok(images),
        _ => Err(CliError::misused(format!("more than {IMAGES_MAX} images are named"))),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error| {
        CliError::unreachable(format!("{} cannot be read", path.display())).caused_by(error)
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LIST_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(LIST_BYTES_MAX + 1).read_to_string(&mut text))
    };
    let read = read.map_err(failed)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > LIST_BYTES_MAX {
        let text = format!("{} is larger than {LIST_BYTES_MAX} bytes", path.display());
        return Err(CliError::misused(text));
    }
    Ok(text)
}

/// The mirror that is named, or the node's own.
fn source(
    arguments: &SaveArguments,
    images: &[ImageReference],
) -> Result<SourceSettings, CliError> {
    let kit = if arguments.from.is_none() {
        Kit::read(Path::new(kit::FILE))
            .map_err(|error| CliError::misused("the node's mirror is not known").caused_by(error))?
    } else {
        None
    };
    let of_kit = kit.as_ref().and_then(|kit| kit.mirrors.first());
    let Some(mirror) = arguments.from.as_ref().or(of_kit) else {
        return Err(CliError::misused("from which mirror? say --from https://HOST:PORT"));
    };
    let ca = arguments.ca.clone().or_else(|| kit.as_ref().and_then(|kit| kit.ca.clone()));
    if mirror.is_plain() && ca.is_some() {
        return Err(CliError::misused("--ca belongs to an https mirror"));
    }
    let mut registries = Vec::new();
    for image in images {
        if !registries.contains(image.name.registry()) {
            registries.push(image.name.registry().clone());
        }
    }
    let (url, is_plain) = (mirror.url().to_owned(), mirror.is_plain());
    Ok(SourceSettings { url, is_plain, ca, registries })
}

/// A refusal is an answer; everything else that did not come, or could not be written, is trouble.
fn told(error: archive::Error) -> CliError {
    match &error {
        archive::Error::Refused { .. } | archive::Error::Absent { .. } => {
            CliError::refused("nothing was listed")
        }
        archive::Error::NotOurs { .. } | archive::Error::Platform { .. } => {
            CliError::misused("nothing was saved")
        }
        archive::Error::AbsentPart { .. }
        | archive::Error::Busy { .. }
        | archive::Error::Content { .. }
        | archive::Error::Fetch { .. }
        | archive::Error::Incomplete(_)
        | archive::Error::Layout(_)
        | archive::Error::Manifest { .. }
        | archive::Error::Send(_)
        | archive::Error::TooMany { .. }
        | archive::Error::Write { .. } => {
            CliError::unreachable("not saved; the same command goes on where this one ended")
        }
    }
    .caused_by(error)
}

pub(super) fn images(contents: &Contents) -> Vec<SavedImage> {
    let image = |image: &archive::Image| SavedImage {
        names: image.names.clone(),
        digest: image.descriptor.digest.to_string(),
        platforms: image.platforms.iter().map(ToString::to_string).collect(),
        bytes: image.bytes(),
    };
    contents.images.iter().map(image).collect()
}

fn view<'a>(folder: &'a Path, contents: &Contents, progress: &Progress) -> Saved<'a> {
    Saved {
        folder,
        platforms: contents.platforms.iter().map(ToString::to_string).collect(),
        images: images(contents),
        blobs: contents.blobs,
        bytes: contents.bytes,
        fetched_bytes: progress.fetched(),
        kept_bytes: progress.kept(),
    }
}

fn shown(folder: &Path, contents: &Contents, progress: &Progress) -> String {
    let mut lines = lines(contents);
    lines.push(format!(
        "saved    {} in {}, {}; {} fetched, {} were there",
        number(contents.images.len(), "image"),
        folder.display(),
        bytes(contents.bytes),
        bytes(progress.fetched()),
        bytes(progress.kept()),
    ));
    lines.join("\n")
}

/// A line for each image.
pub(super) fn lines(contents: &Contents) -> Vec<String> {
    let line = |image: &archive::Image| {
        let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        let (digest, size) = (image.descriptor.digest.short(), bytes(image.bytes()));
        format!("{}  {digest}  {}  {size}", image.shown(), platforms.join(" "))
    };
    contents.images.iter().map(line).collect()
}

pub(super) fn number(many: usize, noun: &str) -> String {
    count(u64::try_from(many).unwrap_or(u64::MAX), noun)
}
