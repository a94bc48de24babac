//! Roles, bindings and certificate requests, as they are printed.

use super::{AGE, CREATED_AT, Column, NAME, column, human_duration, or_none, text};
use serde_json::{Value, json};

pub(super) const ROLE: &[Column] = &[NAME, CREATED_AT];
pub(super) const BINDING: &[Column] = &[
    NAME,
    column("Role", "string", 0),
    AGE,
    column("Users", "string", 1).about("Users in the roleBinding"),
    column("Groups", "string", 1).about("Groups in the roleBinding"),
    column("ServiceAccounts", "string", 1).about("ServiceAccounts in the roleBinding"),
];
pub(super) const CLUSTER_BINDING: &[Column] = &[
    NAME,
    column("Role", "string", 0),
    AGE,
    column("Users", "string", 1).about("Users in the clusterRoleBinding"),
    column("Groups", "string", 1).about("Groups in the clusterRoleBinding"),
    column("ServiceAccounts", "string", 1).about("ServiceAccounts in the clusterRoleBinding"),
];
pub(super) const CERTIFICATE_REQUEST: &[Column] = &[
    NAME,
    AGE,
    column("SignerName", "string", 0),
    column("Requestor", "string", 0),
    column("RequestedDuration", "string", 0),
    column("Condition", "string", 0),
];

pub(super) fn binding(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        text(object, "/roleRef/kind"),
        text(object, "/roleRef/name")
    );
    let subjects = |kind: &str| {
        let all = object["subjects"].as_array().into_iter().flatten();
        let names: Vec<String> = all
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| {
                let name = text(subject, "/name");
                if kind == "ServiceAccount" {
                    format!("{}/{name}", text(subject, "/namespace"))
                } else {
                    name.to_owned()
                }
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        name,
        json!(role),
        age,
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn certificate_request(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let duration = match object["spec"]["expirationSeconds"].as_i64() {
        Some(seconds) => human_duration(seconds),
        None => "<none>".to_owned(),
    };
    let has = |condition: &str| {
        let conditions = object["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == condition)
    };
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(object, "/status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    vec![
        name,
        age,
        json!(or_none(text(object, "/spec/signerName").to_owned())),
        json!(text(object, "/spec/username")),
        json!(duration),
        json!(state),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_and_requests() {
        let object = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "ann"}, {"kind": "User", "name": "bob", "namespace": "n"},
            {"kind": "ServiceAccount", "name": "robot", "namespace": "n"}]});
        let row = binding(&object, json!("b"), json!("1s"));
        assert_eq!(
            row,
            ["b", "Role/r", "1s", "ann, bob", "", "n/robot"].map(|cell| json!(cell))
        );
        for (status, shown) in [
            (json!({}), "Pending"),
            (json!({"conditions": [{"type": "Approved"}]}), "Approved"),
            (
                json!({"conditions": [{"type": "Approved"}, {"type": "Failed"}]}),
                "Approved,Failed",
            ),
            (
                json!({"conditions": [{"type": "Approved"}], "certificate": "eA=="}),
                "Approved,Issued",
            ),
            (json!({"conditions": [{"type": "Denied"}]}), "Denied"),
        ] {
            let object = json!({"spec": {"expirationSeconds": 3600}, "status": status});
            let row = certificate_request(&object, json!("c"), json!("1s"));
            assert_eq!((&row[4], &row[5]), (&json!("60m"), &json!(shown)));
            assert_eq!(row[2], "<none>");
        }
    }
}
