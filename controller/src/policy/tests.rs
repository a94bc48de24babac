//! The first roles on a real store: whole, valid, and kept so.

use super::*;
use crate::store::Embedded;
use coracle_api::{defaults, validate};
use coracle_daemon::{Clock, Tasks};
use std::sync::Arc;

#[test]
fn every_one_is_valid() {
    for (of, objects) in [
        (kind::CLUSTER_ROLE, roles::cluster_roles()),
        (
            kind::CLUSTER_ROLE_BINDING,
            bindings::cluster_role_bindings(),
        ),
    ] {
        for mut object in objects {
            defaults::apply(of, &mut object);
            let causes = validate::create(of, &object);
            assert!(
                causes.is_empty(),
                "{}: {causes:?}",
                object["metadata"]["name"]
            );
        }
    }
    let roles = roles::cluster_roles();
    for binding in bindings::cluster_role_bindings() {
        let role = &binding["roleRef"]["name"];
        let is_there = roles.iter().any(|one| one["metadata"]["name"] == *role);
        assert!(is_there, "{role}");
    }
}

#[tokio::test]
async fn what_is_missing_comes_back_and_what_was_added_stays() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
    registry.bootstrap().await.unwrap();
    reconcile(&registry).await.unwrap();
    let before = registry.cache().revision();
    reconcile(&registry).await.unwrap();
    assert_eq!(
        registry.cache().revision(),
        before,
        "a second time changes nothing"
    );

    let context = Context::system("test");
    let own = json!({"verbs": ["get"], "apiGroups": ["x.y"], "resources": ["z"]});
    let edit = async |of: KindRef, name: &str, change: &dyn Fn(&mut Value)| {
        let change = |value: &mut Value| {
            change(value);
            Ok(())
        };
        let key = Key::cluster(name);
        let written = registry.modify(&context, of, &key, Subresource::None, change);
        written.await.unwrap();
    };
    let role = "system:basic-user";
    edit(kind::CLUSTER_ROLE, role, &|value| {
        value["rules"] = json!([own]);
    })
    .await;
    edit(kind::CLUSTER_ROLE_BINDING, role, &|value| {
        value["subjects"] = json!([]);
    })
    .await;
    let left = "system:discovery";
    edit(kind::CLUSTER_ROLE, left, &|value| {
        value["metadata"]["annotations"][AUTOUPDATE] = json!("false");
        value["rules"] = json!([]);
    })
    .await;
    let gone = Key::cluster("cluster-admin");
    let deleted = registry.delete(
        &context,
        kind::CLUSTER_ROLE,
        &gone,
        DeleteOptions::default(),
    );
    deleted.await.unwrap();
    reconcile(&registry).await.unwrap();

    let get = |of: KindRef, name: &str| {
        registry
            .cache()
            .get(of, &Key::cluster(name))
            .unwrap()
            .value()
    };
    let rules = get(kind::CLUSTER_ROLE, role)["rules"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!((rules.len(), &rules[0]), (3, &own));
    let subjects = &get(kind::CLUSTER_ROLE_BINDING, role)["subjects"];
    assert_eq!(subjects[0]["name"], "system:authenticated");
    assert_eq!(get(kind::CLUSTER_ROLE, left)["rules"], json!([]));
    assert_eq!(
        get(kind::CLUSTER_ROLE, "cluster-admin")["rules"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
