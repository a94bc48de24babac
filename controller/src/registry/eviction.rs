//! Eviction: a deletion that asks the pod's budget first.
//!
//! A budget's `disruptionsAllowed` is taken down by one in the same write that checks it, so two evictions
//! never spend the same one; its controller counts it up again.
//!
//! Source: k8s.io/kubernetes `pkg/registry/core/pod/storage/eviction.go`.

use super::{Context, DeleteOptions, Deleted, Registry, Subresource};
use crate::object::Object;
use coracle_api::{
    Key, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta, kind,
    selector::LabelSelector, status::Cause,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::sync::Arc;

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// Evictions of one budget whose pods are not gone yet.
const DISRUPTED_MAX: usize = 2000;
/// Seconds to wait for a budget that was just changed.
const RETRY_SECS: u32 = 10;

impl Registry {
    /// Deletes a pod if its budget allows it.
    ///
    /// # Errors
    /// 404; 429 when the budget allows none now; 500 when it has more than one; as [`Registry::delete`].
    pub async fn evict(
        &self,
        context: &Context,
        pod: &Key,
        options: DeleteOptions,
    ) -> Result<Deleted, StatusError> {
        let found = self.cache().get(kind::POD, pod);
        let found = found.ok_or_else(|| StatusError::not_found(kind::POD, &pod.name))?;
        let budgets = if needs_no_budget(&found) {
            Vec::new()
        } else {
            self.budgets_of(&found)
        };
        match budgets.as_slice() {
            [] => {}
            [budget] if goes_unhealthy(&found, &budget.value()) => {}
            [budget] => self.spend(context, &found, budget).await?,
            _ => return Err(too_many_budgets()),
        }
        self.delete(context, kind::POD, pod, options).await
    }

    fn budgets_of(&self, pod: &Object) -> Vec<Arc<Object>> {
        let mut budgets = self
            .cache()
            .list(kind::POD_DISRUPTION_BUDGET, Some(&pod.key.namespace));
        budgets.retain(|budget| selects(budget, pod));
        budgets
    }

    async fn spend(
        &self,
        context: &Context,
        pod: &Object,
        budget: &Object,
    ) -> Result<(), StatusError> {
        let time = coracle_api::time(self.clock().now());
        let (of, part) = (kind::POD_DISRUPTION_BUDGET, Subresource::Status);
        let spend = |value: &mut Value| spend_one(value, &pod.key.name, &time);
        let spent = self.modify(context, of, &budget.key, part, spend).await;
        match spent {
            // A budget that has gone protects nobody.
            Err(error) if error.code == 404 => Ok(()),
            other => other.map(|_budget| ()),
        }
    }
}

/// Whether a budget protects a pod. An absent selector selects nothing.
pub(crate) fn selects(budget: &Object, pod: &Object) -> bool {
    let value = budget.value();
    let selector = &value["spec"]["selector"];
    if selector.is_null() {
        return false;
    }
    let selector = meta::LabelSelector::deserialize(selector)
        .ok()
        .and_then(|spec| LabelSelector::from_spec(&spec).ok());
    let labels = pod.meta.labels.clone().unwrap_or_default();
    selector.is_some_and(|selector| selector.matches(&labels))
}

/// A pod that does not serve, or goes anyway.
fn needs_no_budget(pod: &Object) -> bool {
    let value = pod.value();
    let phase = value["status"]["phase"].as_str();
    pod.is_deleting() || matches!(phase, Some("Pending" | "Succeeded" | "Failed"))
}

/// Whether a pod may go because it is not ready, by its budget's policy for such pods.
fn goes_unhealthy(pod: &Object, budget: &Value) -> bool {
    let value = pod.value();
    let conditions = value["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if ready {
        return false;
    }
    let number = |name: &str| budget["status"][name].as_i64().unwrap_or(0);
    let healthy = number("currentHealthy") >= number("desiredHealthy");
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    always || (healthy && number("desiredHealthy") > 0)
}

/// Takes one disruption from a budget, or says why there is none.
fn spend_one(budget: &mut Value, pod: &str, time: &str) -> Result<(), StatusError> {
    let name = budget["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let observed = budget["status"]["observedGeneration"].as_i64().unwrap_or(0);
    if observed < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(RETRY_SECS, why));
    }
    let forbidden = |why| StatusError::forbidden(kind::POD_DISRUPTION_BUDGET, &name, why);
    let status = &mut budget["status"];
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if status["disruptedPods"]
        .as_object()
        .map_or(0, serde_json::Map::len)
        > DISRUPTED_MAX
    {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if allowed == 0 {
        return Err(refused(0, why_none(&name, status)));
    }
    status["disruptionsAllowed"] = json!(allowed - 1);
    if allowed == 1 {
        let condition = json!({
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "lastTransitionTime": time, "observedGeneration": observed,
        });
        put_condition(status, condition);
    }
    if !status["disruptedPods"].is_object() {
        status["disruptedPods"] = json!({});
    }
    status["disruptedPods"][pod] = json!(time);
    Ok(())
}

fn put_condition(status: &mut Value, condition: Value) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(list) = status["conditions"].as_array_mut() {
        list.retain(|other| other["type"] != condition["type"]);
        list.push(condition);
    }
}

