//! Who is let in, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use super::{Enrolment, Entrance, NewPerson, ONE_TIME_SECRET_LIFE, PersonChange, Vouched, local};
use crate::ledger::{AuditKind, Caller, Error, Ledger, NewToken, PersonId, Role, Scope};
use crate::metrics::Metrics;
use crate::people::{Hasher, TotpKey};
use crate::tasks::Tasks;
use crate::time::ManualClock;

struct Bench {
    dir: tempfile::TempDir,
    clock: ManualClock,
    ledger: Ledger,
}

async fn open(dir: &std::path::Path, clock: &ManualClock) -> Ledger {
    let metrics = Arc::new(Metrics::default());
    Ledger::open(dir, Arc::new(clock.clone()), Tasks::new(), metrics).await.unwrap()
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-20T10:00:00Z".parse().unwrap());
        let ledger = open(dir.path(), &clock).await;
        Self { dir, clock, ledger }
    }

    async fn reopen(&mut self) {
        self.ledger.close().await;
        self.ledger = open(self.dir.path(), &self.clock).await;
    }

    /// A new person who has signed in for the first time; gives them and their authenticator.
    async fn enrolled(&self, name: &str, role: Role) -> (Caller, TotpKey) {
        let (secret, _) = self.ledger.add_person(new(name, role), "test").await.unwrap();
        let known = self.ledger.knowledge(name, secret.expose()).unwrap();
        assert!(known.is_invited);
        let (enrolment, key) = self.enrolment().await;
        (self.ledger.enrol(&known.id, known.since, enrolment).await.unwrap(), key)
    }

    async fn enrolment(&self) -> (Enrolment, TotpKey) {
        let hasher = Hasher::new(Tasks::new());
        let password = hasher.hash(crate::oci::Secret::new("a fine password")).await.unwrap();
        let totp = TotpKey::generate().unwrap();
        let now = crate::time::Clock::now(&self.clock);
        let used = totp.check(totp.code_at(now).expose(), now, None).unwrap();
        (Enrolment { password, totp: totp.clone(), used }, totp)
    }

    async fn kinds(&self) -> Vec<AuditKind> {
        let rows = self.ledger.audit(1, 1_000).await.unwrap();
        rows.into_iter().map(|row| row.event.kind).collect()
    }
}

fn new(name: &str, role: Role) -> NewPerson {
    NewPerson { name: name.to_owned(), role, groups: ["team".to_owned()].into() }
}

fn vouched(subject: &str, role: Role) -> Vouched {
    let groups = ["g".to_owned()].into();
    let (issuer, display) = ("https://id.test".to_owned(), "Alice".to_owned());
    Vouched { issuer, subject: subject.to_owned(), display, role, groups }
}

