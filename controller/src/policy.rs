//! The roles and bindings that every cluster has, kept complete at each start.
//!
//! As upstream: what is missing is added, what an administrator added stays, and an object whose annotation
//! `rbac.authorization.kubernetes.io/autoupdate` is false is left alone. Source: k8s.io/component-helpers
//! `auth/rbac/reconciliation`.

mod bindings;
mod roles;

use crate::{
    auth::rbac,
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, k8s_openapi::api::rbac::v1::PolicyRule, kind};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use roles::Roles;
use serde_json::{Value, json};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Brings every role and binding of [`roles`] and [`bindings`] to what it is at least.
///
/// # Errors
/// When the registry refuses a write.
pub async fn reconcile(registry: &Registry) -> Result<(), StatusError> {
    let context = Context::system("apiserver");
    for (of, objects) in objects()? {
        // Together: the store writes what waits in one go.
        let mut writes: FuturesUnordered<_> = objects
            .into_iter()
            .map(|object| ensure(registry, &context, of, object))
            .collect();
        while let Some(written) = writes.next().await {
            written?;
        }
    }
    Ok(())
}

/// A kind, and its objects.
type First = (KindRef, Vec<Value>);

/// All of them by their kind, roles before their bindings.
fn objects() -> Result<[First; 4], StatusError> {
    let roles = Roles::read()
        .map_err(|error| StatusError::internal(format!("cannot read the first roles: {error}")))?;
    Ok([
        (kind::CLUSTER_ROLE, roles.of_cluster()),
        (kind::CLUSTER_ROLE_BINDING, bindings::of_cluster(&roles)),
        (kind::ROLE, roles.of_namespaces()),
        (kind::ROLE_BINDING, bindings::of_namespaces()),
    ])
}

async fn ensure(
    registry: &Registry,
    context: &Context,
    of: KindRef,
    object: Value,
) -> Result<(), StatusError> {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let key = Key::new(text("namespace"), text("name"));
    let Some(found) = registry.cache().get(of, &key) else {
        let created = registry.create(context, of, &key.namespace, object.clone());
        return created.await.map(|_object| ());
    };
    let found = found.value();
    if found["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return Ok(());
    }
    if object["roleRef"] != found["roleRef"] {
        // Of a binding the role cannot change: it is made anew.
        let options = DeleteOptions::default();
        registry.delete(context, of, &key, options).await?;
        let created = registry.create(context, of, &key.namespace, object.clone());
        return created.await.map(|_object| ());
    }
    let mut whole = found.clone();
    complete(&mut whole, &object);
    if whole == found {
        return Ok(());
    }
    let complete = |value: &mut Value| {
        complete(value, &object);
        Ok(())
    };
    registry
        .modify(context, of, &key, Subresource::None, complete)
        .await
        .map(|_object| ())
}

/// Adds to an object what it lacks of another.
fn complete(value: &mut Value, wanted: &Value) {
    for field in ["labels", "annotations"] {
        for (name, text) in wanted["metadata"][field].as_object().into_iter().flatten() {
            value["metadata"][field][name] = text.clone();
        }
    }
    if wanted["aggregationRule"].is_object() {
        if value["aggregationRule"] != wanted["aggregationRule"] {
            value["aggregationRule"] = wanted["aggregationRule"].clone();
        }
        return;
    }
    let list = |of: &Value, field: &str| of[field].as_array().cloned().unwrap_or_default();
    let mut rules = list(value, "rules");
    for rule in list(wanted, "rules") {
        if rules.contains(&rule) {
            continue;
        }
        let held: Vec<PolicyRule> = serde_json::from_value(json!(rules)).unwrap_or_default();
        let needed: Option<PolicyRule> = serde_json::from_value(rule.clone()).ok();
        let missing = needed.is_some_and(|needed| {
            rbac::missing(&held, &[needed]).is_ok_and(|missing| !missing.is_empty())
        });
        if missing {
            rules.push(rule);
        }
    }
    if wanted["rules"].is_array() {
        value["rules"] = json!(rules);
    }
    let mut subjects = list(value, "subjects");
    for subject in list(wanted, "subjects") {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    if wanted["subjects"].is_array() {
        value["subjects"] = json!(subjects);
    }
}

/// A new object of the policy: `rbac-defaults`, and kept up to date.
fn named(name: &str) -> Value {
    json!({"metadata": {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    }})
}

#[cfg(test)]
mod tests;
