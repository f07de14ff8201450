//! A look at every part of an expression: that it may be there, and what it is.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr};

use super::vocabulary::{Kind, Of, Vocabulary};
use super::{LOOPS_MAX, PARTS_MAX, shown};

/// What may be called. Nothing among it makes anything larger than it was.
const FUNCTIONS: [&str; 19] = [
    "!_",
    "-_",
    "@in",
    "@not_strictly_false",
    "_!=_",
    "_&&_",
    "_<=_",
    "_<_",
    "_==_",
    "_>=_",
    "_>_",
    "_?_:_",
    "_[_]",
    "_||_",
    "contains",
    "endsWith",
    "int",
    "size",
    "startsWith",
];
/// The operator with which loops put their results together; nobody else may.
const JOIN: &str = "_+_";
/// The operator that is there for times.
const LESS: &str = "_-_";

/// A walk through one expression.
pub(super) struct Walk<'a> {
    vocabulary: &'a Vocabulary,
    /// The names that stand for something here: facts, and what loops go through.
    names: Vec<(&'a str, Kind)>,
    parts: usize,
    /// How deep loops stand in each other, at most.
    pub(super) loops: usize,
    /// The facts that were named, see [`super::Expression::uses`].
    pub(super) uses: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary) -> Self {
        let names = vocabulary.facts.to_vec();
        Self { vocabulary, names, parts: 0, loops: 0, uses: BTreeSet::new() }
    }

    /// Checks `expression`, which stands in loops with these accumulators, and gives what it is.
    pub(super) fn check(
        &mut self,
        expression: &'a IdedExpr,
        within: &[&'a str],
    ) -> Result<Kind, String> {
        let kind = self.kind_of(expression, within)?;
        Ok(if self.vocabulary.is_typed { kind } else { Kind::Any })
    }

    fn kind_of(&mut self, expression: &'a IdedExpr, within: &[&'a str]) -> Result<Kind, String> {
        self.parts += 1;
        // Macros make more of what was written.
        if self.parts > 2 * PARTS_MAX {
            return Err("is too long".to_owned());
        }
        match &expression.expr {
            Expr::Literal(literal) => Ok(kind_of(literal)),
            Expr::Ident(name) => match self.named(name)? {
                // Which of its fields are asked for would not be known.
                Kind::Record(fields) if self.is_fact(name) => Err(format!(
                    "speaks of all of {name}; write one of {}",
                    fields_of(name, fields)
                )),
                kind @ (Kind::Any
                | Kind::Bool
                | Kind::Int
                | Kind::List(_)
                | Kind::Record(_)
                | Kind::Text) => Ok(kind),
            },
            Expr::Select(select) => self.select(select, within),
            Expr::List(list) => {
                let mut kinds = Vec::new();
                for element in &list.elements {
                    kinds.push(self.check(element, within)?);
                }
                let same = kinds.windows(2).all(|pair| pair.first() == pair.last());
                let of = kinds.first().filter(|_| same).map_or(Of::Any, |kind| Of::item(*kind));
                Ok(Kind::List(of))
            }
            Expr::Call(call) => self.call(call, within),
            Expr::Comprehension(comprehension) => self.check_loop(comprehension, within),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("makes a map or a message, which conditions may not".to_owned())
            }
        }
    }

    /// What `name` stands for. The last one of that name counts.
    fn named(&mut self, name: &str) -> Result<Kind, String> {
        let found = self.names.iter().rfind(|(known, _)| *known == name).map(|(_, kind)| *kind);
        if let Some(kind) = found {
            if self.is_fact(name) {
                self.uses.insert(name.to_owned());
            }
            return Ok(kind);
        }
        if let Some((_, why)) = self.vocabulary.absent.iter().find(|(known, _)| *known == name) {
            return Err(format!("speaks of {name}, {why}"));
        }
        Err(format!("speaks of {}; known here: {}", shown(name), self.vocabulary.names()))
    }

    /// Whether `name` is a fact here, and not what a loop goes through.
    fn is_fact(&self, name: &str) -> bool {
        let last = self.names.iter().rposition(|(known, _)| *known == name);
        last.is_some_and(|at| at < self.vocabulary.facts.len())
    }

    fn select(&mut self, select: &'a SelectExpr, within: &[&'a str]) -> Result<Kind, String> {
        let path = self.path_of(&select.operand.expr);
        let kind = match (&select.operand.expr, &path) {
            (Expr::Ident(name), Some(_)) => {
                self.parts += 1;
                self.named(name)?
            }
            _ => self.check(&select.operand, within)?,
        };
        let field = &select.field;
        if let Some(path) = &path {
            self.uses.insert(format!("{path}.{field}"));
        }
        match kind {
            Kind::Any => Ok(if select.test { Kind::Bool } else { Kind::Any }),
            Kind::Record(fields) => {
                let found = fields.iter().find(|(known, _)| known == field);
                let (_, kind) = found.ok_or_else(|| {
                    let of = path.unwrap_or_else(|| "it".to_owned());
                    let known = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    format!("speaks of {of}.{}; known there: {known}", shown(field))
                })?;
                Ok(if select.test { Kind::Bool } else { *kind })
            }
            Kind::Bool | Kind::Int | Kind::List(_) | Kind::Text => {
                let of = path.unwrap_or_else(|| "what it asks".to_owned());
                Err(format!("speaks of .{} of {of}, which is {kind}", shown(field)))
            }
        }
    }

    /// The path of a fact, where `expression` spells one: `image`, `image.config`.
    fn path_of(&self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::Ident(name) => self.is_fact(name).then(|| name.clone()),
            Expr::Select(select) if !select.test => {
                let before = self.path_of(&select.operand.expr)?;
                Some(format!("{before}.{}", select.field))
            }
            Expr::Call(_)
            | Expr::Comprehension(_)
            | Expr::List(_)
            | Expr::Literal(_)
            | Expr::Map(_)
            | Expr::Select(_)
            | Expr::Struct(_)
            | Expr::Unspecified => None,
        }
    }

    fn call(&mut self, call: &'a CallExpr, within: &[&'a str]) -> Result<Kind, String> {
        let name = call.func_name.as_str();
        let joins = name == JOIN
            && matches!(call.args.first().map(|it| &it.expr),
                Some(Expr::Ident(name)) if within.contains(&name.as_str()));
        let is_time = name == LESS && self.vocabulary.moment.is_some();
        if !joins && !is_time && !FUNCTIONS.contains(&name) {
            return Err(format!(
                "calls {}, which conditions may not",
                shown(name.trim_matches('_'))
            ));
        }
        let mut kinds = Vec::new();
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            kinds.push(self.check(argument, within)?);
        }
        result(name, &kinds)
    }

    fn check_loop(
        &mut self,
        comprehension: &'a ComprehensionExpr,
        within: &[&'a str],
    ) -> Result<Kind, String> {
        let range = self.check(&comprehension.iter_range, within)?;
        let item = match range {
            Kind::Any => Kind::Any,
            Kind::List(of) => of.kind(),
            Kind::Bool | Kind::Int | Kind::Record(_) | Kind::Text => {
                return Err(format!("goes through what is {range}, and no list"));
            }
        };
        let start = self.check(&comprehension.accu_init, within)?;
        let depth = within.len() + 1;
        if depth > LOOPS_MAX {
            return Err(format!("has more than {LOOPS_MAX} loops in each other"));
        }
        self.loops = self.loops.max(depth);
        let known = self.names.len();
        // With two names it goes through places and items.
        let items: &[Kind] =
            if comprehension.iter_var2.is_some() { &[Kind::Any; 2] } else { &[item] };
        let own = [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref()];
        let own = own.into_iter().flatten().map(String::as_str);
        self.names.extend(own.zip(items.iter().copied()));
        let at = self.names.len();
        self.names.push((&comprehension.accu_var, start));
        let within = [within, &[comprehension.accu_var.as_str()]].concat();
        self.check(&comprehension.loop_cond, &within)?;
        let step = self.check(&comprehension.loop_step, &within)?;
        if let Some((_, kind)) = self.names.get_mut(at) {
            *kind = either(start, step);
        }
        let result = self.check(&comprehension.result, &within)?;
        self.names.truncate(known);
        Ok(result)
    }
}

