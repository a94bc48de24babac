//! Pruning, defaulting and validation of objects.

use crate::crd::Structural;
use serde_json::{Value, json};

pub(super) fn structural(schema: &Value) -> Structural {
    Structural::compile(schema).unwrap()
}

/// A schema with one property below `spec`.
pub(super) fn spec(property: &Value) -> Structural {
    structural(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"f": property}},
    }}))
}

#[track_caller]
fn prunes(schema: Value, object: Value, left: Value, dropped: &[&str]) {
    let compiled = structural(&schema);
    let mut pruned = object.clone();
    assert_eq!(compiled.prune(&mut pruned), dropped, "{object}");
    assert_eq!(pruned, left, "{object}");
    assert!(compiled.prune(&mut pruned).is_empty(), "twice: {object}");
}

#[test]
fn pruning() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "strict": {"type": "object", "properties": {"a": {"type": "integer"}}},
            }},
        }},
    }});
    prunes(
        schema.clone(),
        json!({"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"known": "a", "foo": 1}, "y": 2}),
        json!({"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {"known": "a"}}),
        &["spec.foo", "y"],
    );
    prunes(
        schema.clone(),
        json!({"spec": {"list": [{"a": 1, "b": 2}, {"b": 3}], "map": {"k": {"a": 1, "b": 1}}}}),
        json!({"spec": {"list": [{"a": 1}, {}], "map": {"k": {"a": 1}}}}),
        &["spec.list[0].b", "spec.list[1].b", "spec.map.k.b"],
    );
    prunes(
        schema,
        json!({"spec": {"any": {"free": {"x": 1}, "strict": {"a": 1, "b": 2}}}}),
        json!({"spec": {"any": {"free": {"x": 1}, "strict": {"a": 1}}}}),
        &["spec.any.strict.b"],
    );
    let embedded = json!({"type": "object", "properties": {"pod": {
        "type": "object", "x-kubernetes-embedded-resource": true,
        "properties": {"spec": {"type": "object"}},
    }}});
    prunes(
        embedded,
        json!({"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": null}, "zz": 1}, "spec": {"x": 1}, "q": 1}}),
        json!({"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": ""}}, "spec": {}}}),
        &["pod.metadata.zz", "pod.q", "pod.spec.x"],
    );
}

#[track_caller]
fn defaults(schema: Value, object: Value, wanted: Value) {
    let compiled = structural(&schema);
    let mut filled = object.clone();
    compiled.fill_defaults(&mut filled).unwrap();
    assert_eq!(filled, wanted, "{object}");
    compiled.fill_defaults(&mut filled).unwrap();
    assert_eq!(filled, wanted, "twice: {object}");
}

#[test]
fn defaulting() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "default": "foo"},
        "b": {"type": "object", "default": {}, "properties": {"x": {"type": "integer", "default": 5}}},
        "c": {"type": "object", "properties": {"x": {"type": "integer", "default": 5}}},
        "n": {"type": "string", "nullable": true, "default": "null is fine"},
        "m": {"type": "string", "default": "null is not"},
        "p": {"type": "string"},
        "l": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer", "default": 1}}}},
        "k": {"type": "object", "additionalProperties": {"type": "integer", "default": 9}},
    }});
    let rest = json!({"a": "foo", "b": {"x": 5}, "n": "null is fine", "m": "null is not"});
    let with = |more: Value| {
        let mut all = rest.clone();
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    defaults(schema.clone(), json!({}), rest.clone());
    defaults(
        schema.clone(),
        json!({"c": {}}),
        with(json!({"c": {"x": 5}})),
    );
    defaults(
        schema.clone(),
        json!({"n": null, "m": null, "p": null}),
        with(json!({"n": null})),
    );
    defaults(
        schema.clone(),
        json!({"l": [{}, {"x": 2}]}),
        with(json!({"l": [{"x": 1}, {"x": 2}]})),
    );
    defaults(
        schema,
        json!({"k": {"y": null, "z": 1}}),
        with(json!({"k": {"y": 9, "z": 1}})),
    );
}

#[test]
fn defaults_are_bounded() {
    let big: Vec<u32> = (0..1000).collect();
    let compiled = structural(&json!({"type": "object", "properties": {"l": {
        "type": "array", "items": {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "integer"}, "default": big}}},
    }}}));
    let mut object = json!({"l": vec![json!({}); 2000]});
    assert!(compiled.fill_defaults(&mut object).is_err());
}

