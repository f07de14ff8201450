//! Policies of other tools, as a policy of ours.
//!
//! What cannot be said exactly is refused, with its place. With `lossy`, a denial stands in its place: never
//! something that passes. Texts in, text out; the files that a policy names are not opened.

mod cip;
mod containers;
mod draft;
#[cfg(test)]
mod tests;
mod trust_policy;

use std::fmt;

use super::fields::Problems;
use super::problem::Problem;
use super::yaml::{self, Node};

use draft::Draft;

/// Most documents in all files together.
const DOCUMENTS_MAX: usize = 1_000;

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// `ClusterImagePolicy` of the Sigstore policy controller.
    ClusterImagePolicy,
    /// `policy.json` of containers/image.
    Containers,
    /// `trustpolicy.json` of the Notary Project.
    TrustPolicy,
}

/// A file of another tool.
#[derive(Debug, Clone)]
pub struct ImportSource {
    /// What it is called, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What cannot be taken over, and in which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The file.
    pub file: String,
    /// The place in it, and what is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.file, self.problem)
    }
}

/// Gives the files of a trust store.
type Store<'a> = dyn Fn(&str, &str) -> Result<Vec<String>, String> + 'a;

/// How to import.
#[derive(Clone, Copy)]
pub struct Import<'a> {
    /// Whose policies.
    pub format: ImportFormat,
    /// The name of the policy that is made.
    pub name: &'a str,
    /// Whether a denial stands in the place of what cannot be said.
    pub lossy: bool,
    /// The files of a trust store of the Notary Project: of a kind (`ca`, `signingAuthority`, `tsa`), by name.
    pub store: &'a Store<'a>,
}

/// A policy, and what of others it does not say.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The text of the policy.
    pub policy: String,
    /// In whose place a denial stands.
    pub lost: Vec<Lost>,
}

impl Import<'_> {
    /// The policy that says what those in `sources` say.
    ///
    /// # Errors
    /// Everything that cannot be read, and unless that is wanted, everything that cannot be said.
    pub fn run(&self, sources: &[ImportSource]) -> Result<Imported, Vec<Lost>> {
        let mut draft = Draft::default();
        let (mut refused, mut lost) = (Vec::new(), Vec::new());
        let mut documents = 0_usize;
        for source in sources {
            for (lines_before, text) in split(self.format, &source.text) {
                documents += 1;
                let mut problems = Vec::new();
                let root = yaml::read(&text, &mut problems);
                let is_readable = problems.is_empty() && documents <= DOCUMENTS_MAX;
                if documents > DOCUMENTS_MAX {
                    let text = format!("is one of more than {DOCUMENTS_MAX} documents");
                    problems.push(Problem::new(super::Position::START, "", text));
                }
                let mut reading = Reading { import: self, draft: &mut draft, lost: Vec::new() };
                if let Some(root) = root.filter(|_| is_readable) {
                    let mut found = Problems::default();
                    reading.document(root, &mut found);
                    problems.extend(found.0);
                }
                let placed = |mut problem: Problem| {
                    problem.line += lines_before;
                    Lost { file: source.name.clone(), problem }
                };
                lost.extend(reading.lost.into_iter().map(placed));
                refused.extend(problems.into_iter().map(placed));
            }
        }
        if refused.is_empty() && draft.is_empty() {
            let problem = Problem::new(super::Position::START, "", "says nothing to take over");
            let file = sources.first().map(|source| source.name.clone()).unwrap_or_default();
            refused.push(Lost { file, problem });
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        Ok(Imported { policy: draft.text(self.name, &lost), lost })
    }
}

/// One document that is being read.
struct Reading<'a, 'd> {
    import: &'a Import<'a>,
    draft: &'d mut Draft,
    lost: Vec<Problem>,
}

impl Reading<'_, '_> {
    fn document(&mut self, root: Node, problems: &mut Problems) {
        match self.import.format {
            ImportFormat::ClusterImagePolicy => cip::read(root, self, problems),
            ImportFormat::Containers => containers::read(root, self, problems),
            ImportFormat::TrustPolicy => trust_policy::read(root, self, problems),
        }
    }

    /// Reads one part with `read`. Whatever is wrong with it goes to `problems`; where losses are allowed, it
    /// is noted instead, and `deny` puts a denial in the place of the part.
    fn part<T>(
        &mut self,
        problems: &mut Problems,
        read: impl FnOnce(&mut Draft, &mut Problems) -> T,
        deny: impl FnOnce(&mut Draft, T, &[String]),
    ) {
        let before = self.draft.clone();
        let mut found = Problems::default();
        let came = read(self.draft, &mut found);
        if found.0.is_empty() {
            return;
        }
        *self.draft = before;
        if !self.import.lossy {
            problems.0.extend(found.0);
            return;
        }
        let why: Vec<String> =
            found.0.iter().map(|it| format!("{}: {}", it.key, it.text)).collect();
        deny(self.draft, came, &why);
        self.lost.extend(found.0);
    }
}

/// The documents in `text`, each with how many lines stand before it. JSON is one document.
fn split(format: ImportFormat, text: &str) -> Vec<(usize, String)> {
    if format != ImportFormat::ClusterImagePolicy {
        // In JSON white space is white space; YAML takes no tabs to begin a line.
        let lines = text.lines().map(|line| {
            let rest = line.trim_start_matches(['\t', ' ']);
            let width = line.len() - rest.len();
            format!("{}{rest}", " ".repeat(width))
        });
        return vec![(0, lines.collect::<Vec<_>>().join("\n"))];
    }
    let mut documents = vec![(0, String::new())];
    for (at, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---");
        let is_mark = rest.is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.is_empty() || rest.starts_with('#')
        });
        if is_mark {
            documents.push((at + 1, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let says = |text: &str| {
        text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    documents.retain(|(_, document)| says(document));
    documents
}