fn fields_of(name: &str, fields: &[(&str, Kind)]) -> String {
    let paths = fields.iter().map(|(field, _)| format!("{name}.{field}"));
    paths.collect::<Vec<_>>().join(", ")
}

fn kind_of(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Int,
        LiteralValue::String(_) => Kind::Text,
        LiteralValue::Bytes(_) | LiteralValue::Double(_) | LiteralValue::Null => Kind::Any,
    }
}

/// What it is when it is one of the two.
fn either(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::List(Of::Any), Kind::List(of)) | (Kind::List(of), Kind::List(Of::Any)) => {
            Kind::List(of)
        }
        _ if one == other => one,
        _ => Kind::Any,
    }
}

/// Whether both may be the same thing.
fn may_be_equal(one: Kind, other: Kind) -> bool {
    matches!((one, other), (Kind::Any, _) | (_, Kind::Any) | (Kind::List(_), Kind::List(_)))
        || one == other
}

/// What the function `name` gives for these; the target comes first.
///
/// # Errors
/// When it can never be answered.
fn result(name: &str, kinds: &[Kind]) -> Result<Kind, String> {
    let operator = name.trim_matches(['_', '@']);
    let wants = |wanted: Kind| match kinds.iter().find(|kind| !may_be_equal(**kind, wanted)) {
        Some(kind) => Err(format!("has {operator} on what is {kind}, and not {wanted}")),
        None => Ok(()),
    };
    match name {
        "_&&_" | "_||_" | "!_" => wants(Kind::Bool).map(|()| Kind::Bool),
        "_==_" | "_!=_" | "_<=_" | "_<_" | "_>=_" | "_>_" => match kinds {
            [one, other] if !may_be_equal(*one, *other) => {
                Err(format!("compares what is {one} with what is {other}"))
            }
            _ => Ok(Kind::Bool),
        },
        "_-_" | "-_" => wants(Kind::Int).map(|()| Kind::Int),
        "_?_:_" => match kinds {
            [_, yes, no] => Ok(either(*yes, *no)),
            _ => Ok(Kind::Any),
        },
        "_[_]" => match kinds {
            [Kind::List(of), _] => Ok(of.kind()),
            [Kind::Record(_), _] => Err("has [ ] on a record; write a field of it".to_owned()),
            _ => Ok(Kind::Any),
        },
        "@in" => match kinds {
            [_, Kind::Any] => Ok(Kind::Bool),
            [one, Kind::List(of)] if may_be_equal(*one, of.kind()) => Ok(Kind::Bool),
            [one, of] => Err(format!("looks for what is {one} in what is {of}")),
            _ => Ok(Kind::Bool),
        },
        "@not_strictly_false" | "contains" => Ok(Kind::Bool),
        "startsWith" | "endsWith" => wants(Kind::Text).map(|()| Kind::Bool),
        "int" | "size" => Ok(Kind::Int),
        JOIN => match kinds {
            [one, other] => Ok(either(*one, *other)),
            _ => Ok(Kind::Any),
        },
        _ => Ok(Kind::Any),
    }
}
