//! What a write needs beside its verb: nobody grants what they do not hold, approves or signs for a signer they
//! may not, or writes as a node what is another's.
//!
//! Decided against the object as it would be stored. Members of `system:masters`, and so the controller's own
//! parts, may do all of it. Source: k8s.io/kubernetes `pkg/registry/rbac/*/policybased`,
//! `plugin/pkg/admission/certificates`.

use super::{Subresource, node_restriction};
use crate::auth::{Attributes, Authorizer, UserInfo, forbidden, node, rbac};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef},
    kind,
};
use serde_json::{Value, json};

/// A write that is to be checked.
pub(super) struct Write<'a> {
    pub(super) user: &'a UserInfo,
    pub(super) kind: KindRef,
    pub(super) key: &'a Key,
    pub(super) part: Subresource,
    pub(super) new: &'a Value,
    /// None for a new object.
    pub(super) old: Option<&'a Value>,
}

/// Refuses what the writer's own rights do not reach.
pub(super) fn check(authorizer: &Authorizer, write: &Write<'_>) -> Result<(), StatusError> {
    if write.user.is_master() {
        return Ok(());
    }
    let refused = |why: String| StatusError::forbidden(write.kind, &write.key.name, &why);
    let of = write.kind;
    if write.old.is_none()
        && let Some(why) = node::restricts(write.user, of.group, of.plural, write.key)
    {
        return Err(refused(why));
    }
    if let Some(node) = node::name_of(write.user)
        && let Some(why) = node_restriction::forbids(node, write)
    {
        return Err(refused(why));
    }
    if of == kind::CERTIFICATE_SIGNING_REQUEST {
        return certificate(authorizer, write).map_err(refused);
    }
    let is_role = of == kind::ROLE || of == kind::CLUSTER_ROLE;
    let is_binding = of == kind::ROLE_BINDING || of == kind::CLUSTER_ROLE_BINDING;
    if !(is_role || is_binding) || write.old.is_some_and(|old| only_collects(write.new, old)) {
        return Ok(());
    }
    if is_role {
        return role(authorizer, write).map_err(refused);
    }
    let granted = bound(authorizer, write)?;
    granted.map_or(Ok(()), |rules| {
        escalates(authorizer, write, &rules).map_err(refused)
    })
}

/// Who may patch may not thereby create: an applied object that is new needs the verb for it.
pub(super) fn may_create(
    authorizer: &Authorizer,
    user: &UserInfo,
    of: KindRef,
    key: &Key,
) -> Result<(), StatusError> {
    let asked = Attributes {
        verb: "create",
        group: of.group,
        resource: of.plural,
        namespace: &key.namespace,
        ..Attributes::default()
    };
    let decision = authorizer.decide(user, &asked);
    if decision.allowed {
        return Ok(());
    }
    Err(forbidden(user, &asked, &decision.reason))
}

/// Nothing changes but what the garbage collector needs.
fn only_collects(new: &Value, old: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        for field in [
            "ownerReferences",
            "finalizers",
            "resourceVersion",
            "managedFields",
        ] {
            super::strategy::clear(&mut value["metadata"], field);
        }
        for field in ["apiVersion", "kind"] {
            super::strategy::clear(&mut value, field);
        }
        value
    };
    bare(new) == bare(old)
}

fn rules_in(value: &Value) -> Result<Vec<PolicyRule>, String> {
    let rules = value.get("rules").cloned().unwrap_or_default();
    serde_json::from_value::<Option<Vec<PolicyRule>>>(rules)
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("the rules cannot be read: {error}"))
}

fn role(authorizer: &Authorizer, write: &Write<'_>) -> Result<(), String> {
    let asked = Attributes {
        verb: "escalate",
        group: write.kind.group,
        resource: write.kind.plural,
        namespace: &write.key.namespace,
        // As upstream: who creates has no name yet.
        name: write.old.map_or("", |_| &write.key.name),
        ..Attributes::default()
    };
    if authorizer.allows(write.user, &asked) {
        return Ok(());
    }
    let aggregates = |of: &Value| of["aggregationRule"].is_object();
    if aggregates(write.new) || write.old.is_some_and(aggregates) {
        let all = rules_in(&json!({"rules": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ]}))?;
        escalates(authorizer, write, &all).map_err(|why| {
            format!("must have cluster-admin privileges to use an aggregationRule: {why}")
        })?;
    }
    escalates(authorizer, write, &rules_in(write.new)?)
}

/// The rules that a binding grants; none when its writer may bind the role whatever is in it.
fn bound(
    authorizer: &Authorizer,
    write: &Write<'_>,
) -> Result<Option<Vec<PolicyRule>>, StatusError> {
    let Ok(role) = serde_json::from_value::<RoleRef>(write.new["roleRef"].clone()) else {
        // Validation says what is wrong with it, and lets it in nowhere.
        return Ok(None);
    };
    let resource = match role.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "Role" if write.kind.namespaced => "roles",
        _ => return Ok(None),
    };
    let namespace = &write.key.namespace;
    let asked = Attributes {
        verb: "bind",
        group: &role.api_group,
        resource,
        namespace,
        name: &role.name,
        ..Attributes::default()
    };
    if authorizer.allows(write.user, &asked) {
        return Ok(None);
    }
    authorizer
        .rules_of(&role.kind, &role.name, namespace)
        .map(Some)
}

fn escalates(
    authorizer: &Authorizer,
    write: &Write<'_>,
    wanted: &[PolicyRule],
) -> Result<(), String> {
    let (held, problems) = authorizer.rules_for(write.user, &write.key.namespace);
    let missing = rbac::missing(&held, wanted).map_err(|error| error.to_string())?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut why = rbac::escalation(write.user, &missing);
    if !problems.is_empty() {
        why.push_str("; resolution errors: ");
        why.push_str(&problems);
    }
    Err(why)
}

/// Approving and signing are for who may `approve` and `sign` for the signer.
fn certificate(authorizer: &Authorizer, write: &Write<'_>) -> Result<(), String> {
    let Some(old) = write.old else {
        return super::certificate::restrict_node(write.user, write.new);
    };
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let verb = match write.part {
        Subresource::Approval => "approve",
        Subresource::Status if write.new["status"] != old["status"] => "sign",
        _ => return Ok(()),
    };
    let domain = signer.split('/').next().unwrap_or_default();
    let may = [signer, &format!("{domain}/*")].iter().any(|name| {
        let asked = Attributes {
            verb,
            group: write.kind.group,
            resource: "signers",
            name,
            ..Attributes::default()
        };
        authorizer.allows(write.user, &asked)
    });
    if may {
        return Ok(());
    }
    Err(format!(
        "user not permitted to {verb} requests with signerName {signer:?}"
    ))
}