#[track_caller]
pub(in crate::crd) fn causes_are(found: Vec<crate::status::Cause>, wanted: &[&str]) {
    let texts: Vec<String> = found
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(texts, wanted);
}

#[track_caller]
fn check(property: Value, value: Value, wanted: &[&str]) {
    let object = json!({"spec": {"f": value}});
    causes_are(spec(&property).validate_value(&object, None), wanted);
}

#[test]
fn types() {
    check(json!({"type": "integer"}), json!(1), &[]);
    check(json!({"type": "integer"}), json!(1.0), &[]);
    check(
        json!({"type": "integer"}),
        json!("a"),
        &[r#"spec.f: Invalid value: "string": spec.f in body must be of type integer: "string""#],
    );
    check(
        json!({"type": "integer"}),
        json!(1.5),
        &[r#"spec.f: Invalid value: "number": spec.f in body must be of type integer: "number""#],
    );
    check(
        json!({"type": "string"}),
        json!(null),
        &[r#"spec.f: Invalid value: "null": spec.f in body must be of type string: "null""#],
    );
    check(
        json!({"type": "string", "nullable": true}),
        json!(null),
        &[],
    );
    check(json!({"type": "number"}), json!(3), &[]);
    check(
        json!({"x-kubernetes-int-or-string": true}),
        json!("50%"),
        &[],
    );
    check(
        json!({"x-kubernetes-int-or-string": true}),
        json!(true),
        &[
            r#"spec.f: Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean""#,
        ],
    );
    check(
        json!({"type": "string", "format": "ipv4"}),
        json!("x"),
        &[r#"spec.f: Invalid value: "x": spec.f in body must be of type ipv4: "x""#],
    );
    check(
        json!({"type": "string", "format": "unknown"}),
        json!("x"),
        &[],
    );
}

#[test]
fn limits() {
    check(
        json!({"type": "integer", "minimum": 1, "maximum": 10}),
        json!(11),
        &["spec.f: Invalid value: 11: spec.f in body should be less than or equal to 10"],
    );
    check(
        json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
        json!(1),
        &["spec.f: Invalid value: 1: spec.f in body should be greater than 1"],
    );
    check(
        json!({"type": "number", "multipleOf": 0.5}),
        json!(1.2),
        &["spec.f: Invalid value: 1.2: spec.f in body should be a multiple of 0.5"],
    );
    check(
        json!({"type": "string", "maxLength": 2}),
        json!("äöü"),
        &["spec.f: Too long: may not be more than 2 bytes"],
    );
    check(
        json!({"type": "string", "minLength": 2}),
        json!("a"),
        &[r#"spec.f: Invalid value: "a": spec.f in body should be at least 2 chars long"#],
    );
    check(
        json!({"type": "string", "pattern": "^a+$"}),
        json!("b"),
        &[r#"spec.f: Invalid value: "b": spec.f in body should match '^a+$'"#],
    );
    check(
        json!({"type": "string", "enum": ["a", "b"]}),
        json!("c"),
        &[r#"spec.f: Unsupported value: "c": supported values: "a", "b""#],
    );
    check(
        json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1}),
        json!([1, 2]),
        &["spec.f: Too many: 2: must have at most 1 item"],
    );
    check(
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 1}),
        json!([]),
        &["spec.f: Invalid value: 0: spec.f in body should have at least 1 items"],
    );
    check(
        json!({"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1}),
        json!({"a": 1, "b": 2}),
        &["spec.f: Too many: 2: must have at most 1 item"],
    );
    check(
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
        json!({}),
        &["spec.f.a: Required value"],
    );
    check(
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"a": "x"}),
        &[
            r#"spec.f.a: Invalid value: "string": spec.f.a in body must be of type integer: "string""#,
        ],
    );
    check(
        json!({"type": "array", "items": {"type": "integer"}}),
        json!([1, "x"]),
        &[
            r#"spec.f[1]: Invalid value: "string": spec.f[1] in body must be of type integer: "string""#,
        ],
    );
}

#[test]
fn alternatives() {
    let any = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(any.clone(), json!({"b": 1}), &[]);
    check(
        any,
        json!({}),
        &[
            r#"<nil>: Invalid value: "": "spec.f" must validate at least one schema (anyOf)"#,
            "spec.f.a: Required value",
        ],
    );
    let one = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(
        one,
        json!({"a": 1, "b": 1}),
        &[
            r#"<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
        ],
    );
    check(
        json!({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 5}]}),
        json!(6),
        &[
            "spec.f: Invalid value: 6: spec.f in body should be less than or equal to 5",
            r#"<nil>: Invalid value: "": "spec.f" must validate all the schemas (allOf)"#,
        ],
    );
    check(
        json!({"type": "integer", "not": {"minimum": 1}}),
        json!(6),
        &[r#"<nil>: Invalid value: "": "spec.f" must not validate the schema (not)"#],
    );
}

#[test]
fn updates_tolerate_what_is_not_touched() {
    let schema = structural(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "integer"}, "b": {"type": "integer"},
            "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
                "type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
            "atomic": {"type": "array", "items": {"type": "integer"}},
        }}}}),
    );
    let old = json!({"spec": {"a": "x", "b": 1, "l": [{"k": "1", "v": "bad"}], "atomic": ["bad"]}});
    let mut new = old.clone();
    new["spec"]["b"] = json!(2);
    new["spec"]["l"] = json!([{"k": "0", "v": 1}, {"k": "1", "v": "bad"}]);
    causes_are(schema.validate_value(&new, Some(&old)), &[]);
    new["spec"]["a"] = json!("y");
    new["spec"]["atomic"] = json!(["bad", 1]);
    causes_are(
        schema.validate_value(&new, Some(&old)),
        &[
            r#"spec.a: Invalid value: "string": spec.a in body must be of type integer: "string""#,
            r#"spec.atomic[0]: Invalid value: "string": spec.atomic[0] in body must be of type integer: "string""#,
        ],
    );
}

