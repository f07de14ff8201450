//! Patterns over canonical repository names: `docker.io/library/*`, `ghcr.io/acme/**`.

use std::fmt;

use crate::oci::Registry;

/// Longest pattern in bytes; longer than any name that could match it.
pub(super) const PATTERN_BYTES_MAX: usize = 600;

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
pub(super) struct Rank {
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
    pub(super) fn parse(text: &str) -> Result<Self, String> {
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
    pub(super) fn of_names(text: &str) -> Result<Self, String> {
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

    /// Whether some text is covered by both patterns. Exact.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.steps(), other.steps());
        let width = theirs.len() + 1;
        // Row by row: whether the two can have read the same text when `ours` is at the row's step
        // and `theirs` at the column's.
        let mut row = vec![false; width];
        if let Some(start) = row.first_mut() {
            *start = true;
        }
        for index in 0..=ours.len() {
            let our = ours.get(index).copied();
            let mut next = vec![false; width];
            for column in 0..width {
                if !row.get(column).copied().unwrap_or(false) {
                    continue;
                }
                let their = theirs.get(column).copied();
                let (down, right, diagonal) = moves(our, their);
                if right {
                    set(&mut row, column + 1);
                }
                if down {
                    set(&mut next, column);
                }
                if diagonal {
                    set(&mut next, column + 1);
                }
            }
            if index == ours.len() {
                return row.last().copied().unwrap_or(false);
            }
            row = next;
        }
        false
    }

    pub(super) fn rank(&self) -> Rank {
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
    pub(super) fn literal_prefix(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Literal(text)) => text,
            Some(Token::Any | Token::InSegment) | None => "",
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.text.len());
        for token in &self.tokens {
            match token {
                Token::Any => steps.push(Step::Any),
                Token::InSegment => steps.push(Step::InSegment),
                Token::Literal(text) => steps.extend(text.bytes().map(Step::Byte)),
            }
        }
        steps
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One character or wildcard of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Any,
    Byte(u8),
    InSegment,
}

impl Step {
    fn is_wildcard(self) -> bool {
        matches!(self, Self::Any | Self::InSegment)
    }

    /// Whether this is a wildcard that can stand for what `other` stands for.
    fn stands_for(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Byte(_)) => true,
            (Self::InSegment, Self::Byte(byte)) => byte != b'/',
            _ => false,
        }
    }
}

