//! Scales that are applied to an object whose replicas are at `.spec.n`.

use super::*;
use crate::apply::fields::FieldSet;
use serde_json::json;

/// Who applied what of the object: manager, part and paths.
type Entries<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn managed(entries: Entries<'_>) -> Value {
    let entry = |(manager, part, paths): &(&str, &str, &[&str])| {
        let mut set = FieldSet::default();
        for path in *paths {
            set.insert(&path.split('.').map(field).collect::<Vec<_>>());
        }
        let operation = if part.is_empty() { "Update" } else { "Apply" };
        json!({"manager": manager, "operation": operation, "apiVersion": "e.com/v1", "time": "t1", "fieldsType": "FieldsV1",
            "fieldsV1": set.encode(), "subresource": part.trim_start_matches('-')})
    };
    Value::Array(entries.iter().map(entry).collect())
}

fn apply(entries: Entries<'_>, spec: Option<Value>, force: bool) -> Result<Scaled, Error> {
    let live =
        json!({"metadata": {"name": "s", "managedFields": managed(entries)}, "spec": {"n": 2}});
    let scale =
        json!({"metadata": {"name": "s"}, "spec": {"replicas": 2}, "status": {"replicas": 1}});
    let mut config = json!({"apiVersion": SCALE, "kind": "Scale", "metadata": {"name": "s"}});
    if let Some(spec) = spec {
        config["spec"] = spec;
    }
    let writer = Writer {
        manager: "hpa",
        api_version: "e.com/v1",
        subresource: "scale",
        leaves: &[],
        time: "t2",
    };
    let path =
        |version: &str| (version == "e.com/v1").then(|| vec!["spec".to_owned(), "n".to_owned()]);
    apply_scale((&live, &scale), &config, writer, force, &path)
}

/// Each manager with its part and its paths.
fn owners(scaled: &Scaled) -> Vec<String> {
    let entries = scaled.managers.as_ref().and_then(Value::as_array);
    let words = |entry: &Value| {
        let set = FieldSet::decode(&entry["fieldsV1"]).unwrap();
        assert_eq!(entry["apiVersion"], "e.com/v1");
        let part = entry["subresource"].as_str().unwrap_or("-");
        let manager = entry["manager"].as_str().unwrap();
        format!("{manager} {part} {}", set.paths().join(" "))
    };
    entries.into_iter().flatten().map(words).collect()
}

#[test]
fn the_managers_of_the_replicas_are_those_of_the_scale() {
    let edit: (&str, &str, &[&str]) = ("edit", "", &["spec.n", "spec.a"]);
    let hpa: (&str, &str, &[&str]) = ("hpa", "scale", &["spec.n"]);
    for (entries, spec, force, replicas, expected) in [
        (
            &[edit][..],
            Some(json!({"replicas": 4})),
            true,
            4,
            &["hpa scale .spec.n", "edit - .spec.a"][..],
        ),
        (
            &[edit],
            Some(json!({"replicas": 2})),
            false,
            2,
            &["hpa scale .spec.n", "edit - .spec.a .spec.n"],
        ),
        (
            &[edit, hpa],
            Some(json!({"replicas": 2})),
            false,
            2,
            &["hpa scale .spec.n", "edit - .spec.a .spec.n"],
        ),
        (
            &[hpa],
            Some(json!({"replicas": 0})),
            false,
            0,
            &["hpa scale .spec.n"],
        ),
        (&[edit], None, false, 2, &["edit - .spec.a .spec.n"]),
        (
            &[edit, hpa],
            Some(json!({})),
            false,
            2,
            &["edit - .spec.a .spec.n"],
        ),
        (&[hpa], None, false, 2, &[]),
        (
            &[],
            Some(json!({"replicas": 3})),
            true,
            3,
            &["hpa scale .spec.n"],
        ),
    ] {
        let scaled = apply(entries, spec.clone(), force).unwrap();
        assert_eq!(scaled.scale["spec"]["replicas"], replicas, "{spec:?}");
        assert_eq!(owners(&scaled), expected, "{entries:?} {spec:?}");
    }
}

#[test]
fn what_is_refused() {
    let edit: (&str, &str, &[&str]) = ("edit", "", &["spec.n"]);
    for (entries, spec, said) in [
        (
            &[edit][..],
            json!({"replicas": 4}),
            "Apply failed with 1 conflict: conflict with \"edit\" using autoscaling/v1: .spec.replicas",
        ),
        (
            &[],
            json!({"replicas": 4}),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" with subresource \"scale\" using autoscaling/v1: .spec.replicas",
        ),
        (
            &[edit],
            json!({"replica": 4}),
            ".spec.replica: field not declared in schema",
        ),
        (
            &[edit],
            json!({"replicas": "4"}),
            ".spec.replicas: expected numeric (int or float), got string",
        ),
    ] {
        let refused = apply(entries, Some(spec), false).unwrap_err();
        assert_eq!(refused.to_string(), said);
    }
}
