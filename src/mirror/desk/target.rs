//! What a decision is aimed at: from a request's id or an image to one subject.

use super::view::RequestView;
use super::{Desk, Error, requests};
use crate::gate::Subject;
use crate::ledger::{RequestId, RequestRow};
use crate::mirror;
use crate::oci::{ImageReference, Reference, Tag};

/// Where a decision goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What it is bound to.
    pub(super) subject: Subject,
    /// The request that it is about.
    pub(super) request: Option<RequestRow>,
    /// Whether it was named by the request: then it answers that request, and fails if someone else
    /// did before; a decision about a digest holds whatever was decided before.
    pub(super) by_request: bool,
}

impl Desk {
    /// The subject that `text` (`R-42`, `IMAGE@DIGEST`, `IMAGE:TAG`) means now.
    pub(super) async fn target(&self, text: &str) -> Result<Target, Error> {
        if let Some(id) = request_id(text) {
            let row = self.request_row(id, text).await?;
            let Some(digest) = row.digest else {
                let view: RequestView = requests::view(&row);
                let why: Vec<String> = view.reasons.into_iter().map(|reason| reason.text).collect();
                return Err(Error::NoDigest {
                    request: id,
                    image: view.image,
                    why: why.join("; "),
                });
            };
            let subject = Subject { name: row.name.clone(), digest };
            return Ok(Target { subject, request: Some(row), by_request: true });
        }
        let image = image(text)?;
        let subject = self.subject_of(&image).await?;
        let record = self.mirror.ledger().record(&subject).await?;
        let request = match record.and_then(|record| record.request) {
            Some(id) => self.mirror.ledger().request(id).await?,
            None => None,
        };
        Ok(Target { subject, request, by_request: false })
    }

    /// The subject that `image` means now; a tag is resolved as a pull would.
    pub(super) async fn subject_of(&self, image: &ImageReference) -> Result<Subject, Error> {
        let reference = image.reference();
        let digest = self
            .mirror
            .resolve(&image.name, &reference)
            .await
            .map_err(|error| mirror_error(image.to_string(), error))?;
        Ok(Subject { name: image.name.clone(), digest })
    }

    pub(super) async fn request_row(&self, id: RequestId, text: &str) -> Result<RequestRow, Error> {
        let row = self.mirror.ledger().request(id).await?;
        row.ok_or_else(|| Error::RequestUnknown { text: text.to_owned() })
    }
}

/// The id in `text`, if it is one: `R-42`, `r-42` or `42`.
pub(super) fn request_id(text: &str) -> Option<RequestId> {
    text.trim().parse().ok()
}

/// The image in `text`.
pub(super) fn image(text: &str) -> Result<ImageReference, Error> {
    let text = text.trim();
    text.parse().map_err(|source| Error::Image { text: text.to_owned(), source })
}

/// The tag by which `image` asks, if it asks by tag.
pub(super) fn tag_of(image: &ImageReference) -> Option<Tag> {
    match image.reference() {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    }
}

/// What went wrong in the mirror about `subject`, told by what it means at the desk.
pub(super) fn mirror_error(subject: String, error: mirror::Error) -> Error {
    if matches!(error, mirror::Error::Absent(_)) {
        return Error::Absent { image: subject };
    }
    Error::Mirror { subject, error }
}