/// Which ways lead on when two patterns read one text: past our step, past theirs, past both.
fn moves(our: Option<Step>, their: Option<Step>) -> (bool, bool, bool) {
    let both = |test: fn(Step, Step) -> bool| our.zip(their).is_some_and(|(a, b)| test(a, b));
    let down = our.is_some_and(Step::is_wildcard) || both(|a, b| b.stands_for(a));
    let right = their.is_some_and(Step::is_wildcard) || both(Step::stands_for);
    let diagonal = both(|a, b| a == b && !a.is_wildcard());
    (down, right, diagonal)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_star_stays_within_a_segment_and_two_cross() {
        for (pattern, text, expected) in [
            ("up.test/a/*", "up.test/a/b", true),
            ("up.test/a/*", "up.test/a/b/c", false),
            ("up.test/a/**", "up.test/a/b/c", true),
            ("up.test/a/**", "up.test/a", false),
            ("up.test/*/c", "up.test/a/b/c", false),
            ("up.test/**/c", "up.test/a/b/c", true),
            ("up.test/a*c/d", "up.test/abc/d", true),
            ("up.test/a*c/d", "up.test/ab/c/d", false),
            ("**", "anything.test/at/all", true),
            ("up.test/a", "up.test/ab", false),
            ("*.corp.test/**", "eu.corp.test/a", true),
            ("*.corp.test/**", "evil.test/x.corp.test/a", false),
        ] {
            let found = Pattern::of_names(pattern).unwrap().matches(text);
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_spelling_of_a_registry_is_the_canonical_one() {
        for text in [
            "index.docker.io/library/*",
            "registry-1.docker.io/library/*",
            "DOCKER.io:443/library/*",
            "docker.io./library/*",
        ] {
            assert_eq!(Pattern::of_names(text).unwrap().as_str(), "docker.io/library/*", "{text}");
        }
    }

    #[test]
    fn patterns_that_could_match_no_canonical_name_are_refused() {
        for text in [
            "nginx",
            "library/nginx",
            "ghcr.io",
            "docker.io/nginx",
            "docker.io/*",
            "ghcr.io/Acme/*",
            "ghcr.io/a//b",
            "ghcr.io/",
            "/a",
            "ghcr.io/a:1.0",
            "ghcr.io/a@sha256:00",
            "ghcr.io/a/***",
            "ghcr.io/a?",
            "ghcr.io/[a]",
            "ghcr*/a",
            "ghcr.io*/a",
            "gh\u{441}r.io/a",
            "ghcr.io/\u{430}",
            "*.*/a",
            "",
        ] {
            assert!(Pattern::of_names(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_longer_prefix_wins_then_more_text_then_the_narrower_wildcard() {
        let rank = |text| Pattern::of_names(text).unwrap().rank();
        let order = [
            "**",
            "*.test/**",
            "up.test/**",
            "up.test/*",
            "up.test/*/b",
            "up.test/a/**",
            "up.test/a/*",
            "up.test/a/b*",
            "up.test/a/b",
        ];
        for pair in order.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn matching_does_not_blow_up_on_many_wildcards() {
        let pattern = Pattern::parse(&"*a".repeat(250)).unwrap();
        let text = format!("{}b", "a".repeat(500));
        assert!(!pattern.matches(&text));
        assert!(pattern.overlaps(&Pattern::parse(&"a**".repeat(190)).unwrap()));
    }

    /// The obvious matcher, exponential and plainly right.
    fn matches_plainly(steps: &[Step], text: &[u8]) -> bool {
        let Some((step, rest)) = steps.split_first() else {
            return text.is_empty();
        };
        match step {
            Step::Byte(byte) => text.first() == Some(byte) && matches_plainly(rest, &text[1..]),
            Step::Any | Step::InSegment => (0..=text.len())
                .take_while(|end| *step == Step::Any || !text[..*end].contains(&b'/'))
                .any(|end| matches_plainly(rest, &text[end..])),
        }
    }

    fn texts(length_max: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..length_max {
            let longer = |text: &Vec<u8>| b"ab/".map(|byte| [text.as_slice(), &[byte]].concat());
            last = last.iter().flat_map(longer).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    fn small_pattern() -> impl Strategy<Value = Pattern> {
        let piece = prop::sample::select(vec!["a", "b", "/", "*", "**"]);
        prop::collection::vec(piece, 1..5)
            .prop_map(|pieces| pieces.concat())
            .prop_filter_map("three stars", |text| Pattern::parse(&text).ok())
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_obvious_matcher(
            pattern in small_pattern(), text in "[ab/]{0,8}",
        ) {
            prop_assert_eq!(
                pattern.matches(&text),
                matches_plainly(&pattern.steps(), text.as_bytes()),
                "{} {}", pattern, text
            );
        }

        #[test]
        fn overlap_is_exact(a in small_pattern(), b in small_pattern()) {
            // Two patterns of at most four literals each share a text of at most eight bytes if they
            // share any; six are plenty to find one that is shorter, so only a miss needs eight.
            let common = |text: &Vec<u8>| {
                matches_plainly(&a.steps(), text) && matches_plainly(&b.steps(), text)
            };
            let expected = texts(6).iter().any(common) || texts(8).iter().any(common);
            prop_assert_eq!(a.overlaps(&b), expected, "{} {}", a, b);
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        }

        #[test]
        fn parsing_and_matching_never_panic(pattern in ".{0,60}", text in ".{0,60}") {
            if let Ok(pattern) = Pattern::of_names(&pattern) {
                let _ = pattern.matches(&text);
                prop_assert!(pattern.overlaps(&pattern));
                prop_assert_eq!(Pattern::of_names(pattern.as_str()).unwrap(), pattern);
            }
        }
    }
}
