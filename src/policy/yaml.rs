//! YAML without surprises: a tree of texts, each with its place.
//!
//! Built on the events of the YAML parser, because only there nothing has been interpreted yet:
//! `1.10` is still the text that was written and not a number, a repeated key is still there twice,
//! and an anchor that nobody uses can still be seen. What makes YAML mean something else than it
//! says (anchors, aliases, merge keys, tags, several documents) is refused.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Marker, Options, Parser, ScalarStyle, Span};

use super::problem::{FileNumber, Position, Problem};

/// Largest document in bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting; the format itself goes eight deep.
const DEPTH_MAX: usize = 16;
/// Most nodes in one document.
const NODES_MAX: usize = 200_000;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    List(Vec<Node>),
    Map(Vec<Entry>),
    Null,
    Text(Text),
}

/// A scalar, as it was written.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Written without quotes, so that it may be meant as a number.
    pub(super) plain: bool,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

impl Content {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Null => "nothing",
            Self::Text(_) => "a text",
        }
    }
}

/// Reads the one document in `text`; what is refused but does not hide the rest goes to `problems`.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    read_file(FileNumber::BASE, text, problems)
}

/// As [`read`], where the document is `file` of several.
pub(super) fn read_file(file: FileNumber, text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let start = Position::start_of(file);
        problems.push(Problem::new(start, "", "document is larger than 1 MiB"));
        return None;
    }
    let events = Parser::new_from_str_with_options(text, options());
    let mut reader = Reader { events, problems, nodes: 0, file };
    match reader.document() {
        Ok(node) => Some(node),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn options() -> Options {
    granit_parser::options! {
        strict_indentation: true,
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    }
}

struct Reader<'a, I> {
    events: I,
    problems: &'a mut Vec<Problem>,
    nodes: usize,
    file: FileNumber,
}

type Item<'i> = Result<(Event<'i>, Span), granit_parser::ScanError>;

impl<'i, I: Iterator<Item = Item<'i>>> Reader<'_, I> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser may add events, and what is not known is refused"
    )]
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, position) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Problem::new(
                        position,
                        "",
                        "a second document begins here; a policy is one document",
                    ));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, position, 0)?),
            }
        }
        root.ok_or_else(|| Problem::new(Position::start_of(self.file), "", "document is empty"))
    }

    fn next(&mut self) -> Result<(Event<'i>, Position), Problem> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, self.position(&span.start))),
            Some(Err(error)) => {
                let text = format!("is not well-formed YAML: {}", error.info());
                Err(Problem::new(self.position(error.marker()), "", text))
            }
            None => Ok((Event::StreamEnd, Position::start_of(self.file))),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser may add events, and what is not known is refused"
    )]
    fn node(
        &mut self,
        event: Event<'i>,
        position: Position,
        depth: usize,
    ) -> Result<Node, Problem> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            let text = format!("is nested deeper than {DEPTH_MAX}, or has over {NODES_MAX} values");
            return Err(Problem::new(position, "", text));
        }
        let content = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(position, anchor, tag.is_some());
                scalar(text.into_owned(), style)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(position, anchor, tag.is_some());
                self.list(depth)?
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(position, anchor, tag.is_some());
                self.map(depth)?
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let text = "aliases are not allowed in a policy; write the value out";
                self.problems.push(Problem::new(position, "", text));
                Content::Null
            }
            _ => return Err(Problem::new(position, "", "a value is missing here")),
        };
        Ok(Node { position, content })
    }

    fn list(&mut self, depth: usize) -> Result<Content, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, position) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            items.push(self.node(event, position, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Content::Map(entries));
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            let Content::Text(Text { text: key, .. }) = key.content else {
                let text = format!("a key must be a text, this is {}", key.content.kind());
                self.problems.push(Problem::new(at, "", text));
                continue;
            };
            if key == "<<" {
                let text = "merge keys are not allowed in a policy; write the keys out";
                self.problems.push(Problem::new(at, key, text));
                continue;
            }
            if let Some(line) = seen.get(&key) {
                let text = format!("duplicate key, first written in line {line}; keep one");
                self.problems.push(Problem::new(at, key, text));
                continue;
            }
            seen.insert(key.clone(), at.line);
            entries.push(Entry { key, position: at, value });
        }
    }

    fn position(&self, marker: &Marker) -> Position {
        Position { line: marker.line(), column: marker.col() + 1, file: self.file }
    }

    fn refuse_properties(&mut self, position: Position, anchor: usize, has_tag: bool) {
        if anchor != 0 {
            let text = "anchors are not allowed in a policy; drop the &name";
            self.problems.push(Problem::new(position, "", text));
        }
        if has_tag {
            let text = "tags are not allowed in a policy; drop the !name";
            self.problems.push(Problem::new(position, "", text));
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Content {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Content::Null;
    }
    Content::Text(Text { text, plain })
}
