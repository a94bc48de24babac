//! `serviceaccounts/token`: a token for a service account, made when it is asked for and never kept.
//!
//! Source: k8s.io/kubernetes `pkg/registry/core/serviceaccount/storage/token.go`.

use super::super::{Body, Call, State, decode, error, negotiate, respond, route::RequestInfo};
use super::options;
use crate::{
    auth::accounts::{ISSUER, Wanted},
    object::Object,
};
use coracle_api::{
    Key, StatusError,
    go::type_of,
    k8s_openapi::api::core::v1::Pod,
    kind,
    status::{Cause, Details},
};
use http::{Response, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// Seconds that a token lives where nothing is said.
const SECONDS_DEFAULT: i64 = 3600;
/// And at least.
const SECONDS_MIN: i64 = 600;
/// And at most, as upstream.
const SECONDS_MAX: i64 = 1 << 32;
/// Audiences of one token: each is signed, sent and compared with every request.
const AUDIENCES_MAX: usize = 16;
/// Of one audience: a URL.
const AUDIENCE_BYTES_MAX: usize = 256;

/// POST of a TokenRequest.
pub(super) async fn create(
    state: &State,
    info: &RequestInfo,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    if !negotiate::takes_untabled(call.accept()) {
        return Err(error::not_acceptable());
    }
    let mut body = decode::object(&mut call, "TokenRequest").await?;
    let kind_sent = body["kind"].as_str().unwrap_or_default();
    if !matches!(kind_sent, "" | "TokenRequest") {
        return Err(error::bad_request(format!(
            "the object in the body is a {kind_sent}, not a TokenRequest"
        )));
    }
    let key = Key::new(&*info.namespace, &*info.name);
    check_place(&body["metadata"], &key)?;
    let accounts = state
        .authenticator
        .accounts()
        .ok_or_else(error::no_such_resource)?;
    let context = options::context(&call)?;
    let account = state
        .registry
        .cache()
        .get(kind::SERVICE_ACCOUNT, &key)
        .ok_or_else(|| StatusError::not_found(kind::SERVICE_ACCOUNT, &info.name))?;
    check_uid(&body["metadata"], &account)?;
    let (audiences, seconds) = check(&body["spec"])?;
    let bound = bound(state, &key, &body["spec"]["boundObjectRef"])?;
    body["kind"] = json!("TokenRequest");
    body["apiVersion"] = json!("authentication.k8s.io/v1");
    body["metadata"] = json!({
        "name": key.name,
        "namespace": key.namespace,
        "uid": account.uid(),
        "creationTimestamp": coracle_api::time(state.registry.clock().now()),
    });
    body["spec"]["audiences"] = json!(audiences);
    body["spec"]["expirationSeconds"] = json!(seconds);
    if context.dry_run {
        body["status"] = json!({"token": "", "expirationTimestamp": null});
        return Ok(respond::json(StatusCode::CREATED, &body));
    }
    let wanted = Wanted {
        audiences,
        life: SignedDuration::from_secs(seconds),
        bound,
    };
    let issued = accounts
        .issue(&account, wanted)
        .map_err(|_no_randomness| StatusError::internal("failed to generate token"))?;
    body["status"] = json!({
        "token": issued.token.as_str(),
        "expirationTimestamp": coracle_api::time(issued.until),
    });
    Ok(respond::json(StatusCode::CREATED, &body))
}

/// A body may leave out for whom it is, and may not name another one.
fn check_place(meta: &Value, account: &Key) -> Result<(), StatusError> {
    let text = |field: &str| meta[field].as_str().unwrap_or_default();
    // Upstream asks this of all that is created, and only then whose token it is.
    if !text("namespace").is_empty() && text("namespace") != account.namespace {
        return Err(error::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let name = text("name");
    if name.is_empty() || name == account.name {
        return Ok(());
    }
    let detail = "must match the service account name if specified";
    let cause = Cause::invalid("metadata.name", &json!(name), detail);
    Err(refused(&account.name, vec![cause]))
}

fn check_uid(meta: &Value, account: &Object) -> Result<(), StatusError> {
    let uid = meta["uid"].as_str().unwrap_or_default();
    if uid.is_empty() || uid == account.uid() {
        return Ok(());
    }
    let name = &account.key.name;
    let message = format!(
        "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io {name:?}: the UID in the token request ({uid}) does not match the UID of the service account ({})",
        account.uid()
    );
    let mut conflict = error::status(409, "Conflict", message);
    conflict.details = Some(Box::new(Details {
        name: name.clone(),
        group: "authentication.k8s.io".to_owned(),
        kind: "TokenRequest".to_owned(),
        ..Details::default()
    }));
    Err(conflict)
}

/// The audiences and the life that are asked for.
fn check(spec: &Value) -> Result<(Vec<String>, i64), StatusError> {
    let mut causes = Vec::new();
    let seconds = match &spec["expirationSeconds"] {
        Value::Null => SECONDS_DEFAULT,
        sent => sent.as_i64().ok_or_else(|| {
            let found = type_of(sent);
            error::bad_request(format!(
                "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal {found} into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64"
            ))
        })?,
    };
    let mut invalid = |detail: &str| {
        causes.push(Cause::invalid(
            "spec.expirationSeconds",
            &spec["expirationSeconds"],
            detail,
        ));
    };
    if seconds < SECONDS_MIN {
        invalid("may not specify a duration less than 10 minutes");
    } else if seconds > SECONDS_MAX {
        invalid("may not specify a duration larger than 2^32 seconds");
    }
    let sent = spec["audiences"].as_array().map_or(&[][..], Vec::as_slice);
    let mut audiences: Vec<String> = Vec::new();
    for (index, audience) in sent.iter().take(AUDIENCES_MAX).enumerate() {
        match audience.as_str() {
            Some(text) if text.len() <= AUDIENCE_BYTES_MAX => {
                audiences.push(text.to_owned());
            }
            _ => causes.push(Cause::invalid(
                format!("spec.audiences[{index}]"),
                audience,
                &format!("must be a text of at most {AUDIENCE_BYTES_MAX} bytes"),
            )),
        }
    }
    if sent.len() > AUDIENCES_MAX {
        let detail = format!("may not be more than {AUDIENCES_MAX}");
        causes.push(Cause::invalid(
            "spec.audiences",
            &json!(sent.len()),
            &detail,
        ));
    }
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    if causes.is_empty() {
        return Ok((audiences, seconds));
    }
    Err(refused("", causes))
}

fn refused(name: &str, causes: Vec<Cause>) -> StatusError {
    let each: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    let list = match each.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let message = format!("TokenRequest.authentication.k8s.io {name:?} is invalid: {list}");
    let mut refused = error::status(422, "Invalid", message);
    refused.details = Some(Box::new(Details {
        name: name.to_owned(),
        group: "authentication.k8s.io".to_owned(),
        kind: "TokenRequest".to_owned(),
        causes,
        ..Details::default()
    }));
    refused
}

/// The object that the token shall be bound to.
fn bound(
    state: &State,
    account: &Key,
    reference: &Value,
) -> Result<Option<Arc<Object>>, StatusError> {
    if reference.is_null() {
        return Ok(None);
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (version, kind_name, name, uid) =
        (text("apiVersion"), text("kind"), text("name"), text("uid"));
    let of = match (version, kind_name) {
        ("v1" | "", "Pod") => kind::POD,
        ("v1" | "", "Secret") => kind::SECRET,
        ("v1" | "", "Node") => kind::NODE,
        _ => {
            return Err(error::bad_request(format!(
                "cannot bind token to object of type {version}, Kind={kind_name}"
            )));
        }
    };
    let namespace = if of.namespaced {
        &*account.namespace
    } else {
        ""
    };
    let object = state
        .registry
        .cache()
        .get(of, &Key::new(namespace, name))
        .ok_or_else(|| StatusError::not_found(of, name))?;
    if of == kind::POD {
        let pod = object.typed::<Pod>()?;
        let spec = pod.spec.as_ref();
        let runs_as = spec
            .and_then(|spec| spec.service_account_name.as_deref())
            .unwrap_or_default();
        if runs_as != account.name {
            return Err(error::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                account.name
            )));
        }
    }
    if !uid.is_empty() && uid != object.uid() {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(StatusError::conflict(of, name, &why));
    }
    Ok(Some(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_the_account_of_its_url() {
        let account = Key::new("a", "b");
        for meta in [
            json!(null),
            json!({"name": ""}),
            json!({"name": "b", "namespace": "a"}),
        ] {
            assert_eq!(check_place(&meta, &account), Ok(()), "{meta}");
        }
        let other = check_place(&json!({"name": "other"}), &account).unwrap_err();
        assert_eq!(
            (other.code, other.message.as_str()),
            (
                422,
                "TokenRequest.authentication.k8s.io \"b\" is invalid: metadata.name: Invalid value: \"other\": must match the service account name if specified"
            )
        );
        let elsewhere = check_place(&json!({"namespace": "other"}), &account).unwrap_err();
        assert_eq!(elsewhere.code, 400);
    }

    #[test]
    fn lives_and_audiences() {
        for (spec, fields) in [
            (json!({}), &[][..]),
            (json!({"expirationSeconds": 600}), &[]),
            (json!({"expirationSeconds": SECONDS_MAX}), &[]),
            (
                json!({"expirationSeconds": 599}),
                &["spec.expirationSeconds"],
            ),
            (
                json!({"expirationSeconds": SECONDS_MAX + 1}),
                &["spec.expirationSeconds"],
            ),
            (json!({"audiences": ["a", ""]}), &[]),
            (
                json!({"audiences": ["a".repeat(257)]}),
                &["spec.audiences[0]"],
            ),
            (json!({"audiences": vec!["a"; 17]}), &["spec.audiences"]),
        ] {
            let found = check(&spec).err().map_or_else(Vec::new, |refused| {
                let causes = refused.details.unwrap().causes;
                causes.into_iter().map(|cause| cause.field).collect()
            });
            assert_eq!(found, fields, "{spec}");
        }
        assert_eq!(check(&json!({})).unwrap(), (vec![ISSUER.to_owned()], 3600));
        let mistyped = check(&json!({"expirationSeconds": "x"})).unwrap_err();
        assert_eq!(
            (mistyped.code, mistyped.message.as_str()),
            (
                400,
                "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal string into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64"
            )
        );
        let long = check(&json!({"expirationSeconds": 1})).unwrap_err();
        assert_eq!(
            long.message,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes"
        );
    }
}
