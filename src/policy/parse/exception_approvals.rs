//! Who grants exceptions at the desk: as a default, and for a rule.

use super::super::approval::ExceptionApproval;
use super::super::document::Trust;
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::yaml::Content;
use super::approvals::Approvals;
use super::units;

const KEY: &str = "exceptionApproval";
const WORDS: Words = Words { known: &["policy", "longest"], later: &[] };
/// What a rule says for which nobody grants exceptions, whatever the default is.
const NOBODY: &str = "none";

/// What is written of who grants exceptions: the outer `None` is nothing, the inner one is nobody.
#[expect(clippy::option_option, reason = "not written, and written to be nobody")]
pub(super) fn read(
    holder: &mut Fields,
    approvals: &Approvals,
    problems: &mut Problems,
) -> Option<Option<ExceptionApproval>> {
    let node = holder.take(KEY)?;
    if matches!(&node.content, Content::Text(text) if text.text == NOBODY) {
        return Some(None);
    }
    let path = holder.path_of(KEY);
    let Some(mut fields) = Fields::of(node, &path, WORDS, problems) else { return Some(None) };
    let hint = "write policy: four-eyes, a name of approvalPolicies";
    let approval = fields.require_text("policy", hint, problems).and_then(|(name, at)| {
        let found = approvals.get(&name);
        if found.is_none() {
            let text = format!("\"{}\" is not among the approvalPolicies", extract(&name));
            problems.add(at, &fields.path_of("policy"), text);
        }
        let found = found.cloned().flatten();
        if let Some(signer) = found.as_ref().and_then(|it| it.signers().next()) {
            let text = format!(
                "\"{}\" has approvers that sign files (signer:{}), and files approve images only; name one \
                 of people",
                extract(&name),
                extract(signer)
            );
            problems.add(at, &fields.path_of("policy"), text);
        }
        found
    });
    let longest = units::time_at(&mut fields, "longest", problems);
    let (is_of_rule, part) = (false, None);
    Some(approval.map(|approval| ExceptionApproval { approval, longest, is_of_rule, part }))
}

