//! Whether a text looks like a credential: by the forms that some issuers give theirs, and by no others.
//!
//! That a text is of none of these forms proves nothing: a password looks like any word.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest label between the dashes of a PEM block that is looked at, in bytes.
const PEM_LABEL_BYTES_MAX: usize = 64;
/// Fewest characters of each of the three parts of a JSON Web Token.
const JWT_PART_LENGTH_MIN: usize = 10;

/// The form of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretForm {
    /// `AKIA` or `ASIA` and 16 capitals and digits: the id of an access key of AWS.
    AwsKey,
    /// `ghp_`, `gho_`, `ghu_`, `ghs_` or `ghr_` and 36 letters and digits, or `github_pat_` and 22.
    GithubToken,
    /// `AIza` and 35 characters.
    GoogleKey,
    /// Three parts in base64url with dots between, of which the first two are JSON objects.
    JsonWebToken,
    /// The first line of a private key in PEM, of any kind.
    PrivateKey,
    /// `xox`, one of `abeoprs`, `-` and 10 characters.
    SlackToken,
    /// A URL with a user and a password.
    UrlPassword,
}

impl SecretForm {
    /// The form that a credential in `text` has, if there is one. Takes time in proportion to the text.
    pub fn of(text: &str) -> Option<Self> {
        type IsIn = fn(&str) -> bool;
        const WAYS: [(SecretForm, IsIn); 7] = [
            (SecretForm::PrivateKey, has_private_key),
            (SecretForm::AwsKey, has_aws_key),
            (SecretForm::GithubToken, has_github_token),
            (SecretForm::SlackToken, has_slack_token),
            (SecretForm::GoogleKey, has_google_key),
            (SecretForm::JsonWebToken, has_json_web_token),
            (SecretForm::UrlPassword, has_url_password),
        ];
        WAYS.into_iter().find(|(_, is_in)| is_in(text)).map(|(form, _)| form)
    }
}

impl fmt::Display for SecretForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AwsKey => "AWS key id",
            Self::GithubToken => "GitHub token",
            Self::GoogleKey => "Google API key",
            Self::JsonWebToken => "JSON Web Token",
            Self::PrivateKey => "private key",
            Self::SlackToken => "Slack token",
            Self::UrlPassword => "password in a URL",
        })
    }
}

/// What follows each `prefix` in `text` that begins a word.
fn after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).filter_map(move |(at, _)| {
        let is_begin =
            text.get(..at)?.bytes().next_back().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        text.get(at + prefix.len()..).filter(|_| is_begin)
    })
}

/// Whether `text` begins with `count` bytes that are `meant`. Looks at no more than these.
fn begins(text: &str, count: usize, meant: fn(u8) -> bool) -> bool {
    text.bytes().take(count).take_while(|byte| meant(*byte)).count() == count
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

fn has_private_key(text: &str) -> bool {
    text.match_indices("-----BEGIN ").any(|(at, begin)| {
        let rest = text.as_bytes().get(at + begin.len()..).unwrap_or_default();
        let rest = rest.get(..PEM_LABEL_BYTES_MAX).unwrap_or(rest);
        let end = rest.windows(5).position(|dashes| dashes == b"-----").unwrap_or(0);
        let label = rest.get(..end).unwrap_or_default();
        label.windows(11).any(|words| words == b"PRIVATE KEY")
    })
}

fn has_aws_key(text: &str) -> bool {
    let is_meant = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let is_key = |rest: &str| {
        let ends = rest.as_bytes().get(16).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        begins(rest, 16, is_meant) && ends
    };
    ["AKIA", "ASIA"].iter().any(|prefix| after(text, prefix).any(is_key))
}

fn has_github_token(text: &str) -> bool {
    const PREFIXES: [&str; 5] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"];
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
    PREFIXES.iter().any(|prefix| after(text, prefix).any(|rest| begins(rest, 36, is_plain)))
        || after(text, "github_pat_").any(|rest| begins(rest, 22, is_plain))
}

fn has_slack_token(text: &str) -> bool {
    let is_meant = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    after(text, "xox").any(|rest| {
        let begin = rest.as_bytes().get(..2).unwrap_or_default();
        matches!(begin, [kind, b'-'] if b"abeoprs".contains(kind))
            && rest.get(2..).is_some_and(|rest| begins(rest, 10, is_meant))
    })
}

fn has_google_key(text: &str) -> bool {
    after(text, "AIza").any(|rest| begins(rest, 35, is_base64url))
}

fn has_json_web_token(text: &str) -> bool {
    // What is no character of a token ends a word, so that each byte is looked at once.
    let words = text.split(|c: char| c != '.' && !u8::try_from(c).is_ok_and(is_base64url));
    words.into_iter().any(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.windows(3).any(|parts| {
            let long = parts.iter().all(|part| part.len() >= JWT_PART_LENGTH_MIN);
            long && parts.iter().take(2).all(|part| part.starts_with("eyJ"))
        })
    })
}