#[tokio::test]
async fn a_person_is_nobody_until_they_have_a_password_and_an_authenticator() {
    let mut bench = Bench::new().await;
    let (secret, until) =
        bench.ledger.add_person(new("alice", Role::Viewer), "test").await.unwrap();
    let id = local("alice");
    assert_eq!(bench.ledger.caller(&id), None);
    assert_eq!(bench.ledger.person(&id).unwrap().1, Entrance::Invited(until));
    for wrong in ["", "x", "a fine password"] {
        assert!(!bench.ledger.knowledge("alice", wrong).unwrap().is_invited);
    }
    assert!(bench.ledger.knowledge("bob", secret.expose()).is_none());
    let known = bench.ledger.knowledge("alice", secret.expose()).unwrap();
    let (enrolment, key) = bench.enrolment().await;
    let caller = bench.ledger.enrol(&id, known.since, enrolment.clone()).await.unwrap();
    assert_eq!((caller.name().as_str(), caller.role), ("user:alice", Role::Viewer));
    let again = bench.ledger.enrol(&id, known.since, enrolment).await;
    assert!(matches!(again, Err(Error::NotLetIn)), "the secret is over: {again:?}");
    assert!(!bench.ledger.knowledge("alice", secret.expose()).unwrap().is_invited);
    bench.reopen().await;
    assert_eq!(bench.ledger.caller(&id), Some(caller));
    let now = crate::time::Clock::now(&bench.clock);
    assert_eq!(bench.ledger.code_of(&id, key.code_at(now).expose()), None, "it enrolled with it");
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        for told in [secret.expose(), "a fine password"] {
            let found = bytes.windows(told.len()).any(|window| window == told.as_bytes());
            assert!(!found, "{} tells {told}", path.display());
        }
    }
    let kinds = bench.kinds().await;
    for kind in [AuditKind::PersonCreated, AuditKind::PersonEnrolled, AuditKind::SignedIn] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_code_counts_once_also_when_two_come_at_the_same_time_or_after_a_restart() {
    let mut bench = Bench::new().await;
    let (caller, key) = bench.enrolled("alice", Role::Viewer).await;
    bench.clock.advance(Duration::from_secs(90));
    let code = key.code_at(crate::time::Clock::now(&bench.clock));
    let step = bench.ledger.code_of(&caller.id, code.expose()).unwrap();
    let (one, other) = tokio::join!(
        bench.ledger.sign_in(&caller.id, caller.since, step),
        bench.ledger.sign_in(&caller.id, caller.since, step)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    bench.reopen().await;
    assert_eq!(bench.ledger.code_of(&caller.id, code.expose()), None);
    let late = bench.ledger.sign_in(&caller.id, caller.since, step).await;
    assert!(matches!(late, Err(Error::NotLetIn)), "{late:?}");
}

#[tokio::test]
async fn a_secret_ends_and_a_reset_takes_everything_back() {
    let bench = Bench::new().await;
    let (secret, _) = bench.ledger.add_person(new("bob", Role::Viewer), "test").await.unwrap();
    let known = bench.ledger.knowledge("bob", secret.expose()).unwrap();
    bench.clock.advance(ONE_TIME_SECRET_LIFE);
    assert!(!bench.ledger.knowledge("bob", secret.expose()).unwrap().is_invited);
    let (enrolment, _) = bench.enrolment().await;
    let late = bench.ledger.enrol(&known.id, known.since, enrolment).await;
    assert!(matches!(late, Err(Error::NotLetIn)), "{late:?}");
    assert_eq!(bench.ledger.person(&local("bob")).unwrap().1, Entrance::Lapsed);

    let (caller, key) = bench.enrolled("alice", Role::Viewer).await;
    let (fresh, _) = bench.ledger.reset_person("alice", "test").await.unwrap();
    assert_eq!(bench.ledger.caller(&caller.id), None);
    bench.clock.advance(Duration::from_secs(90));
    let code = key.code_at(crate::time::Clock::now(&bench.clock));
    assert_eq!(bench.ledger.code_of(&caller.id, code.expose()), None);
    let known = bench.ledger.knowledge("alice", fresh.expose()).unwrap();
    assert!(known.is_invited && known.password.is_none() && known.since > caller.since);
    let (enrolment, _) = bench.enrolment().await;
    let old = bench.ledger.enrol(&known.id, caller.since, enrolment).await;
    assert!(matches!(old, Err(Error::NotLetIn)), "begun before the reset: {old:?}");
}

#[tokio::test]
async fn what_somebody_may_do_is_as_of_now_and_ends_with_them() {
    let bench = Bench::new().await;
    let (caller, _) = bench.enrolled("alice", Role::Viewer).await;
    let change = PersonChange { role: Some(Role::Approver), ..PersonChange::default() };
    bench.ledger.change_person(&caller.id, change, "test").await.unwrap();
    let now = bench.ledger.caller(&caller.id).unwrap();
    assert_eq!((now.role, now.since), (Role::Approver, caller.since), "their session goes on");
    let out = |is_disabled| PersonChange { is_disabled: Some(is_disabled), ..Default::default() };
    bench.ledger.change_person(&caller.id, out(true), "test").await.unwrap();
    assert_eq!(bench.ledger.caller(&caller.id), None);
    assert!(bench.ledger.knowledge("alice", "x").is_none());
    bench.ledger.change_person(&caller.id, out(false), "test").await.unwrap();
    assert!(
        bench.ledger.caller(&caller.id).unwrap().since > caller.since,
        "old sessions stay over"
    );
    bench.ledger.remove_person(&caller.id, "test").await.unwrap();
    assert_eq!(bench.ledger.caller(&caller.id), None);
    bench.clock.advance(Duration::from_secs(1));
    let (again, _) = bench.enrolled("alice", Role::Viewer).await;
    assert_ne!(again.since, caller.since, "somebody else of that name");
    let gone = bench.ledger.remove_person(&local("bob"), "test").await;
    assert!(matches!(gone, Err(Error::NoSuchPerson(_))), "{gone:?}");
    let kinds = bench.kinds().await;
    for kind in [
        AuditKind::PersonChanged,
        AuditKind::PersonDisabled,
        AuditKind::PersonEnabled,
        AuditKind::PersonRemoved,
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn the_last_one_who_can_administer_stays() {
    let bench = Bench::new().await;
    let end = crate::time::Clock::now(&bench.clock).after(Duration::from_mins(1));
    let token = NewToken { expires_at: Some(end), ..NewToken::new("robot", Role::Admin) };
    bench.ledger.create_token(token, "test").await.unwrap();
    let (alice, _) = bench.enrolled("alice", Role::Admin).await;
    bench.ledger.add_person(new("bob", Role::Admin), "test").await.unwrap();
    let role = |role| PersonChange { role: Some(role), ..PersonChange::default() };
    let out = PersonChange { is_disabled: Some(true), ..PersonChange::default() };
    bench.clock.advance(Duration::from_mins(1));
    // The token has ended, and bob has never signed in.
    for change in [role(Role::Viewer), out.clone()] {
        let kept = bench.ledger.change_person(&alice.id, change, "test").await;
        assert!(matches!(kept, Err(Error::LastAdmin(_))), "{kept:?}");
    }
    let kept = bench.ledger.remove_person(&alice.id, "test").await;
    assert!(matches!(kept, Err(Error::LastAdmin(_))), "{kept:?}");
    let kept = bench.ledger.reset_person("alice", "test").await;
    assert!(matches!(kept, Err(Error::LastAdmin(_))), "{kept:?}");
    bench.ledger.vouch(vouched("s", Role::Admin)).await.unwrap();
    let kept = bench.ledger.remove_person(&alice.id, "test").await;
    assert!(matches!(kept, Err(Error::LastAdmin(_))), "a provider may go away: {kept:?}");
    bench.enrolled("carol", Role::Admin).await;
    bench.ledger.change_person(&alice.id, out, "test").await.unwrap();
}

#[tokio::test]
async fn whom_a_provider_vouches_for_is_what_it_says_and_no_more() {
    let mut bench = Bench::new().await;
    let caller = bench.ledger.vouch(vouched("s", Role::Approver)).await.unwrap();
    assert_eq!(caller.name(), "oidc:https://id.test#s");
    let twin = bench
        .ledger
        .vouch(Vouched { issuer: "https://other.test".into(), ..vouched("s", Role::Viewer) });
    assert_ne!(twin.await.unwrap().id, caller.id);
    bench.ledger.vouch(vouched("s", Role::Viewer)).await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.ledger.caller(&caller.id).unwrap().role, Role::Viewer);
    let change = PersonChange { role: Some(Role::Admin), ..PersonChange::default() };
    let said = bench.ledger.change_person(&caller.id, change, "test").await;
    assert!(matches!(said, Err(Error::PersonElsewhere(_))), "{said:?}");
    let discover = bench.ledger.vouch(vouched("t", Role::Discover)).await;
    assert!(matches!(discover, Err(Error::PersonRole(_))), "{discover:?}");
    let out = PersonChange { is_disabled: Some(true), ..PersonChange::default() };
    bench.ledger.change_person(&caller.id, out, "test").await.unwrap();
    let kept_out = bench.ledger.vouch(vouched("s", Role::Viewer)).await;
    assert!(matches!(kept_out, Err(Error::NotLetIn)), "{kept_out:?}");
    bench.ledger.not_vouched(&caller.id).await.unwrap();
    assert!(bench.ledger.person(&caller.id).is_some(), "who is kept out stays kept out");
    let other = PersonId::Oidc { issuer: "https://other.test".into(), subject: "s".into() };
    bench.ledger.not_vouched(&other).await.unwrap();
    assert_eq!(bench.ledger.person(&other), None);
}

#[tokio::test]
async fn names_roles_and_groups_have_a_form() {
    let bench = Bench::new().await;
    bench.ledger.add_person(new("alice", Role::Viewer), "test").await.unwrap();
    let twice = bench.ledger.add_person(new("alice", Role::Viewer), "test").await;
    assert!(matches!(twice, Err(Error::PersonExists(_))), "{twice:?}");
    for bad in ["", "Alice", "a b", "a:b", "ü", &"x".repeat(65)] {
        let refused = bench.ledger.add_person(new(bad, Role::Viewer), "test").await;
        assert!(matches!(refused, Err(Error::PersonName(_))), "{bad}");
    }
    let robot = bench.ledger.add_person(new("bob", Role::Discover), "test").await;
    assert!(matches!(robot, Err(Error::PersonRole(_))), "{robot:?}");
    let groups = NewPerson { groups: ["a,b".to_owned()].into(), ..new("bob", Role::Viewer) };
    assert!(matches!(bench.ledger.add_person(groups, "test").await, Err(Error::GroupName(_))));
}

#[tokio::test]
async fn a_row_that_was_tampered_with_lets_nobody_in() {
    let bench = Bench::new().await;
    bench.enrolled("alice", Role::Viewer).await;
    bench.ledger.close().await;
    let database = rusqlite::Connection::open(crate::ledger::open::database_path(bench.dir.path()));
    let sql = "UPDATE people SET body = replace(body, '\"viewer\"', '\"admin\"')";
    assert_eq!(database.unwrap().execute(sql, []).unwrap(), 1);
    let metrics = Arc::new(Metrics::default());
    let clock = Arc::new(bench.clock.clone());
    let opened = Ledger::open(bench.dir.path(), clock, Tasks::new(), metrics).await.unwrap();
    assert!(opened.people().is_empty(), "{:?}", opened.people());
    let alice = PersonId::Local { name: "alice".to_owned() };
    assert!(opened.caller(&alice).is_none());
}

#[tokio::test]
async fn a_token_ends_by_itself_and_is_for_what_it_was_made_for() {
    let mut bench = Bench::new().await;
    let now = crate::time::Clock::now(&bench.clock);
    let scope = Scope::new(["library/x", "x"].map(String::from)).unwrap_err();
    assert!(matches!(scope, Error::TokenScope { .. }), "{scope}");
    let scope =
        Scope::new(["docker.io/library/*".to_owned(), "ghcr.io/acme/**".to_owned()]).unwrap();
    for (name, covered) in [
        ("docker.io/library/redis", true),
        ("docker.io/acme/redis", false),
        ("ghcr.io/acme/a/b", true),
        ("ghcr.io/acmeevil/a", false),
        ("quay.io/library/redis", false),
    ] {
        assert_eq!(scope.covers(&name.parse().unwrap()), covered, "{name}");
    }
    let past = NewToken { expires_at: Some(now), ..NewToken::new("late", Role::Viewer) };
    assert!(matches!(bench.ledger.create_token(past, "test").await, Err(Error::TokenExpiry)));
    let expires_at = Some(now.after(Duration::from_secs(60)));
    let new = NewToken { expires_at, scope, ..NewToken::new("robot", Role::Requester) };
    let secret = bench.ledger.create_token(new, "test").await.unwrap();
    bench.reopen().await;
    let row = bench.ledger.authenticate(secret.expose()).unwrap();
    assert!(
        !row.scope.is_everything()
            && bench.ledger.holder_of(&row).is_some_and(|it| it.scope == row.scope)
    );
    let id = PersonId::Token { name: "robot".to_owned() };
    assert!(bench.ledger.caller(&id).is_some());
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.ledger.authenticate(secret.expose()), None);
    assert_eq!(bench.ledger.caller(&id), None, "and its sessions with it");
    assert!(bench.ledger.tokens()[0].is_expired(crate::time::Clock::now(&bench.clock)));
}
