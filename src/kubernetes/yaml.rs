//! YAML as clusters and charts write it: any number of documents, each a tree of texts.
//!
//! Built on the events of the parser. An alias is never expanded: a short text that it stands for is taken for
//! it, and everything else is where it was written.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self, Event, Marker, Options, Parser, ScalarStyle, Span};

use super::Error;

/// Most documents.
const DOCUMENTS_MAX: usize = 5_000;
/// Most values, in all documents together.
const NODES_MAX: usize = 500_000;
/// Deepest nesting: schemas of custom resources go forty deep.
const DEPTH_MAX: usize = 100;
/// Most texts that an alias may stand for.
const ANCHORS_MAX: usize = 1_000;
/// Longest of those, in bytes: longer than any name of an image.
const ANCHORED_BYTES_MAX: usize = 1_024;

/// A value, and in which line it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// What stands elsewhere.
    Alias,
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Null,
    Text(Rc<str>),
}

impl Node {
    /// The value of `key`, where this is a map that has it; the last one, as clusters read it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text at `key`.
    pub(super) fn text_at(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.content {
            Content::Text(text) => Some(text),
            Content::Alias | Content::List(_) | Content::Map(_) | Content::Null => None,
        }
    }
}

/// Reads the documents in `text`, one after the other, and gives each to `each`.
pub(super) fn documents(
    text: &str,
    each: &mut dyn FnMut(Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let events = Parser::new_from_str_with_options(text, options());
    let mut reader = Reader { events, nodes: 0, documents: 0, anchored: HashMap::new() };
    while let Some(node) = reader.document()? {
        each(node)?;
    }
    Ok(())
}

fn options() -> Options {
    granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    }
}

struct Reader<I> {
    events: I,
    nodes: usize,
    documents: usize,
    /// The short texts that have a name; what stands for one shares it.
    anchored: HashMap<usize, Rc<str>>,
}

type Item<'i> = Result<(Event<'i>, Span), granit_parser::ScanError>;

impl<'i, I: Iterator<Item = Item<'i>>> Reader<I> {
    /// The next document.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser may add events, and what is not known is refused"
    )]
    fn document(&mut self) -> Result<Option<Node>, Error> {
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) => {
                    self.documents += 1;
                    if self.documents > DOCUMENTS_MAX {
                        return Err(wrong(
                            at,
                            format!("the document here is one of more than {DOCUMENTS_MAX}"),
                        ));
                    }
                    self.anchored.clear();
                }
                event => return self.node(event, at, 0).map(Some),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'i>, Marker), Error> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => {
                Err(wrong(*error.marker(), format!("it is not well-formed YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser may add events, and what is not known is refused"
    )]
    fn node(&mut self, event: Event<'i>, at: Marker, depth: usize) -> Result<Node, Error> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            let what =
                format!("it is nested deeper than {DEPTH_MAX}, or has over {NODES_MAX} values");
            return Err(wrong(at, what));
        }
        let content = match event {
            Event::Scalar(text, style, anchor, _) => self.scalar(text.into_owned(), style, anchor),
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(anchor) => match self.anchored.get(&anchor) {
                Some(text) => Content::Text(Rc::clone(text)),
                None => Content::Alias,
            },
            Event::UnresolvedAlias(_) => Content::Alias,
            _ => return Err(wrong(at, "a value is missing here".to_owned())),
        };
        Ok(Node { line: at.line(), content })
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, anchor: usize) -> Content {
        if style == ScalarStyle::Plain
            && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
        {
            return Content::Null;
        }
        let text: Rc<str> = Rc::from(text);
        let is_short = text.len() <= ANCHORED_BYTES_MAX && self.anchored.len() < ANCHORS_MAX;
        if anchor != 0 && is_short {
            self.anchored.insert(anchor, Rc::clone(&text));
        }
        Content::Text(text)
    }

    fn list(&mut self, depth: usize) -> Result<Content, Error> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Error> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Content::Map(entries));
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            // No field of an object has a key that is no text; the value is looked at all the same.
            let key = match key.content {
                Content::Text(text) => text.as_ref().to_owned(),
                Content::Alias | Content::List(_) | Content::Map(_) | Content::Null => {
                    "?".to_owned()
                }
            };
            entries.push((key, value));
        }
    }
}

fn wrong(at: Marker, what: String) -> Error {
    Error::Yaml { line: at.line(), column: at.col() + 1, what }
}
