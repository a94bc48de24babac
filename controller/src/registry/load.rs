//! From what the store holds to objects.
//!
//! What older versions stored and this one would not, nulls in lists and maps, and `1.0` of a custom kind, is read as a
//! write of it would be now: whoever looks at an object never has to think of it. Nor of what nests too deep to be read.
//! Upstream's defaults are filled in when its store is read, too.

use super::{Error, store_key, strategy};
use crate::{
    kinds::{self, Kinds},
    object::Object,
    store,
};
use coracle_api::{
    Key, StatusError,
    go::{DEPTH_MAX, settle_numbers},
    kind, schema,
};
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
        let mut crd = parse(entry).map_err(|error| unreadable(error.to_string()))?;
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
    let mut value =
        parse(&entry).map_err(|error| unreadable(StatusError::bad_request(error.to_string())))?;
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

/// What an entry says; what an older version stored too deep to be read, without its deepest levels.
fn parse(entry: &store::Entry) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&entry.value).or_else(|error| {
        let Some(shallow) = cut(&entry.value, DEPTH_MAX) else {
            return Err(error);
        };
        let value = serde_json::from_slice(&shallow)?;
        tracing::warn!(
            key = entry.key,
            "has more than {DEPTH_MAX} levels, which an older version has stored: what is deeper is read as null"
        );
        Ok(value)
    })
}

/// JSON with a null for each list and object that is deeper than so many levels; none where there is no such.
fn cut(text: &[u8], levels: usize) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(text.len());
    let (mut depth, mut in_text, mut is_escaped, mut is_cut) = (0_usize, false, false, false);
    for &byte in text {
        let was_deep = depth > levels;
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_deep = depth > levels;
        if is_deep && !was_deep {
            kept.extend_from_slice(b"null");
            is_cut = true;
        }
        if !is_deep && !was_deep {
            kept.push(byte);
        }
    }
    is_cut.then_some(kept)
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

    #[test]
    fn what_an_older_version_stored_too_deep_is_read_but_for_its_depth() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"f:a": inner}));
        let revision = |data: Value, fields: Value| {
            let managers = json!([{"manager": "m", "operation": "Update", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1", "fieldsV1": fields}]);
            let meta = json!({"name": "c", "namespace": "n", "managedFields": managers});
            json!({"metadata": meta, "revision": 1, "data": data})
        };
        // The object, its metadata, a list, an entry: four levels above the fields.
        let most = DEPTH_MAX - 4;
        for levels in [most + 1, DEPTH_MAX, DEPTH_MAX + 20] {
            let stored = revision(
                json!({"a": "}\\\"{[", "b": deep(DEPTH_MAX - 2)}),
                deep(levels),
            );
            let object = load("controllerrevisions.apps/n/c", &stored);
            assert_eq!(object.key.name, "c", "{levels}");
            let read = object.value();
            assert_eq!(read["data"], stored["data"], "{levels}");
            let mut kept = &read["metadata"]["managedFields"][0]["fieldsV1"];
            for _ in 0..most {
                kept = &kept["f:a"];
            }
            assert!(kept.is_null(), "{levels}");
        }
        let whole = revision(deep(DEPTH_MAX - 1), deep(most - 1));
        assert_eq!(cut(whole.to_string().as_bytes(), DEPTH_MAX), None);
        assert!(cut(&b"[".repeat(1_000_000), DEPTH_MAX).unwrap().len() < 1_000);
    }
}
