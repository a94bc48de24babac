//! Budgets and evictions, with pods that come back.

use super::*;
use coracle_api::StatusError;

impl Cluster {
    async fn evict(&self, pod: &str) -> Result<(), StatusError> {
        let options = DeleteOptions::default();
        let evicted = self.registry.evict(&me(), &key(pod), options).await;
        evicted.map(|_deleted| ())
    }

    async fn until_allowed(&self, allowed: i64) {
        self.until("the budget allows so many", |cache| {
            let budget = cache.get(kind::POD_DISRUPTION_BUDGET, &key("b"));
            let budget = budget.map(|budget| budget.value()).unwrap_or_default();
            let status = &budget["status"];
            status["observedGeneration"] == budget["metadata"]["generation"]
                && status["disruptionsAllowed"] == json!(allowed)
                && status["expectedPods"] == json!(3)
                && status["currentHealthy"] == json!(3)
        })
        .await;
    }

    fn a_pod(&self) -> String {
        let pods = self.cache().list(kind::POD, Some("default"));
        let stays = pods.iter().find(|pod| !pod.is_deleting());
        stays.map(|pod| pod.key.name.clone()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_budget_holds_evictions_up_until_pods_are_back() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 3, rolling()))
        .await;
    let selector = json!({"matchLabels": {"app": "web"}});
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"maxUnavailable": 0, "selector": selector}});
    cluster.create(kind::POD_DISRUPTION_BUDGET, budget).await;
    cluster.until_allowed(0).await;
    let refused = cluster.evict(&cluster.a_pod()).await.unwrap_err();
    assert_eq!(refused.code, 429);
    let causes = refused.details.unwrap().causes;
    let why = "The disruption budget b needs 3 healthy pods and has 3 currently";
    assert_eq!(causes[0].message, why);

    let loosen = |budget: &mut Value| budget["spec"]["maxUnavailable"] = json!("40%");
    cluster.edit(kind::POD_DISRUPTION_BUDGET, "b", loosen).await;
    cluster.until_allowed(2).await;
    let evicted = cluster.a_pod();
    cluster.evict(&evicted).await.unwrap();
    // The deployment makes a new one, and the budget is whole again.
    cluster
        .until("it is gone", |cache| {
            cache.get(kind::POD, &key(&evicted)).is_none()
        })
        .await;
    cluster.until_allowed(2).await;
    let budget = cluster.value(kind::POD_DISRUPTION_BUDGET, "b");
    assert!(budget["status"]["disruptedPods"].is_null());

    let second =
        json!({"metadata": {"name": "c"}, "spec": {"minAvailable": 0, "selector": selector}});
    cluster.create(kind::POD_DISRUPTION_BUDGET, second).await;
    let refused = cluster.evict(&cluster.a_pod()).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (
            500,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    );
    let missing = cluster.evict("none").await.unwrap_err();
    assert_eq!(missing.code, 404);
}
