//! Policies of several files: which is the base, and what the others may say.
//!
//! A file with a scope speaks of what lies in it and of nothing else, and takes nothing away from what the
//! base file says. What cannot be seen to be so is refused.

use std::collections::HashMap;
use std::time::Duration;

use super::super::approval::Principal;
use super::super::document::{Located, SignerChange, TagMove};
use super::super::expressions::When;
use super::super::fields::{Fields, Problems, extract};
use super::super::files::{PolicyFile, PolicyPart, PolicySource};
use super::super::mode::{Mode, ModeUntil};
use super::super::on_error::OnError;
use super::super::pattern::{Pattern, Rank};
use super::super::problem::{FileNumber, Position, Problem};
use super::super::yaml::{self, Content, Node};
use super::check::for_other_kinds;
use super::overlays::ReadOverlay;
use super::rules::ReadRule;
use super::{Defaults, checked_name};

/// Most files of one policy.
pub(super) const FILES_MAX: usize = 500;
/// Most patterns in the scope of one file.
const SCOPE_MAX: usize = 50;
/// What a file with a scope may hold.
const OF_PARTS: [&str; 8] =
    ["apiVersion", "kind", "metadata", "signers", "gates", "exceptions", "rules", "overlays"];

/// The documents of a policy, and which of them is the base.
pub(super) struct Documents {
    pub(super) base: (FileNumber, Node),
    pub(super) parts: Vec<(FileNumber, Node)>,
}

/// How the files are called, for messages.
#[derive(Clone, Copy)]
pub(super) struct Names<'a>(pub(super) &'a [PolicySource<'a>]);

impl Names<'_> {
    /// What stands at `index` of the list `key` in the file of `there`, told in the file of `here`.
    pub(super) fn place(
        self,
        key: &str,
        index: usize,
        here: Position,
        there: FileNumber,
    ) -> String {
        let place = format!("{key}[{index}]");
        if here.file == there { place } else { format!("{place} of {}", path_of(self.0, there)) }
    }
}

/// The path of the file with `number`.
pub(super) fn path_of<'a>(sources: &[PolicySource<'a>], number: FileNumber) -> &'a str {
    sources.get(usize::from(number.0)).map_or("", |source| source.path)
}

