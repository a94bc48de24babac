//! Readiness gates: when a pod whose containers are ready is ready itself. Pure.
//!
//! One rule for all who write `Ready`: who takes an agent's status, who follows the gates, who follows
//! the links of nodes. So none of them takes back what another wrote.
//!
//! Source: k8s.io/kubernetes `pkg/kubelet/status/generate.go`.

use serde_json::{Value, json};

/// Why a pod is not ready whose containers are.
pub(crate) const GATES_NOT_READY: &str = "ReadinessGatesNotReady";

/// What the gates of a pod still want; nothing when all are true, or there are none.
pub(crate) fn unmet_gates(pod: &Value) -> Option<String> {
    let gates = pod["spec"]["readinessGates"].as_array();
    let mut messages = Vec::new();
    for gate in gates.into_iter().flatten() {
        let kind = gate["conditionType"].as_str().unwrap_or_default();
        let found = condition(pod, kind);
        match found.map(|found| found["status"].as_str().unwrap_or_default()) {
            None => messages.push(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
            Some("True") => {}
            Some(other) => messages.push(format!(
                "the status of pod readiness gate {kind:?} is not \"True\", but {other}"
            )),
        }
    }
    (!messages.is_empty()).then(|| messages.join(", "))
}

/// Brings `Ready` in step with the gates where the agent said that the containers are ready; whether
/// that changed anything. Its transition time moves only with its status.
pub(crate) fn settle(pod: &mut Value, now: &str) -> bool {
    let containers = condition(pod, "ContainersReady");
    if containers.is_none_or(|containers| containers["status"] != "True") {
        return false;
    }
    let unmet = unmet_gates(pod);
    let state = if unmet.is_none() { "True" } else { "False" };
    let conditions = pod["status"]["conditions"].as_array_mut();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|one| one["type"] == "Ready");
    let Some(ready) = ready.and_then(Value::as_object_mut) else {
        // No agent has said anything of the pod.
        return false;
    };
    let before = ready.clone();
    if ready.get("status").is_none_or(|status| status != state) {
        ready.insert("status".to_owned(), json!(state));
        ready.insert("lastTransitionTime".to_owned(), json!(now));
    }
    if let Some(message) = unmet {
        ready.insert("reason".to_owned(), json!(GATES_NOT_READY));
        ready.insert("message".to_owned(), json!(message));
    } else {
        ready.remove("reason");
        ready.remove("message");
    }
    *ready != before
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut all = pod["status"]["conditions"].as_array().into_iter().flatten();
    all.find(|one| one["type"] == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: &str = "corresponding condition of pod readiness gate \"x/a\" does not exist.";
    const UNTRUE: &str = "the status of pod readiness gate \"x/a\" is not \"True\", but False";
    const NOW: &str = "2026-01-02T00:00:00Z";

    /// A pod with the gates `x/a` and `x/b`; what its conditions say.
    fn pod(conditions: &[(&str, &str)]) -> Value {
        let one = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions: Vec<Value> = conditions.iter().map(one).collect();
        json!({"spec": {"readinessGates": [{"conditionType": "x/a"}, {"conditionType": "x/b"}]},
               "status": {"conditions": conditions}})
    }

    #[test]
    fn ready_follows_the_gates() {
        let yes = ("x/b", "True");
        for (containers, ready, gates, expected) in [
            ("True", "False", vec![("x/a", "True"), yes], ("True", None)),
            (
                "True",
                "True",
                vec![("x/a", "False"), yes],
                ("False", Some(UNTRUE)),
            ),
            ("True", "True", vec![yes], ("False", Some(ABSENT))),
            ("True", "Unknown", vec![yes], ("False", Some(ABSENT))),
            ("True", "False", vec![yes], ("False", Some(ABSENT))),
            // As it is already.
            ("True", "True", vec![("x/a", "True"), yes], ("True", None)),
            // The containers are not ready: the agent has said why.
            (
                "False",
                "False",
                vec![("x/a", "True"), yes],
                ("False", None),
            ),
            ("False", "False", vec![yes], ("False", None)),
        ] {
            let mut conditions = vec![("Ready", ready), ("ContainersReady", containers)];
            conditions.extend(gates);
            let mut value = pod(&conditions);
            let before = value.clone();
            let changed = settle(&mut value, NOW);
            let now = &value["status"]["conditions"][0];
            let (state, message) = expected;
            assert_eq!(now["status"], state, "{conditions:?}");
            assert_eq!(now["message"].as_str(), message, "{conditions:?}");
            let reason = message.map(|_| GATES_NOT_READY);
            assert_eq!(now["reason"].as_str(), reason, "{conditions:?}");
            let moved = now["lastTransitionTime"] == NOW;
            assert_eq!(moved, state != ready, "{conditions:?}");
            assert_eq!(changed, value != before, "{conditions:?}");
            assert!(!settle(&mut value, NOW), "{conditions:?} is settled");
        }
    }

    #[test]
    fn what_no_agent_reported_stays() {
        for conditions in [
            vec![],
            vec![("Ready", "False")],
            vec![("ContainersReady", "True")],
        ] {
            assert!(!settle(&mut pod(&conditions), NOW), "{conditions:?}");
        }
        assert!(!settle(&mut json!({}), NOW));
    }

    #[test]
    fn a_message_names_every_gate() {
        let both = unmet_gates(&pod(&[("x/a", "False")])).unwrap();
        let absent = ABSENT.replace("x/a", "x/b");
        assert_eq!(both, format!("{UNTRUE}, {absent}"));
        assert_eq!(unmet_gates(&json!({"spec": {}})), None);
    }
}
