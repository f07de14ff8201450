//! Who a certificate is for, and who is wanted.

use std::fmt;

use regex::{Regex, RegexBuilder};
use sigstore_verify::SubjectAltName;

use super::Refusal;
use super::refusal::quoted;

/// Longest text of an issuer or subject that is compared, in bytes.
const TEXT_BYTES_MAX: usize = 2 * 1024;
/// Largest compiled pattern in bytes.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// An issuer that nobody is: a pattern that takes it takes every other too.
const NOBODY: &str = "https://nobody.invalid/";

/// The kinds of subjects that certificates name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// A person or service account, by e-mail address.
    Email,
    /// A workload, by the URI of its workflow or service.
    Uri,
}

impl SubjectKind {
    /// The kind of subject that `text`, a subject or a pattern of some, looks like.
    pub fn of(text: &str) -> Self {
        if text.contains("://") { Self::Uri } else { Self::Email }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "email",
            Self::Uri => "uri",
        })
    }
}

/// A text that is wanted: itself, or any that a pattern takes as a whole.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Exactly this.
    Exact(String),
    /// Whatever this regular expression takes from beginning to end.
    Pattern(Pattern),
}

/// A regular expression that always speaks of a whole text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It takes texts that have nothing in common.
    #[error("takes any text at all")]
    Anything,
    /// Not a regular expression, or one that is too costly.
    #[error("is not a usable regular expression: {0}")]
    Malformed(String),
}

impl Pattern {
    /// The pattern `text`, as if it stood between `^(?:` and `)$`.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let malformed = |error: regex::Error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            PatternError::Malformed(quoted(last.trim_start_matches("error: ")))
        };
        // By itself first, so that no text can close the group that is put around it.
        Regex::new(text).map_err(malformed)?;
        let anchored = format!(r"\A(?:{text})\z");
        let built = RegexBuilder::new(&anchored).size_limit(PATTERN_BYTES_MAX).build();
        let pattern = Self(built.map_err(malformed)?);
        if pattern.takes(NOBODY) && pattern.takes("nobody@nowhere.invalid") {
            return Err(PatternError::Anything);
        }
        Ok(pattern)
    }

    fn takes(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Wanted {
    /// Whether `text` is wanted. What is overlong or has control characters never is.
    pub fn takes(&self, text: &str) -> bool {
        if text.len() > TEXT_BYTES_MAX || text.is_empty() || text.chars().any(char::is_control) {
            return false;
        }
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Pattern(pattern) => pattern.takes(text),
        }
    }
}

/// Someone whom an identity provider knows.
///
/// Issuer and subject belong together: the same subject by another issuer is somebody else.
///
/// Spec: <https://github.com/sigstore/fulcio/blob/v1.7.1/docs/certificate-specification.md>
#[derive(Debug, Clone)]
pub struct Identity {
    /// The identity provider, by its URL.
    pub issuer: Wanted,
    /// Whom it vouches for.
    pub subject: Wanted,
    /// As which kind of name the certificate must have the subject.
    pub kind: SubjectKind,
}

impl Identity {
    /// The name of whom the certificate is for, if that is who is wanted.
    pub(super) fn check(
        &self,
        issuer: Option<&str>,
        subject: Option<&SubjectAltName>,
    ) -> Result<String, Refusal> {
        let (kind, subject, issuer) = named(issuer, subject)?;
        if kind == self.kind && self.subject.takes(subject) && self.issuer.takes(issuer) {
            return Ok(format!("{kind} {subject} by {issuer}"));
        }
        Err(Refusal::OtherIdentity { subject: quoted(subject), issuer: quoted(issuer) })
    }

    /// The name of whom the certificate is for, whoever that is.
    pub(super) fn told(
        issuer: Option<&str>,
        subject: Option<&SubjectAltName>,
    ) -> Result<String, Refusal> {
        let (kind, subject, issuer) = named(issuer, subject)?;
        Ok(format!("{kind} {subject} by {issuer}"))
    }
}

