//! How values look to people: times, counts, digests, names, wrapped lines.

pub(super) use crate::text::{Times, bytes, count, span};

use crate::oci::Digest;

/// Widest line, in columns.
pub(super) const WIDTH: usize = 100;
/// What stands for what was cut out.
const CUT: &str = "...";

/// The digest as people see it: algorithm and first twelve digits.
pub(super) fn short(digest: &Digest) -> String {
    format!("{}:{}{CUT}", digest.algorithm().as_str(), digest.short())
}

/// `name`, with its middle cut out if it is longer than `width`: the registry in front and the tag
/// at the end are what people tell images apart by.
pub(super) fn cut_middle(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let kept = width.saturating_sub(CUT.len());
    let tail = kept.div_ceil(2);
    let head: String = name.chars().take(kept - tail).collect();
    let end: String = name.chars().skip(length - tail).collect();
    format!("{head}{CUT}{end}")
}

/// `text` in lines of at most `width` columns, broken at spaces; a longer word is broken hard.
/// Line breaks in it stay. Control characters, which could steer a terminal, become spaces.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in printable(paragraph).split_whitespace() {
            let mut word = word.to_owned();
            let mut length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            while length > width {
                lines.push(word.chars().take(width).collect());
                word = word.chars().skip(width).collect();
                length -= width;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(&word);
            used += length;
        }
        lines.push(line);
    }
    lines
}

/// `text` on one line without characters that could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_direction_mark(c) { ' ' } else { c }).collect()
}

/// Unicode's marks of writing direction, by which a text can be made to look like another.
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_middle_and_keep_both_ends() {
        assert_eq!(cut_middle("docker.io/library/redis:7.4", 30), "docker.io/library/redis:7.4");
        let cut = cut_middle("registry.corp.example/team/service/component/worker:1.2.3", 30);
        assert_eq!((cut.as_str(), cut.len()), ("registry.corp...t/worker:1.2.3", 30));
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing_but_control_characters() {
        let text = "would pass if: signed by acme-ci, or a rule admits the dev workflow";
        let lines = wrap(text, 20);
        assert!(lines.iter().all(|line| line.len() <= 20), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrap("one\n two", 20), ["one", "two"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("red \u{1b}[31m \u{202e}x", 20), ["red [31m x"]);
    }
}
