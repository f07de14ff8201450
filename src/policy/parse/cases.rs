//! The tests of a policy, by the same strict reader as the policy itself.

use super::super::Policy;
use super::super::attested::AttestationType;
use super::super::cases::{
    AttestedFact, Case, CaseFacts, ConfigFact, Expected, ExpectedVerdict, FindingFact, ScanFact,
    StandingFact,
};
use super::super::document::{ArtifactKind, RuleId};
use super::super::fields::{self, Fields, Problems, Words, extract};
use super::super::problem::{Position, Problem};
use super::super::scanned::Rating;
use super::super::yaml::{self, Content, Node};
use super::units::{moment_at, share_at, size_at, time_at};
use super::{API_VERSION, fixed_word, floor, reported, rules};
use crate::oci::{ImageReference, check_strict};
use crate::time::Timestamp;

const KIND: &str = "PolicyTests";
/// Most cases in one file.
const CASES_MAX: usize = 10_000;
/// Most platforms of one image.
const PLATFORMS_MAX: usize = 64;
/// The version of a package where a case names none.
const SOME_VERSION: &str = "1.0";

const TOP: Words = Words { known: &["apiVersion", "kind", "now", "cases"], later: &[] };
const CASE: Words = Words {
    known: &[
        "image",
        "tags",
        "platforms",
        "artifactType",
        "layers",
        "imageBytes",
        "signedBy",
        "imagesSignedBy",
        "attested",
        "findings",
        "scan",
        "config",
        "standing",
        "approvalExpires",
        "knownFor",
        "now",
        "expect",
        "reasons",
        "rule",
    ],
    later: &[],
};
const ATTESTED: Words = Words { known: &["type", "signer", "builder", "predicate"], later: &[] };
const FINDING: Words = Words {
    known: &["id", "package", "version", "severity", "fixed", "age", "exploited", "likelihood"],
    later: &[],
};
const CONFIG: Words = Words {
    known: &["user", "env", "exposedPorts", "labels", "healthcheck", "created"],
    later: &[],
};
const TRUTH: [(&str, bool); 2] = [("true", true), ("false", false)];

impl Case {
    /// The cases in `text`, which are about `policy`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the document: signers and rules that the policy does
    /// not have are.
    pub fn read_all(text: &str, policy: &Policy) -> Result<Vec<Self>, Vec<Problem>> {
        let mut problems = Problems::default();
        let root = yaml::read(text, &mut problems.0);
        let cases = root.and_then(|root| read(root, policy, &mut problems));
        match cases {
            Some(cases) if problems.0.is_empty() => Ok(cases),
            _ => Err(reported(problems.0)),
        }
    }
}

fn read(root: Node, policy: &Policy, problems: &mut Problems) -> Option<Vec<Case>> {
    let mut top = Fields::of(root, "", TOP, problems)?;
    fixed_word(&mut top, "apiVersion", API_VERSION, problems);
    fixed_word(&mut top, "kind", KIND, problems);
    let now = moment_at(&mut top, "now", problems).map(|(now, _)| now);
    let node = top.require("cases", "write cases: [{image: ..., expect: admit}]", problems)?;
    let position = node.position;
    let items = fields::list(node, "cases", problems)?;
    if items.len() > CASES_MAX {
        problems.add(position, "cases", format!("has more than {CASES_MAX} cases"));
        return None;
    }
    let mut reader = Reader { policy, now, problems };
    Some(items.into_iter().filter_map(|(node, path)| reader.case(node, &path)).collect())
}

