//! What Jobs and DaemonSets get from the registry: a selector nobody else has, and a count of templates.
//!
//! Source: k8s.io/kubernetes `pkg/registry/batch/job`, `pkg/registry/apps/daemonset`.

use coracle_api::{KindRef, kind};
use serde_json::{Value, json};

/// How often a DaemonSet's template changed, for clients from before generations.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Completes a new object that has its uid.
pub(super) fn complete_new(of: KindRef, value: &mut Value) {
    if of == kind::JOB && value["spec"]["manualSelector"] != json!(true) {
        select_by_uid(value);
    } else if of == kind::DAEMON_SET {
        set_template_generation(value, 1);
    }
}

/// Counts what changed in a complete one: what a client writes out and nobody stores is no change.
pub(super) fn count_changed(of: KindRef, old: &Value, new: &mut Value) {
    if of != kind::DAEMON_SET {
        return;
    }
    let count = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
    let count: i64 = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    let changed = new["spec"]["template"] != old["spec"]["template"];
    set_template_generation(new, count.saturating_add(i64::from(changed)));
}

fn set_template_generation(value: &mut Value, count: i64) {
    ensure_object(&mut value["metadata"]["annotations"]);
    value["metadata"]["annotations"][TEMPLATE_GENERATION] = json!(count.to_string());
}

/// The pods of a Job are told apart by its uid. What a client set is left: validation refuses it.
fn select_by_uid(job: &mut Value) {
    let (uid, name) = (
        job["metadata"]["uid"].clone(),
        job["metadata"]["name"].clone(),
    );
    let spec = &mut job["spec"];
    ensure_object(spec);
    ensure_object(&mut spec["template"]);
    ensure_object(&mut spec["template"]["metadata"]);
    let labels = &mut spec["template"]["metadata"]["labels"];
    ensure_object(labels);
    for (old_label, label, value) in [
        ("job-name", "batch.kubernetes.io/job-name", name),
        (
            "controller-uid",
            "batch.kubernetes.io/controller-uid",
            uid.clone(),
        ),
    ] {
        if labels[old_label].is_null() {
            labels[old_label] = value.clone();
            labels[label] = value;
        }
    }
    ensure_object(&mut spec["selector"]);
    ensure_object(&mut spec["selector"]["matchLabels"]);
    let selected = &mut spec["selector"]["matchLabels"];
    if selected["batch.kubernetes.io/controller-uid"].is_null() {
        selected["batch.kubernetes.io/controller-uid"] = uid;
    }
}

fn ensure_object(value: &mut Value) {
    if !value.is_object() {
        *value = json!({});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_selects_its_own_pods() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}});
        complete_new(kind::JOB, &mut job);
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            (&labels["a"], &labels["job-name"]),
            (&json!("b"), &json!("j"))
        );
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}})
        );
        // Without a template all is as with an empty one.
        let mut bare = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {}});
        let mut empty = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
        complete_new(kind::JOB, &mut bare);
        complete_new(kind::JOB, &mut empty);
        assert_eq!(bare, empty);
        assert_eq!(
            bare["spec"]["template"]["metadata"]["labels"]["job-name"],
            "j"
        );
        let mut manual =
            json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true, "template": {}}});
        complete_new(kind::JOB, &mut manual);
        assert!(manual["spec"].get("selector").is_none());
    }

    #[test]
    fn a_daemon_sets_templates_are_counted() {
        let count = |set: &Value| set["metadata"]["annotations"][TEMPLATE_GENERATION].clone();
        let mut old = json!({"metadata": {}, "spec": {"template": {"a": 1}}});
        complete_new(kind::DAEMON_SET, &mut old);
        assert_eq!(count(&old), "1");
        let mut new = json!({"metadata": {}, "spec": {"template": {"a": 1}}});
        count_changed(kind::DAEMON_SET, &old, &mut new);
        assert_eq!(count(&new), "1");
        new["spec"]["template"] = json!({"a": 2});
        count_changed(kind::DAEMON_SET, &old, &mut new);
        assert_eq!(count(&new), "2");
    }
}
