//! What containerd asks: an image by name and digest.

use std::ffi::OsString;
use std::io::Read;

use serde::Deserialize;

/// The only form of standard input that is understood; any other is left unread.
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
/// Largest descriptor in bytes.
const DESCRIPTOR_BYTES_MAX: u16 = 32 * 1024;
/// Longest name of an image in bytes.
const NAME_BYTES_MAX: usize = 512;

/// An image that may be kept or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    registry: String,
    repository: String,
    digest: String,
}

/// Why a question is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misuse {
    /// An argument that containerd does not give.
    #[error("unknown argument {0:?}; --help tells what this is for")]
    Argument(String),
    /// An argument that must be there, once.
    #[error("{0} must be given once; --help tells what this is for")]
    Missing(&'static str),
    /// A name in a form that no image has.
    #[error("{0:?} is no full image name: REGISTRY/REPOSITORY[:TAG][@DIGEST]")]
    Name(String),
    /// A digest in a form that no image has.
    #[error("{0:?} is no digest: sha256:HEX or sha512:HEX")]
    Digest(String),
    /// Standard input is not what was announced, or speaks of another image.
    #[error("the descriptor on standard input {0}")]
    Descriptor(&'static str),
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl Question {
    /// The question in `arguments`, as containerd gives them, and in `stdin`.
    ///
    /// # Errors
    /// See [`Misuse`].
    pub fn read(arguments: &[OsString], stdin: impl Read) -> Result<Self, Misuse> {
        let given = Given::read(arguments)?;
        let name = given.name.ok_or(Misuse::Missing("-name"))?;
        let digest = given.digest.ok_or(Misuse::Missing("-digest"))?;
        let question = Self::new(&name, &digest)?;
        if given.stdin_media_type.as_deref() == Some(DESCRIPTOR) {
            question.compare(stdin)?;
        }
        Ok(question)
    }

    /// The question about `name` at `digest`.
    ///
    /// # Errors
    /// [`Misuse::Name`] and [`Misuse::Digest`].
    pub fn new(name: &str, digest: &str) -> Result<Self, Misuse> {
        let wrong = || Misuse::Name(name.chars().take(NAME_BYTES_MAX).collect());
        if !is_digest(digest) {
            return Err(Misuse::Digest(digest.chars().take(NAME_BYTES_MAX).collect()));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(wrong());
        }
        let (named, by_digest) = match name.split_once('@') {
            Some((named, by_digest)) => (named, Some(by_digest)),
            None => (name, None),
        };
        let (registry, path) = named.split_once('/').ok_or_else(wrong)?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let is_good = is_registry(registry)
            && is_repository(repository)
            && tag.is_none_or(is_tag)
            && by_digest.is_none_or(|by_digest| by_digest == digest);
        if !is_good {
            return Err(wrong());
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// `host` or `host:port`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `algorithm:hex`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn compare(&self, stdin: impl Read) -> Result<(), Misuse> {
        let mut text = Vec::new();
        let read = stdin.take(u64::from(DESCRIPTOR_BYTES_MAX) + 1).read_to_end(&mut text);
        if read.is_err() || text.len() > usize::from(DESCRIPTOR_BYTES_MAX) {
            return Err(Misuse::Descriptor("cannot be read"));
        }
        let descriptor: Descriptor =
            serde_json::from_slice(&text).map_err(|_| Misuse::Descriptor("is none"))?;
        if descriptor.digest != self.digest {
            return Err(Misuse::Descriptor("is that of another image"));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Given {
    name: Option<String>,
    digest: Option<String>,
    stdin_media_type: Option<String>,
}

impl Given {
    /// Flags as Go's `flag` reads them: one dash or two, the value beside or after `=`.
    fn read(arguments: &[OsString]) -> Result<Self, Misuse> {
        let mut given = Self::default();
        let mut arguments = arguments.iter().map(|it| it.to_string_lossy());
        while let Some(argument) = arguments.next() {
            let unknown = || Misuse::Argument(argument.chars().take(NAME_BYTES_MAX).collect());
            let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let flag = flag.ok_or_else(unknown)?;
            let (flag, beside) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            let (place, name) = match flag {
                "name" => (&mut given.name, "-name"),
                "digest" => (&mut given.digest, "-digest"),
                "stdin-media-type" => (&mut given.stdin_media_type, "-stdin-media-type"),
                _ => return Err(unknown()),
            };
            let value = beside.or_else(|| arguments.next().map(std::borrow::Cow::into_owned));
            let value = value.ok_or(Misuse::Missing(name))?;
            if place.replace(value).is_some() {
                return Err(Misuse::Missing(name));
            }
        }
        Ok(given)
    }
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

/// What comes before the first slash names a host: it has a dot or a port, or is `localhost`.
fn is_registry(text: &str) -> bool {
    let allowed =
        |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b':' | b'[' | b']');
    (text == "localhost" || text.contains(['.', ':'])) && text.bytes().all(allowed)
}

fn is_repository(text: &str) -> bool {
    let allowed =
        |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'.' | b'_' | b'-');
    let is_part = |part: &str| {
        let first = part.bytes().next();
        first.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
            && part.bytes().all(allowed)
    };
    text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    fn asked(arguments: &[&str], stdin: &str) -> Result<Question, Misuse> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        Question::read(&arguments, stdin.as_bytes())
    }

    #[test]
    fn what_containerd_says_is_understood() {
        let descriptor = format!("{{\"mediaType\":\"m\",\"digest\":\"{D}\",\"size\":7}}");
        let name = "docker.io/library/alpine:3.23";
        let asked =
            asked(&["-name", name, "-digest", D, "-stdin-media-type", DESCRIPTOR], &descriptor);
        let question = asked.unwrap();
        assert_eq!(question.registry(), "docker.io");
        assert_eq!(question.repository(), "library/alpine");
        assert_eq!(question.digest(), D);
        for name in [
            "localhost/x",
            "localhost:5000/x/y:1",
            "up.test:5000/x@".to_owned().as_str(),
            "[::1]:5000/x:1",
        ] {
            let name = name.strip_suffix('@').map_or(name.to_owned(), |it| format!("{it}@{D}"));
            assert!(Question::new(&name, D).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_no_question_is_refused_with_a_reason() {
        let other = D.replace('1', "2");
        for (arguments, stdin, reason) in [
            (vec!["-digest", D], "", "-name must be given once"),
            (vec!["-name", "a.b/c"], "", "-digest must be given once"),
            (vec!["-name", "a.b/c", "-digest"], "", "-digest must be given once"),
            (vec!["-name", "a.b/c", "-name", "a.b/d", "-digest", D], "", "-name must be given"),
            (vec!["-name=a.b/c", "-digest", D, "-yes"], "", "unknown argument"),
            (vec!["a.b/c", D], "", "unknown argument"),
            (vec!["-name=alpine", "-digest", D], "", "no full image name"),
            (vec!["-name=library/alpine", "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/../c", "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/c?ns=d.e", "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/c d", "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/c\r\nX: y", "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/c@sha256:12", "-digest", D], "", "no full image name"),
            (vec!["-name", &format!("a.b/c@{other}"), "-digest", D], "", "no full image name"),
            (vec!["-name=a.b/c", "-digest", "sha256:12"], "", "no digest"),
            (vec!["-name=a.b/c", "-digest", "md5:12"], "", "no digest"),
        ] {
            let error = asked(&arguments, stdin).unwrap_err().to_string();
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn a_descriptor_of_another_image_is_no_answer_to_this_one() {
        let arguments = ["-name=a.b/c", "-digest", D, "-stdin-media-type", DESCRIPTOR];
        let other = format!("{{\"digest\":\"{}\"}}", D.replace('1', "2"));
        for (stdin, reason) in [
            ("", "is none"),
            ("[]", "is none"),
            (other.as_str(), "another image"),
            (&"x".repeat(100_000), "cannot be read"),
        ] {
            let error = asked(&arguments, stdin).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let future = ["-name=a.b/c", "-digest", D, "-stdin-media-type", "application/x"];
        assert!(asked(&future, "anything").is_ok(), "another form is left unread");
    }
}
