//! Looking into an image on this machine: a mirror that lasts for one command.

use std::sync::Arc;
use std::time::Duration;

use crate::app::Bench;
use crate::cli::verify::target::{self, Target};
use crate::cli::{CliError, archive, output};
use crate::config::Settings;
use crate::gate::{ReadyPolicy, Subject};
use crate::layout;
use crate::mirror::Mirror;
use crate::oci::{ImageReference, Platform, Reference};
use crate::policy::Policy;
use crate::store::Keeping;

/// How long what is under way may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// The policy by which everything is looked at.
const HEAD: &str =
    "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: scan, revision: 1}\n";
const RULES: &str = "rules:\n- {id: everything, match: [\"**\"], trust: allow}\n";
/// Where the files of an archive are, in the folder of the command.
const UNPACKED: &str = "unpacked";
/// What the image in a layout is called here: no registry is asked for it.
const LAYOUT_NAME: &str = "layout.invalid/image";

/// What is looked into.
#[derive(Debug)]
pub(in crate::cli) struct Look<'a> {
    /// An image or a layout, as it was written.
    pub(in crate::cli) target: &'a str,
    /// Of an index, the images for these platforms; none is all.
    pub(in crate::cli) platforms: &'a [String],
    /// How registries are reached, and how much is read.
    pub(in crate::cli) settings: Settings,
}

impl Look<'_> {
    /// Does `work` with the mirror and the subject that the target stands for. Everything that is fetched
    /// lies in a folder that is gone afterwards; people are told when it takes long.
    ///
    /// # Errors
    /// When the target cannot be had, and whatever `work` says.
    pub(in crate::cli) async fn with<T>(
        mut self,
        work: impl AsyncFnOnce(&Mirror, Subject) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let policy = everything(self.platforms)?;
        let folder = tempfile::Builder::new()
            .prefix("pratique-scan-")
            .tempdir()
            .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
        let (data, store) = (&mut self.settings.data_dir, &mut self.settings.store);
        folder.path().clone_into(data);
        (store.dir, store.keeping) = (folder.path().to_owned(), Keeping::default());
        let worked = Box::pin(self.work(policy, work)).await;
        folder.close().map_err(|error| {
            CliError::failed("the temporary folder was not removed").caused_by(error)
        })?;
        worked
    }

    async fn work<T>(
        self,
        policy: ReadyPolicy,
        work: impl AsyncFnOnce(&Mirror, Subject) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let Self { target: written, settings, .. } = self;
        let layout_name = [LAYOUT_NAME.to_owned()];
        let names = if target::is_layout(written) { &layout_name[..] } else { &[] };
        let target = target::read(&[written.to_owned()], names)?.pop();
        let Some(target) = target else { return Err(CliError::misused("name an image")) };
        let unread = |error: layout::Error| {
            CliError::unreachable("the layout could not be read").caused_by(error)
        };
        let layout = match &target {
            Target::Layout { path, .. } => {
                let scratch = settings.data_dir.join(UNPACKED);
                Some(Arc::new(archive::open_layout(path, &scratch)?))
            }
            Target::Image { .. } => None,
        };
        let digest = match (&target, &layout) {
            (Target::Layout { which, .. }, Some(layout)) => {
                Some(layout.select(which).map_err(unread)?)
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
            work(bench.mirror(), subject).await
        };
        let outcome = Box::pin(output::with_progress(written, "reading", Box::pin(looking))).await;
        bench.clear(GRACE).await;
        outcome
    }
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

/// The platform whose images are looked into where none is named: linux and the architecture of this
/// machine.
pub(in crate::cli) fn platform_here() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
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
