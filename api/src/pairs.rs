//! Fields that say the same: the first of a list once more, and what a claim is filled from.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/v1/conversion.go`. The single one is believed where it and the list
//! differ: who does not know the list writes only that.

use crate::KindRef;
use serde_json::{Map, Value, json};

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

/// What a claim is filled from stands under two names. Of another namespace it may not be, as that is off by default; one
/// that only has the old name, and is neither a claim nor a snapshot, was always ignored. What was there stays.
///
/// Source: k8s.io/kubernetes `pkg/api/persistentvolumeclaim/util.go`.
pub fn data_sources(claim: &mut Value, old: Option<&Value>) {
    let had = |field: &str| old.is_some_and(|old| !old["spec"][field].is_null());
    let (had_source, had_reference) = (had("dataSource"), had("dataSourceRef"));
    let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.retain(|field, value| !(value.is_null() && field.starts_with("dataSource")));
    let is_foreign = |reference: &Value| {
        let namespace = reference["namespace"].as_str();
        namespace.is_some_and(|namespace| !namespace.is_empty())
    };
    if !had_reference && spec.get("dataSourceRef").is_some_and(is_foreign) {
        spec.remove("dataSourceRef");
    }
    let is_new = !had_source && !spec.contains_key("dataSourceRef") && !had_reference;
    if is_new && !spec.get("dataSource").is_some_and(is_claim_or_snapshot) {
        spec.remove("dataSource");
    }
    match (spec.get("dataSource"), spec.get("dataSourceRef")) {
        (Some(source), None) => {
            let source = named(source);
            spec.insert("dataSourceRef".to_owned(), source);
        }
        (None, Some(reference)) if !is_foreign(reference) => {
            let source = named(reference);
            spec.insert("dataSource".to_owned(), source);
        }
        _ => {}
    }
}

fn is_claim_or_snapshot(source: &Value) -> bool {
    let text = |field: &str| source[field].as_str().unwrap_or_default();
    matches!(
        (text("apiGroup"), text("kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// The fields that both have.
fn named(source: &Value) -> Value {
    let fields = ["apiGroup", "kind", "name"].into_iter();
    let said = fields.filter_map(|field| Some((field, source.get(field)?)));
    let said = said.filter(|(_field, value)| !value.is_null());
    let named: Map<_, _> = said
        .map(|(field, value)| (field.to_owned(), value.clone()))
        .collect();
    named.into()
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

    #[test]
    fn what_a_claim_is_filled_from() {
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "a"});
        let other = json!({"apiGroup": "x.io", "kind": "X", "name": "a"});
        let snapshot =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "a"});
        let foreign = json!({"apiGroup": "x.io", "kind": "X", "name": "a", "namespace": "n"});
        let source = |one: &Value| json!({"dataSource": one});
        let reference = |one: &Value| json!({"dataSourceRef": one});
        let both = |one: &Value, two: &Value| json!({"dataSource": one, "dataSourceRef": two});
        let none = json!({});
        for (new, old, expected) in [
            (none.clone(), None, none.clone()),
            (source(&Value::Null), None, none.clone()),
            (source(&claim), None, both(&claim, &claim)),
            (source(&snapshot), None, both(&snapshot, &snapshot)),
            (reference(&other), None, both(&other, &other)),
            (both(&claim, &other), None, both(&claim, &other)),
            // Ignored, as ever.
            (source(&other), None, none.clone()),
            (source(&other), Some(none.clone()), none.clone()),
            (source(&other), Some(source(&other)), both(&other, &other)),
            // Off by default.
            (reference(&foreign), None, none.clone()),
            (both(&claim, &foreign), None, both(&claim, &claim)),
            (
                reference(&foreign),
                Some(reference(&foreign)),
                reference(&foreign),
            ),
        ] {
            let mut object = json!({"spec": new});
            let old = old.map(|old| json!({"spec": old}));
            data_sources(&mut object, old.as_ref());
            assert_eq!(object["spec"], expected, "{new} after {old:?}");
        }
    }
}
