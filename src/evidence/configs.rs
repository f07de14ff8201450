//! The configurations of the images that are judged.
//!
//! Manifests and configurations were fetched when the subject's manifest was gathered, so they are in the
//! store, unless they were evicted since.

use tracing::info;

use super::fetch::{Content, Fetcher, Trouble};
use super::source::Source;
use super::{Collected, Gatherer};
use crate::gate::{ConfigOf, Gathered, ImageConfigs, Subject};
use crate::oci::{Digest, ImageConfig, Manifest};

impl<S: Source> Gatherer<S> {
    /// Reads the configuration of the subject, or of each image of an index that is served.
    pub(super) async fn collect_configs(&self, subject: &Subject, collected: &mut Collected) {
        // Which images those are is asked for first.
        let Some(facts) = collected.evidence.manifest.found() else { return };
        let images = if facts.is_index {
            let Some(images) = facts.images_for(&self.platforms) else { return };
            images.iter().map(|image| image.digest).take(ImageConfigs::IMAGES_MAX).collect()
        } else {
            vec![subject.digest]
        };
        let fetcher = self.fetcher(subject, Content::Known);
        let work = gather(&fetcher, &images);
        let outcome = tokio::time::timeout(self.limits.time, work).await;
        collected.evidence.configs = match outcome.unwrap_or(Err(Trouble::Time)) {
            Ok(configs) => Gathered::Found(configs),
            Err(trouble) => {
                info!(%subject, %trouble, "configurations could not be read");
                Gathered::Failed(trouble.to_string())
            }
        };
    }
}

async fn gather<S: Source>(
    fetcher: &Fetcher<'_, S>,
    images: &[Digest],
) -> Result<ImageConfigs, Trouble> {
    let work = images.iter().map(|digest| config_of(fetcher, digest)).collect();
    let read = fetcher.together(work).await;
    let read = images.iter().zip(read).map(|(digest, config)| Ok((*digest, config?)));
    let images = read.collect::<Result<_, Trouble>>()?;
    Ok(ImageConfigs { images, read_by: ImageConfig::READING })
}

async fn config_of<S: Source>(
    fetcher: &Fetcher<'_, S>,
    digest: &Digest,
) -> Result<ConfigOf, Trouble> {
    let unreadable = |why: &str| Ok(ConfigOf::Unreadable(why.to_owned()));
    let arrived = match fetcher.manifest(digest).await {
        Ok(Some(arrived)) => arrived,
        Ok(None) => return Ok(ConfigOf::Absent),
        Err(Trouble::TooLarge) => return unreadable("belongs to a manifest that is too large"),
        Err(trouble) => return Err(trouble),
    };
    let image = match Manifest::parse(&arrived.bytes, arrived.media_type.as_ref()) {
        Ok(Manifest::Image(image)) => image,
        Ok(Manifest::Index(_)) => return unreadable("is that of no image, but of an index"),
        Err(_) => return unreadable("belongs to a manifest that cannot be read"),
    };
    if !image.config.media_type.is_image_config() {
        return Ok(ConfigOf::NoImage);
    }
    if image.config.size > ImageConfig::BYTES_MAX {
        return unreadable("is larger than 4 MiB");
    }
    let Some(bytes) = fetcher.blob(&image.config).await? else { return Ok(ConfigOf::Absent) };
    Ok(match ImageConfig::parse(&bytes) {
        Ok(config) => ConfigOf::Read(Box::new(config)),
        Err(error) => ConfigOf::Unreadable(error.to_string()),
    })
}
