//! The taints that follow from a node's conditions. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/nodelifecycle`.

use super::conditions;
use serde_json::{Value, json};

/// The agent says it is not ready, or has left.
pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Nobody hears the agent.
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that keep new pods away while they are true.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "node.kubernetes.io/network-unavailable",
    ),
];

type Taint = (&'static str, &'static str);

/// Everything this controller ever adds or removes.
fn managed() -> impl Iterator<Item = Taint> {
    let pressures = PRESSURES.iter().map(|(_, key)| (*key, "NoSchedule"));
    let ready = [NOT_READY, UNREACHABLE]
        .into_iter()
        .flat_map(|key| [(key, "NoSchedule"), (key, "NoExecute")]);
    pressures
        .chain(ready)
        .chain([(UNSCHEDULABLE, "NoSchedule")])
}

fn wanted(node: &Value, (key, _): Taint) -> bool {
    match key {
        NOT_READY => conditions::ready(node) == "False",
        UNREACHABLE => conditions::ready(node) == "Unknown",
        UNSCHEDULABLE => node["spec"]["unschedulable"] == true,
        pressure => PRESSURES
            .iter()
            .any(|(name, key)| *key == pressure && conditions::status(node, name) == "True"),
    }
}

/// The new taints, if they are not as they should be already. Those of others stay.
pub(super) fn plan(node: &Value, now: &str) -> Option<Value> {
    let old: Vec<Value> = node["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is = |taint: &Value, (key, effect): Taint| taint["key"] == key && taint["effect"] == effect;
    let mut new: Vec<Value> = old
        .iter()
        .filter(|taint| {
            let ours = managed().find(|managed| is(taint, *managed));
            ours.is_none_or(|ours| wanted(node, ours))
        })
        .cloned()
        .collect();
    for taint in managed().filter(|taint| wanted(node, *taint)) {
        if !new.iter().any(|have| is(have, taint)) {
            new.push(json!({"key": taint.0, "effect": taint.1, "timeAdded": now}));
        }
    }
    (new != old).then(|| json!(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ready: &str, pressure: &str, cordoned: bool, expected: &[&str]) {
        let mut node = json!({
            "spec": {"unschedulable": cordoned, "taints": [{"key": "mine", "effect": "NoExecute"},
                {"key": NOT_READY, "effect": "NoExecute", "timeAdded": "before"}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": pressure}]},
        });
        if let Some(new) = plan(&node, "now") {
            node["spec"]["taints"] = new;
        }
        let taints = node["spec"]["taints"].as_array().unwrap();
        let names: Vec<String> = taints
            .iter()
            .map(|taint| {
                let text = |field: &str| taint[field].as_str().unwrap_or_default().to_owned();
                format!(
                    "{}:{}@{}",
                    text("key").trim_start_matches("node.kubernetes.io/"),
                    text("effect"),
                    text("timeAdded")
                )
            })
            .collect();
        assert_eq!(names, expected);
        assert_eq!(plan(&node, "later"), None);
    }

    #[test]
    fn taints_follow_conditions() {
        check("True", "False", false, &["mine:NoExecute@"]);
        check(
            "False",
            "False",
            false,
            &[
                "mine:NoExecute@",
                "not-ready:NoExecute@before",
                "not-ready:NoSchedule@now",
            ],
        );
        check(
            "Unknown",
            "Unknown",
            false,
            &[
                "mine:NoExecute@",
                "unreachable:NoSchedule@now",
                "unreachable:NoExecute@now",
            ],
        );
        check(
            "True",
            "True",
            true,
            &[
                "mine:NoExecute@",
                "disk-pressure:NoSchedule@now",
                "unschedulable:NoSchedule@now",
            ],
        );
    }
}
