//! Reading a TOML table key by key: what is asked for is known, what is left over is a mistake.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Report;
use super::units;

/// Most edits between an unknown key and the key that it is taken for.
const TYPO_EDITS_MAX: usize = 2;

/// A table of the document, and what has been asked of it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    /// `None` reads as an empty table.
    table: Option<&'a DeTable<'a>>,
    path: String,
    span: Option<Range<usize>>,
    asked: RefCell<Vec<&'static str>>,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(report: &'a Report<'a>, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(report, Some(document.get_ref()), String::new(), None)
    }

    fn new(
        report: &'a Report<'a>,
        table: Option<&'a DeTable<'a>>,
        path: String,
        span: Option<Range<usize>>,
    ) -> Self {
        Self { report, table, path, span, asked: RefCell::default() }
    }

    /// The path of `key` from the root: `node.tls.cert`.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the table stands in the document.
    pub(super) fn is_present(&self) -> bool {
        self.span.is_some()
    }

    /// Notes a problem with `key`, at its own place if it stands there, else at the table's.
    pub(super) fn problem(&self, key: &'static str, text: impl Into<String>) {
        let span = self.entry(key).map(Spanned::span).or_else(|| self.span.clone());
        self.report.add(span, &self.path_of(key), text);
    }

    /// Notes a problem with the table itself.
    pub(super) fn problem_here(&self, text: impl Into<String>) {
        self.report.add(self.span.clone(), &self.path, text);
    }

    /// Whether `key` stands here, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn entry(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key)
    }

    fn expect<T>(
        &self,
        key: &'static str,
        kind: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<Found<T>> {
        let entry = self.entry(key)?;
        let Some(value) = read(entry.get_ref()) else {
            let found = entry.get_ref().type_str();
            self.problem(key, format!("is {}, where {kind} belongs", with_article(found)));
            return None;
        };
        Some(Found { value, span: entry.span() })
    }

    /// The text of `key`.
    pub(super) fn text(&self, key: &'static str) -> Option<Found<&'a str>> {
        self.expect(key, "text in quotes", DeValue::as_str)
    }

    /// The value that `parse` makes of the text of `key`; its error becomes the problem.
    pub(super) fn parsed<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Found<T>> {
        let Found { value, span } = self.text(key)?;
        match parse(value) {
            Ok(value) => Some(Found { value, span }),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    /// The path that `key` names.
    pub(super) fn file(&self, key: &'static str) -> Option<Found<PathBuf>> {
        self.parsed(key, |text| match text {
            "" => Err("is empty; name a file or leave the key out"),
            text => Ok(PathBuf::from(text)),
        })
    }

    /// The truth of `key`; `false` when it is not there.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        self.expect(key, "true or false", DeValue::as_bool).is_some_and(|found| found.value)
    }

    /// The duration of `key`, if it is within `bounds`.
    pub(super) fn duration(
        &self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let within = |text: &str| {
            let duration = units::duration(text)?;
            in_bounds(duration, &bounds, |bound| units::show_duration(*bound))
        };
        self.parsed(key, within).map(|found| found.value)
    }

    /// The size of `key` in bytes, if it is within `bounds`.
    pub(super) fn size(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let within = |text: &str| {
            let bytes = units::size(text)?;
            in_bounds(bytes, &bounds, |bound| units::show_size(*bound))
        };
        self.parsed(key, within).map(|found| found.value)
    }

    /// The whole number of `key`, if it is within `bounds`.
    pub(super) fn number(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = self.expect(key, "a whole number", |value| {
            let number = value.as_integer()?;
            u64::from_str_radix(number.as_str(), number.radix()).ok()
        })?;
        in_bounds(number.value, &bounds, u64::to_string)
            .map_err(|text| self.problem(key, text))
            .ok()
    }

    /// The texts of the list `key`.
    pub(super) fn list(&self, key: &'static str) -> Option<Vec<&'a str>> {
        let texts = |value: &'a DeValue<'a>| {
            let array = value.as_array()?;
            array.iter().map(|entry| entry.get_ref().as_str()).collect::<Option<Vec<_>>>()
        };
        self.expect(key, "a list of texts", texts).map(|found| found.value)
    }

    /// The table `key`; an empty one when it is not there.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        let found = self.expect(key, "a table", DeValue::as_table);
        let (table, span) = found.map(|found| (found.value, found.span)).unzip();
        Self::new(self.report, table, self.path_of(key), span)
    }

    /// The tables `[[key]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let tables = |value: &'a DeValue<'a>| {
            let array = value.as_array()?;
            let table = |entry: &'a Spanned<DeValue<'a>>| {
                entry.get_ref().as_table().map(|table| (table, entry.span()))
            };
            array.iter().map(table).collect::<Option<Vec<_>>>()
        };
        let kind = format!("a list of tables, [[{}]],", self.path_of(key));
        let found = self.expect(key, &kind, tables).map(|found| found.value).unwrap_or_default();
        found
            .into_iter()
            .map(|(table, span)| Self::new(self.report, Some(table), self.path_of(key), Some(span)))
            .collect()
    }

    /// Notes every key that was not asked for. To be called when all have been.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let text = match nearest(name, &asked) {
                Some(near) => format!("unknown key; did you mean {near}?"),
                None => "unknown key; remove it".to_owned(),
            };
            self.report.add(Some(key.span()), &self.path_of(name), text);
        }
    }
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn in_bounds<T: PartialOrd>(
    value: T,
    bounds: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(bounds.start()), show(bounds.end()));
    Err(format!("{} is outside of what is possible, {least} to {most}", show(&value)))
}

/// The known key that `unknown` is most likely to mean.
fn nearest(unknown: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let edits = |key: &&'static str| distance(&plain(unknown), &plain(key));
    let extends = |key: &&'static str| {
        let (unknown, key) = (plain(unknown), plain(key));
        key.len() > 2 && (unknown.starts_with(&key) || key.starts_with(&unknown))
    };
    let closest = known.iter().copied().min_by_key(edits);
    closest
        .filter(|key| edits(key) <= TYPO_EDITS_MAX.min(key.len() / 2))
        .or_else(|| known.iter().copied().find(extends))
}

/// Insertions, deletions and substitutions that lead from `from` to `to` (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = substituted.min(left + 1).min(*cell + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_taken_for_the_nearest_key() {
        let known = ["tag_ttl", "token_hosts", "url", "cert", "key"];
        for (unknown, expected) in [
            ("tagttl", Some("tag_ttl")),
            ("token-host", Some("token_hosts")),
            ("certificate_file", Some("cert")),
            ("key_file", Some("key")),
            ("urk", Some("url")),
            ("colour", None),
        ] {
            assert_eq!(nearest(unknown, &known), expected, "{unknown}");
        }
    }

    #[test]
    fn distances_count_single_edits() {
        for (from, to, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
