//! From what the store holds to objects.
//!
//! What older versions stored and this one would not, nulls in lists and maps, and `1.0` of a custom kind, is read as a
//! write of it would be now: whoever looks at an object never has to think of it. Upstream's defaults are filled in when
//! its store is read, too.

use super::{Error, store_key, strategy};
use crate::{
    kinds::{self, Kinds},
    object::Object,
    store,
};
use coracle_api::{Key, StatusError, go::settle_numbers, kind, schema};
use serde_json::Value;

/// The kinds that a store knows: the custom ones are told by the definitions in it.
pub(super) fn known_kinds(entries: &[store::Entry]) -> Result<Kinds, Error> {
    let kinds = Kinds::default();
    let prefix = store_key(kind::CUSTOM_RESOURCE_DEFINITION, &Key::cluster(""));
    for entry in entries
        .iter()
        .filter(|entry| entry.key.starts_with(&prefix))
    {
        let unreadable = |why: String| Error::Object {
            key: entry.key.clone(),
            source: StatusError::bad_request(why),
        };
        let mut crd: Value =
            serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
        schema::fill_nulls(kind::CUSTOM_RESOURCE_DEFINITION, &mut crd);
        let versions = kinds::versions(&crd).map_err(|error| unreadable(error.to_string()))?;
        kinds.set(
            crd["metadata"]["name"].as_str().unwrap_or_default(),
            versions,
        );
    }
    Ok(kinds)
}

/// An object as the store has it.
pub(super) fn read(kinds: &Kinds, entry: store::Entry) -> Result<Object, Error> {
    let unreadable = |source| Error::Object {
        key: entry.key.clone(),
        source,
    };
    let group_resource = entry
        .key
        .strip_prefix("/registry/")
        .and_then(|rest| rest.split('/').next());
    let mut value: Value = serde_json::from_slice(&entry.value)
        .map_err(|error| unreadable(StatusError::bad_request(error.to_string())))?;
    let api_version = value["apiVersion"].as_str().unwrap_or_default();
    let kind = group_resource
        .and_then(|name| kinds.reading_row(name, api_version))
        .ok_or_else(|| unreadable(StatusError::bad_request("unknown kind")))?;
    schema::fill_nulls(kind, &mut value);
    if kind.is_custom() {
        settle_numbers(&mut value);
    } else {
        strategy::renew(kind, &mut value);
    }
    Object::new(kind, entry.revision, value).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Subresource;
    use coracle_api::{
        Revision,
        k8s_openapi::api::core::v1::{ConfigMap, Pod},
        protobuf,
    };
    use serde_json::json;

    fn load(key: &str, value: &Value) -> Object {
        let entry = store::Entry {
            key: format!("/registry/{key}"),
            value: value.to_string().into_bytes(),
            revision: Revision(7),
        };
        read(&Kinds::default(), entry).unwrap()
    }

    #[test]
    fn what_an_older_version_stored_is_read_as_one_would_write_it_now() {
        let map = json!({"metadata": {"name": "m", "namespace": "n"}, "data": {"a": null}});
        let map = load("configmaps/n/m", &map);
        let typed = map.typed::<ConfigMap>().unwrap();
        assert_eq!(typed.data.as_ref().unwrap()["a"], "");
        assert!(protobuf::encode(&map.value()).is_ok());

        let spec =
            json!({"nodeSelector": {"x": null}, "containers": [{"name": "c", "args": [null]}]});
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "labels": {"a": null}}, "spec": spec});
        let pod = load("pods/n/p", &pod);
        assert_eq!(pod.meta.labels.as_ref().unwrap()["a"], "");
        assert!(pod.typed::<Pod>().is_ok());
        assert!(protobuf::encode(&pod.value()).is_ok());
    }

    /// Else a controller would see another object than the one that it wrote, and make all anew.
    #[test]
    fn a_write_that_changes_nothing_of_an_old_object_is_none() {
        let container =
            json!({"name": "c", "image": "i:v1", "resources": {"limits": {"cpu": "0.0001"}}});
        let disk = json!({"name": "v", "rbd": {"monitors": ["m"], "image": "i"}});
        let pods = json!({"serviceAccountName": "a", "serviceAccount": "b", "containers": [container], "volumes": [disk]});
        let meta = json!({"name": "a", "namespace": "n", "generation": 3});
        for (key, mut value) in [
            (
                "leases.coordination.k8s.io/n/a",
                json!({"apiVersion": "coordination.k8s.io/v1"}),
            ),
            (
                "deployments.apps/n/a",
                json!({"apiVersion": "apps/v1", "spec": {"selector": {}, "template": {"spec": pods}}}),
            ),
            (
                "persistentvolumeclaims/n/a",
                json!({"apiVersion": "v1", "spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}}}),
            ),
        ] {
            value["metadata"] = meta.clone();
            let object = load(key, &value);
            let old = object.value();
            let part = Subresource::None;
            let new = strategy::before_update(object.kind, part, &old, old.clone());
            assert_eq!(new, old, "{key}");
            assert!(strategy::is_same(&new, &old));
        }
    }
}