struct Reader<'a> {
    policy: &'a Policy,
    now: Option<Timestamp>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn case(&mut self, node: Node, path: &str) -> Option<Case> {
        let line = node.position.line;
        let mut fields = Fields::of(node, path, CASE, self.problems)?;
        let hint = "write the image as it is asked for, such as ghcr.io/acme/app:1.4";
        let image = fields.require_text("image", hint, self.problems);
        let image = image.and_then(|(text, position)| {
            let image = text.parse::<ImageReference>();
            let wrong = |error| format!("\"{}\": {error}", extract(&text));
            let path = fields.path_of("image");
            image.map_err(|error| self.problems.add(position, &path, wrong(error))).ok()
        });
        let facts = self.facts(&mut fields);
        let expected = self.expected(&mut fields);
        Some(Case { line, image: image?, facts, expected: expected? })
    }

    fn facts(&mut self, fields: &mut Fields) -> CaseFacts {
        let tags = fields.texts("tags", self.problems).unwrap_or_default();
        let tags = floor::parsed(tags, self.problems);
        let platforms = fields.texts("platforms", self.problems).unwrap_or_default();
        if platforms.len() > PLATFORMS_MAX {
            let text = format!("has more than {PLATFORMS_MAX} platforms");
            self.problems.add(fields.position, &fields.path_of("platforms"), text);
        }
        let platforms = floor::parsed(platforms, self.problems);
        let artifact_type = self.artifact_type(fields);
        let layers = fields.number("layers", self.problems).map(|(count, _)| count);
        let image_bytes = size_at(fields, "imageBytes", self.problems).map(|(bytes, _)| bytes);
        let choices = [
            ("complete", ScanFact::Complete),
            ("incomplete", ScanFact::Incomplete),
            ("unknown", ScanFact::Unknown),
        ];
        CaseFacts {
            tags,
            platforms,
            artifact_type,
            layers,
            image_bytes,
            signed_by: self.signers(fields, "signedBy"),
            images_signed_by: self.signers(fields, "imagesSignedBy"),
            attested: self.attested(fields),
            findings: self.findings(fields),
            scan: fields.choice("scan", &choices, &[], self.problems).unwrap_or_default(),
            config: self.config(fields),
            standing: self.standing(fields),
            known_for: time_at(fields, "knownFor", self.problems),
            now: moment_at(fields, "now", self.problems).map(|(now, _)| now).or(self.now),
        }
    }

    fn artifact_type(&mut self, fields: &mut Fields) -> Option<String> {
        let (text, position) = fields.text("artifactType", self.problems)?;
        match rules::artifact_kind(&text) {
            Some(ArtifactKind::Image) => None,
            Some(ArtifactKind::Type(artifact_type)) => Some(artifact_type),
            None => {
                let text = "is not image, chart or an artifact type such as application/x.y";
                self.problems.add(position, &fields.path_of("artifactType"), text);
                None
            }
        }
    }

    /// The signers in the list at `key`, which are signers of the policy.
    fn signers(&mut self, fields: &mut Fields, key: &str) -> Option<Vec<String>> {
        let names = fields::texts(entries(fields, key, self.problems)?, self.problems);
        for (name, position, path) in &names {
            self.known_signer(name, *position, path);
        }
        Some(names.into_iter().map(|(name, ..)| name).collect())
    }

    fn known_signer(&mut self, name: &str, position: Position, path: &str) {
        if self.policy.signer(name).is_none() {
            let text = format!("\"{}\" is not among the signers of the policy", extract(name));
            self.problems.add(position, path, text);
        }
    }

    fn attested(&mut self, fields: &mut Fields) -> Option<Vec<AttestedFact>> {
        let items = entries(fields, "attested", self.problems)?;
        Some(items.into_iter().filter_map(|(node, path)| self.attestation(node, &path)).collect())
    }

    fn attestation(&mut self, node: Node, path: &str) -> Option<AttestedFact> {
        let mut fields = Fields::of(node, path, ATTESTED, self.problems)?;
        let hint =
            format!("write one of: {}; or the URI of a predicate type", AttestationType::names());
        let kind = fields.require_text("type", &hint, self.problems);
        let kind = kind.and_then(|(text, position)| {
            let kind = AttestationType::named(&text);
            if kind.is_none() {
                let text = format!("\"{}\" is not known; {hint}", extract(&text));
                self.problems.add(position, &fields.path_of("type"), text);
            }
            kind
        });
        let signer = fields.require_text("signer", "write who attests it", self.problems);
        if let Some((name, position)) = &signer {
            self.known_signer(name, *position, &fields.path_of("signer"));
        }
        let builder = fields.text("builder", self.problems);
        let predicate = fields.text("predicate", self.problems);
        if let Some((text, position)) = &predicate
            && check_strict(text.as_bytes()).is_err()
        {
            let text = "is not JSON; write it as 'text' in one line";
            self.problems.add(*position, &fields.path_of("predicate"), text);
        }
        if let (Some((_, position)), true) = (&builder, predicate.is_some()) {
            let text = "stands beside predicate; write it there";
            self.problems.add(*position, &fields.path_of("builder"), text);
        }
        Some(AttestedFact {
            predicate_type: kind?.uri().to_owned(),
            signer: signer?.0,
            builder: builder.map(|(text, _)| text),
            predicate: predicate.map(|(text, _)| text),
        })
    }

    fn findings(&mut self, fields: &mut Fields) -> Option<Vec<FindingFact>> {
        let items = entries(fields, "findings", self.problems)?;
        Some(items.into_iter().filter_map(|(node, path)| self.finding(node, &path)).collect())
    }

    fn finding(&mut self, node: Node, path: &str) -> Option<FindingFact> {
        let problems = &mut *self.problems;
        let mut fields = Fields::of(node, path, FINDING, problems)?;
        let id = fields.require_text("id", "write the name of the vulnerability", problems);
        let package = fields.require_text("package", "write the package that has it", problems);
        let version = fields.text("version", problems);
        let fact = FindingFact {
            id: id?.0,
            package: package?.0,
            version: version.map_or_else(|| SOME_VERSION.to_owned(), |(text, _)| text),
            severity: fields.choice("severity", &Rating::CHOICES, &[], problems),
            fixed: fields.text("fixed", problems).map(|(text, _)| text),
            age: time_at(&mut fields, "age", problems),
            exploited: fields.choice("exploited", &TRUTH, &[], problems).unwrap_or(false),
            likelihood: share_at(&mut fields, "likelihood", problems),
        };
        Some(fact)
    }

    fn config(&mut self, fields: &mut Fields) -> Option<ConfigFact> {
        let problems = &mut *self.problems;
        let node = fields.take("config")?;
        let mut config = Fields::of(node, &fields.path_of("config"), CONFIG, problems)?;
        let mut list = |key: &str| -> Vec<String> {
            let items = entries(&mut config, key, problems).unwrap_or_default();
            fields::texts(items, problems).into_iter().map(|(text, ..)| text).collect()
        };
        let (env, exposed_ports, labels) = (list("env"), list("exposedPorts"), list("labels"));
        Some(ConfigFact {
            user: config.text("user", problems).map(|(text, _)| text).unwrap_or_default(),
            env,
            exposed_ports,
            labels,
            healthcheck: config.choice("healthcheck", &TRUTH, &[], problems).unwrap_or(false),
            created: moment_at(&mut config, "created", problems).map(|(time, _)| time),
        })
    }

    fn standing(&mut self, fields: &mut Fields) -> Option<StandingFact> {
        let choices = [
            ("approved", StandingFact::Approved { expires: None }),
            ("rejected", StandingFact::Rejected),
            ("revoked", StandingFact::Revoked),
        ];
        let standing = fields.choice("standing", &choices, &[], self.problems);
        let expires = moment_at(fields, "approvalExpires", self.problems);
        match (standing, expires) {
            (Some(StandingFact::Approved { .. }), Some((expires, _))) => {
                Some(StandingFact::Approved { expires: Some(expires) })
            }
            (standing, None) => standing,
            (_, Some((_, position))) => {
                let text = "goes with standing: approved only";
                self.problems.add(position, &fields.path_of("approvalExpires"), text);
                None
            }
        }
    }

    fn expected(&mut self, fields: &mut Fields) -> Option<Expected> {
        let path = fields.path_of("expect");
        let before = self.problems.0.len();
        let verdict = fields.choice("expect", &ExpectedVerdict::CHOICES, &[], self.problems);
        if verdict.is_none() && self.problems.0.len() == before {
            let text = "is missing; write admit, pending or deny";
            self.problems.add(fields.position, &path, text);
        }
        let reasons = entries(fields, "reasons", self.problems);
        let reasons = reasons.map(|items| fields::texts(items, self.problems));
        let rule = fields.text("rule", self.problems).and_then(|(id, position)| {
            let known = self.policy.rules().iter().find(|rule| rule.id().as_str() == id);
            if known.is_none() {
                let text = format!("\"{}\" is not among the rules of the policy", extract(&id));
                self.problems.add(position, &fields.path_of("rule"), text);
            }
            known.map(|rule| -> RuleId { rule.id().clone() })
        });
        Some(Expected { verdict: verdict?, reasons, rule })
    }
}

/// The items of the list at `key`, which may be empty here: that says that there are none.
fn entries(fields: &mut Fields, key: &str, problems: &mut Problems) -> Option<Vec<(Node, String)>> {
    let node = fields.take(key)?;
    if matches!(&node.content, Content::List(items) if items.is_empty()) {
        return Some(Vec::new());
    }
    fields::list(node, &fields.path_of(key), problems)
}
