//! `requires`: what a rule asks of the pods that run its images.

use super::super::document::Trust;
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::isolation::Isolation;

const REQUIRES: Words = Words {
    known: &["runtimeClass", "nonRoot", "readOnlyRootFilesystem", "denyEgress"],
    later: &[],
};
/// Most runtime classes of one rule.
const RUNTIME_CLASSES_MAX: usize = 16;
/// Longest name of an object in Kubernetes, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// What the rule asks of pods; nothing where it does not say.
pub(super) fn of_rule(
    rule: &mut Fields,
    trust: Option<Trust>,
    problems: &mut Problems,
) -> Isolation {
    let Some(node) = rule.take("requires") else { return Isolation::default() };
    let path = rule.path_of("requires");
    let position = node.position;
    let before = problems.0.len();
    let Some(mut fields) = Fields::of(node, &path, REQUIRES, problems) else {
        return Isolation::default();
    };
    let runtime_classes = runtime_classes(&mut fields, problems);
    let truth = [("true", true), ("false", false)];
    let mut flag = |key: &str| fields.choice(key, &truth, &[], problems).unwrap_or(false);
    let wanted = Isolation {
        runtime_classes,
        non_root: flag("nonRoot"),
        read_only_root: flag("readOnlyRootFilesystem"),
        deny_egress: flag("denyEgress"),
    };
    if problems.0.len() == before {
        if !wanted.is_asked() {
            problems.add(position, &path, "asks for nothing; write nonRoot: true, or remove it");
        } else if trust == Some(Trust::Deny) {
            problems.add(position, &path, "of a rule that denies: no pod runs its images");
        }
    }
    wanted
}

fn runtime_classes(fields: &mut Fields, problems: &mut Problems) -> Vec<String> {
    let position = fields.position;
    let path = fields.path_of("runtimeClass");
    let Some(texts) = fields.texts("runtimeClass", problems) else { return Vec::new() };
    if texts.is_empty() || texts.len() > RUNTIME_CLASSES_MAX {
        let text = format!("lists 1 to {RUNTIME_CLASSES_MAX} runtime classes: [gvisor]");
        problems.add(position, &path, text);
        return Vec::new();
    }
    let mut classes: Vec<String> = Vec::new();
    for (text, position, path) in texts {
        if !is_name(&text) {
            let text = format!(
                "\"{}\" is no name of a RuntimeClass: lower case letters, digits, - and .",
                extract(&text)
            );
            problems.add(position, &path, text);
        } else if classes.contains(&text) {
            problems.add(position, &path, "is listed twice; keep one");
        } else {
            classes.push(text);
        }
    }
    classes
}

/// Whether an object may be called that (RFC 1123, as Kubernetes reads it).
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| plain(*b))
            && bytes.last().is_some_and(|b| plain(*b))
            && bytes.iter().all(|b| plain(*b) || *b == b'-')
    };
    text.len() <= NAME_BYTES_MAX && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use crate::policy::Policy;

    fn parse(requires: &str) -> Result<Policy, String> {
        let text = format!(
            "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: p, revision: 1}}\nrules:\n\
             - {{id: a, match: [\"up.test/**\"], trust: allow, requires: {requires}}}\n"
        );
        Policy::parse(&text, &|_| Err(std::io::ErrorKind::NotFound.into())).map_err(|problems| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn a_rule_says_what_pods_have_to_have() {
        let policy = parse(
            "{runtimeClass: [gvisor, kata], nonRoot: true, readOnlyRootFilesystem: true, denyEgress: true}",
        )
        .unwrap();
        let wanted = policy.rules()[0].isolation();
        assert_eq!(wanted.runtime_classes, ["gvisor", "kata"]);
        assert!(wanted.non_root && wanted.read_only_root && wanted.deny_egress);
        let asked = policy.rules()[0].asks();
        let told = asked.iter().find(|it| it.key == "requires").unwrap();
        assert_eq!(
            told.text,
            "pods that run it need the runtime class gvisor or kata, not to run as root, \
             a read-only root filesystem, the label pratique.dev/egress: denied"
        );
        assert!(
            !parse("{nonRoot: true, denyEgress: false}").unwrap().rules()[0]
                .isolation()
                .deny_egress
        );
    }

    #[test]
    fn what_asks_for_nothing_or_is_no_name_is_told() {
        for (requires, text) in [
            ("{}", "asks for nothing"),
            ("{nonRoot: false}", "asks for nothing"),
            ("{nonRoot: maybe}", "nonRoot"),
            ("{runtimeClass: []}", "lists 1 to 16 runtime classes"),
            ("{runtimeClass: gvisor}", "must be a list"),
            ("{runtimeClass: [Gvisor]}", "is no name of a RuntimeClass"),
            ("{runtimeClass: [\"-a\"]}", "is no name of a RuntimeClass"),
            ("{runtimeClass: [\"a..b\"]}", "is no name of a RuntimeClass"),
            ("{runtimeClass: [a, a]}", "is listed twice"),
            ("{privileged: false}", "unknown"),
            ("true", "must be a map"),
        ] {
            let problems = parse(requires).unwrap_err();
            assert!(problems.contains(text), "{requires}: {problems}");
        }
        let denied = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: p, revision: 1}\nrules:\n\
             - {id: a, match: [\"up.test/**\"], trust: deny, requires: {nonRoot: true}}\n";
        let problems = Policy::parse(denied, &|_| Err(std::io::ErrorKind::NotFound.into()));
        assert!(problems.unwrap_err()[0].to_string().contains("no pod runs its images"));
    }
}
