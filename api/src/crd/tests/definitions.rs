//! Definitions: what is wrong with them, their defaults and status, and what is told of them.

use super::values::causes_are;
use crate::crd::{
    CustomVersion, definition, publish, validate_create, validate_status_update, validate_update,
};
use serde_json::{Value, json};

const NOW: &str = "2024-01-01T00:00:00Z";

/// The definition of the documentation, with a schema of its own below `spec`.
pub(super) fn crd(spec: &Value) -> Value {
    let mut crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": spec},
            }}}],
        },
    });
    definition::set_defaults(&mut crd);
    definition::prepare_create(&mut crd);
    crd
}

fn cron_tab() -> Value {
    json!({"type": "object", "properties": {
        "cronSpec": {"type": "string"}, "image": {"type": "string"}, "replicas": {"type": "integer"},
    }})
}

/// Changes a valid definition in one place.
#[track_caller]
fn changed(pointer: &str, value: Value, wanted: &[&str]) {
    let mut crd = crd(&cron_tab());
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    crd.pointer_mut(parent).unwrap()[name] = value;
    causes_are(validate_create(&crd), wanted);
}

#[test]
fn defaults() {
    let crd = crd(&cron_tab());
    assert_eq!(crd["spec"]["names"]["singular"], "crontab");
    assert_eq!(crd["spec"]["names"]["listKind"], "CronTabList");
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(crd["status"], json!({"storedVersions": ["v1"]}));
    causes_are(validate_create(&crd), &[]);
    for odd in [
        json!(null),
        json!([]),
        json!({"spec": 1}),
        json!({"spec": {"names": [], "versions": {}}}),
    ] {
        let mut crd = odd.clone();
        definition::set_defaults(&mut crd);
        definition::prepare_create(&mut crd);
        assert!(!validate_create(&crd).is_empty(), "{odd}");
    }
}

#[test]
fn names_and_scope() {
    changed(
        "/metadata/name",
        json!("x"),
        &[r#"metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group"#],
    );
    changed("/spec/scope", json!(""), &["spec.scope: Required value"]);
    changed(
        "/spec/scope",
        json!("Global"),
        &[r#"spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced""#],
    );
    changed(
        "/spec/names/listKind",
        json!("CronTab"),
        &[
            r#"spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same"#,
        ],
    );
    changed(
        "/spec/names/kind",
        json!(""),
        &["spec.names.kind: Required value"],
    );
    let dns = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    changed(
        "/spec/names/shortNames",
        json!(["CT"]),
        &[&format!(
            "spec.names.shortNames[0]: Invalid value: \"CT\": {dns}"
        )],
    );
    changed(
        "/spec/names/singular",
        json!("a_b"),
        &[&format!(
            "spec.names.singular: Invalid value: \"a_b\": {dns}"
        )],
    );
}

#[test]
fn groups() {
    let with = |group: &str, annotation: Option<&str>| {
        let mut crd = crd(&cron_tab());
        crd["spec"]["group"] = json!(group);
        crd["metadata"]["name"] = json!(format!("crontabs.{group}"));
        if let Some(annotation) = annotation {
            crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": annotation});
        }
        validate_create(&crd)
    };
    causes_are(
        with("apps", None),
        &[r#"spec.group: Invalid value: "apps": should be a domain with at least one dot"#],
    );
    let missing = "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
    causes_are(with("gateway.networking.k8s.io", None), &[missing]);
    causes_are(with("x.kubernetes.io", None), &[missing]);
    causes_are(with("myk8s.io", None), &[]);
    causes_are(
        with(
            "a.k8s.io",
            Some("https://github.com/kubernetes/enhancements/pull/1"),
        ),
        &[],
    );
    causes_are(with("a.k8s.io", Some("unapproved, experimental")), &[]);
    assert!(
        with("a.k8s.io", Some("yes"))[0]
            .message
            .contains("with either a URL")
    );
}

#[test]
fn versions() {
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}});
    let with = |versions: Value| {
        let mut crd = crd(&cron_tab());
        crd["spec"]["versions"] = versions;
        let causes = validate_create(&crd);
        let texts = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message));
        texts.collect::<Vec<String>>().join("\n")
    };
    assert_eq!(with(json!([version("v1", true), version("v2", false)])), "");
    assert!(
        with(json!([version("v1", true), version("v1", false)]))
            .contains("must contain unique version names")
    );
    let many = with(json!([version("v1", true), version("v2", true)]));
    assert!(
        many.contains("must have exactly one version marked as storage version"),
        "{many}"
    );
    let none = with(json!([]));
    assert!(none.contains("must have exactly one version"), "{none}");
    let gone = with(json!([version("v2", true)]));
    assert!(
        gone.contains(
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2"
        ),
        "{gone}"
    );
    assert!(gone.contains("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version"), "{gone}");
    let mut bare = version("v1", true);
    bare["schema"] = json!(null);
    assert_eq!(
        with(json!([bare])),
        "spec.versions[0].schema.openAPIV3Schema: Required value"
    );
    changed(
        "/spec/versions/0/deprecationWarning",
        json!("old"),
        &[
            r#"spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions"#,
        ],
    );
    changed(
        "/spec/conversion",
        json!({"strategy": "Webhook"}),
        &[
            "spec.conversion.strategy: Forbidden: conversion by webhook is not available yet; only None is",
        ],
    );
    changed(
        "/spec/preserveUnknownFields",
        json!(true),
        &[
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ],
    );
}

