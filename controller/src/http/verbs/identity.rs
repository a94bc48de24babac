//! What a body says it is, against what its URL says.
//!
//! Source: k8s.io/apiserver `pkg/endpoints/handlers`.

use super::super::error;
use coracle_api::{
    Kind, KindRef,
    schema::{
        Mismatch, TypeName, custom_kind_mismatch, custom_version_mismatch, mismatch, name_of,
    },
    status::StatusError,
};
use serde_json::Value;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A body may leave out what it is, and may not say something else.
pub(in crate::http) fn check_type(body: &Value, wanted: TypeName<'_>) -> Result<(), StatusError> {
    let said = name_of(body, wanted);
    match mismatch(said, wanted) {
        None => Ok(()),
        Some(Mismatch::Version(why)) => Err(error::bad_request(why)),
        Some(Mismatch::Kind(why)) => {
            let (_, version, kind) = said;
            let wanted = wanted.2;
            Err(error::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {wanted}: {why}"
            )))
        }
    }
}

/// What the body says it is must be what the URL says it is.
pub(super) fn check(
    kind: KindRef,
    body: &Value,
    namespace: &str,
    name: &str,
) -> Result<(), StatusError> {
    if !kind.is_custom() {
        check_type(body, (kind.group, kind.version, kind.kind))?;
        return check_place(kind, body, namespace, name);
    }
    if text(body, "kind").is_empty() {
        let why = format!("Object 'Kind' is missing in '{body}'");
        return Err(StatusError::unreadable(kind, &why));
    }
    if let Some(why) = custom_version_mismatch(kind, body) {
        return Err(StatusError::unreadable(kind, &why));
    }
    check_place(kind, body, namespace, name)?;
    let Some(cause) = custom_kind_mismatch(kind, body) else {
        return Ok(());
    };
    let name = text(body.get("metadata").unwrap_or(&Value::Null), "name");
    Err(StatusError::invalid(kind, name, vec![cause]))
}

/// What is applied has to say all of it.
pub(super) fn check_applied(
    kind: KindRef,
    body: &Value,
    namespace: &str,
    name: &str,
) -> Result<(), StatusError> {
    check_applied_as((kind.group, kind.version, kind.kind), body)?;
    check_place(kind, body, namespace, name)
}

/// The same of what it is alone.
pub(super) fn check_applied_as(wanted: TypeName<'_>, body: &Value) -> Result<(), StatusError> {
    let said = name_of(body, ("", "", ""));
    if said == wanted {
        return Ok(());
    }
    let said = Kind::full_name(said);
    Err(error::bad_request(format!("invalid object type: {said}")))
}

fn check_place(
    kind: KindRef,
    body: &Value,
    namespace: &str,
    name: &str,
) -> Result<(), StatusError> {
    let meta = body.get("metadata").unwrap_or(&Value::Null);
    let sent = text(meta, "namespace");
    if kind.namespaced && !sent.is_empty() && sent != namespace {
        return Err(error::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let sent = text(meta, "name");
    if !name.is_empty() && !sent.is_empty() && sent != name {
        return Err(StatusError::other_name(sent, name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::kind;
    use serde_json::json;

    #[test]
    fn a_body_for_something_else_is_refused() {
        let check = |body: Value| check(kind::DEPLOYMENT, &body, "a", "d");
        for body in [
            json!({}),
            json!({"kind": "Deployment"}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "a"}}),
        ] {
            assert_eq!(check(body), Ok(()));
        }
        let handled = "cannot be handled as a Deployment";
        for (body, said) in [
            (
                json!({"apiVersion": "v1", "kind": "Deployment"}),
                format!("Deployment in version \"v1\" {handled}: no kind \"Deployment\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
            ),
            (
                json!({"kind": "ReplicaSet"}),
                format!("ReplicaSet in version \"v1\" {handled}: converting (v1.ReplicaSet) to (apps.Deployment): unknown conversion"),
            ),
            (
                json!({"metadata": {"namespace": "b"}}),
                "the namespace of the provided object does not match the namespace sent on the request".to_owned(),
            ),
            (
                json!({"metadata": {"name": "e"}}),
                "the name of the object (e) does not match the name on the URL (d)".to_owned(),
            ),
        ] {
            let refused = check(body).unwrap_err();
            assert_eq!((refused.code, refused.message), (400, said));
        }
    }

    #[test]
    fn what_is_applied_says_what_it_is() {
        let check = |body: Value| check_applied(kind::CONFIG_MAP, &body, "a", "m");
        assert_eq!(
            check(json!({"apiVersion": "v1", "kind": "ConfigMap"})),
            Ok(())
        );
        for (body, said) in [
            (json!({}), "invalid object type: /, Kind="),
            (
                json!({"apiVersion": "v1", "kind": "Pod"}),
                "invalid object type: /v1, Kind=Pod",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "ConfigMap"}),
                "invalid object type: apps/v1, Kind=ConfigMap",
            ),
        ] {
            assert_eq!(check(body).unwrap_err().message, said);
        }
    }
}
