//! What a node's conditions become when its link is gone. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/nodelifecycle`.

use crate::liveness::NodeLink;
use serde_json::{Value, json};

/// The conditions an agent answers for.
const OWN: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The new conditions, if they are not as they should be already. A connected agent speaks for itself.
pub(super) fn plan(node: &Value, link: NodeLink, now: &str) -> Option<Value> {
    let old: Vec<Value> = node["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut new = old.clone();
    match link {
        NodeLink::Connected { .. } => {}
        NodeLink::Lost { .. } => {
            for name in OWN {
                lose(&mut new, name, node, now);
            }
        }
        NodeLink::Left { .. } => {
            let stopped = json!({"type": "Ready", "status": "False", "reason": "KubeletNotReady",
                "message": "the agent of this node was stopped"});
            put(&mut new, "Ready", stopped, now);
        }
    }
    (new != old).then(|| json!(new))
}

/// Nothing is known any more; what was once known keeps its heartbeat.
fn lose(conditions: &mut Vec<Value>, name: &str, node: &Value, now: &str) {
    let known = conditions
        .iter()
        .find(|condition| condition["type"] == name);
    let unknown = match known {
        Some(known) if known["status"] == "Unknown" => return,
        Some(known) => json!({"type": name, "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastHeartbeatTime": known["lastHeartbeatTime"]}),
        None => json!({"type": name, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
            "message": "Kubelet never posted node status.",
            "lastHeartbeatTime": node["metadata"]["creationTimestamp"]}),
    };
    put(conditions, name, unknown, now);
}

/// Replaces a condition in its place; its time changes with its status only.
fn put(conditions: &mut Vec<Value>, name: &str, mut new: Value, now: &str) {
    let at = conditions
        .iter()
        .position(|condition| condition["type"] == name);
    let old = at.map(|at| &conditions[at]);
    let same = old.filter(|old| old["status"] == new["status"]);
    new["lastTransitionTime"] =
        same.map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
    if new["lastHeartbeatTime"].is_null() {
        let heartbeat = old.map(|old| old["lastHeartbeatTime"].clone());
        new["lastHeartbeatTime"] = heartbeat
            .filter(|time| !time.is_null())
            .unwrap_or_else(|| json!(now));
    }
    match at {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
}

/// `status` of the condition `Ready`; empty when there is none.
pub(super) fn ready(node: &Value) -> &str {
    status(node, "Ready")
}

/// `status` of a condition; empty when there is none.
pub(super) fn status<'a>(node: &'a Value, name: &str) -> &'a str {
    let conditions = node["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == name);
    found
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn node() -> Value {
        json!({"metadata": {"creationTimestamp": "t0"}, "status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "t1", "lastTransitionTime": "t1"},
            {"type": "Mine", "status": "True"},
        ]}})
    }

    #[test]
    fn a_lost_node_is_unknown_once() {
        let mut node = node();
        let link = NodeLink::Lost {
            since: Instant::now(),
        };
        let new = plan(&node, link, "t2").unwrap();
        let expected = json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastHeartbeatTime": "t1", "lastTransitionTime": "t2"});
        assert_eq!(new[0], expected);
        assert_eq!(new[1]["type"], "Mine");
        assert_eq!(new[2]["type"], "MemoryPressure");
        assert_eq!(new[2]["reason"], "NodeStatusNeverUpdated");
        assert_eq!(new[2]["lastHeartbeatTime"], "t0");
        node["status"]["conditions"] = new;
        assert_eq!(ready(&node), "Unknown");
        assert_eq!(plan(&node, link, "t3"), None);
    }

    #[test]
    fn a_node_that_left_is_not_ready_and_a_connected_one_speaks_for_itself() {
        let mut node = node();
        let since = Instant::now();
        assert_eq!(plan(&node, NodeLink::Connected { since }, "t2"), None);
        let new = plan(&node, NodeLink::Left { since }, "t2").unwrap();
        assert_eq!(
            (&new[0]["status"], &new[0]["reason"]),
            (&json!("False"), &json!("KubeletNotReady"))
        );
        assert_eq!(new[0]["lastTransitionTime"], "t2");
        node["status"]["conditions"] = new;
        assert_eq!(plan(&node, NodeLink::Left { since }, "t3"), None);
        let lost = plan(&node, NodeLink::Lost { since }, "t4").unwrap();
        assert_eq!(lost[0]["status"], "Unknown");
    }
}
