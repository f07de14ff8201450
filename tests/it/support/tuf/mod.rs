//! A repository of The Update Framework (TUF), made, signed and served by a test.

mod key;
mod server;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use self::key::Key;
pub(crate) use self::server::{Answer, Server};

/// When what nobody says otherwise of expires.
pub(crate) const LATER: &str = "2999-01-01T00:00:00Z";
/// Long ago.
pub(crate) const EXPIRED: &str = "2020-01-01T00:00:00Z";
/// What a repository calls a trust root.
pub(crate) const TARGET: &str = "trusted_root.json";

/// A repository. What is in its fields is signed and served by [`Self::publish`].
pub(crate) struct Tuf {
    /// Two of these sign roots.
    pub(crate) root_keys: Vec<Key>,
    pub(crate) timestamp_key: Key,
    pub(crate) snapshot_key: Key,
    pub(crate) targets_key: Key,
    pub(crate) root: Value,
    pub(crate) timestamp: Value,
    pub(crate) snapshot: Value,
    pub(crate) targets: Value,
    pub(crate) server: Server,
}

/// `content`, signed by each of `keys`.
pub(crate) fn signed(content: &Value, keys: &[&Key]) -> Vec<u8> {
    let bytes = canonical(content);
    let signature = |key: &&Key| json!({"keyid": key.id, "sig": key.sign(&bytes)});
    let signatures: Vec<Value> = keys.iter().map(signature).collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": content})).unwrap()
}

/// The bytes that are signed: sorted names, no white space, raw text in strings.
fn canonical(value: &Value) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into_bytes()
    }
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            [b"[".as_slice(), &items.join(&b','), b"]"].concat()
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let member = |(name, value): (&String, &Value)| {
                [text(name), b":".to_vec(), canonical(value)].concat()
            };
            let members: Vec<_> = members.into_iter().map(member).collect();
            [b"{".as_slice(), &members.join(&b','), b"}"].concat()
        }
        Value::String(it) => text(it),
        Value::Bool(_) | Value::Null | Value::Number(_) => value.to_string().into_bytes(),
    }
}

/// What is said of `bytes` where they are listed.
pub(crate) fn pinned(bytes: &[u8]) -> Value {
    json!({"length": bytes.len(), "hashes": {"sha256": hex::encode(Sha256::digest(bytes))}})
}

/// The same with the version that is in them.
pub(crate) fn pinned_as(version: &Value, bytes: &[u8]) -> Value {
    let mut pin = pinned(bytes);
    pin["version"] = version.clone();
    pin
}

fn lower(kind: &str, members: Value) -> Value {
    let common = json!({"_type": kind, "spec_version": "1.0.31", "version": 1, "expires": LATER});
    let (Value::Object(mut all), Value::Object(members)) = (common, members) else { panic!() };
    all.extend(members);
    Value::Object(all)
}

impl Tuf {
    /// A repository with root 1 and nothing older, which has `content` as its trust root.
    pub(crate) fn new(content: &[u8]) -> Self {
        let mut tuf = Self {
            root_keys: vec![Key::ecdsa(), Key::ed25519(), Key::ecdsa()],
            timestamp_key: Key::ecdsa(),
            snapshot_key: Key::ed25519(),
            targets_key: Key::ecdsa(),
            root: Value::Null,
            timestamp: lower("timestamp", json!({"meta": {}})),
            snapshot: lower("snapshot", json!({"meta": {}})),
            targets: lower("targets", json!({"targets": {}})),
            server: Server::start(),
        };
        tuf.root = tuf.root_of(1);
        tuf.set_target(content);
        tuf.publish();
        tuf
    }

    /// The root `version` with the keys as they are.
    pub(crate) fn root_of(&self, version: u64) -> Value {
        let others = [&self.timestamp_key, &self.snapshot_key, &self.targets_key];
        let all = self.root_keys.iter().chain(others);
        let keys: Map<_, _> = all.map(|key| (key.id.clone(), key.public.clone())).collect();
        let ids: Vec<&str> = self.root_keys.iter().map(|key| key.id.as_str()).collect();
        let one = |key: &Key| json!({"keyids": [key.id], "threshold": 1});
        lower(
            "root",
            json!({
                "version": version,
                "consistent_snapshot": true,
                "keys": keys,
                "roles": {
                    "root": {"keyids": ids, "threshold": 2},
                    "timestamp": one(&self.timestamp_key),
                    "snapshot": one(&self.snapshot_key),
                    "targets": one(&self.targets_key),
                },
            }),
        )
    }

    /// The root as it is, signed by all who may.
    pub(crate) fn signed_root(&self) -> Vec<u8> {
        signed(&self.root, &self.root_keys.iter().collect::<Vec<_>>())
    }

    /// The next root, after `change`, signed by those before and after it.
    pub(crate) fn rotate(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.root_keys.clone();
        change(self);
        let version = self.root["version"].as_u64().unwrap() + 1;
        self.root = self.root_of(version);
        let mut keys: Vec<&Key> = self.root_keys.iter().collect();
        keys.extend(before.iter().filter(|old| self.root_keys.iter().all(|key| key.id != old.id)));
        self.server.put(&format!("/{version}.root.json"), signed(&self.root, &keys));
    }

    /// Lists `content` as the trust root, and serves it.
    pub(crate) fn set_target(&mut self, content: &[u8]) {
        let pin = pinned(content);
        self.serve_target(pin["hashes"]["sha256"].as_str().unwrap(), content);
        self.targets["targets"][TARGET] = pin;
    }

    /// Serves `content` where the target with the hash `hash` is looked for.
    pub(crate) fn serve_target(&self, hash: &str, content: &[u8]) {
        self.server.put(&format!("/targets/{hash}.{TARGET}"), content.to_vec());
    }

    /// The next version of all but the root.
    pub(crate) fn advance(&mut self) {
        for role in [&mut self.timestamp, &mut self.snapshot, &mut self.targets] {
            role["version"] = (role["version"].as_u64().unwrap() + 1).into();
        }
    }

    /// Signs and serves all but the root, each listed in the one above it.
    pub(crate) fn publish(&mut self) {
        self.put_targets("targets", &signed(&self.targets, &[&self.targets_key]));
        self.publish_snapshot();
    }

    /// Serves metadata of targets, listed by the snapshot.
    pub(crate) fn put_targets(&mut self, role: &str, bytes: &[u8]) {
        let content: Value = serde_json::from_slice(bytes).unwrap();
        let version = &content["signed"]["version"];
        self.server.put(&format!("/{version}.{role}.json"), bytes.to_vec());
        self.snapshot["meta"][format!("{role}.json")] = pinned_as(version, bytes);
    }

    /// Signs and serves the snapshot and what is above it.
    pub(crate) fn publish_snapshot(&mut self) {
        let bytes = signed(&self.snapshot, &[&self.snapshot_key]);
        let version = &self.snapshot["version"];
        self.server.put(&format!("/{version}.snapshot.json"), bytes.clone());
        self.timestamp["meta"]["snapshot.json"] = pinned_as(version, &bytes);
        self.publish_timestamp();
    }

    /// Signs and serves the timestamp.
    pub(crate) fn publish_timestamp(&self) {
        self.server.put("/timestamp.json", signed(&self.timestamp, &[&self.timestamp_key]));
    }
}