#[test]
fn columns_scale_and_selectable_fields() {
    let at = "spec.versions[0]";
    changed(
        "/spec/versions/0/additionalPrinterColumns",
        json!([{"name": "A", "type": "text", "jsonPath": "spec"}, {"name": "", "type": ""}]),
        &[
            &format!(
                "{at}.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string"
            ),
            &format!(
                "{at}.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec\": must be a simple json path starting with ."
            ),
            &format!("{at}.additionalPrinterColumns[1].name: Required value"),
            &format!(
                "{at}.additionalPrinterColumns[1].type: Required value: must be one of boolean,date,integer,number,string"
            ),
            &format!("{at}.additionalPrinterColumns[1].JSONPath: Required value"),
        ],
    );
    changed(
        "/spec/versions/0/subresources",
        json!({"scale": {"specReplicasPath": ".status.x", "labelSelectorPath": ".x"}}),
        &[
            &format!(
                "{at}.subresources.scale.specReplicasPath: Invalid value: \".status.x\": should be a json path under .spec"
            ),
            &format!("{at}.subresources.scale.statusReplicasPath: Required value"),
            &format!(
                "{at}.subresources.scale.labelSelectorPath: Invalid value: \".x\": should be a json path under either .spec or .status"
            ),
        ],
    );
    changed(
        "/spec/versions/0/selectableFields",
        json!([{"jsonPath": ".spec.image"}, {"jsonPath": ".spec.image"}, {"jsonPath": ".spec"}, {"jsonPath": ".spec.no"}, {}]),
        &[
            &format!("{at}.selectableFields[1].jsonPath: Duplicate value: \".spec.image\""),
            &format!(
                "{at}.selectableFields[2].jsonPath: Invalid value: \".spec\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            ),
            &format!(
                "{at}.selectableFields[3].jsonPath: Invalid value: \".spec.no\": is an invalid path: does not refer to a valid field"
            ),
            &format!("{at}.selectableFields[4].jsonPath: Required value"),
        ],
    );
}

/// The place of the property below `spec` in a schema.
const SPEC: &str = "spec.versions[0].schema.openAPIV3Schema.properties[spec]";

#[track_caller]
fn schema(spec: Value, wanted: &[(&str, &str)]) {
    let wanted: Vec<String> = wanted
        .iter()
        .map(|(place, message)| format!("{SPEC}{place}: {message}"))
        .collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    causes_are(validate_create(&crd(&spec)), &wanted);
}

#[test]
fn structural_schemas() {
    schema(
        json!({}),
        &[(
            ".type",
            "Required value: must not be empty for specified object fields",
        )],
    );
    schema(
        json!({"type": "array", "items": {}}),
        &[(
            ".items.type",
            "Required value: must not be empty for specified array items",
        )],
    );
    schema(
        json!({"type": "array"}),
        &[(".items", "Required value: must be specified")],
    );
    schema(
        json!({"type": "text"}),
        &[(
            ".type",
            r#"Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#,
        )],
    );
    schema(
        json!({"type": "object", "anyOf": [{"type": "object", "properties": {"a": {"minimum": 1}}}]}),
        &[(
            ".anyOf[0].type",
            "Forbidden: must be empty to be structural",
        )],
    );
    schema(
        json!({"type": "object", "$ref": "#/x"}),
        &[(".$ref", "Forbidden: $ref is not supported")],
    );
    schema(
        json!({"type": "array", "items": [{"type": "string"}]}),
        &[(
            ".items",
            "Forbidden: items must be a schema object and not an array",
        )],
    );
    schema(
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        &[(
            ".uniqueItems",
            "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )],
    );
}

#[test]
fn extensions_and_patterns() {
    schema(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
        &[(
            ".additionalProperties",
            "Forbidden: additionalProperties and properties are mutual exclusive",
        )],
    );
    schema(
        json!({"type": "string", "pattern": "("}),
        &[(
            ".pattern",
            "Invalid value: \"(\": must be a valid regular expression, but isn't: unclosed group",
        )],
    );
    schema(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        &[(
            ".x-kubernetes-preserve-unknown-fields",
            "Invalid value: false: must be true or undefined",
        )],
    );
    schema(
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        &[(
            ".x-kubernetes-preserve-unknown-fields",
            "Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        )],
    );
    schema(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        &[(
            ".properties",
            "Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        )],
    );
}

/// What is said of patterns in versions, as schemas and in rules: each another text, and none a program that is small enough.
#[test]
fn patterns_of_one_definition_take_no_more_than_one_may() {
    let large = |n: usize| format!(r"(\pL{{100}}){{9}}N{n}");
    let version = |v: usize| {
        let fields = (0..10).map(|n| {
            let pattern = large(100 * v + n);
            let schema = if v == 2 {
                let rule = format!("self.matches({})", json!(pattern));
                json!({"type": "string", "maxLength": 9, "x-kubernetes-validations": [{"rule": rule}]})
            } else {
                json!({"type": "string", "pattern": pattern})
            };
            (format!("f{n}"), schema)
        });
        let fields: serde_json::Map<String, Value> = fields.collect();
        json!({"name": format!("v{}", v + 1), "served": true, "storage": v == 0,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}}})
    };
    let mut crd = crd(&json!({"type": "object"}));
    crd["spec"]["versions"] = (0..3).map(version).collect();
    let causes = validate_create(&crd);
    let told = |why: &str| {
        causes
            .iter()
            .filter(|cause| cause.message.contains(why))
            .count()
    };
    assert_eq!(told("isn't: expression is too large"), 1, "{causes:#?}");
    assert_eq!(
        told("isn't: the patterns of the schema are too large together"),
        19
    );
    let why = "invalid matches argument: the patterns of the schema are too large together";
    assert_eq!(told(why), 10);
}

#[test]
fn the_root_of_a_schema() {
    let root = "/spec/versions/0/schema/openAPIV3Schema";
    changed(
        &format!("{root}/anyOf"),
        json!([{"properties": {"a": {"minimum": 1}}}]),
        &[
            "spec.versions[0].schema.openAPIV3Schema.properties[a]: Required value: because it is defined in spec.versions[0].schema.openAPIV3Schema.anyOf[0].properties[a]",
        ],
    );
    changed(
        &format!("{root}/properties"),
        json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}),
        &[
            "spec.versions[0].schema.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ],
    );
    changed(
        &format!("{root}/nullable"),
        json!(true),
        &[
            "spec.versions[0].schema.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root",
        ],
    );
}

#[test]
fn lists_and_maps() {
    let items = |more: Value| {
        let mut schema = json!({"type": "array", "items": {"type": "object", "required": ["k"],
            "properties": {"k": {"type": "string"}, "o": {"type": "object"}}}});
        for (name, value) in more.as_object().unwrap() {
            schema[name] = value.clone();
        }
        schema
    };
    let map = |keys: Value| {
        items(json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}))
    };
    schema(map(json!(["k"])), &[]);
    schema(
        map(json!([])),
        &[(
            ".x-kubernetes-list-map-keys",
            "Required value: must not be empty if x-kubernetes-list-type is map",
        )],
    );
    schema(
        map(json!(["x"])),
        &[(
            ".x-kubernetes-list-map-keys",
            r#"Invalid value: ["x"]: entries must all be names of item properties"#,
        )],
    );
    schema(
        items(json!({"x-kubernetes-list-map-keys": ["k"]})),
        &[(
            ".x-kubernetes-list-type",
            "Required value: must be map if x-kubernetes-list-map-keys is non-empty",
        )],
    );
    schema(
        items(json!({"x-kubernetes-list-type": "bag"})),
        &[(
            ".x-kubernetes-list-type",
            r#"Unsupported value: "bag": supported values: "atomic", "set", "map""#,
        )],
    );
    schema(
        items(json!({"x-kubernetes-list-type": "set"})),
        &[(
            ".items.x-kubernetes-map-type",
            "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
        )],
    );
    schema(
        json!({"type": "string", "x-kubernetes-list-type": "set"}),
        &[(
            ".type",
            r#"Invalid value: "string": must be array if x-kubernetes-list-type is specified"#,
        )],
    );
    schema(
        json!({"type": "object", "x-kubernetes-map-type": "x"}),
        &[(
            ".x-kubernetes-map-type",
            r#"Unsupported value: "x": supported values: "atomic", "granular""#,
        )],
    );
}

#[test]
fn defaults_of_a_schema() {
    schema(
        json!({"type": "object", "default": {"a": 1, "b": 2}, "properties": {"a": {"type": "integer"}}}),
        &[(
            ".default",
            r#"Invalid value: {"a":1,"b":2}: must not have unknown fields"#,
        )],
    );
    schema(
        json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}),
        &[(
            ".properties[a].default",
            r#"Invalid value: "string":  in body must be of type integer: "string""#,
        )],
    );
    schema(
        json!({"type": "object", "properties": {"a": {"type": "integer", "default": 1,
            "x-kubernetes-validations": [{"rule": "self > 1"}]}}}),
        &[(
            ".properties[a].default",
            "Invalid value: 1: failed rule: self > 1",
        )],
    );
}

