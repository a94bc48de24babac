//! Owners where a reference does not lead.

use super::*;

fn owned(name: &str, owner: &Object) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.key.name, "uid": owner.uid()}]}})
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_told_of_and_is_none() {
    let cluster = start_cluster().await;
    let map = json!({"metadata": {"name": "owner"}});
    let context = me();
    let elsewhere = cluster
        .registry
        .create(&context, kind::CONFIG_MAP, "kube-public", map);
    let elsewhere = elsewhere.await.unwrap();
    let lost = cluster
        .create(kind::CONFIG_MAP, owned("lost", &elsewhere))
        .await;
    let message = format!(
        "ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: {}] does not exist in namespace \"default\"",
        elsewhere.uid()
    );
    let told = cluster.messages("OwnerRefInvalidNamespace", 1).await;
    assert_eq!(told, [message]);
    let events = cluster.cache().list(kind::EVENT, Some("default"));
    let event = events.iter().map(|event| event.value());
    let event = event
        .into_iter()
        .find(|event| event["reason"] == "OwnerRefInvalidNamespace")
        .unwrap();
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["involvedObject"]["uid"], lost.uid());
    assert_eq!(event["source"]["component"], "garbage-collector-controller");
    let is_gone = |cache: &Cache| cache.get(kind::CONFIG_MAP, &key("lost")).is_none();
    cluster.until("the lost one is gone", is_gone).await;

    // Of an owner that is nowhere nothing is told: it is just gone.
    let mut orphan = owned("orphan", &elsewhere);
    orphan["metadata"]["ownerReferences"][0]["uid"] = json!("none");
    cluster.create(kind::CONFIG_MAP, orphan).await;
    let is_gone = |cache: &Cache| cache.get(kind::CONFIG_MAP, &key("orphan")).is_none();
    cluster.until("the orphan is gone", is_gone).await;

    // An object of the whole cluster with such an owner is told of, and stays.
    let mut class = owned("class", &elsewhere);
    class["value"] = json!(1);
    let made = cluster
        .registry
        .create(&context, kind::PRIORITY_CLASS, "", class);
    made.await.unwrap();
    let told = cluster.messages("OwnerRefInvalidNamespace", 2).await;
    assert_eq!(told.len(), 2, "{told:?}");
    let wanted = "namespace: , name: owner";
    assert!(told.iter().any(|told| told.contains(wanted)), "{told:?}");
    let class = Key::cluster("class");
    assert!(cluster.cache().get(kind::PRIORITY_CLASS, &class).is_some());
}
