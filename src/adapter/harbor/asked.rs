//! An adapter as one of the scanners of the settings.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{HarborJob, HarborScanner};
use crate::adapter::{Adapter, Content, Input, Job, in_words};
use crate::scan::Reported;

/// A scanner behind an adapter, and where that finds us.
#[derive(Debug)]
pub struct HarborAdapter {
    scanner: HarborScanner,
    registry_url: String,
}

impl HarborAdapter {
    /// `scanner`, which finds the registry that we are at `registry_url`.
    pub fn new(scanner: HarborScanner, registry_url: String) -> Self {
        Self { scanner, registry_url }
    }
}

impl Adapter for HarborAdapter {
    fn input(&self) -> Input {
        Input::Pull
    }

    fn scan<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Reported, String>> {
        async move {
            let Content::Pull { repository, authorization } = job.content else {
                return Err(format!("it pulls images, and was given {:?}", job.content));
            };
            let job = HarborJob {
                registry_url: self.registry_url.clone(),
                authorization: authorization.clone(),
                repository: repository.to_owned(),
                digest: job.image,
                media_type: job.media_type.clone(),
            };
            self.scanner.scan(&job).await.map_err(|error| in_words(&error))
        }
        .boxed()
    }
}
