//! What a namespace's LimitRanges and labels do to what is created in it.

use super::*;

async fn create(
    registry: &Registry,
    of: KindRef,
    value: Value,
) -> Result<Arc<Object>, StatusError> {
    registry.create(&me(), of, "default", value).await
}

async fn label(registry: &Registry, context: &Context, labels: Value) -> Result<(), StatusError> {
    let set = |namespace: &mut Value| {
        for (name, value) in labels.as_object().into_iter().flatten() {
            namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{name}")] =
                value.clone();
        }
        Ok(())
    };
    let (of, key) = (kind::NAMESPACE, Key::cluster("default"));
    let written = registry.modify(context, of, &key, Subresource::None, set);
    written.await.map(|_namespace| ())
}

fn deployment() -> Value {
    json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("a")["spec"]}}})
}

#[tokio::test]
async fn limit_ranges_give_and_refuse() {
    let door = open().await;
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}}]}});
    create(&door.registry, kind::LIMIT_RANGE, range)
        .await
        .unwrap();
    let created = create(&door.registry, kind::POD, pod("a")).await.unwrap();
    let value = created.value();
    assert_eq!(
        value["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}})
    );
    assert_eq!(value["status"]["qosClass"], "Burstable");
    let mut own = pod("own");
    own["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    let created = create(&door.registry, kind::POD, own).await.unwrap();
    assert_eq!(
        created.value()["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "1"}),
        "a limit of its own is its request too"
    );
    let mut large = pod("large");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    let error = create(&door.registry, kind::POD, large).await.unwrap_err();
    assert_eq!((error.code, error.reason), (403, "Forbidden"));
    assert_eq!(
        error.message,
        "pods \"large\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );

    let claim = |storage: &str| json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}});
    let of = kind::PERSISTENT_VOLUME_CLAIM;
    let error = create(&door.registry, of, claim("3Gi")).await.unwrap_err();
    assert_eq!(
        error.message,
        "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"
    );
    create(&door.registry, of, claim("1Gi")).await.unwrap();
}

#[tokio::test]
async fn labels_of_a_namespace_are_checked_where_they_change() {
    let door = open().await;
    let bad = json!({"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "strict"}}});
    let error = door
        .registry
        .create(&me(), kind::NAMESPACE, "", bad)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.reason), (422, "Invalid"));
    assert_eq!(
        error.message,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted"
    );
    let error = label(&door.registry, &me(), json!({"warn-version": "1.30"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, 422);
}

#[tokio::test]
async fn pods_are_refused_and_their_makers_warned() {
    let door = open().await;
    let enforced = json!({"enforce": "restricted", "enforce-version": "v1.20"});
    label(&door.registry, &me(), enforced).await.unwrap();
    let error = create(&door.registry, kind::POD, pod("a"))
        .await
        .unwrap_err();
    assert_eq!((error.code, error.reason), (403, "Forbidden"));
    let why = "violates PodSecurity \"restricted:v1.20\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    assert_eq!(error.message, format!("pods \"a\" is forbidden: {why}"));

    let context = me();
    let created = door
        .registry
        .create(&context, kind::DEPLOYMENT, "default", deployment());
    created.await.unwrap();
    let warnings = context.warnings.lock().clone();
    assert_eq!(
        warnings,
        [format!("would {}", why.replacen("violates", "violate", 1))]
    );
}

#[tokio::test]
async fn a_new_image_is_checked_and_a_label_is_not() {
    let door = open().await;
    create(&door.registry, kind::POD, pod("a")).await.unwrap();
    let context = me();
    label(
        &door.registry,
        &context,
        json!({"enforce": "restricted", "warn": "privileged"}),
    )
    .await
    .unwrap();
    assert_eq!(
        *context.warnings.lock(),
        [
            "existing pods in namespace \"default\" violate the new PodSecurity enforce level \"restricted:latest\"",
            "a: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ]
    );
    let (key, part) = (Key::new("default", "a"), Subresource::None);
    let relabel = |pod: &mut Value| {
        pod["metadata"]["labels"] = json!({"x": "y"});
        Ok(())
    };
    let registry = &door.registry;
    let context = me();
    let labelled = registry.modify(&context, kind::POD, &key, part, relabel);
    labelled.await.unwrap();
    let other = |pod: &mut Value| {
        pod["spec"]["containers"][0]["image"] = json!("other:v1");
        Ok(())
    };
    let changed = registry.modify(&context, kind::POD, &key, part, other);
    assert_eq!(changed.await.unwrap_err().code, 403);
}
