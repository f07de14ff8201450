//! Everything that was said, to be asked what the last word about a finding is.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Document, Image, Statement};
use crate::scan::Finding;

/// Documents of several speakers, by the names of the vulnerabilities that they speak of.
#[derive(Debug)]
pub struct Said<T> {
    documents: Vec<(T, Arc<Document>)>,
    /// Document and statement, by lower-case names.
    by_name: HashMap<String, Vec<(usize, usize)>>,
}

impl<T: PartialEq> Said<T> {
    /// What `documents` say, each with who said it. Of the versions of one document by one speaker only
    /// the highest counts.
    pub fn new(documents: Vec<(T, Arc<Document>)>) -> Self {
        let mut counting: Vec<(T, Arc<Document>)> = Vec::new();
        for (by, document) in documents {
            let is_same = |other: &(T, Arc<Document>)| {
                other.0 == by && document.id.is_some() && other.1.id == document.id
            };
            if counting.iter().any(|other| is_same(other) && other.1.version > document.version) {
                continue;
            }
            counting.retain(|other| !is_same(other) || other.1.version >= document.version);
            counting.push((by, document));
        }
        let mut by_name: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (at, (_, document)) in counting.iter().enumerate() {
            for (number, statement) in document.statements.iter().enumerate() {
                for name in &statement.vulnerability {
                    by_name.entry(name.to_ascii_lowercase()).or_default().push((at, number));
                }
            }
        }
        Self { documents: counting, by_name }
    }

    /// Whether nobody said anything.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The last word about `finding` in `image` of those who are `heard`, with who said it.
    ///
    /// It is the last by the time that it says itself, whoever said it; of two of one moment it is the
    /// one that does not take the finding away. It may be dated in the future: that is for the caller.
    pub fn last(
        &self,
        finding: &Finding,
        image: &Image<'_>,
        heard: impl Fn(&T) -> bool,
    ) -> Option<(&T, &Statement)> {
        let names = std::iter::once(&finding.id).chain(finding.aliases.iter());
        let places = names.filter_map(|name| self.by_name.get(&name.to_ascii_lowercase()));
        let statements = places.flatten().filter_map(|(at, number)| {
            let (by, document) = self.documents.get(*at)?;
            Some((by, document.statements.get(*number)?))
        });
        statements
            .filter(|(by, statement)| heard(by) && statement.is_about(finding, image))
            .max_by_key(|(_, statement)| statement.rank())
    }
}
