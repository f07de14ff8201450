//! `request --manifests`: the images that Kubernetes objects name, asked for as one group.

use std::fs::File;
use std::io::Read as _;

use super::text::printable;
use crate::cli::{CliError, output};
use crate::kubernetes::{self, BYTES_MAX, NamedImage, Objects};
use crate::oci::ImageReference;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique request docker.io/library/redis:7.4 --reason \"cache for shop\"
  helm template shop ./chart | pratique request --manifests - --reason \"shop 1.4\" --ticket SEC-991
  kubectl kustomize overlays/prod | pratique request --manifests - --group \"shop 1.4\"
  pratique request --manifests rendered.yaml --dry-run

With --manifests, every image of containers, init containers, ephemeral containers and image volumes is asked
for, in whatever kind of object, and what else a field called image names, which is said. Without --group they
are one group by the release that the objects name (app.kubernetes.io/instance). Images in environment
variables, arguments and ConfigMaps are not found.

Exit codes: 0 all are filed or admitted, 1 one is not there, 2 not readable or undecided, 3 one is denied,
64 the text is no Kubernetes objects, or wrong use.";

/// What is to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) images: Vec<String>,
    pub(super) group: Option<String>,
}

/// What the objects in `file` name, `-` being the standard input, beside `images`; in `group`, or in that of
/// their release.
///
/// # Errors
/// When it cannot be read, is no Kubernetes objects, or names no image, or none that is one; when it is of
/// several releases and `group` does not say which name to take.
pub(super) fn wanted(
    file: &str,
    images: Vec<String>,
    group: Option<String>,
) -> Result<Wanted, CliError> {
    let objects = kubernetes::images(&read(file)?)
        .map_err(|error| CliError::misused(told(file)).caused_by(error))?;
    let group = match group {
        Some(group) => Some(group),
        None => Some(release(file, &objects)?),
    };
    for left in &objects.left_out {
        output::message(&printable(&format!("left out: {}: {}", left.place, left.why)));
    }
    let mut wanted = Wanted { images, group };
    for named in &objects.images {
        let Some(image) = image_of(file, named)? else { continue };
        if !wanted.images.contains(&image) {
            wanted.images.push(image);
        }
    }
    if wanted.images.is_empty() {
        let text = format!("{}: no object in it names an image", told(file));
        return Err(CliError::misused(text));
    }
    Ok(wanted)
}

/// How the file is called in messages.
fn told(file: &str) -> String {
    if file == "-" { "standard input".to_owned() } else { printable(file) }
}

fn read(file: &str) -> Result<String, CliError> {
    let failed = |error: std::io::Error| {
        CliError::unreachable(format!("{} cannot be read", told(file))).caused_by(error)
    };
    // One byte more than may be, so that what is too large shows.
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(file).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() > BYTES_MAX {
        let error = kubernetes::Error::TooLarge;
        return Err(CliError::misused(told(file)).caused_by(error));
    }
    String::from_utf8(bytes)
        .map_err(|error| CliError::misused(format!("{} is no text", told(file))).caused_by(error))
}

/// The one release that the objects say they are of.
fn release(file: &str, objects: &Objects) -> Result<String, CliError> {
    let mut releases = objects.releases.iter();
    match (releases.next(), releases.next()) {
        (Some(release), None) => Ok(release.clone()),
        (None, _) => Err(CliError::misused(format!(
            "{}: no object says of which release it is (app.kubernetes.io/instance); name it with --group",
            told(file)
        ))),
        (Some(_), Some(_)) => {
            let named: Vec<&str> = objects.releases.iter().map(String::as_str).collect();
            Err(CliError::misused(printable(&format!(
                "{}: it is of several releases ({}); name them with --group",
                told(file),
                named.join(", ")
            ))))
        }
    }
}

/// The image as it is asked for, with the tag that a cluster would take; `None` where a guess was none.
fn image_of(file: &str, named: &NamedImage) -> Result<Option<String>, CliError> {
    match named.image.parse::<ImageReference>() {
        Ok(image) => {
            if named.is_guess {
                output::message(&printable(&format!(
                    "taken for an image, by the name of its field: {} in {}",
                    named.image, named.place
                )));
            }
            let is_bare = image.tag.is_none() && image.digest.is_none();
            Ok(Some(if is_bare { format!("{}:latest", named.image) } else { named.image.clone() }))
        }
        Err(_) if named.is_guess => {
            let text = format!("left out: {}: {} is no image", named.place, named.image);
            output::message(&printable(&text));
            Ok(None)
        }
        Err(error) => {
            let text = format!("{}: {} in {} is no image", told(file), named.image, named.place);
            Err(CliError::misused(printable(&text)).caused_by(error))
        }
    }
}