/// Reads all of `sources` and finds the base among them.
pub(super) fn documents(
    sources: &[PolicySource<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Documents> {
    if sources.len() > FILES_MAX {
        let text = format!("is one of more than {FILES_MAX} files");
        problems.push(Problem::new(Position::START, "", text));
        return None;
    }
    let mut nodes = Vec::new();
    for (number, source) in (0..).map(FileNumber).zip(sources) {
        nodes.push((number, yaml::read_file(number, source.text, problems)?));
    }
    if !problems.is_empty() {
        return None;
    }
    let (parts, mut bases): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|(_, node)| scope_at(node).is_some());
    if bases.len() > 1 {
        let first = bases.first().map_or("", |(number, _)| path_of(sources, *number));
        for (number, _) in bases.iter().skip(1) {
            let text = format!(
                "is missing, and {first} has none either; one file is the base, and every other one has \
                 metadata: {{owner: \"group:...\", scope: [\"registry/team/**\"]}}"
            );
            problems.push(Problem::new(Position::start_of(*number), "metadata.scope", text));
        }
        return None;
    }
    let Some(base) = bases.pop() else {
        let first = parts.first().and_then(|(_, node)| scope_at(node));
        let text = "a file with a scope is a part of a policy; it takes a directory with one file without \
                    scope, which has the floor, the defaults and the approval policies";
        let at = first.unwrap_or(Position::START);
        problems.push(Problem::new(at, "metadata.scope", text));
        return None;
    };
    Some(Documents { base, parts })
}

/// Where the document has `metadata.scope`.
fn scope_at(root: &Node) -> Option<Position> {
    let inner = |node: &Node, key: &str| match &node.content {
        Content::Map(entries) => entries.iter().position(|entry| entry.key == key),
        Content::List(_) | Content::Null | Content::Text(_) => None,
    };
    let Content::Map(top) = &root.content else { return None };
    let metadata = &top.get(inner(root, "metadata")?)?.value;
    let Content::Map(entries) = &metadata.content else { return None };
    entries.get(inner(metadata, "scope")?).map(|entry| entry.position)
}

/// The document without what only a base file says; each is a problem.
pub(super) fn without_base_keys(mut node: Node, words: &[&str], problems: &mut Problems) -> Node {
    if let Content::Map(entries) = &mut node.content {
        entries.retain(|entry| {
            let key = entry.key.as_str();
            let is_base = words.contains(&key) && !OF_PARTS.contains(&key);
            if is_base {
                let text = "is for the base file to say; a file with a scope holds signers, gates, \
                            exceptions, rules and overlays";
                problems.add(entry.position, key, text);
            }
            !is_base
        });
    }
    node
}

/// A base file has no owner: it is everybody's.
pub(super) fn no_owner(metadata: &mut Fields, problems: &mut Problems) {
    if let Some(node) = metadata.take("owner") {
        let text = "is for a file with a scope to say, and this one has none";
        problems.add(node.position, "metadata.owner", text);
    }
}

/// What the base file gives to whom: names of files, each with the patterns that its scope lies in.
pub(super) type Given = HashMap<String, Vec<Pattern>>;

/// What stands at `metadata.scopes`.
pub(super) fn given(metadata: &mut Fields, problems: &mut Problems) -> Option<Given> {
    let node = metadata.take("scopes")?;
    let mut given = Given::new();
    for entry in Fields::free(node, "metadata.scopes", problems) {
        let path = format!("metadata.scopes.{}", extract(&entry.key));
        let Some(name) = checked_name(entry.key, entry.position, &path, problems) else { continue };
        let patterns = patterns(entry.value, &path, problems);
        given.insert(name, patterns.into_iter().map(|it| it.value).collect());
    }
    Some(given)
}

/// A file with a scope, as far as it speaks of itself.
pub(super) struct Part {
    pub(super) number: FileNumber,
    pub(super) file: PolicyFile,
    scope: Vec<Located<Pattern>>,
}

impl Part {
    /// Reads `metadata` of the file with that `number` among `sources`.
    pub(super) fn read(
        number: FileNumber,
        metadata: &mut Fields,
        (name, sources): (String, &[PolicySource<'_>]),
        problems: &mut Problems,
    ) -> Option<Self> {
        if let Some(node) = metadata.take("scopes") {
            let text = "is for the base file to say";
            problems.add(node.position, "metadata.scopes", text);
        }
        let owner =
            metadata.require_text("owner", "write who answers for it: group:shop", problems);
        let owner = owner.and_then(|(text, position)| match text.parse::<Principal>() {
            Ok(Principal::Signer(_)) => {
                let text = "is who signs files; name who answers for this one: group:shop";
                problems.add(position, "metadata.owner", text);
                None
            }
            Ok(owner) => Some(owner),
            Err(error) => {
                let text = format!("\"{}\" names nobody; {error}", extract(&text));
                problems.add(position, "metadata.owner", text);
                None
            }
        });
        let revision = metadata.number("revision", problems).map(|(revision, _)| revision);
        let node = metadata.take("scope")?;
        let scope = patterns(node, "metadata.scope", problems);
        for pattern in scope.iter().filter(|it| it.value.as_str() == "**") {
            let text = "\"**\" is everything, and for that there is the base file; name a registry";
            problems.add(pattern.position, "metadata.scope", text);
        }
        let patterns = scope.iter().map(|it| it.value.clone()).collect();
        let part = Some(PolicyPart { owner: owner?, scope: patterns });
        let path = path_of(sources, number).to_owned();
        Some(Self { number, file: PolicyFile { path, name, revision, part }, scope })
    }

    /// Every one of `patterns` lies in the scope.
    pub(super) fn holds<'p>(
        &self,
        patterns: impl IntoIterator<Item = (&'p Pattern, Position)>,
        key: &str,
        problems: &mut Problems,
    ) {
        for (pattern, position) in patterns {
            if self.file.scope().iter().any(|scope| pattern.is_within(scope)) {
                continue;
            }
            let text = format!(
                "\"{pattern}\" does not plainly lie in the scope of {} ({}); narrow it",
                self.file.path,
                listed(self.file.scope())
            );
            problems.add(position, key, text);
        }
    }

    /// The scope lies in what the base file gives to the file of this name, if it gives anything.
    pub(super) fn is_given(&self, given: Option<&Given>, problems: &mut Problems) {
        let Some(given) = given else { return };
        let own = given.get(&self.file.name).map(Vec::as_slice).unwrap_or_default();
        for scope in &self.scope {
            if own.iter().any(|outer| scope.value.is_within(outer)) {
                continue;
            }
            let said = if own.is_empty() { "nothing of it".to_owned() } else { listed(own) };
            let text = format!(
                "\"{}\" is not given to {}: metadata.scopes of the base file says {said}",
                scope.value, self.file.name
            );
            problems.add(scope.position, "metadata.scope", text);
        }
    }

    /// No rule of it goes before a rule of the base file, unless the base file gave all that this may be
    /// about and speaks of more itself.
    pub(super) fn yields<'r>(
        &self,
        own: impl Iterator<Item = &'r ReadRule>,
        base: &[&'r ReadRule],
        given: Option<&Given>,
        problems: &mut Problems,
    ) {
        let given = given.and_then(|given| given.get(&self.file.name));
        let given = given.map(Vec::as_slice).unwrap_or_default();
        for read in own {
            for pattern in &read.rule.patterns {
                let goes_before = |theirs: &&ReadRule| {
                    theirs.rule.patterns.iter().any(|general| {
                        !pattern.value.is_apart(&general.value)
                            && rank(read, &pattern.value) > rank(theirs, &general.value)
                            && !for_other_kinds(&read.rule, &theirs.rule)
                            && pattern.value.overlaps(&general.value)
                            && !given.iter().any(|it| {
                                pattern.value.is_within(it) && it.is_within(&general.value)
                            })
                    })
                };
                if let Some(before) = base.iter().copied().find(goes_before) {
                    let text = format!(
                        "rule {} with \"{}\" of {} would go before rule {} of the base file; have the \
                         base file give it the scope (metadata.scopes: {{{}: [...]}}), or narrow it",
                        read.rule.id, pattern.value, self.file.path, before.rule.id, self.file.name
                    );
                    let key = format!("rules[{}].match", read.rule.index);
                    problems.add(pattern.position, &key, text);
                }
            }
        }
    }

    /// The overlay has no condition on who signed: what conditions know of that is what the base file's
    /// signers did.
    pub(super) fn asks_nobody(&self, read: &ReadOverlay, problems: &mut Problems) {
        let facts = read.overlay.when().map(When::facts).unwrap_or_default();
        if facts.signatures || facts.attestations {
            let text = format!(
                "asks who signed or attested, which in {} is for signatures and attestations of the \
                 overlay to ask",
                self.file.path
            );
            problems.add(read.id_position, &format!("overlays[{}].when", read.index), text);
        }
    }
}

/// Nothing of a rule is weaker than what the base file says of all rules.
pub(super) fn tightens<'r>(
    own: impl Iterator<Item = &'r ReadRule>,
    base: Defaults,
    problems: &mut Problems,
) {
    for read in own {
        let rule = &read.rule;
        let mut weaker = |key: &str, what: &str| {
            let text = format!(
                "{what} is weaker than what the base file says of all rules; remove it, or have it \
                     changed there"
            );
            problems.add(read.id_position, &format!("rules[{}].{key}", rule.index), text);
        };
        if is_weaker(rule.mode, base.mode) {
            weaker("mode", "that mode");
        }
        if rule.tag_move == TagMove::HoldNew && base.tag_move == TagMove::Strict {
            weaker("tagMove", "hold-new");
        }
        if is_longer(rule.on_error, base.errors.on_error) {
            weaker("onError", "that");
        }
        if rule.signer_change == SignerChange::Allow && base.signer_change == SignerChange::Hold {
            weaker("signerChange", "allow");
        }
    }
}

/// How specific a rule is where `pattern` matches.
fn rank(read: &ReadRule, pattern: &Pattern) -> (Rank, u8, bool) {
    (pattern.rank(), read.rule.tag_rank(), !read.rule.artifacts.is_empty())
}

/// Whether `mode` is weaker than `base` at any time.
fn is_weaker(mode: ModeUntil, base: ModeUntil) -> bool {
    let lasts_longer = match (mode.until, base.until) {
        _ if mode.mode == Mode::Enforce => false,
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(ours), Some(theirs)) => ours > theirs,
    };
    mode.mode < base.mode || lasts_longer
}

/// Whether `on_error` serves on for longer than `base`.
fn is_longer(on_error: OnError, base: OnError) -> bool {
    let time = |it| match it {
        OnError::Deny => Duration::ZERO,
        OnError::Stale(most) => most,
    };
    time(on_error) > time(base)
}

/// No two scopes have anything in common, and no two files a name.
pub(super) fn apart(
    base: (FileNumber, Option<&str>),
    parts: &[Part],
    names: Names<'_>,
    problems: &mut Problems,
) {
    let mut seen: HashMap<&str, FileNumber> =
        base.1.map(|name| (name, base.0)).into_iter().collect();
    for (place, part) in parts.iter().enumerate() {
        if let Some(first) = seen.insert(&part.file.name, part.number) {
            let other = path_of(names.0, first);
            let text = format!("\"{}\" is the name of {other} too", part.file.name);
            problems.add(Position::start_of(part.number), "metadata.name", text);
        }
        for other in parts.iter().take(place) {
            for scope in &part.scope {
                let meets = |theirs: &&Located<Pattern>| {
                    !scope.value.is_apart(&theirs.value) && scope.value.overlaps(&theirs.value)
                };
                if let Some(theirs) = other.scope.iter().find(meets) {
                    let text = format!(
                        "\"{}\" meets \"{}\" of {}; every repository has one owner",
                        scope.value, theirs.value, other.file.path
                    );
                    problems.add(scope.position, "metadata.scope", text);
                }
            }
        }
    }
}

/// A list of patterns of repositories.
fn patterns(node: Node, path: &str, problems: &mut Problems) -> Vec<Located<Pattern>> {
    let position = node.position;
    let items = super::super::fields::list(node, path, problems);
    if items.as_ref().is_some_and(|items| items.len() > SCOPE_MAX) {
        problems.add(position, path, format!("has more than {SCOPE_MAX} patterns"));
        return Vec::new();
    }
    super::rules::read_patterns(items, problems)
}

fn listed(patterns: &[Pattern]) -> String {
    patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect::<Vec<_>>().join(", ")
}
