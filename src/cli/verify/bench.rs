//! Mirrors for one call: one that asks the registries, and one for each layout.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use super::target::Target;
use super::{Answer, CliError, output};
use crate::app::Bench;
use crate::cli::archive;
use crate::config::Settings;
use crate::gate::{ReadyPolicy, Subject};
use crate::layout::{self, Layout, Which};
use crate::mirror::Mirror;
use crate::mirror::desk::view::ExplainView;
use crate::mirror::desk::{self, Desk};
use crate::oci::{ImageReference, Name, Tag};
use crate::store::Keeping;

/// How long what is under way may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// The mirrors of one call.
pub(super) struct Benches {
    settings: Settings,
    policy: ReadyPolicy,
    folder: PathBuf,
    made: AtomicUsize,
    registries: OnceCell<Desk>,
    set_up: Mutex<Vec<Bench>>,
}

impl Benches {
    /// None yet; they will be in `folder`.
    pub(super) fn new(settings: Settings, policy: ReadyPolicy, folder: PathBuf) -> Self {
        let (made, registries, set_up) = Default::default();
        Self { settings, policy, folder, made, registries, set_up }
    }

    /// Judges `target`, telling people when that takes long.
    pub(super) async fn judge(&self, target: &Target) -> Answer {
        let judging = async {
            match target {
                Target::Image { image, .. } => self.judge_image(image).await,
                Target::Layout { path, which, name, tag, .. } => {
                    self.judge_layout(path, which, name, tag.as_ref()).await
                }
            }
        };
        let outcome =
            Box::pin(output::with_progress(target.written(), "looking", Box::pin(judging))).await;
        outcome.unwrap_or_else(|failed| Answer::Failed {
            verdict: failed.verdict,
            error: format!("{}: {}", target.written(), failed.error.chain()),
        })
    }

    /// Ends all of them.
    pub(super) async fn clear(self) {
        for bench in self.set_up.into_inner() {
            bench.clear(GRACE).await;
        }
    }

    async fn judge_image(&self, image: &ImageReference) -> Result<Answer, Failed> {
        let desk = self.registries.get_or_try_init(|| self.desk(None)).await?;
        let view = desk.explain(&image.to_string()).await.map_err(Failed::of_desk)?;
        Ok(answer(view))
    }

    async fn judge_layout(
        &self,
        path: &Path,
        which: &Which,
        name: &Name,
        tag: Option<&Tag>,
    ) -> Result<Answer, Failed> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let scratch = self.folder.join(format!("unpacked-{number}"));
        let layout = archive::open_layout(path, &scratch).map_err(Failed::undecided)?;
        let layout = Arc::new(layout);
        let digest = layout.select(which).map_err(Failed::of_layout)?;
        let desk = self.desk(Some(Arc::clone(&layout))).await?;
        let subject = Subject { name: name.clone(), digest };
        let explained = desk.explain_as(&subject, tag).await;
        if matches!(explained, Err(desk::Error::Absent { .. })) {
            let error = CliError::unreachable(format!("the layout does not have {digest}"));
            return Err(Failed { verdict: "absent", error });
        }
        let view = explained.map_err(Failed::of_desk)?;
        if view.verdict == "admit" || view.verdict == "pending" {
            check_content(desk.mirror(), &layout, &subject).await?;
        }
        Ok(answer(view))
    }

    async fn desk(&self, layout: Option<Arc<Layout>>) -> Result<Desk, Failed> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(number.to_string());
        let mut settings = self.settings.clone();
        settings.data_dir.clone_from(&folder);
        // What the settings say of the cache is about another disk.
        (settings.store.dir, settings.store.keeping) = (folder, Keeping::default());
        let bench =
            Bench::set_up(settings, self.policy.clone(), layout).await.map_err(|error| {
                Failed::undecided(CliError::failed("could not be set up").caused_by(error))
            })?;
        let desk = Desk::new(bench.mirror().clone());
        self.set_up.lock().await.push(bench);
        Ok(desk)
    }
}

/// Why an image was not judged.
struct Failed {
    verdict: &'static str,
    error: CliError,
}

impl Failed {
    fn undecided(error: CliError) -> Self {
        Self { verdict: "undecided", error }
    }

    fn of_layout(error: layout::Error) -> Self {
        Self::undecided(CliError::unreachable("could not be read").caused_by(error))
    }

    fn of_desk(error: desk::Error) -> Self {
        if matches!(error, desk::Error::Absent { .. }) {
            let error = CliError::unreachable("the registry says that there is no such image");
            return Self { verdict: "absent", error };
        }
        let undecided = CliError::unreachable("could not decide");
        Self::undecided(if let desk::Error::Mirror { error, .. } = error {
            undecided.caused_by(error)
        } else {
            undecided.caused_by(error)
        })
    }
}

/// An explanation without what a mirror of a few seconds has no history of.
fn answer(mut view: ExplainView) -> Answer {
    view.tag_history.clear();
    view.first_seen = None;
    Answer::Explained(Box::new(view))
}

/// Hashes everything that `subject` lists and the layout has: what is admitted is its digest, and
/// whoever copies the folder takes the bytes.
async fn check_content(
    mirror: &Mirror,
    layout: &Arc<Layout>,
    subject: &Subject,
) -> Result<(), Failed> {
    let grants = mirror.ledger().grants_of(subject).await.map_err(|error| {
        Failed::undecided(CliError::failed("could not be looked through").caused_by(error))
    })?;
    let layout = Arc::clone(layout);
    let checking = mirror.tasks().spawn_blocking(move || {
        let present = |grant: &crate::gate::Grant| layout.check(&grant.digest, grant.size);
        grants.iter().map(present).collect::<Result<Vec<bool>, layout::Error>>()
    });
    let stopped = |error| Failed::undecided(CliError::failed("was stopped").caused_by(error));
    let present = checking.await.map_err(stopped)?.map_err(Failed::of_layout)?;
    let missing = present.iter().filter(|present| !**present).count();
    if missing > 0 {
        output::message(&format!(
            "{}: {missing} of {} contents are not in the layout, and were not looked at",
            subject.name,
            present.len()
        ));
    }
    Ok(())
}
