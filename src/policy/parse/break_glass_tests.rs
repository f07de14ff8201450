//! Who may break the glass, as policies write it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::{BreakGlass, Kept, Policy};

const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
                    rules: [{id: a, match: [\"up.test/**\"], trust: deny}]\n";

fn parse(rest: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    Policy::parse(&format!("{HEAD}{rest}\n"), &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn glass(block: &str) -> Arc<BreakGlass> {
    let policy = parse(&format!("breakGlass: {block}")).unwrap_or_else(|why| panic!("{why}"));
    Arc::clone(policy.break_glass().expect("a block"))
}

#[test]
fn without_the_block_nobody_may() {
    assert!(parse("").unwrap().break_glass().is_none());
    assert!(Policy::built_in().break_glass().is_none());
}

#[test]
fn what_is_not_written_is_the_careful_one() {
    let plain = glass("{who: [\"group:oncall\"]}");
    assert_eq!((plain.quorum(), plain.ttl_max()), (1, Duration::from_hours(4)));
    assert_eq!(plain.review_within(), Duration::from_hours(72));
    assert!(plain.needs_ticket() && plain.covers(&"other.test/x".parse().unwrap()));
    assert!(plain.floor_gate().is_none() && !plain.keeps(Kept::Signatures));
    let full = glass(
        "{who: [\"group:oncall\", \"token:pager\"], quorum: 2, maxTTL: 30m, requires: [reason],
          match: [\"up.test/prod/*\"], cannotOverride: [signatures, integrity],
          afterwards: {review: required, within: 2d}}",
    );
    assert_eq!((full.quorum(), full.ttl_max()), (2, Duration::from_mins(30)));
    assert_eq!(full.review_within(), Duration::from_hours(48));
    assert!(!full.needs_ticket() && full.keeps(Kept::Signatures) && !full.keeps(Kept::Gates));
    let text = "2 of group:oncall, token:pager, for up to 30 min; does not override signatures";
    assert_eq!(full.to_string(), text);
    assert!(full.covers(&"up.test/prod/a".parse().unwrap()));
    assert!(!full.covers(&"up.test/dev/a".parse().unwrap()));
}

#[test]
fn of_the_floor_malware_is_always_kept_and_what_is_exploited_where_it_says_so() {
    let floor = "floor: {vulnerabilities: {denyKEV: true, denyMalware: true}}\n";
    let gate = |kept: &str| {
        let text = format!("{floor}breakGlass: {{who: [\"group:a\"]{kept}}}");
        let policy = parse(&text).unwrap();
        Arc::clone(policy.break_glass().unwrap().floor_gate().expect("a gate"))
    };
    assert_eq!(gate("").deny, []);
    assert_eq!(gate(", cannotOverride: [floor.vulnerabilities.denyMalware]").deny, []);
    assert_eq!(gate(", cannotOverride: [floor.vulnerabilities.denyKEV]").deny.len(), 1);
}

#[test]
fn what_names_nobody_or_has_no_bounds_is_refused() {
    for (block, expected) in [
        ("{}", "breakGlass.who  is missing"),
        ("{who: []}", "breakGlass.who  is an empty list"),
        ("{who: [oncall]}", "names nobody"),
        ("{who: [\"group:a\"], quorum: 0}", "breakGlass.quorum  must be a number from 1 to 10"),
        ("{who: [\"group:a\"], maxTTL: 73h}", "breakGlass.maxTTL  is longer than 72 h"),
        ("{who: [\"group:a\"], maxTTL: 4}", "breakGlass.maxTTL  must be a time like 30m or 2h"),
        ("{who: [\"group:a\"], maxTTL: 0h}", "breakGlass.maxTTL  must be a time"),
        ("{who: [\"group:a\"], requires: [nothing]}", "is not one of: reason, ticket"),
        ("{who: [\"group:a\"], match: [nginx]}", "names no registry"),
        ("{who: [\"group:a\"], cannotOverride: [floor]}", "cannotOverride[0]"),
        ("{who: [\"group:a\"], canOverride: [integrity]}", "breakGlass.canOverride"),
        ("{who: [\"group:a\"], afterwards: {review: none}}", "is not one of: required"),
        ("{who: [\"group:a\"], afterwards: {within: 31d}}", "within  is longer than 720 h"),
        ("{who: [\"group:a\"], notify: [\"webhook:x\"]}", "breakGlass.notify  not supported"),
    ] {
        let problem = parse(&format!("breakGlass: {block}")).unwrap_err();
        assert!(problem.contains(expected), "{block}: {problem}");
    }
}