/// Who grants exceptions for what a rule decides about: what it says, or else the default.
pub(super) fn of_rule(
    rule: &mut Fields,
    trust: Option<Trust>,
    (approvals, default): (&Approvals, &Option<ExceptionApproval>),
    problems: &mut Problems,
) -> Option<ExceptionApproval> {
    let position = rule.position;
    let denies = trust == Some(Trust::Deny);
    if denies && rule.has(KEY) {
        let text = "has no effect: nothing is served under trust: deny";
        problems.add(position, &rule.path_of(KEY), text);
    }
    let own = read(rule, approvals, problems);
    let own = own.map(|own| own.map(|own| ExceptionApproval { is_of_rule: true, ..own }));
    own.unwrap_or_else(|| default.clone()).filter(|_| !denies)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::super::{Policy, PolicySource, Problem, ScanGate};

    const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
                        approvalPolicies: {four-eyes: {approvers: [\"group:security\"], expiresAfter: 60d}, \
                        other: {approvers: [\"group:leads\"]}}\n";
    const DAY: Duration = Duration::from_hours(24);

    fn parsed(text: &str) -> Result<Policy, Vec<Problem>> {
        let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Policy::parse(&format!("{HEAD}{text}"), &no_files)
    }

    fn granting(text: &str) -> Vec<Option<(String, Duration)>> {
        let policy = parsed(text).unwrap();
        let of = |rule: &super::super::super::Rule| {
            let granting = rule.exception_approval()?;
            Some((granting.approval().name().to_owned(), granting.longest(90 * DAY)))
        };
        policy.rules().iter().map(of).collect()
    }

    #[test]
    fn a_rule_says_who_grants_exceptions_or_the_default_does_or_nobody() {
        let rules = "rules:\n- {id: silent, match: [\"up.test/a\"], trust: allow}\n\
            - {id: own, match: [\"up.test/b\"], trust: approve, exceptionApproval: {policy: other, longest: 7d}}\n\
            - {id: nobody, match: [\"up.test/c\"], trust: allow, exceptionApproval: none}\n\
            - {id: denies, match: [\"up.test/d\"], trust: deny}\n";
        let own = Some(("other".to_owned(), 7 * DAY));
        assert_eq!(granting(rules), [None, own.clone(), None, None]);
        let default = "defaults: {exceptionApproval: {policy: four-eyes, longest: 30d}}\n";
        let silent = Some(("four-eyes".to_owned(), 30 * DAY));
        assert_eq!(granting(&format!("{default}{rules}")), [silent, own, None, None]);
    }

    #[test]
    fn what_is_not_written_of_the_longest_time_is_that_of_the_approval_and_never_beyond_the_bound()
    {
        for (text, days) in [
            ("{policy: four-eyes}", 60),
            ("{policy: four-eyes, longest: 70d}", 70),
            ("{policy: four-eyes, longest: 200d}", 90),
            ("{policy: other}", 90),
        ] {
            let rule = format!(
                "rules: [{{id: r, match: [\"up.test/a\"], trust: allow, exceptionApproval: {text}}}]\n"
            );
            let longest: Vec<_> = granting(&rule).into_iter().flatten().map(|(_, it)| it).collect();
            assert_eq!(longest, [days * DAY], "{text}");
        }
    }

    #[test]
    fn what_grants_nothing_is_a_mistake() {
        for (text, expected) in [
            ("trust: deny, exceptionApproval: {policy: other}", "has no effect: nothing is served"),
            (
                "trust: allow, exceptionApproval: {policy: nobody}",
                "is not among the approvalPolicies",
            ),
            ("trust: allow, exceptionApproval: {longest: 7d}", "policy  is missing"),
            ("trust: allow, exceptionApproval: {policy: other, longest: 7}", "must be a time like"),
            ("trust: allow, exceptionApproval: other", "exceptionApproval"),
        ] {
            let rule = format!("rules: [{{id: r, match: [\"up.test/a\"], {text}}}]\n");
            let problems = parsed(&rule).unwrap_err();
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|it| it.contains(expected)), "{text}: {told:?}");
        }
    }

    #[test]
    fn a_file_with_a_scope_lets_nobody_take_anything_from_the_base() {
        let base = format!(
            "{HEAD}defaults: {{exceptionApproval: {{policy: other}}}}\n\
             gates: {{base: {{deny: [{{severity: high}}]}}}}\n\
             overlays: [{{id: o, match: [\"up.test/**\"], gates: [base]}}]\n"
        );
        let part = "apiVersion: pratique.dev/v1\nkind: Policy\n\
            metadata: {name: team, owner: \"group:team\", scope: [\"up.test/**\"]}\n\
            gates: {own: {deny: [{severity: high}]}}\nrules:\n\
            - {id: says, match: [\"up.test/a\"], trust: allow, gates: [own], exceptionApproval: {policy: four-eyes}}\n\
            - {id: silent, match: [\"up.test/b\"], trust: allow, gates: [own]}\n";
        let sources = [("base.yaml", base.as_str()), ("team.yaml", part)];
        let sources = sources.map(|(path, text)| PolicySource { path, text });
        let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let policy = Policy::parse_all(&sources, &no_files).unwrap();
        for (id, takes_from_base) in [("says", false), ("silent", true)] {
            let rule = policy.rules().iter().find(|rule| rule.id().as_str() == id).unwrap();
            let granting = rule.exception_approval().unwrap();
            let takes = |gate: &Arc<ScanGate>| granting.takes_from(gate);
            assert!(rule.alone().gates.iter().all(takes), "{id}");
            let of_base = policy.overlays()[0].alone().gates;
            assert_eq!(of_base.iter().map(takes).collect::<Vec<_>>(), [takes_from_base], "{id}");
        }
    }
}
