//! May they: the answers are the authorizer's own, asked as a request would ask.
//!
//! Source: k8s.io/kubernetes `pkg/registry/authorization`, `pkg/apis/authorization/validation`.

use super::Review;
use crate::auth::{Attributes, Authorizer, UserInfo};
use coracle_api::{
    StatusError, k8s_openapi::api::rbac::v1::PolicyRule, status::Cause, validate::access_selectors,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Nothing is said of a review: it is not stored. Its namespace is that of the request.
pub(super) fn check_metadata(review: &Review, metadata: &Value) -> Result<(), StatusError> {
    let is_said = |(name, value): (&String, &Value)| {
        !matches!(name.as_str(), "namespace" | "managedFields") && !is_empty(value)
    };
    if !metadata
        .as_object()
        .is_some_and(|map| map.iter().any(is_said))
    {
        return Ok(());
    }
    let why = match review.namespaced {
        true => "must be empty except for namespace",
        false => "must be empty",
    };
    let causes = vec![Cause::invalid("metadata", metadata, why)];
    check(review.kind, causes)
}

/// Whether Go takes a value for one that was left out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(_) => false,
    }
}

/// The caller's own.
pub(super) fn own(
    authorizer: &Authorizer,
    user: &UserInfo,
    spec: &Value,
) -> Result<Value, StatusError> {
    const KIND: &str = "SelfSubjectAccessReview";
    let mut causes = attributes(spec);
    causes.extend(access_selectors(&spec["resourceAttributes"]));
    check(KIND, causes)?;
    decide(authorizer, KIND, user, spec)
}

/// Somebody's, within the namespace of the request.
pub(super) fn local(
    authorizer: &Authorizer,
    namespace: &str,
    spec: &Value,
) -> Result<Value, StatusError> {
    const KIND: &str = "LocalSubjectAccessReview";
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut causes = Vec::new();
    if !resource.is_null() && resource["namespace"] != namespace {
        let field = "spec.resourceAttributes.namespace";
        let sent = json!(resource["namespace"].as_str().unwrap_or_default());
        causes.push(Cause::invalid(
            field,
            &sent,
            "must match metadata.namespace",
        ));
    }
    if !path.is_null() {
        let why = "disallowed on this kind of request";
        causes.push(Cause::invalid("spec.nonResourceAttributes", path, why));
    }
    check(KIND, causes)?;
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
    let mut causes = attributes(spec);
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", &json!(""), why));
    }
    causes.extend(access_selectors(&spec["resourceAttributes"]));
    check(kind, causes)?;
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
        _ => return Err(invalid(kind, attributes(spec))),
    };
    let decision = authorizer.decide(user, &asked);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    Ok(status)
}

/// What is asked is about a resource or about a path.
fn attributes(spec: &Value) -> Vec<Cause> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let (field, why) = match (resource.is_null(), path.is_null()) {
        (true, true) => (
            "spec.resourceAttributes",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (false, false) => (
            "spec.nonResourceAttributes",
            "cannot be specified in combination with resourceAttributes",
        ),
        _ => return Vec::new(),
    };
    vec![Cause::invalid(field, path, why)]
}

fn check(kind: &str, causes: Vec<Cause>) -> Result<(), StatusError> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(invalid(kind, causes))
}

fn invalid(kind: &str, causes: Vec<Cause>) -> StatusError {
    StatusError::invalid_part(("authorization.k8s.io", kind), "", causes)
}

/// All that the caller may in a namespace: what the roles say, and what needs none.
pub(super) fn rules(
    authorizer: &Authorizer,
    user: &UserInfo,
    spec: &Value,
) -> Result<Value, StatusError> {
    let namespace = spec["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(StatusError::bad_request("no namespace on request"));
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