fn named<'a>(
    issuer: Option<&'a str>,
    subject: Option<&'a SubjectAltName>,
) -> Result<(SubjectKind, &'a str, &'a str), Refusal> {
    let (Some(issuer), Some(subject)) = (issuer, subject) else {
        return Err(Refusal::Nameless);
    };
    let kind = match subject {
        SubjectAltName::Email(_) => SubjectKind::Email,
        SubjectAltName::Uri(_) => SubjectKind::Uri,
        _ => return Err(Refusal::Nameless),
    };
    Ok((kind, subject.as_str(), issuer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pattern: &str, text: &str) -> bool {
        Wanted::Pattern(Pattern::new(pattern).unwrap()).takes(text)
    }

    #[test]
    fn a_pattern_speaks_of_the_whole_text_and_of_one_line() {
        let ours = r"https://github\.com/acme/.*";
        assert!(taken(ours, "https://github.com/acme/x"));
        assert!(!taken(ours, "https://evil.test/?https://github.com/acme/x"));
        assert!(!taken(ours, "https://github.com/acme/x\nhttps://evil.test"));
        assert!(!taken(ours, "https://githubxcom/acme/x"));
        assert!(!taken(ours, "https://GITHUB.com/acme/x"));
        // Half-open alternations were how others let strangers in (octo-sts PR 1643).
        assert!(!taken("https://a.test/1|https://b.test/2", "https://a.test/1@evil"));
        assert!(!taken("https://a.test/1|https://b.test/2", "evil https://b.test/2"));
        assert!(!taken("(?m)https://a.test/1$", "https://a.test/1\nevil"));
    }

    #[test]
    fn patterns_that_take_anybody_or_break_out_are_refused() {
        for anything in [".*", "", ".+", ".*|x", "(?s).*", "[^ ]*"] {
            let error = Pattern::new(anything).err();
            let empty = anything.is_empty().then_some(());
            assert!(error == Some(PatternError::Anything) || empty.is_some(), "{anything:?}");
        }
        for broken in ["a)|(?:b", "(", "a{1000000}", "(?P<x", "\\"] {
            let error = Pattern::new(broken).unwrap_err();
            assert!(matches!(error, PatternError::Malformed(_)), "{broken:?}: {error}");
        }
    }

    #[test]
    fn issuer_subject_and_kind_belong_together() {
        let exact = |text: &str| Wanted::Exact(text.to_owned());
        let wanted = Identity {
            issuer: exact("https://issuer.test"),
            subject: exact("dev@acme.test"),
            kind: SubjectKind::Email,
        };
        let email = SubjectAltName::Email("dev@acme.test".to_owned());
        let uri = SubjectAltName::Uri("dev@acme.test".to_owned());
        let issuer = Some("https://issuer.test");
        assert!(wanted.check(issuer, Some(&email)).is_ok());
        assert!(wanted.check(issuer, Some(&uri)).is_err());
        assert!(wanted.check(Some("https://issuer.test/"), Some(&email)).is_err());
        assert!(wanted.check(Some("dev@acme.test"), Some(&email)).is_err());
        assert_eq!(wanted.check(None, Some(&email)), Err(Refusal::Nameless));
        assert_eq!(wanted.check(issuer, None), Err(Refusal::Nameless));
    }

    #[test]
    fn what_is_overlong_empty_or_has_control_characters_is_nobody() {
        let longest = "x".repeat(2 * 1024);
        for (text, expected) in [
            (longest.clone(), true),
            (format!("{longest}x"), false),
            (String::new(), false),
            ("a\nb".to_owned(), false),
            ("a\u{7f}".to_owned(), false),
            ("a b".to_owned(), true),
        ] {
            assert_eq!(Wanted::Exact(text.clone()).takes(&text), expected, "{text:?}");
            // Of at least nothing, but not of anything: no address of nobody.
            assert_eq!(taken(r"(?s)[^:@]*", &text), expected, "{text:?}");
        }
        assert!(!Wanted::Exact("a".to_owned()).takes("b"));
    }

    #[test]
    fn a_pattern_that_costs_too_much_is_refused_and_a_long_one_is_not() {
        assert!(taken(r"[a-z0-9.-]{1,253}@acme\.test", "dev@acme.test"));
        let error = Pattern::new(r"\w{1000}").unwrap_err();
        assert!(matches!(error, PatternError::Malformed(_)), "{error}");
    }
}