#[test]
fn lists() {
    let set = spec(
        &json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
    );
    let twice = json!({"spec": {"f": ["a", "b", "a", "a"]}});
    causes_are(
        set.validate_lists(&twice, None),
        &[r#"spec.f[2]: Duplicate value: "a""#],
    );
    causes_are(set.validate_lists(&twice, Some(&twice)), &[]);
    let map = spec(
        &json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
        "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}),
    );
    causes_are(
        map.validate_lists(
            &json!({"spec": {"f": [{"a": "x", "b": 1}, {"b": 1, "a": "x", "c": 2}, {"a": "x"}]}}),
            None,
        ),
        &[r#"spec.f[1]: Duplicate value: {"a":"x","b":1}"#],
    );
    causes_are(
        map.validate_lists(&json!({"spec": {"f": [1]}}), None),
        &["spec.f[0]: Invalid value: 1: must be an object for an array of list-type map"],
    );
}

#[test]
fn embedded_resources() {
    let schema = spec(
        &json!({"type": "object", "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true}),
    );
    causes_are(
        schema.validate_embedded(&json!({"spec": {"f": {"kind": 1}}})),
        &[
            "spec.f.apiVersion: Required value",
            "spec.f.kind: Invalid value: 1: must be a string",
        ],
    );
    causes_are(
        schema.validate_embedded(
            &json!({"spec": {"f": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}}}),
        ),
        &[],
    );
}

#[test]
fn status_alone() {
    let schema = structural(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}}},
        "status": {"type": "object", "required": ["y"], "properties": {"y": {"type": "string"}}},
    }}));
    causes_are(
        schema.validate_status(&json!({"spec": {}, "status": {}}), None),
        &["status.y: Required value"],
    );
    causes_are(
        schema.validate_status(&json!({"status": {"y": 1}}), None),
        &[r#"status.y: Invalid value: "integer": y in body must be of type string: "integer""#],
    );
}

#[test]
fn schemas_are_bounded() {
    let mut deep = json!({"type": "string"});
    for _ in 0..crate::crd::structural::SCHEMA_DEPTH_MAX {
        deep = json!({"type": "array", "items": deep});
    }
    assert_eq!(
        Structural::compile(&deep).unwrap_err(),
        crate::crd::structural::Error::TooDeep
    );
    assert!(Structural::compile(&json!([])).is_err());
    assert!(Structural::compile(&json!({"pattern": "("})).is_err());
}
