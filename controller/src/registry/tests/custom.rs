//! Objects of custom kinds after a start.

use super::*;
use crate::kinds;

fn definition() -> Value {
    json!({"metadata": {"name": "gadgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [version("v1", true, "old"), version("v2", false, "neu")]},
    })
}

fn version(name: &str, storage: bool, field: &str) -> Value {
    let spec = json!({"type": "object", "properties": {"a": {"type": "string"}, field: {"type": "string", "default": name}}});
    json!({"name": name, "served": true, "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})
}

/// Stores another state of the definition, and serves it as its controller would.
async fn define(door: &Door, change: impl Fn(&mut Value)) {
    let (of, key) = (
        kind::CUSTOM_RESOURCE_DEFINITION,
        Key::cluster("gadgets.example.com"),
    );
    let change = |value: &mut Value| {
        change(value);
        Ok(())
    };
    door.registry
        .modify(&me(), of, &key, Subresource::None, change)
        .await
        .unwrap();
    let establish = |value: &mut Value| {
        let is_true = |kind: &str| json!({"type": kind, "status": "True", "reason": "Tried", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
        value["status"]["acceptedNames"] = value["spec"]["names"].clone();
        value["status"]["storedVersions"] = json!(["v1", "v2"]);
        value["status"]["conditions"] = json!([is_true("NamesAccepted"), is_true("Established")]);
        Ok(())
    };
    let crd = door
        .registry
        .modify(&me(), of, &key, Subresource::Status, establish)
        .await
        .unwrap();
    let versions = kinds::versions(&crd.value()).unwrap();
    door.registry.cache().kinds().set(&key.name, versions);
}

#[tokio::test]
async fn objects_of_the_store_are_read_by_the_schema_there_is() {
    let door = open().await;
    let of = kind::CUSTOM_RESOURCE_DEFINITION;
    door.registry
        .create(&me(), of, "", definition())
        .await
        .unwrap();
    define(&door, |_crd| {}).await;
    let find = |registry: &Registry, version: &str| {
        let kinds = registry.cache().kinds();
        kinds.find("example.com", version, "gadgets").unwrap()
    };
    let first = find(&door.registry, "v1");
    let object = json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"a": "1"}});
    let made = door
        .registry
        .create(&me(), first, "", object)
        .await
        .unwrap();
    assert_eq!(made.value()["spec"], json!({"a": "1", "old": "v1"}));
    // Another version is stored from now on, and the first has lost a field and has a new one.
    define(&door, |crd| {
        crd["spec"]["versions"] = json!([version("v1", false, "more"), version("v2", true, "neu")]);
    })
    .await;
    let Door { registry, .. } = &reopen(door).await;
    let cache = registry.cache();
    for (version, spec) in [
        ("v1", json!({"a": "1", "more": "v1"})),
        ("v2", json!({"a": "1"})),
    ] {
        let kind = find(registry, version);
        let custom = cache.kinds().custom(kind).unwrap();
        let found = cache.get(kind, &Key::cluster("g")).unwrap();
        assert_eq!(custom.shown(&found)["spec"], spec, "{version}");
        let again = cache.get(kind, &Key::cluster("g")).unwrap();
        assert!(Arc::ptr_eq(&found, &again), "made once");
        assert!(Arc::ptr_eq(&found, &cache.list(kind, None)[0]));
    }
}
