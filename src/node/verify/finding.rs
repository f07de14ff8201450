//! What was found on a node.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::node::install::STATE;
use crate::node::opened::Opened;
use crate::node::{Kind, Kit};

/// Most findings of one report; beyond them a node is not worth listing.
const FINDINGS_MAX: usize = 1000;
/// What says only that refusals lead to the registry, which is what an open node is for.
const OPEN_FORM: [&str; 5] = [
    "server-missing",
    "server-is-registry",
    "host-is-registry",
    "default-endpoint",
    "location-is-registry",
];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// A way past the mirror.
    Hole,
    /// No way past, but pulls fail or the runtime does not start.
    Broken,
    /// A way past the mirror that was declared.
    Declared,
    /// What is good to know.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Gravity,
    /// What it is, for programs: `unknown-capability`.
    pub code: &'static str,
    /// The file or folder, as the node names it.
    pub file: PathBuf,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// What is there and what happens.
    pub text: String,
    /// What to do.
    pub todo: String,
}

impl Finding {
    /// A hole.
    pub(super) fn hole(
        code: &'static str,
        file: &Path,
        line: Option<usize>,
        text: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            gravity: Gravity::Hole,
            code,
            file: file.to_owned(),
            line,
            text: text.into(),
            todo: todo.into(),
        }
    }

    /// The same as something else than a hole.
    pub(super) fn but(mut self, gravity: Gravity) -> Self {
        self.gravity = gravity;
        self
    }

    pub(super) fn is_open_form(&self) -> bool {
        OPEN_FORM.contains(&self.code)
    }
}

/// What a look at a node found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What pulls on the node.
    pub runtime: String,
    /// The mirrors that it is to pull through.
    pub mirrors: Vec<String>,
    /// Whether there is neither a hole nor something broken.
    pub closed: bool,
    /// Everything found, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(kit: &Kit) -> Self {
        Self {
            runtime: kit.runtime.to_string(),
            mirrors: kit.mirrors.iter().map(ToString::to_string).collect(),
            closed: false,
            findings: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn keep(&mut self, keep: impl FnMut(&Finding) -> bool) {
        self.findings.retain(keep);
    }

    /// Says whether the node is closed, and puts the worst first.
    pub(super) fn settle(&mut self) {
        self.findings
            .sort_by(|a, b| (a.gravity, &a.file, a.line).cmp(&(b.gravity, &b.file, b.line)));
        let closed = self.wrong().next().is_none();
        self.closed = closed;
    }

    /// The same with what else was found on the node.
    #[must_use]
    pub fn with(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        findings.into_iter().for_each(|finding| self.add(finding));
        self.settle();
        self
    }

    /// Holes and what is broken.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.gravity <= Gravity::Broken)
    }
}

/// The node was configured open.
pub(super) fn open() -> Finding {
    Finding::hole(
        "open",
        Path::new(crate::node::kit::FILE),
        None,
        "the node was configured open: every refusal is answered by the registry itself",
        "pratique node install, without --open, when what would be refused is understood",
    )
}

/// The node is open for a while.
pub(super) fn opened(opened: &Opened) -> Finding {
    Finding::hole(
        "opened",
        Path::new(STATE),
        None,
        format!("{opened}: refusals lead to the registry"),
        "pratique node close, when it is not needed any more",
    )
}

/// Whether it is open cannot be told.
pub(super) fn opening_unreadable(error: &std::io::Error) -> Finding {
    let text = format!("whether the node was opened cannot be told: {error}");
    let todo = "pratique node install, which closes it, and remove open.json there";
    Finding::hole("opened", Path::new(STATE), None, text, todo)
}

/// Nothing is known of how `kind` reads files of a node.
pub(super) fn not_verifiable(kind: Kind) -> Finding {
    let text =
        format!("{} is not configured by files of a node that could be looked at", kind.name());
    let todo = "look at it from outside: pratique doctor";
    Finding::hole("not-verifiable", Path::new(crate::node::kit::FILE), None, text, todo)
}
