//! Pod specs.

mod annotations;
mod change;
mod claims;
mod containers;
mod scheduling;
mod security;
mod spec;

use super::{meta, text, volume};
use crate::status::Cause;
use serde_json::Value;

/// A pod itself; `old` is what it was.
pub(super) fn pod(pod: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let (own, before) = (annotated(pod), old.map(annotated));
    annotations::check((own, "metadata.annotations"), &pod["spec"], before, causes);
    let name = text(&pod["metadata"], "name");
    spec(&pod["spec"], Some(name), "spec", causes);
    containers::only_in_pods(&pod["spec"], causes);
    spec::only_in_pods(pod, old.is_none(), causes);
}

/// What pods are made from.
pub(super) fn template(template: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (meta, pod) = (&template["metadata"], &template["spec"]);
    meta::labels(&meta["labels"], &format!("{path}.labels"), causes);
    let at = format!("{path}.annotations");
    meta::annotations(&meta["annotations"], &at, causes);
    annotations::check((&meta["annotations"], &at), pod, None, causes);
    let path = format!("{path}.spec");
    spec(pod, None, &path, causes);
    spec::only_in_templates(pod, &path, causes);
}

fn annotated(object: &Value) -> &Value {
    &object["metadata"]["annotations"]
}

/// What something has at most, as a container has its limits.
pub(super) fn limits(list: &Value, path: &str, causes: &mut Vec<Cause>) {
    containers::limits(list, path, causes);
}

/// The name of something that a container may ask for.
pub(super) fn resource_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    containers::resource_name(name, path, causes);
}

pub(super) fn tolerations(of: &Value, path: &str, causes: &mut Vec<Cause>) {
    scheduling::tolerations(of, path, causes);
}

/// Which nodes something may be on.
pub(super) fn node_selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    scheduling::node_selector(selector, path, causes);
}

/// What may not change of a pod.
pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (path, now, was) = ("metadata.annotations", annotated(new), annotated(old));
    annotations::unchanged(now, was, path, causes);
    annotations::check((now, path), &new["spec"], Some(was), causes);
    change::check(new, old, causes);
}

fn spec(spec: &Value, name: Option<&str>, path: &str, causes: &mut Vec<Cause>) {
    let volumes = volume::list(spec, path, causes);
    claims::check(spec, name, path, causes);
    containers::all(spec, path, &volumes, causes);
    spec::check(spec, path, causes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(pod: &Value) -> Vec<String> {
        let mut causes = Vec::new();
        spec(pod, None, "spec", &mut causes);
        causes.into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn sizes_and_sources_are_checked() {
        let pod = |volume: Value, env: Value| {
            json!({
                "volumes": [volume],
                "containers": [{"name": "c", "image": "i:v1", "env": [env]}],
            })
        };
        let field = json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        let volume = |limit: &str| json!({"name": "v", "emptyDir": {"sizeLimit": limit}});
        for (pod, fields) in [
            (pod(volume("1Mi"), field.clone()), vec![]),
            (
                pod(volume("x"), field.clone()),
                vec!["spec.volumes[0].emptyDir.sizeLimit"],
            ),
            (
                pod(volume("-1"), field),
                vec!["spec.volumes[0].emptyDir.sizeLimit"],
            ),
            (
                pod(volume("0"), json!({"name": "A", "valueFrom": {}})),
                vec!["spec.containers[0].env[0].valueFrom"],
            ),
        ] {
            assert_eq!(refused(&pod), fields, "{pod}");
        }
    }
}
