//! Conditions in the Common Expression Language, bounded before they are asked. Pure.
//!
//! The library has no bound on how long an evaluation takes, and a thread that evaluates cannot be
//! stopped: so what may be written is bounded when it is read, and what it is asked about before it is
//! asked. Nor has it types, and `a || b` hides what is wrong with `b`: so every name, every field and the
//! answer are compared with a [`Vocabulary`] when it is read.
//!
//! Times are whole seconds since 1970-01-01 UTC, and `duration('72h')` and `timestamp('2027-01-31T00:00:00Z')`
//! are numbers like them.
//!
//! Spec: <https://github.com/google/cel-spec/blob/v0.24.0/doc/langdef.md>

mod facts;
#[cfg(test)]
mod tests;
mod times;
mod vocabulary;
mod walk;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use cel::common::ast::IdedExpr;
use cel::parser::PrattParser;
use cel::{Context, Value};

pub use facts::Facts;
pub use vocabulary::{Kind, Of, Vocabulary};

use walk::Walk;

/// How deep an expression may nest.
const DEPTH_MAX: u16 = 32;
/// Most parts of one expression.
const PARTS_MAX: usize = 500;
/// How deep `all`, `exists` and their like may stand in each other.
const LOOPS_MAX: usize = 2;

/// A condition that can be asked without harm.
#[derive(Debug, Clone)]
pub struct Expression {
    tree: IdedExpr,
    loops: usize,
    /// The facts that it names, each by its path and by all before it: `image`, `image.tag`.
    uses: BTreeSet<String>,
}

impl Expression {
    /// The condition in `text`, which may speak of what is in `vocabulary`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str, vocabulary: &Vocabulary) -> Result<Self, String> {
        let parse = || {
            PrattParser::new()
                .max_recursion_depth(DEPTH_MAX)
                .error_recovery_limit(1)
                .max_expression_node_count(PARTS_MAX)
                .parse(text)
        };
        let parsed = std::panic::catch_unwind(parse).map_err(|_| "cannot be read".to_owned())?;
        let mut tree = parsed.map_err(|errors| {
            let first = errors.errors.first().map(|error| error.msg.clone()).unwrap_or_default();
            format!("is no condition: {}", shown(&first))
        })?;
        if let Some(moment) = vocabulary.moment {
            times::resolve(&mut tree, moment)?;
        }
        let mut walk = Walk::new(vocabulary);
        let kind = walk.check(&tree, &[])?;
        let (loops, uses) = (walk.loops, walk.uses);
        if vocabulary.is_typed && !matches!(kind, Kind::Any | Kind::Bool) {
            return Err(format!("answers neither yes nor no, but is {kind}"));
        }
        Ok(Self { tree, loops, uses })
    }

    /// Whether it names the fact at `path`: `now`, `image.tag`.
    pub fn uses(&self, path: &str) -> bool {
        self.uses.contains(path)
    }

    /// Whether it speaks of any fact at all.
    pub fn says_something(&self) -> bool {
        !self.uses.is_empty()
    }

    /// Whether it holds of `facts`. What cannot be answered is why, and must be taken for no.
    ///
    /// # Errors
    /// Why there is no answer: a fact is missing, or there is too much to go through.
    pub fn holds(&self, facts: &Facts) -> Result<bool, String> {
        facts.fit(self.loops)?;
        // The facts are only read, and what is made of them is dropped with the panic.
        let evaluated = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut context = Context::default();
            for (name, value) in facts.values() {
                context.add_variable_from_value(name, value.clone());
            }
            match Value::resolve(&self.tree, &context) {
                Ok(Value::Bool(answer)) => Ok(answer),
                Ok(_) => Err("condition answers neither yes nor no".to_owned()),
                Err(error) => Err(shown(&error.to_string())),
            }
        }));
        evaluated.unwrap_or_else(|_panic| Err("condition could not be evaluated".to_owned()))
    }
}

/// `text` in printable ASCII, as far as it fits into a message.
fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 80;
    let plain = |c: char| match c {
        ' '..='~' => c,
        _ if c.is_whitespace() => ' ',
        _ => '?',
    };
    text.chars().take(LENGTH_MAX).map(plain).collect()
}
