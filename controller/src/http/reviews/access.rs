//! May they: the answers are the authorizer's own, asked as a request would ask.
//!
//! Source: k8s.io/kubernetes `pkg/registry/authorization`, `pkg/apis/authorization/validation`.

use super::super::error;
use crate::auth::{Attributes, Authorizer, UserInfo};
use coracle_api::{StatusError, k8s_openapi::api::rbac::v1::PolicyRule};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The caller's own.
pub(super) fn own(
    authorizer: &Authorizer,
    user: &UserInfo,
    spec: &Value,
) -> Result<Value, StatusError> {
    decide(authorizer, "SelfSubjectAccessReview", user, spec)
}

/// Somebody's, within the namespace of the request.
pub(super) fn local(
    authorizer: &Authorizer,
    namespace: &str,
    spec: &Value,
) -> Result<Value, StatusError> {
    const KIND: &str = "LocalSubjectAccessReview";
    if spec["resourceAttributes"]["namespace"] != namespace {
        return Err(error::bad_request(
            "spec.resourceAttributes.namespace must match namespace",
        ));
    }
    if !spec["nonResourceAttributes"].is_null() {
        let why = "spec.nonResourceAttributes: Invalid value: disallowed on this kind of request";
        return Err(invalid(KIND, why));
    }
    of_subject(authorizer, KIND, spec)
}

/// Somebody's.
pub(super) fn of_subject(
    authorizer: &Authorizer,
    kind: &str,
    spec: &Value,
) -> Result<Value, StatusError> {
    let list = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |name: &str| spec[name].as_str().unwrap_or_default().to_owned();
    let extra = spec["extra"].as_object().into_iter().flatten();
    let user = UserInfo {
        name: text("user"),
        uid: text("uid"),
        groups: list(&spec["groups"]),
        extra: extra
            .map(|(name, values)| (name.clone(), list(values)))
            .collect::<BTreeMap<_, _>>(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "spec.user: Invalid value: \"\": at least one of user or group must be specified";
        return Err(invalid(kind, why));
    }
    decide(authorizer, kind, &user, spec)
}

fn decide(
    authorizer: &Authorizer,
    kind: &str,
    user: &UserInfo,
    spec: &Value,
) -> Result<Value, StatusError> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |name: &str| resource[name].as_str().unwrap_or_default();
    let asked = match (resource.is_null(), path.is_null()) {
        (false, true) => Attributes {
            verb: text("verb"),
            group: text("group"),
            // Nothing named is every resource, never a path.
            resource: match text("resource") {
                "" => "*",
                resource => resource,
            },
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
            fields: resource["fieldSelector"]["rawSelector"]
                .as_str()
                .unwrap_or_default(),
            path: "",
        },
        (true, false) => Attributes {
            verb: path["verb"].as_str().unwrap_or_default(),
            path: path["path"].as_str().unwrap_or_default(),
            ..Attributes::default()
        },
        _ => {
            let why = "spec: Invalid value: exactly one of nonResourceAttributes or \
                       resourceAttributes must be specified";
            return Err(invalid(kind, why));
        }
    };
    let decision = authorizer.decide(user, &asked);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    Ok(status)
}

fn invalid(kind: &str, why: &str) -> StatusError {
    let message = format!("{kind}.authorization.k8s.io \"\" is invalid: {why}");
    error::status(422, "Invalid", message)
}

/// All that the caller may in a namespace: what the roles say, and what needs none.
pub(super) fn rules(
    authorizer: &Authorizer,
    user: &UserInfo,
    spec: &Value,
) -> Result<Value, StatusError> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(error::bad_request("no namespace on request"));
    }
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    if user.is_master() {
        resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    let (of_roles, problems) = if user.is_anonymous() {
        (Vec::new(), String::new())
    } else {
        authorizer.rules_for(user, namespace)
    };
    for rule in of_roles {
        split(rule, &mut resources, &mut paths);
    }
    let public = [
        "/healthz",
        "/healthz/*",
        "/livez",
        "/livez/*",
        "/readyz",
        "/readyz/*",
        "/version",
    ];
    paths.push(json!({"verbs": ["get"], "nonResourceURLs": public}));
    // What a node has by being one is in no rule.
    let is_node = crate::auth::node::name_of(user).is_some();
    let mut status = json!({
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": is_node || !problems.is_empty(),
    });
    if is_node {
        status["evaluationError"] = json!("node authorizer does not support user rule resolution");
    } else if !problems.is_empty() {
        status["evaluationError"] = json!(problems);
    }
    Ok(status)
}

fn split(rule: PolicyRule, resources: &mut Vec<Value>, paths: &mut Vec<Value>) {
    let given = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
    if let Some(of) = given(rule.resources) {
        let mut value = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": of});
        if let Some(names) = given(rule.resource_names) {
            value["resourceNames"] = json!(names);
        }
        resources.push(value);
    }
    if let Some(urls) = given(rule.non_resource_urls) {
        paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": urls}));
    }
}
