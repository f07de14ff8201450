//! Conditions on what an attestation says, in the Common Expression Language.
//!
//! The library has no bound on how long an evaluation takes, and a thread that evaluates cannot be
//! stopped: so what may be written is bounded when the policy is read, and what it is asked about
//! before it is asked.
//!
//! Spec: <https://github.com/google/cel-spec/blob/v0.24.0/doc/langdef.md>

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr};
use cel::parser::PrattParser;
use cel::{Context, Value};

use crate::signature::Statement;

/// How deep an expression may nest.
const DEPTH_MAX: u16 = 32;
/// Most parts of one expression.
const PARTS_MAX: usize = 500;
/// How deep `all`, `exists` and their like may stand in each other.
const LOOPS_MAX: usize = 2;
/// Largest predicate in bytes that conditions are asked about.
const PREDICATE_BYTES_MAX: usize = 1024 * 1024;
/// Longest list or map in a predicate that is gone through, by how deep loops stand in each other.
const LENGTH_MAX: [usize; 3] = [usize::MAX, 10_000, 1_000];

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
/// What is known when a condition is asked.
const FACTS: [&str; 4] = ["predicate", "predicateType", "signer", "repository"];
/// The operator with which loops put their results together; nobody else may.
const JOIN: &str = "_+_";

/// A condition that can be asked without harm.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    expression: IdedExpr,
    loops: usize,
}

/// What a condition is asked about.
pub(super) struct Facts<'a> {
    pub(super) statement: &'a Statement,
    /// The name of the signer in the policy.
    pub(super) signer: &'a str,
    /// The canonical name of the repository.
    pub(super) repository: &'a str,
}

impl Condition {
    /// The condition in `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let parse = || {
            PrattParser::new()
                .max_recursion_depth(DEPTH_MAX)
                .error_recovery_limit(1)
                .max_expression_node_count(PARTS_MAX)
                .parse(text)
        };
        let parsed = std::panic::catch_unwind(parse).map_err(|_| "cannot be read".to_owned())?;
        let expression = parsed.map_err(|errors| {
            let first = errors.errors.first().map(|error| error.msg.clone()).unwrap_or_default();
            format!("is no condition: {}", super::text::ascii(&first))
        })?;
        let mut walk = Walk { names: FACTS.to_vec(), parts: 0, loops: 0 };
        walk.check(&expression, &[])?;
        let loops = walk.loops;
        let condition = Self { expression, loops };
        // A condition that is true of nothing at all would let everything through.
        if condition.evaluate("null", "", "", "") == Ok(true) {
            return Err("holds whatever is attested".to_owned());
        }
        Ok(condition)
    }

    /// Whether it holds. What cannot be answered is why, and must be taken for no.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let Facts { statement, signer, repository } = *facts;
        self.evaluate(statement.predicate.get(), &statement.predicate_type, signer, repository)
    }

    fn evaluate(
        &self,
        predicate: &str,
        predicate_type: &str,
        signer: &str,
        repository: &str,
    ) -> Result<bool, String> {
        if predicate.len() > PREDICATE_BYTES_MAX {
            return Err("predicate is larger than 1 MiB".to_owned());
        }
        let json: serde_json::Value =
            serde_json::from_str(predicate).map_err(|_| "predicate is not readable".to_owned())?;
        let most = LENGTH_MAX.get(self.loops).copied().unwrap_or(0);
        if longest(&json) > most {
            return Err(format!("predicate has a list of more than {most} entries"));
        }
        let evaluated = std::panic::catch_unwind(|| {
            let mut context = Context::default();
            let predicate = cel::to_value(json).map_err(|error| error.to_string())?;
            context.add_variable_from_value("predicate", predicate);
            context.add_variable_from_value("predicateType", predicate_type.to_owned());
            context.add_variable_from_value("signer", signer.to_owned());
            context.add_variable_from_value("repository", repository.to_owned());
            match Value::resolve(&self.expression, &context) {
                Ok(Value::Bool(answer)) => Ok(answer),
                Ok(_) => Err("condition answers neither yes nor no".to_owned()),
                Err(error) => Err(super::text::ascii(&error.to_string())),
            }
        });
        evaluated.unwrap_or_else(|_panic| Err("condition could not be evaluated".to_owned()))
    }
}

