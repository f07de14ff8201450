//! Taking a taint off a node, when it has been found to be closed.
//!
//! The change says what the taints were: where somebody else changed them meanwhile, nothing is overwritten and
//! it is looked again.
//!
//! Spec: RFC 6902 (JSON Patch), <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>

use http::StatusCode;
use serde_json::{Value, json};

use super::api::{ATTEMPTS_MAX, ApiServer, Error};
use crate::doctor::NodeName;

/// Takes every taint called `key` off `node`; gives whether it had one.
///
/// # Errors
/// When the API server cannot be asked or says no; the node is as it was then.
pub async fn remove_taint(server: &ApiServer, node: &NodeName, key: &str) -> Result<bool, Error> {
    let path = format!("/api/v1/nodes/{node}");
    for _ in 0..ATTEMPTS_MAX {
        let Some(change) = without(&server.object(&path).await?, key) else { return Ok(false) };
        match server.patch(&path, &change).await {
            Ok(()) => return Ok(true),
            Err(Error::Refused {
                status: StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT,
                ..
            }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Changed { path })
}

/// The change that leaves `node` without taints called `key`; `None` where it has none.
fn without(node: &Value, key: &str) -> Option<Value> {
    let taints = node.pointer("/spec/taints")?.as_array()?;
    let is_called = |taint: &Value| taint.get("key").and_then(Value::as_str) == Some(key);
    let left: Vec<&Value> = taints.iter().filter(|taint| !is_called(taint)).collect();
    (left.len() < taints.len()).then(|| {
        json!([
            {"op": "test", "path": "/spec/taints", "value": taints},
            {"op": "replace", "path": "/spec/taints", "value": left},
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "pratique.dev/unverified";

    #[test]
    fn the_change_says_what_was_there_and_leaves_the_others() {
        let ours = json!({"key": KEY, "effect": "NoSchedule"});
        let other =
            json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "x"});
        let node = json!({"spec": {"taints": [ours, other]}});
        let expected = json!([
            {"op": "test", "path": "/spec/taints", "value": [ours, other]},
            {"op": "replace", "path": "/spec/taints", "value": [other]},
        ]);
        assert_eq!(without(&node, KEY), Some(expected));
    }

    #[test]
    fn a_node_without_it_is_left_alone() {
        for node in [
            json!({}),
            json!({"spec": {}}),
            json!({"spec": {"taints": null}}),
            json!({"spec": {"taints": [{"key": "pratique.dev/unverified2"}, 3, {"key": 1}]}}),
            json!([]),
        ] {
            assert_eq!(without(&node, KEY), None, "{node}");
        }
    }
}
