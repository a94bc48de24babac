//! What a claim has got.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePersistentVolumeClaimStatusUpdate`.

use crate::{
    quantity::Quantity,
    status::Cause,
    validate::{meta, rules},
};
use serde_json::{Value, json};

const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(super) fn check(new: &Value, causes: &mut Vec<Cause>) {
    if rules::is_absent(&new["spec"]["accessModes"]) {
        // Upstream's path.
        causes.push(Cause::required("Spec.accessModes", ""));
    }
    let status = &new["status"];
    for (name, amount) in status["capacity"].as_object().into_iter().flatten() {
        valid(amount, &format!("status.capacity[{name}]"), causes);
    }
    let states = status["allocatedResourceStatuses"].as_object();
    for (name, state) in states.into_iter().flatten() {
        // Upstream's path.
        let path = "status.allocatedResourceStatus";
        resource(name, path, causes);
        if !state.as_str().is_some_and(|state| RESIZES.contains(&state)) {
            causes.push(Cause::unsupported(path, &json!(name), &RESIZES));
        }
    }
    let allocated = status["allocatedResources"].as_object();
    for (name, amount) in allocated.into_iter().flatten() {
        let path = "status.allocatedResources";
        if resource(name, path, causes) {
            valid(amount, &format!("{path}[{name}]"), causes);
        }
    }
}

fn valid(amount: &Value, path: &str, causes: &mut Vec<Cause>) {
    match Quantity::read(amount) {
        Err(error) => causes.push(Cause::invalid(path, amount, &error.to_string())),
        Ok(amount) if amount.value() < 0 => {
            let whole = i64::try_from(amount.value()).unwrap_or(i64::MIN);
            let detail = "must be a valid resource quantity";
            causes.push(Cause::invalid(path, &json!(whole), detail));
        }
        Ok(_) => {}
    }
}

/// Whether a claim may have it: storage, or something of another domain.
fn resource(name: &str, path: &str, causes: &mut Vec<Cause>) -> bool {
    let before = causes.len();
    meta::qualified_name(name, &json!(name), path, causes);
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    if causes.len() == before && is_native && name != "storage" {
        causes.push(Cause::unsupported(path, &json!(name), &["storage"]));
    }
    causes.len() == before
}
