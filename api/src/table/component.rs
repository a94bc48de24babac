//! Parts of the control plane, as they are printed.

use super::{Column, NAME, column};
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "string", 0).about("Status of the component conditions"),
    column("Message", "string", 0).about("Message of the component conditions"),
    column("Error", "string", 0).about("Error of the component conditions"),
];

pub(super) fn cells(object: &Value, name: Value) -> Vec<Value> {
    let conditions = object["conditions"].as_array();
    let health = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Healthy");
    let status = match health {
        Some(condition) if condition["status"] == "True" => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let said = |field: &str| {
        let text = health.and_then(|condition| condition[field].as_str());
        json!(text.unwrap_or_default())
    };
    vec![name, json!(status), said("message"), said("error")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_is_told() {
        for (conditions, expected) in [
            (
                json!([{"type": "Healthy", "status": "True", "message": "ok"}]),
                ["Healthy", "ok", ""],
            ),
            (
                json!([{"type": "Healthy", "status": "False", "message": "", "error": "gone"}]),
                ["Unhealthy", "", "gone"],
            ),
            (
                json!([{"type": "Healthy", "status": "Unknown"}]),
                ["Unhealthy", "", ""],
            ),
            (
                json!([{"type": "Other", "status": "True"}]),
                ["Unknown", "", ""],
            ),
            (Value::Null, ["Unknown", "", ""]),
        ] {
            let object = json!({"conditions": conditions});
            let cells = cells(&object, json!("a"));
            assert_eq!(cells[0], "a");
            assert_eq!(cells[1..], expected.map(|text| json!(text)), "{object}");
        }
        assert_eq!(COLUMNS.len(), 4);
    }
}
