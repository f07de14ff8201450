//! What is to be judged, from what was written on the command line.

use std::path::{Path, PathBuf};

use super::CliError;
use crate::layout::{Layout, Which};
use crate::oci::{Digest, ImageReference, Name, Tag};

/// What makes a word a layout, whatever else it could be.
const LAYOUT_PREFIX: &str = "oci:";

/// By what the names of archives end.
const ARCHIVE_SUFFIXES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.zst"];

/// One thing to judge.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// An image at its registry.
    Image {
        /// As it was written.
        written: String,
        /// The image.
        image: ImageReference,
    },
    /// An image in a folder of this machine, or in an archive.
    Layout {
        /// As it was written.
        written: String,
        /// The folder, or the archive.
        path: PathBuf,
        /// Which of the images in it.
        which: Which,
        /// What it is called, as the caller says.
        name: Name,
        /// The tag by which it is asked for, as the caller says.
        tag: Option<Tag>,
    },
}

impl Target {
    /// As it was written.
    pub(in crate::cli) fn written(&self) -> &str {
        match self {
            Self::Image { written, .. } | Self::Layout { written, .. } => written,
        }
    }
}

/// Reads `targets`; `names` are for the layouts among them, in order.
///
/// # Errors
/// When one is neither an image nor a layout, or names and layouts do not fit.
pub(in crate::cli) fn read(targets: &[String], names: &[String]) -> Result<Vec<Target>, CliError> {
    let layouts: Vec<_> = targets.iter().map(|text| layout(text)).collect();
    let count = layouts.iter().flatten().count();
    if count != names.len() {
        let text = match (count, names.len()) {
            (0, _) => "--name is for image layouts; an image at its registry has a name".to_owned(),
            (1, 0) => "what is the image in the layout called? give --name, such as --name ghcr.io/acme/app:1.4".to_owned(),
            (layouts, names) => format!(
                "give --name once for each layout, in their order: there are {layouts} layouts, and --name {names} times"
            ),
        };
        return Err(CliError::misused(text));
    }
    let mut names = names.iter();
    let mut read = Vec::new();
    for (written, layout) in targets.iter().zip(layouts) {
        let written = written.clone();
        if let Some((path, which)) = layout {
            // There are as many as layouts.
            let ImageReference { name, tag, .. } = named(names.next().map_or("", String::as_str))?;
            read.push(Target::Layout { written, path, which, name, tag });
            continue;
        }
        let image = written.trim().parse().map_err(|error| {
            let text =
                format!("{written:?} is neither an image nor a folder with an OCI image layout");
            CliError::misused(text).caused_by(error)
        })?;
        read.push(Target::Image { written, image });
    }
    Ok(read)
}

/// The name that a layout is given: what it is called must not depend on what is in it.
fn named(text: &str) -> Result<ImageReference, CliError> {
    let image: ImageReference = text.parse().map_err(|error| {
        CliError::misused(format!("--name {text:?} is not the name of an image")).caused_by(error)
    })?;
    if image.digest.is_some() {
        let text =
            format!("--name {text:?} has a digest; that goes behind the folder: oci:FOLDER@DIGEST");
        return Err(CliError::misused(text));
    }
    Ok(image)
}

/// Whether `text` means an image layout.
pub(in crate::cli) fn is_layout(text: &str) -> bool {
    layout(text).is_some()
}

/// The folder in `text` and which image of it, if that is what it means.
fn layout(text: &str) -> Option<(PathBuf, Which)> {
    let Some(rest) = text.strip_prefix(LAYOUT_PREFIX) else {
        let path = Path::new(text);
        let looks_like_a_path =
            text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
        let is_one = looks_like_a_path || Layout::is_at(path) || is_archive(path);
        return is_one.then(|| (path.to_owned(), Which::Only));
    };
    if Path::new(rest).exists() {
        return Some((rest.into(), Which::Only));
    }
    let by_digest = rest
        .rsplit_once('@')
        .and_then(|(folder, digest)| Some((folder, Which::Digest(digest.parse::<Digest>().ok()?))));
    let by_tag =
        || rest.split_once(':').map(|(folder, tag)| (folder, Which::Named(tag.to_owned())));
    let (folder, which) = by_digest.or_else(by_tag).unwrap_or((rest, Which::Only));
    Some((folder.into(), which))
}

/// Whether `path` is a file that its name says is an archive.
fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ARCHIVE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, names: &[&str]) -> Result<Target, String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        read(&[text.to_owned()], &names)
            .map(|mut read| read.remove(0))
            .map_err(|error| error.chain())
    }

    #[test]
    fn images_and_layouts_are_told_apart() {
        let image = one("alpine:3.20", &[]).unwrap();
        assert!(
            matches!(&image, Target::Image { image, .. } if image.to_string() == "docker.io/library/alpine:3.20")
        );
        let digest = Digest::sha256(b"x");
        let which = |text: &str| match one(text, &["ghcr.io/acme/app:1.4"]) {
            Ok(Target::Layout { path, which, name, tag, .. }) => {
                assert_eq!(
                    (name.to_string().as_str(), tag.unwrap().as_str()),
                    ("ghcr.io/acme/app", "1.4")
                );
                (path.display().to_string(), which)
            }
            other => panic!("{other:?}"),
        };
        let folder = || "no/such".to_owned();
        assert_eq!(which("oci:no/such"), (folder(), Which::Only));
        assert_eq!(which("oci:no/such:a:1"), (folder(), Which::Named("a:1".to_owned())));
        assert_eq!(which(&format!("oci:no/such@{digest}")), (folder(), Which::Digest(digest)));
        assert_eq!(which("./such"), ("./such".to_owned(), Which::Only));
        // A digest that is none is a tag that nothing has, never a path.
        assert_eq!(which("oci:no/such@sha256:../x").1, Which::Named("../x".to_owned()));
    }

    #[test]
    fn what_a_layout_is_called_must_be_said() {
        assert!(one("oci:build", &[]).unwrap_err().contains("give --name, such as"));
        assert!(
            one("alpine", &["ghcr.io/acme/app"])
                .unwrap_err()
                .contains("--name is for image layouts")
        );
        assert!(one("oci:build", &["a", "b"]).unwrap_err().contains("once for each layout"));
        assert!(
            one("oci:build", &["ghcr.io/Acme"]).unwrap_err().contains("not the name of an image")
        );
        let with_digest = format!("ghcr.io/acme/app@{}", Digest::sha256(b"x"));
        assert!(one("oci:build", &[&with_digest]).unwrap_err().contains("oci:FOLDER@DIGEST"));
        assert!(one("UPPER", &[]).unwrap_err().contains("neither an image nor a folder"));
    }
}
