//! Conditions on what an attestation says, in the Common Expression Language.

use crate::expression::{self, Expression, Kind, Vocabulary};
use crate::signature::Statement;

/// Largest predicate in bytes that conditions are asked about.
const PREDICATE_BYTES_MAX: usize = 1024 * 1024;
/// What is known when a condition is asked.
const VOCABULARY: Vocabulary = Vocabulary {
    facts: &[
        ("predicate", Kind::Any),
        ("predicateType", Kind::Any),
        ("signer", Kind::Any),
        ("repository", Kind::Any),
    ],
    absent: &[],
    is_typed: false,
    moment: None,
};

/// A condition that can be asked without harm.
#[derive(Debug, Clone)]
pub(super) struct Condition(Expression);

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
        let condition = Self(Expression::new(text, &VOCABULARY)?);
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
        let mut facts = expression::Facts::default();
        facts.set("predicate", json)?;
        for (name, text) in
            [("predicateType", predicate_type), ("signer", signer), ("repository", repository)]
        {
            facts.set(name, text.into())?;
        }
        self.0.holds(&facts)
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

    /// Most parts of one expression.
    const PARTS_MAX: usize = 500;

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
