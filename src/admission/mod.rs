//! What is asked and answered when a cluster admits objects: reviews of API servers, of their
//! `ImagePolicyWebhook`, and of Gatekeeper.
//!
//! Promises: bytes in, a document out, and nothing is fetched or kept; how much is read, told and changed is
//! bounded; an image that a pod names is found wherever a pod can name one; what is changed is the text of an
//! image and nothing else; and what cannot be read is refused.
//!
//! What is known of an image is not known here: [`Known`] is what the mirror says.

pub mod checks;
mod external_data;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod image_review;
mod isolation;
mod known;
mod pod;
mod pods;
mod review;
mod runner;
#[cfg(test)]
mod tests;

pub use checks::{Check, Checks, Strictness};
pub use external_data::{Keys, Provided};
pub use image_review::ImageReview;
pub use known::{Known, Said, Unknown};
pub use pod::{Pod, PodImage};
pub use pods::{Rules, mutate, pinned, validate};
pub use review::{
    Answer, MESSAGE_LENGTH_MAX, Object, Operation, Patch, Refused, Review, WARNING_LENGTH_MAX,
    WARNINGS_MAX,
};
pub use runner::Runner;

/// Most bytes of a review.
pub const BYTES_MAX: usize = 3 << 20;
/// Most images that are asked about together.
pub const IMAGES_MAX: usize = 500;
/// Most changes of one answer: one for each image.
const PATCHES_MAX: usize = IMAGES_MAX;
/// Longest name of anything that is told again, in bytes.
const NAME_LENGTH_MAX: usize = 253;
/// Longest name of an image that is looked at, in bytes: registry, repository, tag and digest fit.
pub const IMAGE_LENGTH_MAX: usize = 1_024;

/// Why something that was asked cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field does not say what it has to.
    #[error("{field} {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is something else.
    #[error("this is {given}; what is answered here is {wanted}")]
    Kind {
        /// What it says that it is.
        given: String,
        /// What it should be.
        wanted: String,
    },
    /// It is no JSON of the shape that it should have.
    #[error("the body is not as expected: {0}")]
    Json(String),
    /// It asks for too much.
    #[error("it names more than {IMAGES_MAX} images")]
    TooMany,
}

impl Error {
    fn json(error: &crate::oci::JsonError) -> Self {
        Self::Json(printable(&error.to_string(), WARNING_LENGTH_MAX))
    }

    fn kind((version, kind): &(String, String), (wanted_version, wanted): (&str, &str)) -> Self {
        let plain = |text: &str| printable(text, NAME_LENGTH_MAX);
        Self::Kind {
            given: format!("{} {}", plain(version), plain(kind)),
            wanted: format!("{wanted_version} {wanted}"),
        }
    }
}

/// `text` in printable ASCII, at most `length` characters: it goes into headers and logs.
fn printable(text: &str, length: usize) -> String {
    let plain = |c: char| match c {
        ' '..='~' => c,
        _ if c.is_whitespace() => ' ',
        _ => '?',
    };
    text.chars().take(length).map(plain).collect()
}

/// `text` in printable ASCII; where it is longer than `length` characters, the rest is `...`.
fn fits(text: &str, length: usize) -> String {
    const CUT: &str = "...";
    let short = printable(text, length);
    if text.chars().nth(length).is_none() {
        return short;
    }
    let kept = short.get(..length.saturating_sub(CUT.len())).unwrap_or_default();
    format!("{kept}{CUT}")
}
