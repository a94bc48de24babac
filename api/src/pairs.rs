//! Fields that say the first of a list once more: both are written, and they say the same.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/v1/conversion.go`. The single one is believed where they
//! differ: who does not know the list writes only that.

use crate::KindRef;
use serde_json::{Value, json};

/// Brings the pairs of an object in step.
pub fn in_step(kind: KindRef, object: &mut Value) {
    match (kind.group, kind.kind) {
        ("", "Node") => pair(object.get_mut("spec"), "podCIDR", "podCIDRs", None),
        ("", "Pod") => pair(object.get_mut("status"), "podIP", "podIPs", Some("ip")),
        _ => {}
    }
}

/// `within` is the field of an element that is meant, where it is not the element itself.
fn pair(of: Option<&mut Value>, single: &str, list: &str, within: Option<&str>) {
    let Some(map) = of.and_then(Value::as_object_mut) else {
        return;
    };
    let said = map.get(single).and_then(Value::as_str).unwrap_or_default();
    let first = map.get(list).and_then(|list| list.get(0));
    let first = first.map(|first| within.map_or(first, |field| &first[field]));
    let first = first.and_then(Value::as_str).unwrap_or_default();
    if said == first {
        return;
    }
    if said.is_empty() {
        map.insert(single.to_owned(), json!(first));
    } else {
        let element = within.map_or_else(|| json!(said), |field| json!({field: said}));
        map.insert(list.to_owned(), json!([element]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind;

    #[test]
    fn the_single_one_is_believed() {
        let (a, b) = ("10.0.0.0/24", "fd00::/64");
        for (spec, expected) in [
            (json!({}), json!({})),
            (
                json!({"podCIDR": a}),
                json!({"podCIDR": a, "podCIDRs": [a]}),
            ),
            (
                json!({"podCIDRs": [a, b]}),
                json!({"podCIDR": a, "podCIDRs": [a, b]}),
            ),
            (
                json!({"podCIDR": a, "podCIDRs": [a, b]}),
                json!({"podCIDR": a, "podCIDRs": [a, b]}),
            ),
            (
                json!({"podCIDR": b, "podCIDRs": [a, b]}),
                json!({"podCIDR": b, "podCIDRs": [b]}),
            ),
        ] {
            let mut node = json!({"spec": spec});
            in_step(kind::NODE, &mut node);
            assert_eq!(node["spec"], expected, "{spec}");
        }
        let mut pod = json!({"status": {"podIP": "10.0.0.1"}});
        in_step(kind::POD, &mut pod);
        assert_eq!(pod["status"]["podIPs"], json!([{"ip": "10.0.0.1"}]));
    }
}