/// `scheme://user:password@`. A password that only names a variable (`$NAME`, `${NAME}`) is none.
fn has_url_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let ends = |c: char| c.is_whitespace() || "/?#\"'".contains(c);
        let authority = rest.split(ends).next().unwrap_or_default();
        let Some((user, _host)) = authority.rsplit_once('@') else { return false };
        user.split_once(':')
            .is_some_and(|(_, password)| !password.is_empty() && !is_variable(password))
    })
}

fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let inner = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    let name = inner.unwrap_or(name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made of two parts, so that nobody takes this file for one that has secrets in it.
    fn made(begin: &str, rest: &str) -> String {
        format!("{begin}{rest}")
    }

    #[test]
    fn credentials_are_known_by_their_form() {
        use SecretForm as F;
        let run = |length| "a1B2c3".repeat(20).split_at(length).0.to_owned();
        let jwt = format!("{}.{}.{}", made("ey", "JhbGciOiJI"), "eyJzdWIiOiIxIn0", "c2lnbmF0dXJl");
        for (text, expected) in [
            (made("AKI", "AIOSFODNN7EXAMPLE"), Some(F::AwsKey)),
            (made("key=ASI", "AIOSFODNN7EXAMPLE;"), Some(F::AwsKey)),
            (made("AKI", "AIOSFODNN7EXAMPLE1"), None),
            (made("AKI", "AIOSFODNN7EXAMPL"), None),
            (made("AKI", "Aiosfodnn7example"), None),
            (made("XAKI", "AIOSFODNN7EXAMPLE"), None),
            (made("ghp", &format!("_{}", run(36))), Some(F::GithubToken)),
            (made("gho", &format!("_{}", run(36))), Some(F::GithubToken)),
            (made("ghu", &format!("_{}", run(36))), Some(F::GithubToken)),
            (made("ghs", &format!("_{}", run(40))), Some(F::GithubToken)),
            (made("ghr", &format!("_{}", run(36))), Some(F::GithubToken)),
            (made("ghp", &format!("_{}", run(35))), None),
            (made("ghx", &format!("_{}", run(36))), None),
            (made("github", &format!("_pat_{}_{}", run(22), run(59))), Some(F::GithubToken)),
            (made("github", &format!("_pat_{}", run(21))), None),
            (made("xox", "b-1234567890"), Some(F::SlackToken)),
            (made("token: xox", "p-12-34-5678-ab"), Some(F::SlackToken)),
            (made("xox", "b-123456789"), None),
            (made("xox", "z-1234567890"), None),
            (made("AIz", &format!("a{}", run(35))), Some(F::GoogleKey)),
            (made("AIz", &format!("a{}", run(34))), None),
            (jwt.clone(), Some(F::JsonWebToken)),
            (format!("Bearer {jwt}"), Some(F::JsonWebToken)),
            (format!("x.{jwt}.y"), Some(F::JsonWebToken)),
            (made("ey", "JhbGciOiJI.eyJzdWIiOiIxIn0"), None),
            (made("ey", "JhbGciOiJI.c3ViMTIzNDU2.c2lnbmF0dXJl"), None),
            (made("ey", "J.eyJ.c"), None),
            (made("-----BEGIN ", "PRIVATE KEY-----\nMII"), Some(F::PrivateKey)),
            (made("-----BEGIN RSA ", "PRIVATE KEY-----"), Some(F::PrivateKey)),
            (made("-----BEGIN OPENSSH ", "PRIVATE KEY-----"), Some(F::PrivateKey)),
            (made("-----BEGIN PGP ", "PRIVATE KEY BLOCK-----"), Some(F::PrivateKey)),
            ("-----BEGIN PUBLIC KEY-----\nPRIVATE KEY-----".to_owned(), None),
            ("-----BEGIN CERTIFICATE-----".to_owned(), None),
            ("-----BEGIN PRIVATE KEY".to_owned(), None),
            ("postgres://user:pass@db/app".to_owned(), Some(F::UrlPassword)),
            ("a=http://x b=amqp://:pass@mq:5672".to_owned(), Some(F::UrlPassword)),
            ("redis://u:p@ss@host".to_owned(), Some(F::UrlPassword)),
            ("postgres://user@db/app".to_owned(), None),
            ("postgres://user:@db/app".to_owned(), None),
            ("postgres://user:${PASSWORD}@db".to_owned(), None),
            ("postgres://user:$PASSWORD@db".to_owned(), None),
            ("postgres://user:$pa-ss@db".to_owned(), Some(F::UrlPassword)),
            ("http://host:80/a@b".to_owned(), None),
            ("https://host/?q=a:b@c".to_owned(), None),
            ("user:pass@host".to_owned(), None),
            ("hunter2".to_owned(), None),
            ("/usr/local/bin:/usr/bin".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(F::of(&text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_that_begin_everything_take_no_longer_than_others() {
        for (part, expected) in [
            ("xoxb-", Some(SecretForm::SlackToken)),
            ("ghp_", None),
            ("AKIA", None),
            ("eyJ.", None),
            ("eyJhbGciOiJI.", Some(SecretForm::JsonWebToken)),
            ("a://b:", None),
            ("-----BEGIN ", None),
            ("é", None),
        ] {
            let text = part.repeat((1 << 20) / part.len());
            assert_eq!(SecretForm::of(&text), expected, "{part}");
        }
    }
}
