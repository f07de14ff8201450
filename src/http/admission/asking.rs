//! Asking the mirror about the images of a review, and saying it in the words of a refused pull.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::warn;

use super::AdmissionState;
use crate::admission::{IMAGE_LENGTH_MAX, Known, Runner, Said};
use crate::gate;
use crate::mirror::{Decision, Error, KnownImage, KnownStanding, Refusal};
use crate::oci::{ImageReference, Name};
use crate::policy::Mode;

/// What asking may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A request for what is refused, as a refused pull leaves one.
    File,
    /// Nothing.
    Nothing,
}

/// Who asks, and how.
pub(super) struct Asking<'a> {
    pub(super) state: &'a AdmissionState,
    pub(super) client: Arc<str>,
    /// Who is going to run what is asked about.
    pub(super) runner: Runner,
    pub(super) side: Side,
}

impl Asking<'_> {
    /// What is known of each of `images`. They are asked about side by side: what they leave behind reaches
    /// the disk together.
    pub(super) async fn known(&self, images: BTreeSet<String>) -> BTreeMap<String, Known> {
        let asked = images.into_iter().map(|image| async move {
            let known = self.one(&image).await;
            (image, known)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The image that `text` means: through a name of this mirror, or as it stands.
    pub(super) fn named(&self, text: &str) -> Result<ImageReference, String> {
        if text.len() > IMAGE_LENGTH_MAX {
            return Err(format!("the image is longer than {IMAGE_LENGTH_MAX} bytes"));
        }
        let image: ImageReference =
            text.parse().map_err(|error| format!("the image cannot be read: {error}"))?;
        let hosts = &self.state.settings.hosts;
        let name = if hosts.contains(image.name.registry()) {
            let path = image.name.repository().as_str();
            Name::from_path(path, &self.state.default_registry)
                .map_err(|error| format!("the image cannot be read: {error}"))?
        } else {
            image.name
        };
        Ok(ImageReference { name, ..image })
    }

    async fn one(&self, text: &str) -> Known {
        let image = match self.named(text) {
            Ok(image) => image,
            Err(why) => return said(Said::Refused(why)),
        };
        if let Some(text) = self.not_for(&image.name) {
            return said(Said::Refused(text));
        }
        match self.state.mirror.known_image(&image).await {
            Ok(known) => self.told(known).await,
            Err(Error::RegistryUnknown(registry)) => {
                said(Said::Refused(format!("Denied: registry {registry} is not configured")))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%image, %error, ?cause, "what is known of an image cannot be told");
                said(Said::Failed("Mirror unavailable, failing closed".to_owned()))
            }
        }
    }

    /// Why the repository `name` is not for who is going to run its image, in the words of the pull.
    fn not_for(&self, name: &Name) -> Option<String> {
        let mirror = &self.state.mirror;
        let policy = mirror.policy();
        let rule = policy.clients_of(name)?;
        let is_enforced = policy.mode_for(name, mirror.clock().now()) == Mode::Enforce;
        let is_refused = is_enforced && self.runner.is_left_out_by(rule);
        is_refused.then(|| rule.refusal(name, &self.runner))
    }

    async fn told(&self, mut known: KnownImage) -> Known {
        match self.side {
            Side::File => self.state.mirror.file_known(&mut known, &self.client).await,
            Side::Nothing => {
                if let Err(error) = self.state.mirror.request_of_known(&mut known).await {
                    warn!(%error, "the request of an image cannot be read");
                }
            }
        }
        let KnownImage { standing, digest, rule, approval, isolation } = known;
        let said = match standing {
            KnownStanding::Observed => Said::Observed(None),
            KnownStanding::Served(warning) => Said::Served(warning),
            KnownStanding::Unknown(why) => Said::Unknown(format!(
                "not known here: {why}; the pull decides, or run: pratique prefetch IMAGE"
            )),
            KnownStanding::Refused(refusal) => {
                let text = self.phrase(&refusal);
                match refusal.decision {
                    Decision::Denied => Said::Refused(text),
                    Decision::Checking | Decision::Pending => Said::Waiting(text),
                }
            }
        };
        Known { said, rule, digest, approval, isolation }
    }

    /// The words that a refused pull has for it.
    fn phrase(&self, refusal: &Refusal) -> String {
        let id = refusal.request.map(|it| it.to_string());
        let link = self.state.public_url.as_ref().zip(refusal.request);
        let link = link.map(|(url, id)| format!("{url}/r/{}", id.0));
        match &refusal.judgement {
            Some(judgement) => gate::phrase(judgement, id.as_deref(), link.as_deref()),
            None => gate::checking_phrase(id.as_deref()),
        }
    }
}

fn said(said: Said) -> Known {
    Known { said, rule: None, digest: None, approval: None, isolation: Vec::new() }
}
