//! Objects as deep as a body may be: refused, or still there after a start.

use super::*;
use crate::kinds;

/// So many lists and objects in each other.
fn nest(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

fn of_anything() -> Value {
    let names =
        json!({"plural": "deeps", "singular": "deep", "kind": "Deep", "listKind": "DeepList"});
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"metadata": {"name": "deeps.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": names, "versions": [{"name": "v1", "served": true,
            "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"acceptedNames": names, "storedVersions": ["v1"], "conditions": [
            {"type": "Established", "status": "True", "reason": "Tried", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}})
}

async fn define(registry: &Registry) -> KindRef {
    let (of, crd) = (kind::CUSTOM_RESOURCE_DEFINITION, of_anything());
    registry.create(&me(), of, "", crd.clone()).await.unwrap();
    let key = Key::cluster("deeps.example.com");
    let establish = |value: &mut Value| {
        value["status"] = crd["status"].clone();
        Ok(())
    };
    registry
        .modify(&me(), of, &key, Subresource::Status, establish)
        .await
        .unwrap();
    let versions = kinds::versions(&crd).unwrap();
    registry.cache().kinds().set(&key.name, versions);
    registry
        .cache()
        .kinds()
        .find("example.com", "v1", "deeps")
        .unwrap()
}

fn deep(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Deep", "metadata": {"name": name}, "spec": spec})
}

/// The ways to write an object.
const WAYS: [&str; 8] = [
    "create",
    "managers",
    "update",
    "status",
    "merge",
    "json",
    "apply",
    "apply-new",
];

/// Writes an object of so many levels.
async fn write(
    registry: &Registry,
    of: KindRef,
    (way, levels): (&str, usize),
) -> Result<Arc<Object>, StatusError> {
    let context = Context {
        field_manager: Some("me".to_owned()),
        ..me()
    };
    let name = format!("{way}-{levels}");
    let (key, body) = (Key::cluster(name.clone()), deep(&name, &nest(levels - 1)));
    let patch = async |kind: PatchKind, body: Value| {
        let (part, force) = (Subresource::None, true);
        let patch = Patch { kind, body, force };
        let patched = registry.patch(&context, of, &key, part, patch).await;
        patched.map(|(object, _is_new)| object)
    };
    if !["create", "managers", "apply-new"].contains(&way) {
        let first = deep(&name, &nest(60));
        registry.create(&context, of, "", first).await.unwrap();
    }
    match way {
        "create" => registry.create(&context, of, "", body).await,
        "managers" => {
            let fields = (0..levels - 4).fold(json!({}), |inner, _| json!({"f:a": inner}));
            let managers = json!([{"manager": "x", "operation": "Update", "apiVersion": "example.com/v1",
                "fieldsType": "FieldsV1", "fieldsV1": fields}]);
            let mut body = deep(&name, &json!(1));
            body["metadata"]["managedFields"] = managers;
            registry.create(&context, of, "", body).await
        }
        "update" => {
            let mut body = body;
            body["metadata"]["resourceVersion"] =
                registry.cache().get(of, &key).unwrap().value()["metadata"]["resourceVersion"]
                    .clone();
            let put = registry.update(&context, of, &key, Subresource::None, body);
            put.await.map(|(object, _is_new)| object)
        }
        "status" => {
            let change = |value: &mut Value| {
                value["status"] = nest(levels - 1);
                Ok(())
            };
            let part = Subresource::Status;
            registry.modify(&context, of, &key, part, change).await
        }
        "merge" => {
            patch(
                PatchKind::Change(PatchForm::Merge),
                json!({"spec": body["spec"]}),
            )
            .await
        }
        "json" => {
            let path = format!("/spec{}", "/a".repeat(60));
            let add = json!([{"op": "add", "path": path, "value": nest(levels - 61)}]);
            patch(PatchKind::Change(PatchForm::Json), add).await
        }
        _ => patch(PatchKind::Apply, body).await,
    }
}

#[tokio::test]
async fn a_deep_object_is_refused_or_there_after_a_start() {
    let door = open().await;
    let of = define(&door.registry).await;
    let mut kept = Vec::new();
    for way in WAYS {
        let mut refused = 0;
        for levels in 116..=128 {
            match write(&door.registry, of, (way, levels)).await {
                Ok(object) => kept.push(object),
                Err(error) => {
                    refused += 1;
                    let too_deep = error.message.starts_with("exceeded max depth");
                    let is_patch = way == "json" && error.code == 422;
                    assert!(
                        is_patch || (error.code == 400 && too_deep),
                        "{way}: {error}"
                    );
                }
            }
        }
        assert!((1..13).contains(&refused), "{way}: {refused}");
    }
    let door = reopen(door).await;
    let cache = door.registry.cache();
    let of = cache.kinds().find("example.com", "v1", "deeps").unwrap();
    for object in kept {
        let found = cache.get(of, &object.key).unwrap();
        assert_eq!(found.value(), object.value(), "{}", object.key);
        let key = &object.key;
        let (registry, context) = (&door.registry, me());
        let deleted = registry.delete(&context, of, key, DeleteOptions::default());
        assert!(matches!(deleted.await, Ok(Deleted::Gone(_))), "{key}");
    }
}
