//! Patterns over canonical repository names: `docker.io/library/*`, `ghcr.io/acme/**`.

mod against;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::oci::Registry;

/// Longest pattern in bytes; longer than any name that could match it.
pub(in crate::policy) const PATTERN_BYTES_MAX: usize = 600;

/// A pattern: `*` stands for any run of characters without `/`, `**` for any run of characters.
///
/// Matching takes time in proportion to pattern times text at most, whatever either looks like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Token {
    /// `**`
    Any,
    /// `*`
    InSegment,
    /// These characters.
    Literal(String),
}

/// How specific a pattern is; the greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::policy) struct Rank {
    literal_prefix: usize,
    literals: usize,
    wildcards: Wildcards,
}

/// The widest wildcard of a pattern, widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Wildcards {
    Across,
    InSegment,
    None,
}

impl std::str::FromStr for Pattern {
    type Err = String;

    /// The pattern over repository names in `text`, as the policy's `match` has them.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::of_names(text)
    }
}

impl Pattern {
    /// The pattern in `text` as it stands, for texts that are not names.
    ///
    /// # Errors
    /// In words, when it is empty, too long, or has `***`.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let literal = rest.find('*').unwrap_or(rest.len());
            let (before, from_star) = rest.split_at(literal);
            if !before.is_empty() {
                tokens.push(Token::Literal(before.to_owned()));
            }
            let after = from_star.trim_start_matches('*');
            match from_star.len() - after.len() {
                0 => {}
                1 => tokens.push(Token::InSegment),
                2 => tokens.push(Token::Any),
                _ => return Err("has more than two * in a row; write * or **".to_owned()),
            }
            rest = after;
        }
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pattern in `text` over repository names, its registry made canonical.
    ///
    /// # Errors
    /// In words, when it names no registry or could match no canonical name.
    pub(in crate::policy) fn of_names(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Self::parse(text);
        }
        if text.contains('@') {
            return Err(
                "patterns name repositories, not digests; drop everything from the @ on".into()
            );
        }
        let Some((registry, repository)) = text.split_once('/') else {
            return Err(if Registry::is_named_by(text) {
                format!("names a registry only; for everything in it write \"{text}/**\"")
            } else {
                format!("names no registry; write the registry too: \"docker.io/library/{text}\"")
            });
        };
        if let Some((_, tag)) = repository.rsplit_once(':') {
            return Err(format!(
                "patterns name repositories, not tags; drop \":{tag}\" and say it in tags: {{exact: [\"{tag}\"]}}"
            ));
        }
        let registry = canonical_registry(registry, text)?;
        check_repository(repository)?;
        let one_word = !repository.contains('/') && !repository.contains("**");
        if one_word && registry == Registry::docker_hub().as_str() {
            return Err(format!(
                "Docker Hub's one-word names are written \"{registry}/library/{repository}\""
            ));
        }
        Self::parse(&format!("{registry}/{repository}"))
    }

    /// The pattern as it is matched.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern covers all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let prefix = self.literal_prefix();
        if !text.starts_with(prefix) {
            return false;
        }
        // The set of positions in `text` up to which some reading of the tokens so far reaches.
        let bytes = text.as_bytes();
        let mut reached = vec![false; bytes.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for token in &self.tokens {
            reached = advance(token, bytes, &reached);
        }
        reached.last().copied().unwrap_or(false)
    }

    pub(in crate::policy) fn rank(&self) -> Rank {
        let mut literals = 0;
        let mut wildcards = Wildcards::None;
        for token in &self.tokens {
            match token {
                Token::Any => wildcards = Wildcards::Across,
                Token::InSegment => wildcards = wildcards.min(Wildcards::InSegment),
                Token::Literal(text) => literals += text.len(),
            }
        }
        Rank { literal_prefix: self.literal_prefix().len(), literals, wildcards }
    }

    /// What every text that the pattern covers begins with.
    pub(in crate::policy) fn literal_prefix(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Literal(text)) => text,
            Some(Token::Any | Token::InSegment) | None => "",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn set(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

/// The positions reached after `token`, from those reached before it.
fn advance(token: &Token, text: &[u8], reached: &[bool]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    let mut open = false;
    for (position, here) in reached.iter().copied().enumerate() {
        match token {
            Token::Literal(literal) => {
                let rest = text.get(position..).unwrap_or_default();
                if here && rest.starts_with(literal.as_bytes()) {
                    set(&mut next, position + literal.len());
                }
                continue;
            }
            Token::Any => open |= here,
            Token::InSegment => {
                let crossed = position.checked_sub(1).and_then(|before| text.get(before));
                open = here || (open && crossed != Some(&b'/'));
            }
        }
        if open {
            set(&mut next, position);
        }
    }
    next
}

/// The registry part of a pattern: canonical, or with a wildcard for a whole part of the host.
fn canonical_registry(registry: &str, pattern: &str) -> Result<String, String> {
    if !registry.contains('*') {
        if !Registry::is_named_by(registry) {
            return Err(format!(
                "names no registry; write the registry too: \"docker.io/{pattern}\""
            ));
        }
        let registry = registry.parse::<Registry>().map_err(|error| error.to_string())?;
        return Ok(registry.as_str().to_owned());
    }
    let lower = registry.to_ascii_lowercase();
    let suffix_is_host =
        |suffix: &str| !suffix.contains('*') && format!("x.{suffix}").parse::<Registry>().is_ok();
    if matches!(registry, "*" | "**") || lower.strip_prefix("*.").is_some_and(suffix_is_host) {
        return Ok(lower);
    }
    Err("a wildcard in the registry stands alone or for the first part of the host, as in \"*.corp.example/**\"".to_owned())
}

/// Refuses what no canonical repository could ever look like.
fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() || repository.split('/').any(str::is_empty) {
        return Err("has an empty part between slashes".to_owned());
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repositories are lower case; write it so".to_owned());
    }
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/*".contains(&b);
    match repository.chars().find(|c| !u8::try_from(*c).is_ok_and(known)) {
        Some(c) => Err(format!(
            "has {c:?}, which no repository has; the only wildcards are * (in one part) and ** (across parts)"
        )),
        None => Ok(()),
    }
}
