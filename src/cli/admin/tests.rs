//! What people read, as snapshots.

use super::text::{Times, WIDTH};
use super::{explain, lists};
use crate::mirror::desk::view::{DecidedView, ExplainView, RequestView};

const DIGEST: &str = "sha256:9f1c03ab77de5d5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b";
const OTHER: &str = "sha256:41d2e8a0c9155d5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b1cf52a5b";

fn times() -> Times {
    Times::new("2026-11-23T10:00:00Z".parse().unwrap(), false)
}

fn request(json: serde_json::Value) -> RequestView {
    serde_json::from_value(json).unwrap()
}

fn requests() -> Vec<RequestView> {
    let pending = serde_json::json!({
        "id": "R-42", "state": "pending", "image": "docker.io/library/redis:7.4",
        "name": "docker.io/library/redis", "tag": "7.4", "digest": DIGEST, "rule": "hub",
        "reasons": [{"code": "approval-needed", "text": "rule hub asks", "remedy": "Approve it."}],
        "clients": 3, "pulls": 5, "client_names": ["10.0.0.7", "10.0.0.8", "10.0.0.9"],
        "first_asked": "2026-11-23T09:00:00Z", "last_asked": "2026-11-23T09:56:00Z",
    });
    let denied = serde_json::json!({
        "id": "R-43", "state": "denied", "image": "quay.io/acme/web:2", "name": "quay.io/acme/web",
        "reasons": [{"code": "unsigned", "text": "not signed", "remedy": ""}],
        "clients": 1, "pulls": 2,
        "first_asked": "2026-11-23T09:00:00Z", "last_asked": "2026-11-23T09:00:00Z",
    });
    vec![request(pending), request(denied)]
}

