//! Long lists come in stretches, and say where they go on.

use std::collections::BTreeSet;

use pratique::ledger::{NewPerson, NewToken, Role};
use serde_json::Value;

use super::{Desk, Reply};

/// Where the list goes on.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.header("link");
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    assert_eq!(relation, "; rel=\"next\"");
    Some(target.to_owned())
}

/// Every entry of the list at `path`, and of how many each stretch was.
async fn all(desk: &Desk, path: &str, of: impl Fn(&Value) -> Value) -> (Vec<Value>, Vec<usize>) {
    let (mut entries, mut sizes, mut path) = (Vec::new(), Vec::new(), path.to_owned());
    loop {
        let reply = desk.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let list = of(&reply.json());
        let list = list.as_array().expect("a list").clone();
        sizes.push(list.len());
        entries.extend(list);
        match next(&reply) {
            Some(target) => path = target,
            None => return (entries, sizes),
        }
    }
}

fn itself(value: &Value) -> Value {
    value.clone()
}

#[tokio::test]
async fn lists_of_tokens_people_and_requests_come_whole_in_stretches() {
    let desk = Desk::start().await;
    let ledger = desk.mirror.mirror().ledger();
    for number in 0..6 {
        let new = NewToken::new(format!("t-{number}"), Role::Viewer);
        ledger.create_token(new, "test").await.unwrap();
        let groups = BTreeSet::default();
        let person = NewPerson { name: format!("p-{number}"), role: Role::Viewer, groups };
        ledger.add_person(person, "test").await.unwrap();
        let body = serde_json::json!({"images": [format!("up.test/never/app:{number}")]});
        assert_eq!(desk.post("/api/v1/requests", &body).await.status, 200);
    }
    for (path, count) in [("tokens", 7), ("people", 6), ("requests", 6)] {
        let whole = desk.get(&format!("/api/v1/{path}")).await;
        assert_eq!(next(&whole), None, "{path}");
        let (entries, sizes) = all(&desk, &format!("/api/v1/{path}?limit=4"), itself).await;
        assert_eq!(Value::from(entries), whole.json(), "{path}");
        assert_eq!(sizes, [4, count - 4], "{path}");
    }
    let (entries, _) = all(&desk, "/api/v1/requests?state=denied&limit=1", itself).await;
    assert_eq!(entries.len(), 6);
    let (none, sizes) = all(&desk, "/api/v1/requests?state=pending&limit=1", itself).await;
    assert_eq!((none.len(), sizes), (0, vec![0]));
    let bad = desk.get("/api/v1/requests?after=x").await;
    assert_eq!((bad.status, bad.problem().as_str()), (400, "invalid"));
}

#[tokio::test]
async fn the_audit_comes_whole_in_stretches() {
    let desk = Desk::start().await;
    let ledger = desk.mirror.mirror().ledger();
    for number in 0..10 {
        let new = NewToken::new(format!("t-{number}"), Role::Viewer);
        ledger.create_token(new, "test").await.unwrap();
    }
    let (records, _) =
        all(&desk, "/api/v1/audit?from=1&limit=3", |page| page["records"].clone()).await;
    let numbers: Vec<u64> = records.iter().map(|it| it["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    assert!(numbers.len() > 10, "{numbers:?}");
}
