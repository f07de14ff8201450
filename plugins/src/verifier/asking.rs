//! What is asked of mirrors: whether they would serve this digest, and what they signed about it.

use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode};
use serde::Deserialize;

use super::connection::{Response, Silence, exchange};
use super::question::Question;
use super::settings::{Settings, authority};
use super::summary::{BUNDLE, Bundle, PREDICATE_TYPE, Summaries};

/// Largest list of referrers and largest manifest in bytes, as registries have it.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest bundle in bytes.
pub(super) const BUNDLE_BYTES_MAX: usize = 256 * 1024;
/// Most summaries of one image that are looked at; a mirror lists one of its own.
const REFERRERS_MAX: usize = 8;
/// What is left of the time for a mirror that is asked after another was away.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How the mirrors answered.
#[derive(Debug)]
pub(super) enum Asked {
    /// One serves it.
    Admitted {
        /// Its address.
        by: String,
    },
    /// One refuses it, in these words.
    Refused(String),
    /// None could say, and why not.
    Nobody(String),
}

/// Asks one mirror after the other; the first that decides is heard.
pub(super) fn ask(question: &Question, settings: &Settings) -> Asked {
    let begun = Instant::now();
    let mut silent = Vec::new();
    for (index, mirror) in settings.mirrors.iter().enumerate() {
        let left = settings.timeout.saturating_sub(begun.elapsed());
        // The last gets what is left, every other one its share, so that one that hangs leaves time.
        let after = settings.mirrors.len() - index;
        let share = left.checked_div(u32::try_from(after).unwrap_or(u32::MAX)).unwrap_or(left);
        let path = path(question, mirror, "manifests", question.digest(), "");
        let time = share.max(LAST_CHANCE);
        match exchange(mirror, settings, (Method::HEAD, &path), 0, time) {
            Ok(response) => match understood(question, &response) {
                Ok(true) => return Asked::Admitted { by: mirror.clone() },
                Ok(false) => return Asked::Refused(refusal(question, mirror, &response)),
                Err(why) => silent.push(format!("{mirror}: {why}")),
            },
            Err(silence) => silent.push(format!("{mirror}: {silence}")),
        }
    }
    Asked::Nobody(silent.join("; "))
}

/// Whether it is admitted; `Err` where the mirror could not decide.
fn understood(question: &Question, response: &Response) -> Result<bool, String> {
    match response.status {
        StatusCode::OK if response.digest.as_deref() == Some(question.digest()) => Ok(true),
        StatusCode::OK => Err("answers about another digest: is this a mirror?".to_owned()),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(false),
        status => {
            let reason = response.reason.as_deref().or(status.canonical_reason());
            Err(format!("{} {}", status.as_u16(), reason.unwrap_or_default()))
        }
    }
}

fn refusal(question: &Question, mirror: &str, response: &Response) -> String {
    match (&response.reason, response.status) {
        (Some(reason), _) => reason.clone(),
        (None, StatusCode::NOT_FOUND) => format!(
            "{mirror} knows no {}/{}@{}",
            question.registry(),
            question.repository(),
            question.digest()
        ),
        (None, _) => format!("{mirror} refuses it"),
    }
}

/// The path below `/v2/` for something of the question's repository.
fn path(question: &Question, mirror: &str, kind: &str, which: &str, more: &str) -> String {
    let (registry, repository) = (question.registry(), question.repository());
    let is_by_mirrors_name = authority(mirror).is_some_and(|(_, own)| own.as_str() == registry);
    if is_by_mirrors_name {
        let more = if more.is_empty() { String::new() } else { format!("?{more}") };
        return format!("/v2/{repository}/{kind}/{which}{more}");
    }
    let registry = registry.replace('[', "%5B").replace(']', "%5D");
    let more = if more.is_empty() { String::new() } else { format!("&{more}") };
    format!("/v2/{repository}/{kind}/{which}?ns={registry}{more}")
}

/// Whether `mirror` says that it is ready.
pub(super) fn is_ready(mirror: &str, settings: &Settings) -> Result<(), String> {
    let answer = exchange(mirror, settings, (Method::GET, "/readyz"), 64 * 1024, settings.timeout);
    let response = answer.map_err(|silence| silence.to_string())?;
    match response.status {
        StatusCode::OK => Ok(()),
        status => Err(format!("answers {status}")),
    }
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    digest: String,
    #[serde(default, rename = "artifactType")]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
    #[serde(rename = "mediaType")]
    media_type: String,
}

/// Keeps the summary that the mirror `by` signed about what it admits, unless a good one is there.
///
/// The image is admitted whatever becomes of this, so nothing here is an error: what cannot be had or
/// written is not there for later, and `--check` tells how many there are.
pub(super) fn remember(
    question: &Question,
    settings: &Settings,
    by: &str,
    summaries: &Summaries<'_>,
    now: SystemTime,
) {
    if summaries.confirm(question, now) {
        return;
    }
    let Ok(bundles) = fetch(question, settings, by) else { return };
    for bundle in bundles {
        if summaries.keep(question, &bundle, now) {
            return;
        }
    }
}

/// The bundles that `mirror` lists as verification summaries of the image.
fn fetch(question: &Question, settings: &Settings, mirror: &str) -> Result<Vec<Bundle>, Silence> {
    let get = |kind: &str, which: &str, more: &str, body_max: usize| {
        let path = path(question, mirror, kind, which, more);
        exchange(mirror, settings, (Method::GET, &path), body_max, settings.timeout)
    };
    let more = format!("artifactType={}", BUNDLE.replace('+', "%2B"));
    let list = get("referrers", question.digest(), &more, MANIFEST_BYTES_MAX)?;
    let index: Index =
        serde_json::from_slice(&list.body).unwrap_or(Index { manifests: Vec::new() });
    let is_summary = |listed: &&Listed| {
        listed.artifact_type.as_deref() == Some(BUNDLE)
            && listed.annotations.get("dev.sigstore.bundle.predicateType").map(String::as_str)
                == Some(PREDICATE_TYPE)
    };
    let mut bundles = Vec::new();
    for listed in index.manifests.iter().filter(is_summary).take(REFERRERS_MAX) {
        if Question::new("a.b/c", &listed.digest).is_err() {
            continue;
        }
        let manifest = get("manifests", &listed.digest, "", MANIFEST_BYTES_MAX)?;
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&manifest.body) else { continue };
        let layer = manifest.layers.iter().find(|layer| layer.media_type == BUNDLE);
        let layer = layer.filter(|layer| Question::new("a.b/c", &layer.digest).is_ok());
        let Some(layer) = layer else { continue };
        let blob = get("blobs", &layer.digest, "", BUNDLE_BYTES_MAX)?;
        bundles.extend(Bundle::read(&blob.body).ok());
    }
    Ok(bundles)
}
