//! Conditions of the policy on what is known of an image, in the Common Expression Language.

use serde_json::{Value, json};

use super::document::RuleId;
use super::problem::Position;
use crate::expression::{Expression, Facts, Kind, Of, Vocabulary};
use crate::time::Timestamp;

/// What is known of a finding. `fixed` is empty where no version is without it.
const FINDING: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("package", Kind::Text),
    ("version", Kind::Text),
    ("severity", Kind::Text),
    ("fixed", Kind::Text),
    ("exploited", Kind::Bool),
    ("malware", Kind::Bool),
    ("published", Kind::Int),
];
const CONFIG: &[(&str, Kind)] = &[
    ("user", Kind::Text),
    ("env", Kind::List(Of::Text)),
    ("exposedPorts", Kind::List(Of::Text)),
    ("labels", Kind::List(Of::Text)),
    ("healthcheck", Kind::Bool),
];
const IMAGE: &[(&str, Kind)] = &[
    ("registry", Kind::Text),
    ("repository", Kind::Text),
    ("digest", Kind::Text),
    ("tag", Kind::Text),
    ("tags", Kind::List(Of::Text)),
    ("platforms", Kind::List(Of::Text)),
    ("artifactType", Kind::Text),
    ("isIndex", Kind::Bool),
    ("size", Kind::Int),
    ("layers", Kind::Int),
    ("created", Kind::Int),
    ("config", Kind::Record(CONFIG)),
];
const SIGNATURE: &[(&str, Kind)] =
    &[("signer", Kind::Text), ("by", Kind::Text), ("time", Kind::Int)];
const ATTESTATION: &[(&str, Kind)] =
    &[("signer", Kind::Text), ("type", Kind::Text), ("predicate", Kind::Any)];
const SCAN: &[(&str, Kind)] =
    &[("findings", Kind::List(Of::Record(FINDING))), ("complete", Kind::Bool), ("asOf", Kind::Int)];
const NO_CLIENT: &str = "which is not known when an image is judged: a verdict is for a digest, whoever \
                         pulls it";

/// What expressions may speak of.
const VOCABULARY: Vocabulary = Vocabulary {
    facts: &[
        ("image", Kind::Record(IMAGE)),
        ("signatures", Kind::List(Of::Record(SIGNATURE))),
        ("attestations", Kind::List(Of::Record(ATTESTATION))),
        ("scan", Kind::Record(SCAN)),
        ("now", Kind::Int),
    ],
    absent: &[
        ("client", NO_CLIENT),
        ("approval", "which people decide after everything else; write trust: approve in a rule"),
    ],
    is_typed: true,
    moment: Some(moment),
};

fn moment(text: &str) -> Option<i64> {
    let moment: Timestamp = text.parse().ok()?;
    Some(moment.milliseconds().div_euclid(1000))
}

/// A condition that the policy has, and where.
#[derive(Debug, Clone)]
pub struct When {
    pub(super) text: String,
    pub(super) expression: Expression,
    pub(super) position: Position,
    pub(super) path: String,
}

impl When {
    /// The condition in `text`.
    ///
    /// # Errors
    /// What is wrong with it, or that it can be answered about no image.
    pub(super) fn new(text: &str, position: Position, path: &str) -> Result<Self, String> {
        let expression = Expression::new(text, &VOCABULARY)?;
        if !expression.says_something() {
            return Err("says nothing of the image".to_owned());
        }
        let answers = FIXTURES.map(|fixture| expression.holds(&fixture()));
        if let [Err(why), Err(_), Err(_)] = answers {
            return Err(format!("cannot be answered: {why}"));
        }
        let (text, path) = (text.to_owned(), path.to_owned());
        Ok(Self { text, expression, position, path })
    }

    /// The condition as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What asks it.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// What has to be known to ask it.
    pub fn facts(&self) -> FactKinds {
        let uses = |path: &str| self.expression.uses(path);
        FactKinds {
            signatures: uses("signatures"),
            attestations: uses("attestations"),
            scan: uses("scan"),
            configs: uses("image.config") || uses("image.created"),
        }
    }
}

/// What expressions ask for that has to be gathered.
#[expect(clippy::struct_excessive_bools, reason = "a set of four")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactKinds {
    /// Who signed.
    pub signatures: bool,
    /// What is attested.
    pub attestations: bool,
    /// What is in the images.
    pub scan: bool,
    /// What the configurations of the images say.
    pub configs: bool,
}

impl FactKinds {
    /// What either asks for.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            signatures: self.signatures || other.signatures,
            attestations: self.attestations || other.attestations,
            scan: self.scan || other.scan,
            configs: self.configs || other.configs,
        }
    }

    /// Whether where signatures and attestations are has to be looked for.
    pub fn are_attached(self) -> bool {
        self.signatures || self.attestations
    }
}

/// A condition that everything has to meet that a rule would admit.
#[derive(Debug, Clone)]
pub struct NamedExpression {
    pub(super) id: RuleId,
    pub(super) when: When,
    pub(super) message: String,
}

impl NamedExpression {
    /// Its name.
    pub fn id(&self) -> &RuleId {
        &self.id
    }

