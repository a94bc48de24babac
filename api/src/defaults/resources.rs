//! Lists of resources: less than a thousandth of anything counts as a thousandth.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/v1/defaults.go`, `SetDefaults_ResourceList`; where it is asked,
//! `pkg/apis/*/v1/zz_generated.defaults.go`.

use super::{each, if_map};
use crate::quantity::Quantity;
use serde_json::{Map, Value};

/// Rounds the list `name`, if it is there.
pub(super) fn round_up(map: &mut Map<String, Value>, name: &str) {
    if_map(map, name, |list| {
        for value in list.values_mut() {
            if let Some(rounded) = rounded(value) {
                *value = rounded;
            }
        }
    });
}

/// Of requirements: limits and requests.
pub(super) fn round_up_both(requirements: &mut Map<String, Value>) {
    round_up(requirements, "limits");
    round_up(requirements, "requests");
}

/// Of a pod's status: what its containers were given.
pub(super) fn given(status: &mut Map<String, Value>) {
    round_up(status, "allocatedResources");
    if_map(status, "resources", round_up_both);
    for list in [
        "initContainerStatuses",
        "containerStatuses",
        "ephemeralContainerStatuses",
    ] {
        each(status, list, |container| {
            round_up(container, "allocatedResources");
            if_map(container, "resources", round_up_both);
        });
    }
}

/// None where it has no smaller part, and where it is no quantity: others say so.
fn rounded(value: &Value) -> Option<Value> {
    let quantity = Quantity::read(value).ok()?;
    let rounded = quantity.rounded_up_to_milli();
    (rounded != quantity).then(|| rounded.to_string().into())
}
