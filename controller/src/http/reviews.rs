//! Reviews: objects that are created to be answered, and never stored.
//!
//! `SelfSubjectReview` (kubectl auth whoami), `SelfSubjectAccessReview` and `SelfSubjectRulesReview`
//! (kubectl auth can-i).

use super::{Body, Call, State, decode, error, respond};
use crate::auth::{self, Attributes, UserInfo};
use coracle_api::status::StatusError;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// A kind that is served and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Review {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
}

/// All of them; discovery lists them too.
pub(crate) static REVIEWS: [Review; 3] = [
    Review {
        group: "authentication.k8s.io",
        version: "v1",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        kind: "SelfSubjectReview",
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        kind: "SelfSubjectAccessReview",
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        kind: "SelfSubjectRulesReview",
    },
];

/// The review of a resource.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Review> {
    REVIEWS
        .iter()
        .find(|review| (review.group, review.version, review.plural) == (group, version, plural))
}

/// Answers one.
pub(crate) async fn answer(
    state: &State,
    review: &Review,
    verb: &str,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    if verb != "create" {
        return Err(error::method_not_allowed());
    }
    let body = decode::object(&mut call).await?;
    let sent = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    if !sent("kind").is_empty() && sent("kind") != review.kind {
        return Err(error::bad_request(format!(
            "the API version in the data ({}) does not match the expected kind ({})",
            sent("kind"),
            review.kind
        )));
    }
    let (spec, status) = match review.kind {
        "SelfSubjectReview" => (None, whoami(&call.user)),
        "SelfSubjectAccessReview" => {
            let spec = body.get("spec").cloned().unwrap_or_default();
            let status = access(&call.user, &spec)?;
            (Some(spec), status)
        }
        _ => (body.get("spec").cloned(), rules(&call.user)),
    };
    let mut answer = json!({
        "kind": review.kind,
        "apiVersion": format!("{}/{}", review.group, review.version),
        "metadata": {"creationTimestamp": state.registry.clock().now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
        "status": status,
    });
    if let Some(spec) = spec {
        answer["spec"] = spec;
    }
    Ok(respond::json(StatusCode::CREATED, &answer))
}

fn whoami(user: &UserInfo) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    json!({"userInfo": info})
}

fn access(user: &UserInfo, spec: &Value) -> Result<Value, StatusError> {
    let text = |part: &'_ Value, name: &str| {
        part.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (resource, path) = (
        spec.get("resourceAttributes"),
        spec.get("nonResourceAttributes"),
    );
    let allowed = match (resource, path) {
        (Some(part), None) => {
            let asked = [
                "verb",
                "group",
                "resource",
                "subresource",
                "namespace",
                "name",
            ]
            .map(|name| text(part, name));
            let [verb, group, resource, subresource, namespace, name] = &asked;
            let attributes = Attributes {
                verb,
                group,
                resource,
                subresource,
                namespace,
                name,
                path: "",
            };
            auth::allowed(user, &attributes)
        }
        (None, Some(part)) => {
            let (verb, path) = (text(part, "verb"), text(part, "path"));
            let attributes = Attributes {
                verb: &verb,
                path: &path,
                ..Attributes::default()
            };
            auth::allowed(user, &attributes)
        }
        _ => {
            return Err(error::status(
                422,
                "Invalid",
                "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec: Invalid value: \
                 exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
    };
    let mut status = json!({"allowed": allowed});
    if !allowed {
        status["reason"] = json!("only the group system:masters may use this API");
    }
    Ok(status)
}

fn rules(user: &UserInfo) -> Value {
    let (resources, paths) = if user.is_master() {
        let every = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        (every, json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]))
    } else {
        let public = ["/healthz", "/livez", "/readyz", "/version"];
        (
            json!([]),
            json!([{"verbs": ["get"], "nonResourceURLs": public}]),
        )
    };
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}
