//! Quotas, with a ReplicaSet that wants more than there is.

use super::*;

impl Cluster {
    async fn until_used(&self, used: Value) {
        self.until(&format!("the quota's status says {used}"), |cache| {
            let quota = cache.get(kind::RESOURCE_QUOTA, &key("q"));
            let quota = quota.map(|quota| quota.value()).unwrap_or_default();
            quota["status"]["used"] == used && quota["status"]["hard"] == quota["spec"]["hard"]
        })
        .await;
    }
}

#[tokio::test]
async fn a_replica_set_is_refused_and_goes_on_when_there_is_room() {
    let cluster = start_cluster().await;
    let hard =
        json!({"pods": "2", "count/replicasets.apps": "1", "count/nothing.example.com": "1"});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    cluster.create(kind::RESOURCE_QUOTA, quota).await;
    cluster
        .until_used(json!({"pods": "0", "count/replicasets.apps": "0"}))
        .await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 3, rolling()))
        .await;
    cluster
        .until_used(json!({"pods": "2", "count/replicasets.apps": "1"}))
        .await;
    let told = cluster.messages("FailedCreate", 1).await;
    let why = "is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(
        told[0].starts_with("Error creating: pods \"web-") && told[0].ends_with(why),
        "{told:?}"
    );
    cluster
        .until("both say what is wrong", |cache| {
            let failure = |of| {
                let all = cache.list(of, Some("default"));
                let value = all.first().map(|one| one.value()).unwrap_or_default();
                let failure = condition(&value, "ReplicaFailure");
                let message = failure["message"].as_str().unwrap_or_default();
                failure["reason"] == "FailedCreate" && message.ends_with(why)
            };
            failure(kind::REPLICA_SET) && failure(kind::DEPLOYMENT)
        })
        .await;
    let raise = |quota: &mut Value| quota["spec"]["hard"]["pods"] = json!("5");
    cluster.edit(kind::RESOURCE_QUOTA, "q", raise).await;
    cluster.rolled_out("web", 3).await;
    cluster
        .until_used(json!({"pods": "3", "count/replicasets.apps": "1"}))
        .await;
    let foreground = Propagation::Foreground;
    cluster.delete(kind::DEPLOYMENT, "web", foreground).await;
    cluster
        .until_used(json!({"pods": "0", "count/replicasets.apps": "0"}))
        .await;
}