/// How many entries the longest list or map in `value` has.
fn longest(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().map(longest).max().unwrap_or(0).max(items.len())
        }
        serde_json::Value::Object(entries) => {
            entries.values().map(longest).max().unwrap_or(0).max(entries.len())
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

/// A look at every part of an expression.
struct Walk<'a> {
    /// The names that stand for something here.
    names: Vec<&'a str>,
    parts: usize,
    /// How deep loops stand in each other, at most.
    loops: usize,
}

impl<'a> Walk<'a> {
    /// Checks `expression`, which stands in loops with these accumulators.
    fn check(&mut self, expression: &'a IdedExpr, within: &[&'a str]) -> Result<(), String> {
        self.parts += 1;
        // Macros make more of what was written.
        if self.parts > 2 * PARTS_MAX {
            return Err("is too long".to_owned());
        }
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.names.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) => {
                let name = super::text::ascii(name);
                Err(format!("speaks of {name}; known here: {}", FACTS.join(", ")))
            }
            Expr::Select(select) => self.check(&select.operand, within),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.check(element, within))
            }
            Expr::Call(call) => {
                let joins = call.func_name == JOIN
                    && matches!(call.args.first().map(|it| &it.expr),
                        Some(Expr::Ident(name)) if within.contains(&name.as_str()));
                if !joins && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    let name = super::text::ascii(call.func_name.trim_matches('_'));
                    return Err(format!("calls {name}, which conditions may not"));
                }
                if let Some(target) = &call.target {
                    self.check(target, within)?;
                }
                call.args.iter().try_for_each(|argument| self.check(argument, within))
            }
            Expr::Comprehension(comprehension) => self.check_loop(comprehension, within),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("makes a map or a message, which conditions may not".to_owned())
            }
        }
    }

    fn check_loop(
        &mut self,
        comprehension: &'a ComprehensionExpr,
        within: &[&'a str],
    ) -> Result<(), String> {
        self.check(&comprehension.iter_range, within)?;
        self.check(&comprehension.accu_init, within)?;
        let depth = within.len() + 1;
        if depth > LOOPS_MAX {
            return Err(format!("has more than {LOOPS_MAX} loops in each other"));
        }
        self.loops = self.loops.max(depth);
        let own = [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref()];
        let known = self.names.len();
        self.names.extend(own.into_iter().flatten().map(String::as_str));
        self.names.push(&comprehension.accu_var);
        let within = [within, &[comprehension.accu_var.as_str()]].concat();
        self.check(&comprehension.loop_cond, &within)?;
        self.check(&comprehension.loop_step, &within)?;
        self.check(&comprehension.result, &within)?;
        self.names.truncate(known);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(predicate: &str) -> Statement {
        let predicate = serde_json::value::RawValue::from_string(predicate.to_owned()).unwrap();
        Statement { predicate_type: "https://slsa.dev/provenance/v1".to_owned(), predicate }
    }

    fn ask(condition: &str, predicate: &str) -> Result<bool, String> {
        let statement = statement(predicate);
        let facts = Facts { statement: &statement, signer: "ci", repository: "up.test/lib/app" };
        Condition::new(condition).unwrap().holds(&facts)
    }

    #[test]
    fn conditions_say_yes_no_or_why_not() {
        let predicate = r#"{"builder": {"id": "https://github.com/acme"}, "packages": [
            {"name": "a", "license": "MIT", "files": [1, 2]}, {"name": "b", "license": "GPL-3.0"}]}"#;
        for (condition, expected) in [
            ("predicate.builder.id.startsWith('https://github.com/')", Ok(true)),
            ("predicate.builder.id == 'x' || predicate.packages.size() == 2", Ok(true)),
            ("size(predicate.packages) > 2", Ok(false)),
            ("predicate.packages.all(p, p.license != 'GPL-3.0')", Ok(false)),
            ("predicate.packages.exists(p, p.name in ['b', 'c'])", Ok(true)),
            ("predicate.packages.filter(p, p.license == 'MIT').size() == 1", Ok(true)),
            ("predicate.packages.map(p, p.name)[1] == 'b'", Ok(true)),
            ("predicate.packages.exists(p, has(p.files) && p.files.all(f, f < 3))", Ok(true)),
            ("signer == 'ci' && repository.endsWith('/app')", Ok(true)),
            ("predicateType.contains('provenance') && signer != ''", Ok(true)),
            ("!has(predicate.builder.other) && signer == 'ci'", Ok(true)),
        ] {
            assert_eq!(ask(condition, predicate), expected, "{condition}");
        }
        for condition in [
            "predicate.builder.name == 'x'",
            "predicate.packages[7].name == 'x'",
            "predicate.builder",
            "predicate.packages.size()",
            "predicate.builder.id < 3",
        ] {
            assert!(ask(condition, predicate).is_err(), "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_bounded_is_not_read() {
        let bangs = "!!(!!(".repeat(5_000);
        let long = vec!["predicate.a == 1"; 300].join(" || ");
        let three = "predicate.a.all(x, x.all(y, y.all(z, z == 1)))";
        for (condition, why) in [
            (bangs.as_str(), ""),
            (&long, ""),
            (three, "more than 2 loops"),
            ("", "is no condition"),
            ("predicate.", "is no condition"),
            ("true", "holds whatever is attested"),
            ("1 == 1", "holds whatever is attested"),
            ("!has(predicate.a) || true", "holds whatever is attested"),
            ("image.tag == 'x'", "speaks of image; known here: predicate"),
            ("predicate.a.all(x, y == 1)", "speaks of y"),
            ("predicate.a + predicate.a == predicate.b", "calls +, which"),
            ("predicate.a.all(x, x + x == 'aa')", "calls +, which"),
            ("predicate.a * 2 == 4", "calls *, which"),
            ("predicate.a.matches('x')", "calls matches, which"),
            ("string(predicate.a) == '1'", "calls string, which"),
            ("{'a': predicate}.a == 1", "makes a map"),
            ("dyn(predicate.a) == 1", "calls dyn"),
        ] {
            let error = Condition::new(condition).map(|_| ()).unwrap_err();
            let shown: String = condition.chars().take(40).collect();
            assert!(error.contains(why), "{shown}: {error}, not {why}");
        }
    }

    #[test]
    fn what_is_too_much_to_go_through_is_not_gone_through() {
        let list = |length: usize| format!("{{\"a\": [{}]}}", vec!["1"; length].join(","));
        assert_eq!(ask("predicate.a.all(x, x == 1)", &list(10_000)), Ok(true));
        assert!(ask("predicate.a.all(x, x == 1)", &list(10_001)).is_err());
        assert_eq!(ask("predicate.a.size() == 20000", &list(20_000)), Ok(true));
        let nested = "predicate.a.all(x, predicate.a.all(y, x == y))";
        assert_eq!(ask(nested, &list(100)), Ok(true));
        assert!(ask(nested, &list(1_001)).is_err());
        let large = format!("{{\"a\": \"{}\"}}", "x".repeat(PREDICATE_BYTES_MAX));
        assert_eq!(ask("predicate.a == 'x'", &large), Err("predicate is larger than 1 MiB".into()));
        let frame = "{\"a\": \"\"}".len();
        let largest = format!("{{\"a\": \"{}\"}}", "x".repeat(PREDICATE_BYTES_MAX - frame));
        assert_eq!(largest.len(), PREDICATE_BYTES_MAX);
        assert_eq!(ask("predicate.a == 'x'", &largest), Ok(false));
    }

    #[test]
    fn a_condition_has_so_many_parts_and_no_more() {
        // A comparison has three parts, what joins two of them is one, and so is a negation.
        let terms = PARTS_MAX / 2;
        let of = |negations: usize| {
            let term =
                |at: usize| if at < negations { "!(signer == 'x')" } else { "signer == 'x'" };
            Condition::new(&(0..terms).map(term).collect::<Vec<_>>().join(" && ")).map(|_| ())
        };
        assert_eq!(of(1), Ok(()), "{} parts", 4 * terms);
        assert_eq!(of(2), Err("is too long".to_owned()), "{} parts", 4 * terms + 1);
    }
}