#[test]
fn rules_of_a_schema() {
    let with = |rule: Value| json!({"type": "object", "properties": {"a": {"type": "integer"}}, "x-kubernetes-validations": [rule]});
    let at = ".x-kubernetes-validations[0]";
    schema(
        with(
            json!({"rule": "self.a > 0", "message": "m", "reason": "FieldValueInvalid", "fieldPath": ".a"}),
        ),
        &[],
    );
    schema(
        with(json!({"rule": " "})),
        &[(
            &format!("{at}.rule"),
            "Required value: rule is not specified",
        )],
    );
    schema(
        with(json!({"rule": "self.a > 0", "reason": "Bad", "fieldPath": ".b", "message": "a\nb"})),
        &[
            (
                &format!("{at}.message"),
                r#"Invalid value: "a\nb": must not contain line breaks"#,
            ),
            (
                &format!("{at}.reason"),
                r#"Unsupported value: "Bad": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#,
            ),
            (
                &format!("{at}.fieldPath"),
                r#"Invalid value: ".b": must be a valid path"#,
            ),
        ],
    );
    let causes = validate_create(&crd(&with(json!({"rule": "self.b > 0"}))));
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, format!("{SPEC}{at}.rule"));
    let message = &causes[0].message;
    assert!(
        message.contains("compilation failed: ERROR: <input>:1:5: undefined field 'b'"),
        "{message}"
    );
    assert!(
        message.starts_with(r#"Invalid value: {"FieldPath":"","Message":"""#),
        "{message}"
    );
    schema(
        with(json!({"rule": "self.a > 0", "optionalOldSelf": true})),
        &[(
            &format!("{at}.optionalOldSelf"),
            "Invalid value: true: may not be set if oldSelf is not used in rule",
        )],
    );
    schema(
        json!({"type": "array", "maxItems": 10, "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}),
        &[(
            ".items.x-kubernetes-validations[0].rule",
            "Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within spec.versions[0].schema.openAPIV3Schema.properties[spec]",
        )],
    );
}

#[test]
fn updates() {
    let old = {
        let mut crd = crd(&cron_tab());
        crd["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
        crd
    };
    let change = |pointer: &str, value: Value, wanted: &[&str]| {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        causes_are(validate_update(&new, &old), wanted);
    };
    change("/spec/names/singular", json!("tab"), &[]);
    change(
        "/spec/scope",
        json!("Cluster"),
        &[r#"spec.scope: Invalid value: "Cluster": field is immutable"#],
    );
    change(
        "/spec/names/kind",
        json!("Tab"),
        &[r#"spec.names.kind: Invalid value: "Tab": field is immutable"#],
    );
    change(
        "/spec/group",
        json!("a.b"),
        &[r#"spec.group: Invalid value: "a.b": field is immutable"#],
    );
    let mut young = old.clone();
    young["status"]["conditions"] = json!([]);
    let mut new = young.clone();
    new["spec"]["scope"] = json!("Cluster");
    causes_are(validate_update(&new, &young), &[]);
    // A version that is stored from now on is remembered; one that was may not go.
    let mut new = old.clone();
    let mut second = new["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    new["spec"]["versions"][0]["storage"] = json!(false);
    new["spec"]["versions"].as_array_mut().unwrap().push(second);
    definition::prepare_update(&mut new, &old);
    assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
    causes_are(validate_update(&new, &old), &[]);
    new["spec"]["versions"].as_array_mut().unwrap().remove(0);
    assert!(
        validate_update(&new, &old)[0]
            .message
            .contains("missing from spec.versions")
    );
    // What stays as it was is not looked at again.
    let mut broken = old.clone();
    broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({});
    let mut new = broken.clone();
    new["spec"]["names"]["categories"] = json!(["all"]);
    causes_are(validate_update(&new, &broken), &[]);
    assert!(!validate_update(&broken, &old).is_empty());
    causes_are(validate_status_update(&old), &[]);
}

#[test]
fn names_are_accepted() {
    let first = accepted();
    condition_is(
        &first["status"],
        0,
        "NamesAccepted True NoConflicts no conflicts found",
    );
    let installing = "Established False Installing the initial names have been accepted";
    condition_is(&first["status"], 1, installing);
    assert_eq!(first["status"]["acceptedNames"]["plural"], "crontabs");
    assert_eq!(first["status"]["storedVersions"], json!(["v1"]));
    let own = std::slice::from_ref(&first);
    assert_eq!(definition::accept_names(&first, own.iter(), NOW), None);
    let mut served = first.clone();
    served["status"] = definition::establish(&first, "2024-01-01T00:00:05Z").unwrap();
    let established = "Established True InitialNamesAccepted the initial names have been accepted";
    condition_is(&served["status"], 1, established);
    let since = &served["status"]["conditions"][1]["lastTransitionTime"];
    assert_eq!(since, "2024-01-01T00:00:05Z");
    assert_eq!(definition::establish(&served, NOW), None);
}

fn accepted() -> Value {
    let mut crd = crd(&cron_tab());
    crd["status"] = definition::accept_names(&crd, [].iter(), NOW).unwrap();
    crd
}

#[track_caller]
fn condition_is(status: &Value, index: usize, wanted: &str) {
    let condition = &status["conditions"][index];
    let text = |name: &str| condition[name].as_str().unwrap();
    let found = ["type", "status", "reason", "message"].map(text).join(" ");
    assert_eq!(found, wanted);
}

#[test]
fn names_are_taken_once() {
    let mut served = accepted();
    let mut second = crd(&cron_tab());
    second["metadata"]["name"] = json!("tabs.stable.example.com");
    second["spec"]["names"] = json!({"plural": "tabs", "singular": "tab", "kind": "Tab", "listKind": "CronTabList", "shortNames": ["ct"]});
    let status = definition::accept_names(&second, [served.clone()].iter(), NOW).unwrap();
    let conflict = "NamesAccepted False ListKindConflict \"CronTabList\" is already in use";
    condition_is(&status, 0, conflict);
    condition_is(
        &status,
        1,
        "Established False NotAccepted not all names are accepted",
    );
    let names = json!({"plural": "tabs", "singular": "tab", "kind": "Tab"});
    assert_eq!(status["acceptedNames"], names);
    second["status"] = status;
    assert_eq!(
        definition::accept_names(&second, [served.clone()].iter(), NOW),
        None
    );
    // Another group's names do not count; built-in kinds of the same group do.
    served["spec"]["group"] = json!("other.example.com");
    assert!(definition::accept_names(&second, [served].iter(), NOW).is_some());
    let mut lease = crd(&cron_tab());
    lease["spec"]["group"] = json!("coordination.k8s.io");
    lease["spec"]["names"]["plural"] = json!("leases");
    let status = definition::accept_names(&lease, [].iter(), NOW).unwrap();
    condition_is(
        &status,
        0,
        "NamesAccepted False PluralConflict \"leases\" is already in use",
    );
}

#[test]
fn what_is_told() {
    let mut crd = crd(&json!({"type": "object", "properties": {
        "port": {"x-kubernetes-int-or-string": true},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}));
    crd["spec"]["versions"][0]["subresources"] = json!({"status": {}, "scale": {}});
    crd["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.color"}]);
    let told = publish::schemas(&crd, "v1", ("ObjectMeta", "ListMeta")).unwrap();
    assert_eq!(told.name, "com.example.stable.v1.CronTab");
    assert_eq!(told.list_name, "com.example.stable.v1.CronTabList");
    let properties = &told.schema["properties"];
    assert_eq!(
        properties["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/ObjectMeta"
    );
    assert_eq!(properties["kind"]["type"], "string");
    assert_eq!(
        properties["spec"]["properties"]["port"]["anyOf"],
        json!([{"type": "integer"}, {"type": "string"}])
    );
    assert_eq!(
        properties["spec"]["properties"]["pod"]["required"],
        json!(["kind", "apiVersion"])
    );
    assert_eq!(
        told.schema["x-kubernetes-group-version-kind"],
        json!([{"group": "stable.example.com", "version": "v1", "kind": "CronTab"}])
    );
    assert_eq!(
        told.schema["x-kubernetes-selectable-fields"],
        json!([{"fieldPath": "spec.color"}])
    );
}

#[test]
fn what_is_told_to_clients_of_v2() {
    let told = |schema: &Value| {
        let crd = crd(schema);
        publish::schemas_v2(&crd, "v1", ("ObjectMeta", "ListMeta")).unwrap()
    };
    let check = |property: Value, expected: Value| {
        let told = told(&json!({"type": "object", "properties": {"p": property}}));
        let spec = &told.schema["properties"]["spec"];
        assert_eq!(spec["properties"]["p"], expected, "{property}");
    };
    let text = json!({"type": "string"});
    // What is left out is what upstream leaves out; the rest stays.
    check(
        json!({"type": "integer", "minimum": 1, "oneOf": [{"minimum": 2}], "not": {"enum": [3]}}),
        json!({"type": "integer", "minimum": 1}),
    );
    check(json!({"type": "string", "nullable": true}), json!({}));
    check(
        json!({"type": "array", "nullable": true, "items": text, "maxItems": 3}),
        json!({"maxItems": 3}),
    );
    check(
        json!({"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string", "nullable": true}, "b": text}}),
        json!({"type": "object", "required": ["b"], "properties": {"a": {}, "b": text}}),
    );
    check(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": text}}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
    );
    check(
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"x-kubernetes-int-or-string": true}),
    );
    let pod = told(&json!({"type": "object", "properties": {
        "p": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
    }}));
    let pod = &pod.schema["properties"]["spec"]["properties"]["p"];
    assert_eq!(pod["required"], json!(["kind", "apiVersion"]));
    let metadata = &pod["properties"]["metadata"];
    assert_eq!(metadata["$ref"], "#/components/schemas/ObjectMeta");
    // Where everything is let pass nothing is said, not even what every object has.
    let mut open = crd(&json!({"type": "object"}));
    let schema = &mut open["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    let told = publish::schemas_v2(&open, "v1", ("ObjectMeta", "ListMeta")).unwrap();
    assert_eq!(told.schema["type"], "object");
    assert_eq!(told.schema.get("properties"), None);
    let list = &told.list_schema["properties"];
    assert_eq!(list["metadata"]["$ref"], "#/components/schemas/ListMeta");
}

#[test]
fn the_order_of_versions() {
    let mut versions = [
        "foo1",
        "v10",
        "v1alpha1",
        "v2",
        "v11beta2",
        "v3beta1",
        "v1",
        "foo10",
        "v12alpha1",
        "v11alpha2",
    ];
    versions.sort_by(|a, b| publish::compare_versions(b, a));
    assert_eq!(
        versions,
        [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "v1alpha1",
            "foo1",
            "foo10"
        ]
    );
}

/// A version with everything.
fn full() -> Value {
    let mut crd = crd(
        &json!({"type": "object", "required": ["replicas"], "properties": {
        "replicas": {"type": "integer", "default": 1, "maximum": 5},
        "image": {"type": "string"},
    }, "x-kubernetes-validations": [{"rule": "self.image != 'bad'"}]}),
    );
    let version = &mut crd["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"]["properties"]["status"] = json!({"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}});
    version["subresources"] = json!({"status": {}, "scale": {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector",
    }});
    version["additionalPrinterColumns"] = json!([
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Gone", "type": "boolean", "jsonPath": ".spec.gone"},
    ]);
    version["selectableFields"] = json!([{"jsonPath": ".spec.image"}]);
    crd
}

#[test]
fn one_version() {
    causes_are(validate_create(&full()), &[]);
    let version = CustomVersion::compile(&full(), "v1").unwrap();
    let mut object = json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab",
        "metadata": {"name": "a", "creationTimestamp": "2024-01-01T00:00:00Z"},
        "spec": {"image": "nginx", "foo": 1}, "status": {"replicas": 9}});
    assert_eq!(version.decode(&mut object).unwrap(), ["spec.foo"]);
    assert_eq!(object["spec"], json!({"image": "nginx", "replicas": 1}));
    object.as_object_mut().unwrap().remove("status");
    causes_are(version.validate_create(&object), &[]);
    let now = "2024-01-01T00:01:30Z".parse().unwrap();
    assert_eq!(
        version.columns.cells(&object, now),
        [
            json!("a"),
            json!(1),
            json!("nginx"),
            json!("90s"),
            json!(null)
        ]
    );
    assert_eq!(version.columns.definitions()[2]["priority"], 1);
    assert_eq!(
        version.selectable_value(&object, "spec.image").as_deref(),
        Some("nginx")
    );
    assert_eq!(version.selectable_value(&object, "spec.other"), None);
    let scale = version.scale.as_ref().unwrap();
    assert_eq!(scale.read(&object).unwrap()["spec"]["replicas"], 1);
    scale.write(&mut object, 3).unwrap();
    assert_eq!(object["spec"]["replicas"], 3);
    assert!(CustomVersion::compile(&full(), "v9").is_err());
}

#[test]
fn a_scale_never_makes_what_cannot_be_read_again() {
    let path = format!(".spec{}", ".a".repeat(100_000));
    let scale = json!({"specReplicasPath": path, "statusReplicasPath": ".status.a"});
    let version = json!({"subresources": {"scale": scale}});
    let scale = crate::crd::Scale::new(&version).unwrap();
    let mut object = json!({"spec": {}});
    assert!(scale.write(&mut object, 1).is_err());
    assert_eq!(object, json!({"spec": {}}));
}

#[test]
fn updates_of_one_version() {
    let version = CustomVersion::compile(&full(), "v1").unwrap();
    let object = json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab",
        "metadata": {"name": "a"}, "spec": {"image": "nginx", "replicas": 3}});
    let mut new = object.clone();
    new["spec"]["image"] = json!("bad");
    causes_are(
        version.validate_update(&new, &object),
        &["spec: Invalid value: failed rule: self.image != 'bad'"],
    );
    new["spec"] = json!({"replicas": "x"});
    causes_are(
        version.validate_create(&new),
        &[
            r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
            r#".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64"#,
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ],
    );
    new["kind"] = json!("Other");
    causes_are(
        version.validate_create(&new),
        &[r#"kind: Invalid value: "Other": must be CronTab"#],
    );
    let mut status = object.clone();
    status["status"] = json!({"replicas": "x"});
    assert_eq!(
        version.validate_status_update(&status, &object)[0].field,
        "status.replicas"
    );
}

#[test]
fn what_is_read_of_the_store() {
    let mut of = crd(&json!({"type": "object", "properties": {
        "a": {"type": "string"},
        "neu": {"type": "integer", "default": 7},
        "null": {"type": "string"},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}));
    let mut other = of["spec"]["versions"][0].clone();
    other["name"] = json!("v2");
    other["storage"] = json!(false);
    of["spec"]["versions"].as_array_mut().unwrap().push(other);
    let version = |name: &str| CustomVersion::compile(&of, name).unwrap();
    let stored = json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab",
    "metadata": {"name": "a", "labels": {"l": "m"}},
    "spec": {"a": "1", "old": "2", "null": null, "pod": {
        "apiVersion": 1, "kind": "Pod",
        "metadata": {"name": "p", "uid": 2, "labels": {"a": 1}, "annotations": {"a": "b"}, "zz": 1},
        "spec": {"x": 1},
    }}});
    let mut read = stored.clone();
    version("v1").normalise(&mut read).unwrap();
    assert_eq!(read["metadata"], stored["metadata"]);
    let pod = json!({"kind": "Pod", "metadata": {"name": "p", "annotations": {"a": "b"}}, "spec": {"x": 1}});
    assert_eq!(read["spec"], json!({"a": "1", "neu": 7, "pod": pod}));
    let again = read.clone();
    version("v1").normalise(&mut read).unwrap();
    assert_eq!(read, again, "twice");
    // Another version's defaults are not filled in, as upstream.
    let mut shown = stored;
    shown["spec"] = json!({"a": "1", "old": "2", "null": null});
    version("v2").convert(&mut shown);
    assert_eq!(shown["apiVersion"], "stable.example.com/v2");
    assert_eq!(shown["spec"], json!({"a": "1"}));
}