    /// The condition.
    pub fn when(&self) -> &When {
        &self.when
    }

    /// What whoever is refused for it reads.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Facts by which expressions are tried when they are read: of an image with everything, of one about which
/// hardly anything is known, and of what is no image.
const FIXTURES: [fn() -> Facts; 3] = [whole, bare, artifact];

fn whole() -> Facts {
    let finding = json!({
        "id": "CVE-2026-1", "package": "openssl", "version": "3.0.11", "severity": "high",
        "fixed": "3.0.13", "exploited": false, "malware": false, "published": 1_790_000_000,
    });
    let config = json!({
        "user": "1000", "env": ["PATH"], "exposedPorts": ["8080/tcp"],
        "labels": ["org.opencontainers.image.source"], "healthcheck": true,
    });
    let mut image = image(&["1.2.3"], "linux/amd64");
    put(&mut image, "created", json!(1_790_000_000));
    put(&mut image, "config", config);
    fixture(
        image,
        json!([{"signer": "team", "by": "a key", "time": 1_790_000_000}]),
        json!([{"signer": "team", "type": "https://slsa.dev/provenance/v1", "predicate": {"a": 1}}]),
        json!({"findings": [finding], "complete": true, "asOf": 1_790_000_000}),
    )
}

fn bare() -> Facts {
    let scan = json!({"findings": [], "complete": false, "asOf": 1_790_000_000});
    fixture(image(&[], "linux/amd64"), json!([]), json!([]), scan)
}

fn artifact() -> Facts {
    let mut image = image(&["1.2.3", "latest"], "unknown/unknown");
    put(&mut image, "artifactType", json!("application/vnd.cncf.helm.config.v1+json"));
    let scan = json!({"findings": [], "complete": true, "asOf": 1_790_000_000});
    fixture(image, json!([]), json!([]), scan)
}

fn image(tags: &[&str], platform: &str) -> Value {
    json!({
        "registry": "docker.io", "repository": "library/redis",
        "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "tag": tags.first().unwrap_or(&""), "tags": tags, "platforms": [platform],
        "artifactType": "", "isIndex": false, "size": 30_000_000, "layers": 5,
    })
}

fn put(image: &mut Value, key: &str, value: Value) {
    if let Some(members) = image.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn fixture(image: Value, signatures: Value, attestations: Value, scan: Value) -> Facts {
    let mut facts = Facts::default();
    facts.set_ours("image", image);
    facts.set_ours("signatures", signatures);
    facts.set_ours("attestations", attestations);
    facts.set_ours("scan", scan);
    facts.set_ours("now", json!(1_800_000_000));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<When, String> {
        When::new(text, Position::START, "expressions[0].when")
    }

    #[test]
    fn every_fact_that_may_be_named_is_there_to_be_tried() {
        // What is not in the fixtures cannot be found wrong when a policy is read.
        let facts = whole();
        for (record, fields) in [("image", IMAGE), ("scan", SCAN), ("image.config", CONFIG)] {
            for (field, _) in fields {
                let has = Expression::new(&format!("has({record}.{field})"), &VOCABULARY).unwrap();
                assert_eq!(has.holds(&facts), Ok(true), "{record}.{field}");
            }
        }
        for (list, fields) in
            [("signatures", SIGNATURE), ("attestations", ATTESTATION), ("scan.findings", FINDING)]
        {
            for (field, _) in fields {
                let text = format!("{list}.all(it, has(it.{field}))");
                let has = Expression::new(&text, &VOCABULARY).unwrap();
                assert_eq!(has.holds(&facts), Ok(true), "{list}.{field}");
            }
        }
    }

    #[test]
    fn what_can_be_answered_about_nothing_is_no_expression() {
        for (text, why) in [
            ("client.namespace.startsWith('prod-')", "speaks of client, which is not known"),
            ("approval.by == 'x'", "speaks of approval, which people decide"),
            ("true", "says nothing of the image"),
            ("1 < 2", "says nothing of the image"),
            ("image.tag", "answers neither yes nor no"),
            ("image.tagg == 'x'", "speaks of image.tagg"),
            ("image.tags[7] == 'x'", "cannot be answered"),
            ("attestations[0].predicate.a", "answers neither yes nor no"),
            ("scan.findings[0].id.size", "speaks of .size"),
            ("image.config.USER == 'x'", "speaks of image.config.USER"),
        ] {
            let error = read(text).map(|_| ()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_has_to_be_gathered_is_known() {
        let none = FactKinds::default();
        for (text, expected) in [
            ("!image.tag.endsWith('-debug') && image.size < 5", none),
            ("now < timestamp('2027-01-31T00:00:00Z')", none),
            ("image.config.user != 'root'", FactKinds { configs: true, ..none }),
            ("!has(image.created)", FactKinds { configs: true, ..none }),
            ("signatures.size() > 1", FactKinds { signatures: true, ..none }),
            ("attestations.all(a, a.signer == 'x')", FactKinds { attestations: true, ..none }),
            ("image.size < 5 || scan.complete", FactKinds { scan: true, ..none }),
        ] {
            assert_eq!(read(text).unwrap().facts(), expected, "{text}");
        }
    }
}
