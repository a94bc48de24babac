//! A resource of a container, as a variable or a file shows it.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateContainerResourceFieldSelector` and its divisor.

use super::{rules, text};
use crate::{quantity::Quantity, status::Cause};
use serde_json::{Value, json};

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const HUGE_PAGES: [&str; 2] = ["limits.hugepages-", "requests.hugepages-"];
const SIZES: [&str; 13] = [
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

fn is_of_huge_pages(resource: &str) -> bool {
    HUGE_PAGES.iter().any(|prefix| resource.starts_with(prefix))
}

/// The resource that is named.
pub(super) fn name(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    let asked = text(reference, "resource");
    if rules::required(reference, "resource", path, causes)
        && !RESOURCES.contains(&asked)
        && !is_of_huge_pages(asked)
    {
        let field = format!("{path}.resource");
        causes.push(Cause::unsupported(field, &json!(asked), &RESOURCES));
    }
}

/// What its number is divided by.
pub(super) fn divisor(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    let asked = text(reference, "resource");
    let divisor = &reference["divisor"];
    if divisor.is_null() {
        return;
    }
    let field = format!("{path}.divisor");
    let divisor = match Quantity::read(divisor) {
        Err(error) => {
            causes.push(Cause::invalid(field, divisor, &error.to_string()));
            return;
        }
        Ok(none) if none.milli_value() == 0 => return,
        Ok(divisor) => divisor.to_string(),
    };
    let of = match asked {
        "limits.cpu" | "requests.cpu" => {
            if !["1m", "1"].contains(&divisor.as_str()) {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                causes.push(Cause::invalid(field, &json!(asked), detail));
            }
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if is_of_huge_pages(asked) => "hugepages",
        _ => return,
    };
    if !SIZES.contains(&divisor.as_str()) {
        let sizes = SIZES.join(", ");
        let detail = format!("only divisor's values {sizes} are supported with the {of} resource");
        causes.push(Cause::invalid(field, &json!(asked), &detail));
    }
}
