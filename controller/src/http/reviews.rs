//! Reviews: objects that are created to be answered, and never stored.
//!
//! Who am I, may I, may they, what may I, and whose token is this.

mod access;

use super::{
    Body, Call, State, decode, error, negotiate, respond, route::RequestInfo, verbs::identity,
};
use crate::auth::{UserInfo, accounts};
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
    pub(crate) namespaced: bool,
}

const fn review(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
) -> Review {
    Review {
        group,
        version: "v1",
        plural,
        singular,
        kind,
        namespaced: false,
    }
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// All of them; discovery lists them too.
pub(crate) static REVIEWS: [Review; 6] = [
    review(
        AUTHENTICATION,
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
    ),
    review(AUTHENTICATION, "tokenreviews", "tokenreview", "TokenReview"),
    Review {
        namespaced: true,
        ..review(
            AUTHORIZATION,
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
            "LocalSubjectAccessReview",
        )
    },
    review(
        AUTHORIZATION,
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
    ),
    review(
        AUTHORIZATION,
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
    ),
    review(
        AUTHORIZATION,
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
    ),
];

/// The review of a resource.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Review> {
    REVIEWS
        .iter()
        .find(|review| (review.group, review.version, review.plural) == (group, version, plural))
}

/// Whether a group has reviews.
pub(crate) fn is_group(group: &str) -> bool {
    REVIEWS.iter().any(|review| review.group == group)
}

/// Answers one.
pub(crate) async fn answer(
    state: &State,
    review: &Review,
    info: &RequestInfo,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    if info.verb != "create" || review.namespaced == info.namespace.is_empty() {
        return Err(error::method_not_allowed());
    }
    if !info.name.is_empty() {
        return Err(error::no_such_resource());
    }
    if !negotiate::takes_untabled(call.accept()) {
        return Err(error::not_acceptable());
    }
    let body = decode::object(&mut call, review.kind).await?;
    let version = format!("{}/{}", review.group, review.version);
    identity::check_type(&body, (review.group, review.version, review.kind))?;
    if review.group == AUTHORIZATION && review.kind != "SelfSubjectRulesReview" {
        access::check_metadata(review, &body["metadata"])?;
    }
    let spec = body.get("spec").cloned().unwrap_or_default();
    let authorizer = state.registry.authorizer();
    let status = match review.kind {
        "SelfSubjectReview" => whoami(&call.user),
        "TokenReview" => token(state, &spec)?,
        "SelfSubjectRulesReview" => access::rules(authorizer, &call.user, &spec)?,
        "SelfSubjectAccessReview" => access::own(authorizer, &call.user, &spec)?,
        "LocalSubjectAccessReview" => access::local(authorizer, &info.namespace, &spec)?,
        _ => access::of_subject(authorizer, review.kind, &spec)?,
    };
    let mut answer = json!({
        "kind": review.kind,
        "apiVersion": version,
        "metadata": {"creationTimestamp": coracle_api::time(state.registry.clock().now())},
        "status": status,
    });
    match review.kind {
        "SelfSubjectReview" => {}
        "TokenReview" => answer["spec"] = token_spec(&spec),
        _ => answer["spec"] = spec,
    }
    Ok(respond::json(StatusCode::CREATED, &answer))
}

fn user_info(user: &UserInfo) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn whoami(user: &UserInfo) -> Value {
    json!({"userInfo": user_info(user)})
}

/// What was asked about a token, as it was sent; upstream's clients look for it in the answer.
fn token_spec(spec: &Value) -> Value {
    let mut told = json!({"token": spec["token"]});
    if spec["audiences"]
        .as_array()
        .is_some_and(|all| !all.is_empty())
    {
        told["audiences"] = spec["audiences"].clone();
    }
    told
}

/// Whose token it is; an unknown one is an answer, not an error.
fn token(state: &State, spec: &Value) -> Result<Value, StatusError> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(error::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let sent = spec["audiences"].as_array().map_or(&[][..], Vec::as_slice);
    let mut audiences: Vec<&str> = sent.iter().filter_map(Value::as_str).collect();
    if audiences.is_empty() {
        audiences.push(accounts::ISSUER);
    }
    Ok(match state.authenticator.user_of(token, &audiences) {
        Some((user, audiences)) => json!({
            "authenticated": true,
            "user": user_info(&user),
            "audiences": audiences,
        }),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
