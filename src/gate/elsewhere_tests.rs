//! Approvals from elsewhere: of the very content, in earnest, by as many, and of nothing else.

use super::tests::{NOW, context, decided, evidence, facts, policy, revoked, subject};
use super::{
    Context, Elsewhere, Evidence, Judgement, ReadyPolicy, Standing, Subject, decide, known_against,
};
use crate::oci::Digest;

const HERE: &str = "up.test/prod/app";
const THERE: &str = "up.test/team/app";
const POLICIES: &str = "approvalPolicies:
  eyes: {approvers: [\"group:a\", \"group:b\"], quorum: 2}
  more: {approvers: [\"group:a\", \"group:b\"], quorum: 2}
  one: {approvers: [\"group:a\"]}
  whole: {approvers: [\"group:a\"], binds: digest+children}
";

fn rules(here: &str, there: &str) -> ReadyPolicy {
    policy(&format!(
        "{POLICIES}rules:\n- {{id: here, match: [\"up.test/prod/*\"], trust: approve, {here}}}\n\
         - {{id: there, match: [\"up.test/team/*\"], {there}}}\n"
    ))
}

fn usual() -> ReadyPolicy {
    rules(CARRIES, "trust: approve, approval: {policy: eyes}")
}

const CARRIES: &str = "approval: {policy: eyes, carries: {from: [\"up.test/team/**\"]}}";

fn approved(voters: &[&str], expires: Option<&str>) -> Standing {
    Standing::Approved {
        by: "bob".to_owned(),
        at: "2026-11-01T00:00:00Z".parse().unwrap(),
        expires: expires.map(|at| at.parse().unwrap()),
        reason: "reviewed".to_owned(),
        voters: voters.iter().map(|name| (*name).to_owned()).collect(),
        seen: None,
        files: Vec::new(),
    }
}

fn by_two() -> Standing {
    approved(&["alice", "bob"], None)
}

fn of(subject: Subject, standing: Standing) -> Elsewhere {
    let (tags, artifact_type, children) = (Vec::new(), None, Vec::new());
    Elsewhere { subject, standing, tags, artifact_type, children }
}

fn gathered() -> Evidence {
    evidence(facts())
}

fn judged(policy: &ReadyPolicy, elsewhere: &[Elsewhere], standing: Option<&Standing>) -> Judgement {
    let context = Context { standing, elsewhere, ..context(policy) };
    let judgement = decided(decide(&subject(HERE), &gathered(), &context));
    let known = decided(known_against(&subject(HERE), &gathered(), &context));
    assert_eq!(judgement.admits(), known.admits(), "what is known is the same");
    judgement
}

#[test]
fn an_approval_of_the_very_digest_counts_and_ends_with_it() {
    let there = [of(subject(THERE), approved(&["alice", "bob"], Some("2026-12-01T00:00:00Z")))];
    let judgement = judged(&usual(), &there, None);
    assert!(judgement.admits());
    let carried = judgement.carried.as_deref().unwrap();
    assert_eq!(
        (&carried.from, carried.at.to_string().as_str()),
        (&subject(THERE), "2026-11-01T00:00:00Z")
    );
    let ends = "2026-12-01T00:00:00Z".parse().ok();
    assert_eq!((judgement.good_until, judgement.rests_until), (ends, ends));
    let text = &judgement.checks.last().unwrap().text;
    assert!(
        text.starts_with("by alice, bob on 2026-11-01 until 2026-12-01, for up.test/team/app@"),
        "{text}"
    );
}

#[test]
fn what_is_weaker_elsewhere_or_otherwise_is_no_approval() {
    let other = Subject { digest: Digest::sha256(b"other"), ..subject(THERE) };
    for (what, elsewhere) in [
        ("too few", of(subject(THERE), approved(&[], None))),
        ("run out", of(subject(THERE), approved(&["alice", "bob"], Some(NOW)))),
        ("refused there", of(subject(THERE), revoked())),
        ("another digest", of(other, by_two())),
        ("elsewhere than named", of(subject("up.test/other/app"), by_two())),
        ("itself", of(subject(HERE), by_two())),
    ] {
        assert!(!judged(&usual(), &[elsewhere], None).admits(), "{what}");
    }
    for there in [
        "trust: allow",
        "trust: deny",
        "trust: approve",
        "trust: approve, approval: {policy: one}",
        "trust: approve, approval: {policy: more}",
        "trust: approve, approval: {policy: eyes}, mode: audit",
        "trust: approve, approval: {policy: eyes}, mode: warn",
        "trust: approve, approval: {policy: eyes}, tags: {exact: [\"1\"]}",
    ] {
        let policy = rules(CARRIES, there);
        assert!(!judged(&policy, &[of(subject(THERE), by_two())], None).admits(), "{there}");
    }
    let here = CARRIES.replace("]}", "], policies: [more]}");
    let policy = rules(&here, "trust: approve, approval: {policy: more}");
    assert!(judged(&policy, &[of(subject(THERE), by_two())], None).admits(), "it is named");
    let here = CARRIES.replace("]}", "], policies: [one]}");
    let policy = rules(&here, "trust: approve, approval: {policy: one}");
    let one = of(subject(THERE), approved(&[], None));
    assert!(!judged(&policy, &[one], None).admits(), "two are asked for here, whoever is named");
}

#[test]
fn without_a_word_about_it_nothing_counts() {
    let policy = rules("approval: {policy: eyes}", "trust: approve, approval: {policy: eyes}");
    assert!(!judged(&policy, &[of(subject(THERE), by_two())], None).admits());
}

#[test]
fn a_no_here_wins() {
    let there = [of(subject(THERE), by_two())];
    assert!(!judged(&usual(), &there, Some(&revoked())).admits());
    let run_out = approved(&["alice", "bob"], Some("2026-11-02T00:00:00Z"));
    assert!(judged(&usual(), &there, Some(&run_out)).admits(), "a yes that ended is no no");
}

#[test]
fn an_index_covers_what_it_lists_where_its_policy_says_so() {
    let index = Subject { digest: Digest::sha256(b"index"), ..subject(HERE) };
    let covering =
        |children: Vec<Digest>| Elsewhere { children, ..of(index.clone(), approved(&[], None)) };
    let there = "trust: allow";
    let whole = rules("approval: {policy: whole}", there);
    let listed = [covering(vec![subject(HERE).digest])];
    let judgement = judged(&whole, &listed, None);
    assert_eq!(judgement.carried.unwrap().from, index);
    assert!(!judged(&whole, &[covering(vec![Digest::sha256(b"other")])], None).admits());
    assert!(!judged(&rules("approval: {policy: one}", there), &listed, None).admits());
    let elsewhere = Elsewhere {
        subject: Subject { name: THERE.parse().unwrap(), ..index },
        ..listed[0].clone()
    };
    assert!(!judged(&whole, &[elsewhere], None).admits(), "in another repository");
}
