//! ClusterRoles that are put together of others: their rules are those of the roles that their labels select.
//!
//! Source: k8s.io/kubernetes `pkg/controller/clusterroleaggregation`.

use crate::{
    cache::{Cache, Change},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule},
    kind,
    selector::LabelSelector,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The reconciler; its keys are roles with an aggregation rule.
#[derive(Debug)]
pub(super) struct RoleAggregation {
    pub(super) registry: Registry,
}

impl Reconciler for RoleAggregation {
    const NAME: &'static str = "clusterrole-aggregation";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::CLUSTER_ROLE]
    }

    /// Any role may be a part of any other: roles change seldom, and there are few that are put together.
    fn keys(&self, _change: &Change) -> Vec<Key> {
        roles(self.registry.cache())
            .into_iter()
            .filter(|(_, role)| role.aggregation_rule.is_some())
            .map(|(object, _)| object.key.clone())
            .collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let all = roles(self.registry.cache());
        let whole = all.iter().find(|(object, _)| object.key == *key);
        let Some((object, role)) = whole.filter(|(object, _)| !object.is_deleting()) else {
            return Ok(Next::AwaitChange);
        };
        let Some(rules) = plan(&object.key.name, role, &all) else {
            return Ok(Next::AwaitChange);
        };
        let context = Context::system("clusterrole-aggregation-controller");
        let (uid, rules) = (object.uid().to_owned(), json!(rules));
        let write = |value: &mut Value| {
            if value["metadata"]["uid"] == uid && value["aggregationRule"].is_object() {
                value["rules"] = rules.clone();
            }
            Ok(())
        };
        self.registry
            .modify(&context, kind::CLUSTER_ROLE, key, Subresource::None, write)
            .await?;
        Ok(Next::AwaitChange)
    }
}

type Role = (Arc<Object>, Arc<ClusterRole>);

fn roles(cache: &Cache) -> Vec<Role> {
    let all = cache.list(kind::CLUSTER_ROLE, None);
    all.into_iter()
        .filter_map(|object| {
            let role = object.typed::<ClusterRole>().ok()?;
            Some((object, role))
        })
        .collect()
}

/// The rules that a role is to have; none when it has them, or is not put together.
fn plan(name: &str, role: &ClusterRole, all: &[Role]) -> Option<Vec<PolicyRule>> {
    let selectors = role
        .aggregation_rule
        .as_ref()?
        .cluster_role_selectors
        .iter();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors.flatten() {
        let Ok(selector) = LabelSelector::from_spec(selector) else {
            continue;
        };
        for (object, part) in all {
            let labels = object.meta.labels.clone().unwrap_or_else(BTreeMap::new);
            if object.key.name == name || !selector.matches(&labels) {
                continue;
            }
            for rule in part.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    (role.rules.as_deref().unwrap_or_default() != rules).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    fn role(name: &str, labels: &Value, aggregates: &Value, rules: &[&str]) -> Role {
        let rules: Vec<Value> = rules
            .iter()
            .map(|verb| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}))
            .collect();
        let mut value = json!({"metadata": {"name": name, "labels": labels}, "rules": rules});
        if !aggregates.is_null() {
            value["aggregationRule"] = json!({"clusterRoleSelectors": aggregates});
        }
        let object = Arc::new(Object::new(kind::CLUSTER_ROLE, Revision(1), value).unwrap());
        let typed = object.typed().unwrap();
        (object, typed)
    }

    #[test]
    fn rules_of_the_selected_each_once() {
        let selected = json!([{"matchLabels": {"part": "yes"}}, {"matchExpressions": [{"key": "more", "operator": "Exists"}]}]);
        let whole = |rules: &[&str]| role("whole", &json!({"part": "yes"}), &selected, rules);
        let all = |whole: Role| {
            vec![
                role("a", &json!({"part": "yes"}), &Value::Null, &["get", "list"]),
                role("b", &json!({"more": ""}), &Value::Null, &["list", "watch"]),
                role("c", &json!({"part": "no"}), &Value::Null, &["delete"]),
                whole,
            ]
        };
        let plan_for = |rules: &[&str]| {
            let whole = whole(rules);
            plan("whole", &whole.1, &all(whole.clone())).map(|rules| {
                let verbs: Vec<String> = rules.iter().map(|rule| rule.verbs[0].clone()).collect();
                verbs.join(" ")
            })
        };
        assert_eq!(plan_for(&[]).unwrap(), "get list watch");
        assert_eq!(plan_for(&["get", "list", "watch"]), None);
        // What somebody wrote into it does not stay.
        assert_eq!(
            plan_for(&["get", "list", "watch", "delete"]).unwrap(),
            "get list watch"
        );
        let plain = role("plain", &json!({}), &Value::Null, &["get"]);
        assert_eq!(plan("plain", &plain.1, &all(plain.clone())), None);
    }
}
