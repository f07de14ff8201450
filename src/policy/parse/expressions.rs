//! Conditions, at `expressions` and in overlays.

use std::collections::BTreeSet;

use super::super::expressions::{NamedExpression, When};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::yaml::Node;
use super::rules::read_id;

/// Most expressions of one policy: each is asked about every image.
const EXPRESSIONS_MAX: usize = 50;
const EXPRESSION: Words = Words {
    known: &["id", "when", "message"],
    later: &[
        (
            "match",
            "it holds for every image; write image.repository.startsWith(...) into when, or an overlay with match",
        ),
        ("mode", "it is in the mode of the rule; an overlay has a mode"),
        ("modeUntil", "it is in the mode of the rule; an overlay has a mode"),
    ],
};

pub(super) fn read(node: Node, problems: &mut Problems) -> Vec<NamedExpression> {
    let position = node.position;
    let items = fields::list(node, "expressions", problems).unwrap_or_default();
    if items.len() > EXPRESSIONS_MAX {
        let text = format!("has more than {EXPRESSIONS_MAX} expressions");
        problems.add(position, "expressions", text);
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let expression = |(node, path): (Node, String)| {
        let mut fields = Fields::of(node, &path, EXPRESSION, problems)?;
        let id = read_id(&mut fields, problems);
        if let Some((id, position)) = &id
            && !seen.insert(id.clone())
        {
            let text = format!("\"{id}\" is the id of another expression; give one another id");
            problems.add(*position, &fields.path_of("id"), text);
        }
        let before = problems.0.len();
        let when = when(&mut fields, problems);
        if when.is_none() && problems.0.len() == before {
            let text = "is missing; write what must hold, as in \"!image.tag.endsWith('-debug')\"";
            problems.add(fields.position, &fields.path_of("when"), text);
        }
        let hint = "whoever is refused reads it";
        let message = fields.require_text("message", hint, problems);
        Some(NamedExpression { id: id?.0, when: when?, message: message?.0 })
    };
    items.into_iter().filter_map(expression).collect()
}

/// The condition at `when`, if one is written and can be used.
pub(super) fn when(fields: &mut Fields, problems: &mut Problems) -> Option<When> {
    let (text, position) = fields.text("when", problems)?;
    let path = fields.path_of("when");
    match When::new(&text, position, &path) {
        Ok(when) => Some(when),
        Err(text) => {
            problems.add(position, &path, text);
            None
        }
    }
}
