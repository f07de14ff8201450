//! From text to a [`Kit`], with every mistake at once.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ClientCertificate, Kit, LIST_MAX};
use crate::node::problem::line_of;
use crate::node::{Endpoint, Kind, Problem, Problems, Runtime};
use crate::oci::Registry;

/// Every key of the file.
const KEYS: [&str; 10] = [
    "runtime",
    "mirrors",
    "ca",
    "client_cert",
    "client_key",
    "registries",
    "direct",
    "open",
    "canaries",
    "preload",
];

/// What `text` says, called `file` in what is said about it.
pub(super) fn read(file: &str, text: &str) -> Result<Kit, Problems> {
    let wrong = |problems| Problems { file: file.to_owned(), problems };
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let text_of_it = error.message().to_owned();
        wrong(vec![Problem { line: line_of(text, offset), key: String::new(), text: text_of_it }])
    })?;
    let table = Table { text, keys: document.get_ref(), problems: RefCell::default() };
    table.check_keys();
    let kit = kit(&table);
    let mut problems = table.problems.into_inner();
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok(kit) } else { Err(wrong(problems)) }
}

/// What stands there; where something was noted, something else in its place.
fn kit(table: &Table<'_>) -> Kit {
    let runtime = table.required::<Runtime>("runtime");
    let mirrors = table.list::<Endpoint>("mirrors");
    if !table.has("mirrors") || (mirrors.is_empty() && table.is_clean("mirrors")) {
        table.note("mirrors", "names no mirror; name at least one, as the node reaches it");
    }
    let (ca, cert, key) = (table.path("ca"), table.path("client_cert"), table.path("client_key"));
    for (there, missing) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if table.has(there) && !table.has(missing) {
            table.note(there, format!("needs {missing} beside it"));
        }
    }
    if mirrors.iter().all(Endpoint::is_plain) && !mirrors.is_empty() {
        for key in ["ca", "client_cert"].into_iter().filter(|key| table.has(key)) {
            table.note(key, "belongs to an https mirror, and there is none");
        }
    }
    let (registries, direct) =
        (table.list::<Registry>("registries"), table.list::<Registry>("direct"));
    for both in direct.iter().filter(|registry| registries.contains(registry)) {
        table.note("direct", format!("{both} is among registries too; it can only be one of both"));
    }
    Kit {
        runtime: runtime.unwrap_or(Kind::Containerd.into()),
        mirrors,
        ca,
        client: cert.zip(key).map(|(cert, key)| ClientCertificate { cert, key }),
        registries,
        direct,
        open: table.flag("open"),
        canaries: table.list("canaries"),
        preload: table.path("preload"),
    }
}

/// The document, and what was noted about it.
struct Table<'a> {
    text: &'a str,
    keys: &'a DeTable<'a>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Table<'a> {
    fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    fn is_clean(&self, key: &str) -> bool {
        !self.problems.borrow().iter().any(|problem| problem.key == key)
    }

    fn add(&self, span: Option<Range<usize>>, key: &str, text: impl Into<String>) {
        let line = line_of(self.text, span.map_or(0, |span| span.start));
        self.problems.borrow_mut().push(Problem { line, key: key.to_owned(), text: text.into() });
    }

    fn note(&self, key: &str, text: impl Into<String>) {
        self.add(self.keys.get(key).map(Spanned::span), key, text);
    }

    fn check_keys(&self) {
        for key in self.keys.keys() {
            let name: &str = key.get_ref();
            if !KEYS.contains(&name) {
                let text = format!("unknown key; the known ones are {}", KEYS.join(", "));
                self.add(Some(key.span()), name, text);
            }
        }
    }

    fn expect<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.keys.get(key)?.get_ref());
        if value.is_none() {
            self.note(key, format!("is not {kind}"));
        }
        value
    }

    fn parsed<T: FromStr<Err: Display>>(
        &self,
        key: &str,
        text: &str,
        at: Range<usize>,
    ) -> Option<T> {
        text.parse().map_err(|error| self.add(Some(at), key, format!("{text:?}: {error}"))).ok()
    }

    fn required<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        let Some(entry) = self.keys.get(key) else {
            self.note(key, "is missing; `pratique node install` writes it");
            return None;
        };
        let text = self.expect(key, "text in quotes", DeValue::as_str)?;
        self.parsed(key, text, entry.span())
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.expect(key, "text in quotes", DeValue::as_str)?);
        if !path.is_absolute() {
            self.note(key, "is not an absolute path; name the file as the node knows it");
        }
        Some(path)
    }

    fn flag(&self, key: &str) -> bool {
        self.expect(key, "true or false", DeValue::as_bool).unwrap_or(false)
    }

    fn list<T: FromStr<Err: Display> + PartialEq>(&self, key: &str) -> Vec<T> {
        let array = self.expect(key, "a list of texts", DeValue::as_array);
        let mut list = Vec::new();
        for entry in array.into_iter().flat_map(|array| array.iter()) {
            let Some(text) = entry.get_ref().as_str() else {
                self.add(Some(entry.span()), key, "has something that is not text in quotes");
                continue;
            };
            let Some(value) = self.parsed(key, text, entry.span()) else { continue };
            if list.contains(&value) {
                self.add(Some(entry.span()), key, format!("names {text:?} twice"));
            } else if list.len() == LIST_MAX {
                self.note(key, format!("has more than {LIST_MAX} entries"));
                break;
            } else {
                list.push(value);
            }
        }
        list
    }
}
