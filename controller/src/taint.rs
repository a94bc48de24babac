//! Taints and tolerations: the rule that the scheduler and the node lifecycle share. Pure.
//!
//! Source: k8s.io/component-helpers `scheduling/corev1`.

use coracle_api::k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether a toleration covers a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => {
            toleration.value.as_deref().unwrap_or_default()
                == taint.value.as_deref().unwrap_or_default()
        }
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(toleration: Value, expected: bool) {
        let taint = json!({"key": "k", "value": "v", "effect": "NoExecute"});
        let taint: Taint = serde_json::from_value(taint).unwrap();
        let toleration: Toleration = serde_json::from_value(toleration).unwrap();
        assert_eq!(tolerates(&toleration, &taint), expected, "{toleration:?}");
    }

    #[test]
    fn tolerations() {
        check(json!({"operator": "Exists"}), true);
        check(json!({"key": "k", "operator": "Exists"}), true);
        check(
            json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
            false,
        );
        check(json!({"key": "k", "value": "v"}), true);
        check(
            json!({"key": "k", "value": "v", "effect": "NoExecute"}),
            true,
        );
        check(
            json!({"key": "k", "operator": "Equal", "value": "w"}),
            false,
        );
        check(json!({"key": "k"}), false);
        check(json!({"key": "j", "operator": "Exists"}), false);
        check(json!({"key": "k", "operator": "Sometimes"}), false);
    }
}
