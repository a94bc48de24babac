//! The whole document, put together.

use super::*;
use crate::schema::openapi::tests::references;
use std::collections::BTreeMap;

fn document() -> BTreeMap<Section, Map<String, Value>> {
    let mut document: BTreeMap<Section, Map<String, Value>> = BTreeMap::new();
    openapi_v2(Vec::new(), |section, name, value| {
        let before = document
            .entry(section)
            .or_default()
            .insert(name.to_owned(), value);
        assert_eq!(before, None, "{name} twice");
    });
    document
}

#[test]
fn every_reference_leads_somewhere_and_every_type_is_described() {
    let document = document();
    for (section, parts) in &document {
        for (name, value) in parts {
            let mut found = Vec::new();
            references(value, &mut found);
            for target in found {
                let known = [Section::Definitions, Section::Parameters]
                    .iter()
                    .any(|section| {
                        let root = format!("#/{}/", section.name());
                        let name = target.strip_prefix(&root);
                        name.is_some_and(|name| document[section].contains_key(name))
                    });
                assert!(known, "{target} of {section:?} {name}");
            }
        }
    }
    for (name, schema) in &document[&Section::Definitions] {
        assert!(schema["description"].is_string(), "{name}");
        let text = schema.to_string();
        for foreign in ["oneOf\":[", "allOf\":[", "#/components/"] {
            assert!(!text.contains(foreign), "{foreign} in {name}");
        }
    }
}

#[test]
fn definitions_say_what_clients_look_for() {
    let document = document();
    let definitions = &document[&Section::Definitions];
    let at = |pointer: &str| {
        let (name, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
        let found = definitions[name].pointer(&format!("/{rest}"));
        found.cloned().unwrap_or_default()
    };
    let pod = "io.k8s.api.core.v1.PodSpec/properties/containers";
    let cases = [
        (format!("{pod}/x-kubernetes-patch-merge-key"), json!("name")),
        (format!("{pod}/x-kubernetes-patch-strategy"), json!("merge")),
        (format!("{pod}/x-kubernetes-list-map-keys"), json!(["name"])),
        (
            format!("{pod}/items/$ref"),
            json!("#/definitions/io.k8s.api.core.v1.Container"),
        ),
        (
            "io.k8s.api.core.v1.Pod/x-kubernetes-group-version-kind".to_owned(),
            json!([{"group": "", "version": "v1", "kind": "Pod"}]),
        ),
        (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString/format".to_owned(),
            json!("int-or-string"),
        ),
        (
            "io.k8s.apimachinery.pkg.api.resource.Quantity/type".to_owned(),
            json!("string"),
        ),
        (
            "io.k8s.api.apps.v1.DeploymentList/properties/metadata/$ref".to_owned(),
            json!("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"),
        ),
        (
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON/type".to_owned(),
            Value::Null,
        ),
    ];
    for (pointer, expected) in cases {
        assert_eq!(at(&pointer), expected, "{pointer}");
    }
    for kind in documented() {
        let of = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        let found = definitions
            .values()
            .any(|schema| schema["x-kubernetes-group-version-kind"] == of);
        assert!(found, "{of}");
    }
}

#[test]
fn paths_say_what_may_be_asked() {
    let document = document();
    let paths = &document[&Section::Paths];
    let patch = &paths["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["operationId"], "patchCoreV1NamespacedPod");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let reference = json!({"$ref": "#/parameters/fieldValidation"});
    assert!(patch["parameters"].as_array().unwrap().contains(&reference));
    assert_eq!(patch["consumes"].as_array().unwrap().len(), 4);
    let log = &paths["/api/v1/namespaces/{namespace}/pods/{name}/log"];
    assert_eq!(
        log["get"]["responses"]["200"]["schema"],
        json!({"type": "string"})
    );
    assert_eq!(log["parameters"][1]["name"], "namespace");
    assert!(paths.contains_key("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
    let bind = &paths["/api/v1/namespaces/{namespace}/bindings"]["post"];
    assert_eq!(bind["operationId"], "createCoreV1NamespacedBinding");
}
