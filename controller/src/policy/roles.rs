//! The first roles: upstream's, read from `roles.yaml`.
//!
//! `admin`, `edit` and `view` are put together by their labels, so that another role may add to them. The roles
//! of the controllers are for programs that run in a controller's stead: here the controllers are parts of this
//! program and ask for nothing.

use super::named;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TEXT: &str = include_str!("roles.yaml");

/// What the names of the controllers' roles start with.
pub(super) const CONTROLLER: &str = "system:controller:";

/// Rules by the name of their role.
type Rules = BTreeMap<String, Vec<Value>>;

/// The rules as they are written down.
#[derive(Debug, Deserialize)]
pub(super) struct Roles {
    plain: Rules,
    parts: Rules,
    controllers: Rules,
    namespaced: BTreeMap<String, Rules>,
}

fn aggregates_to(role: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{role}")
}

impl Roles {
    /// Reads them.
    ///
    /// # Errors
    /// Never, unless the text of this program is broken; a test reads it.
    pub(super) fn read() -> Result<Self, serde_yaml_ng::Error> {
        serde_yaml_ng::from_str(TEXT)
    }

    /// Names of the controllers that have a role.
    pub(super) fn controllers(&self) -> impl Iterator<Item = &str> {
        self.controllers.keys().map(String::as_str)
    }

    /// Roles of the whole cluster.
    pub(super) fn of_cluster(&self) -> Vec<Value> {
        let plain = self.plain.iter().map(|(name, rules)| role(name, rules));
        let controllers = self
            .controllers
            .iter()
            .map(|(name, rules)| role(&format!("{CONTROLLER}{name}"), rules));
        let mut roles: Vec<Value> = plain.chain(controllers).collect();
        for (name, rules) in &self.parts {
            let mut part = role(&format!("system:aggregate-to-{name}"), rules);
            part["metadata"]["labels"][aggregates_to(name)] = json!("true");
            roles.extend([part, whole(name)]);
        }
        roles.push(self.usage());
        roles
    }

    /// Roles of namespaces.
    pub(super) fn of_namespaces(&self) -> Vec<Value> {
        let mut roles = Vec::new();
        for (namespace, rules) in &self.namespaced {
            for (name, rules) in rules {
                let mut role = role(name, rules);
                role["metadata"]["namespace"] = json!(namespace);
                roles.push(role);
            }
        }
        roles
    }

    /// Who may view pods may view what they use. Of upstream's metrics server, which is a part of this program.
    fn usage(&self) -> Value {
        let rule = json!({"verbs": ["get", "list", "watch"], "apiGroups": ["metrics.k8s.io"],
            "resources": ["pods", "nodes"]});
        let mut usage = role("system:aggregated-metrics-reader", &[rule]);
        for name in self.parts.keys() {
            usage["metadata"]["labels"][aggregates_to(name)] = json!("true");
        }
        usage
    }
}

fn role(name: &str, rules: &[Value]) -> Value {
    let mut role = named(name);
    role["rules"] = json!(rules);
    role
}

/// A role of what others add to it.
fn whole(name: &str) -> Value {
    let mut whole = named(name);
    whole["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {aggregates_to(name): "true"}}]});
    // What may be viewed may be edited, and what may be edited, administered.
    match name {
        "view" => whole["metadata"]["labels"][aggregates_to("edit")] = json!("true"),
        "edit" => whole["metadata"]["labels"][aggregates_to("admin")] = json!("true"),
        _ => {}
    }
    whole
}