fn explained() -> ExplainView {
    serde_json::from_value(serde_json::json!({
        "image": "quay.io/acme/web:2", "name": "quay.io/acme/web", "digest": OTHER, "kind": "index",
        "platforms": [
            {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"},
        ],
        "policy": {"name": "site", "revision": 1, "id": DIGEST},
        "rule": {"id": "acme-prod", "pattern": "quay.io/acme/*", "matching": 2},
        "checks": [
            {"name": "allowlist", "state": "pass", "text": "registry and repository listed"},
            {"name": "signature", "state": "fail", "text": "needs 1 of [acme-ci]; found 1 signature"},
            {"name": "approval", "state": "not-asked", "text": ""},
        ],
        "verdict": "deny", "enforced": true,
        "reasons": [{
            "code": "wrong-signer", "text": "not signed by acme-ci",
            "remedy": "acme-ci would have to sign it, or a more specific rule of the policy would \
                       have to ask for other signers.",
        }],
        "request": "R-43",
        "standing": {
            "decision": "rejected", "by": "bob", "at": "2026-11-22T10:00:00Z", "reason": "odd",
        },
        "tag_history": [
            {"digest": OTHER, "seen_at": "2026-11-23T09:59:18Z"},
            {"digest": DIGEST, "seen_at": "2026-11-01T10:00:00Z"},
        ],
        "served_instead": DIGEST,
    }))
    .unwrap()
}

#[test]
fn requests_are_a_table() {
    assert_eq!(
        lists::requests(&requests(), times()),
        "ID    STATE    IMAGE                        DIGEST        WAITING           ASKED      WHY\n\
         R-42  pending  docker.io/library/redis:7.4  9f1c03ab77de  3 nodes, 5 pulls  4 min ago  rule hub asks\n\
         R-43  denied   quay.io/acme/web:2           -             1 node, 2 pulls   1 h ago    not signed\n"
    );
    assert!(lists::requests(&[], times()).starts_with("Nothing waits."));
}

#[test]
fn one_request_is_a_card_that_ends_with_the_way_on() {
    let views = requests();
    let card = lists::request(views.first().unwrap(), times());
    assert_eq!(
        card,
        format!(
            "R-42  pending  docker.io/library/redis:7.4\n\
             image      docker.io/library/redis\n\
             digest     {DIGEST}\n\
             rule       hub\n\
             why        approval-needed      rule hub asks\n\
             {space:34}Approve it.\n\
             asked      3 nodes, 5 pulls     first 1 h ago, last 4 min ago\n\
             by                              10.0.0.7 10.0.0.8 10.0.0.9\n\
             next                            pratique approve R-42 --reason TEXT\n",
            space = ""
        )
    );
}

#[test]
fn a_list_of_requests_says_how_the_votes_stand_and_who_is_missing() {
    let mut views = requests();
    views[0].votes = serde_json::from_value(serde_json::json!({
        "rule": "hub", "approval": "eyes", "needed": 2, "have": 1, "missing": "1 more of group:sec",
        "votes": [],
    }))
    .unwrap();
    views[0].waits_for = Some("1 more of group:sec".to_owned());
    let text = lists::requests(&views, times());
    assert!(text.contains("R-42  pending 1 of 2  "), "{text}");
    assert!(text.contains("waits for 1 more of group:sec"), "{text}");
}

#[test]
fn an_explanation_tells_the_rule_every_check_and_what_would_have_to_change() {
    let text = explain::render(&explained(), times());
    assert_eq!(
        text,
        "quay.io/acme/web:2  ->  sha256:41d2e8a0c915...  (index, linux/amd64 linux/arm64)\n\
         rule       acme-prod            match quay.io/acme/*, most specific of 2 that match\n\
         allowlist  pass                 registry and repository listed\n\
         signature  FAIL                 needs 1 of [acme-ci]; found 1 signature\n\
         approval   not asked for\n\
         verdict    DENY                 to pass: acme-ci would have to sign it, or a more specific rule of\n\
         \x20                                 the policy would have to ask for other signers.\n\
         request    R-43                 see it with: pratique show R-43\n\
         decided    rejected             by bob 1 d ago: odd\n\
         meanwhile  9f1c03ab77de         is served under this tag: it was admitted last\n\
         tag        41d2e8a0c915         seen 42 s ago\n\
         before     9f1c03ab77de         seen 22 d ago\n"
    );
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}

#[test]
fn audit_mode_says_that_it_serves_all_the_same() {
    let view = ExplainView { enforced: false, ..explained() };
    let text = explain::render(&view, times());
    assert!(text.contains("DENY                 served all the same"), "{text}");
}

#[test]
fn a_decision_says_what_it_is_bound_to_until_when_and_what_it_replaced() {
    let view: DecidedView = serde_json::from_value(serde_json::json!({
        "decision": "approved", "image": format!("docker.io/library/redis@{DIGEST}"),
        "name": "docker.io/library/redis", "digest": DIGEST, "request": "R-42", "by": "alice",
        "at": "2026-11-23T10:00:00Z", "expires": "2027-02-21T10:00:00Z", "already": false,
        "replaced": {
            "decision": "rejected", "by": "bob", "at": "2026-11-23T09:00:00Z", "reason": "odd",
        },
        "clients": 3, "verdict": "admit",
    }))
    .unwrap();
    assert_eq!(
        lists::decided(&view, times()),
        format!(
            "approved docker.io/library/redis@{DIGEST} by alice until 2027-02-21\n\
             in place of: rejected by bob 1 h ago: odd\n\
             3 nodes are waiting; they retry within 5 minutes.\n"
        )
    );
    let again = DecidedView { already: true, replaced: None, ..view };
    assert!(lists::decided(&again, times()).starts_with("already approved docker.io/"));
}

#[test]
fn what_upstream_or_a_client_wrote_cannot_steer_a_terminal() {
    let mut view = explained();
    view.reasons[0].remedy = "\u{1b}[2J\u{202e}sign it".to_owned();
    view.checks[0].text = "a\u{7}b".to_owned();
    view.checks[0].name = "\u{1b}]0;x".to_owned();
    let text = explain::render(&view, times());
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
}