fn why_none(name: &str, status: &Value) -> String {
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    let conditions = status["conditions"].as_array();
    let failed = conditions.into_iter().flatten().find(|condition| {
        condition["type"] == "DisruptionAllowed" && condition["reason"] == "SyncFailed"
    });
    match failed {
        Some(condition) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            condition["message"].as_str().unwrap_or_default()
        ),
        None if healthy <= desired => format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        ),
        None => {
            format!("The disruption budget {name} does not allow evicting pods currently")
        }
    }
}

fn refused(retry_secs: u32, why: String) -> StatusError {
    let mut error = StatusError::too_many_requests(REFUSED, retry_secs);
    if let Some(details) = &mut error.details {
        details.causes.push(Cause {
            reason: "DisruptionBudget",
            message: why,
            field: String::new(),
        });
    }
    error
}

fn too_many_budgets() -> StatusError {
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    StatusError {
        message: message.to_owned(),
        ..StatusError::internal("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-01T00:00:00Z";

    fn budget(status: Value) -> Value {
        json!({"metadata": {"name": "b", "generation": 1}, "spec": {}, "status": status})
    }

    #[test]
    fn a_disruption_is_spent_once() {
        let mut value = budget(json!({"observedGeneration": 1, "disruptionsAllowed": 2}));
        spend_one(&mut value, "p", TIME).unwrap();
        assert_eq!(value["status"]["disruptionsAllowed"], 1);
        spend_one(&mut value, "q", TIME).unwrap();
        assert_eq!(
            value["status"]["disruptedPods"],
            json!({"p": TIME, "q": TIME})
        );
        assert_eq!(
            value["status"]["conditions"][0]["reason"],
            "InsufficientPods"
        );
        let error = spend_one(&mut value, "r", TIME).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (429, REFUSED));
    }

    #[test]
    fn refusals_say_why() {
        let failed = json!([{"type": "DisruptionAllowed", "reason": "SyncFailed", "message": "m"}]);
        for (status, why, retry) in [
            (
                json!({}),
                "The disruption budget b is still being processed by the server.",
                10,
            ),
            (
                json!({"observedGeneration": 1, "desiredHealthy": 2, "currentHealthy": 2}),
                "The disruption budget b needs 2 healthy pods and has 2 currently",
                0,
            ),
            (
                json!({"observedGeneration": 1, "desiredHealthy": 2, "currentHealthy": 3}),
                "The disruption budget b does not allow evicting pods currently",
                0,
            ),
            (
                json!({"observedGeneration": 1, "conditions": failed}),
                "The disruption budget b does not allow evicting pods currently because it failed sync: m",
                0,
            ),
        ] {
            let details = spend_one(&mut budget(status), "p", TIME)
                .unwrap_err()
                .details
                .unwrap();
            assert_eq!(details.causes[0].message, why);
            assert_eq!(
                (details.causes[0].reason, details.retry_after_secs),
                ("DisruptionBudget", retry)
            );
        }
    }

    #[test]
    fn unhealthy_pods_go_by_policy() {
        let pod = |ready: &str| {
            let value = json!({"metadata": {"name": "p"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
            Object::new(kind::POD, coracle_api::Revision(1), value).unwrap()
        };
        let healthy = budget(json!({"currentHealthy": 2, "desiredHealthy": 2}));
        let short = budget(json!({"currentHealthy": 1, "desiredHealthy": 2}));
        let mut always = short.clone();
        always["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
        for (ready, budget, goes) in [
            ("True", &healthy, false),
            ("False", &healthy, true),
            ("False", &short, false),
            ("False", &always, true),
            ("True", &always, false),
        ] {
            assert_eq!(
                goes_unhealthy(&pod(ready), budget),
                goes,
                "{ready} {budget}"
            );
        }
    }
}
