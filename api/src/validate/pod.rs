//! Pod specs.

mod change;
mod containers;
mod scheduling;
mod security;
mod spec;

use super::volume;
use crate::status::Cause;
use serde_json::Value;

/// A pod itself; `old` is what it was.
pub(super) fn pod(pod: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    spec(&pod["spec"], "spec", causes);
    containers::only_in_pods(&pod["spec"], causes);
    spec::only_in_pods(pod, old.is_none(), causes);
}

/// What pods are made from.
pub(super) fn template(template: &Value, path: &str, causes: &mut Vec<Cause>) {
    spec(template, path, causes);
    spec::only_in_templates(template, path, causes);
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
    change::check(new, old, causes);
}

fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let volumes = volume::list(spec, path, causes);
    containers::all(spec, path, &volumes, causes);
    spec::check(spec, path, causes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(pod: &Value) -> Vec<String> {
        let mut causes = Vec::new();
        spec(pod, "spec", &mut causes);
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
