//! What an access review asks about.
//!
//! Source: k8s.io/kubernetes `pkg/apis/authorization/validation`.

use super::rules::{label_requirement, operator};
use crate::status::Cause;
use serde_json::Value;

const PATH: &str = "spec.resourceAttributes";

/// What is wrong with the selectors of `resourceAttributes`. An operator that nobody knows is let pass: newer clients may
/// know more of them.
#[must_use]
pub fn access_selectors(attributes: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for name in ["fieldSelector", "labelSelector"] {
        let selector = &attributes[name];
        if !selector.is_object() {
            continue;
        }
        let path = format!("{PATH}.{name}");
        let raw = &selector["rawSelector"];
        let has_raw = raw.as_str().is_some_and(|raw| !raw.is_empty());
        let requirements = selector["requirements"].as_array();
        let requirements = requirements.map_or(&[][..], Vec::as_slice);
        match (has_raw, requirements.is_empty()) {
            (true, false) => causes.push(Cause::invalid(
                format!("{path}.rawSelector"),
                raw,
                "may not specified at the same time as requirements",
            )),
            (false, true) => causes.push(Cause::required(
                format!("{path}.requirements"),
                &format!("when {path} is specified, requirements or rawSelector is required"),
            )),
            _ => {}
        }
        for (index, requirement) in requirements.iter().enumerate() {
            let path = format!("{path}.requirements[{index}]");
            if name == "labelSelector" {
                let _known = operator(requirement, &path, &mut causes);
                label_requirement(requirement, &path, &mut causes);
                continue;
            }
            if requirement["key"].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(format!("{path}.key"), "must be specified"));
            }
            let _known = operator(requirement, &path, &mut causes);
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors() {
        let one = json!([{"key": "k", "operator": "In", "values": ["v"]}]);
        let field = |said: &str| format!("spec.resourceAttributes.fieldSelector.{said}");
        let label = |said: &str| format!("spec.resourceAttributes.labelSelector.{said}");
        for (selector, said) in [
            (json!({"rawSelector": "foo"}), vec![]),
            (json!({"requirements": one}), vec![]),
            (
                json!({"rawSelector": "foo", "requirements": one}),
                vec![
                    field(
                        "rawSelector: Invalid value: \"foo\": may not specified at the same time as requirements",
                    ),
                    label(
                        "rawSelector: Invalid value: \"foo\": may not specified at the same time as requirements",
                    ),
                ],
            ),
            (
                json!({}),
                vec![
                    field(
                        "requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
                    ),
                    label(
                        "requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required",
                    ),
                ],
            ),
            (
                json!({"requirements": [{"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]}, {"key": "k", "operator": "Near"}]}),
                vec![
                    field(
                        "requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    ),
                    field(
                        "requirements[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    ),
                    label(
                        "requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    ),
                    label(
                        "requirements[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    ),
                ],
            ),
        ] {
            let attributes = json!({"fieldSelector": selector, "labelSelector": selector});
            let found = access_selectors(&attributes);
            let found: Vec<String> = found
                .iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect();
            assert_eq!(found, said, "{selector}");
        }
        let nameless = json!({"fieldSelector": {"requirements": [{"operator": "Exists"}]}});
        let field = &access_selectors(&nameless)[0].field;
        assert_eq!(
            field,
            "spec.resourceAttributes.fieldSelector.requirements[0].key"
        );
        assert!(access_selectors(&json!({"labelSelector": null})).is_empty());
    }
}
