//! From query parameters to what the registry is told of a write.

use super::super::{Call, query::Query};
use crate::registry::{Context, FieldValidation};
use coracle_api::status::{Cause, StatusError};
use http::{Method, header};
use serde_json::json;

/// As upstream limits it.
const MANAGER_BYTES_MAX: usize = 128;

/// The context of a write; its body was read before. A field that stands twice in it is treated as an
/// unknown one: refused, warned of or ignored, as the client asks.
pub(super) fn context(call: &Call) -> Result<Context, StatusError> {
    let query = &call.query;
    let options = kind_of_options(call);
    let field_validation = field_validation(query, options)?;
    let (duplicates, warnings) = match field_validation {
        FieldValidation::Warn => (Vec::new(), call.duplicates.warnings()),
        FieldValidation::Strict => (call.duplicates.errors(), Vec::new()),
        FieldValidation::Ignore => (Vec::new(), Vec::new()),
    };
    let manager = match query.get("fieldManager") {
        Some(manager) => {
            check_manager(manager, options)?;
            manager.to_owned()
        }
        None => default_manager(call.header(header::USER_AGENT)),
    };
    Ok(Context {
        user: call.user.clone(),
        field_manager: Some(manager),
        dry_run: dry_run(query, options)?,
        in_memory: false,
        field_validation,
        duplicates,
        warnings: parking_lot::Mutex::new(warnings),
    })
}

/// What upstream calls the options of this request.
fn kind_of_options(call: &Call) -> &'static str {
    match call.parts.method {
        Method::PUT => "UpdateOptions",
        Method::PATCH => "PatchOptions",
        Method::DELETE => "DeleteOptions",
        _ => "CreateOptions",
    }
}

/// Who applies has to say who they are.
pub(super) fn require_manager(call: &Call) -> Result<(), StatusError> {
    if call
        .query
        .get("fieldManager")
        .is_some_and(|manager| !manager.is_empty())
    {
        return Ok(());
    }
    let cause = Cause::required("fieldManager", "is required for apply patch");
    Err(StatusError::invalid_options("PatchOptions", vec![cause]))
}

/// What `fieldManager` upstream takes when none is given: the program's name.
fn default_manager(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MANAGER_BYTES_MAX)
        .collect();
    if clean.is_empty() {
        "unknown".to_owned()
    } else {
        clean
    }
}

/// Source: k8s.io/apimachinery `pkg/apis/meta/v1/validation`.
fn check_manager(manager: &str, options: &str) -> Result<(), StatusError> {
    let path = "fieldManager";
    let mut causes = Vec::new();
    if manager.len() > MANAGER_BYTES_MAX {
        causes.push(Cause::too_long(path, MANAGER_BYTES_MAX));
    }
    let strange = manager.char_indices().find(|(_, c)| c.is_control());
    if let Some((at, c)) = strange {
        let why = format!(
            "invalid character U+{:04X} (at position {at})",
            u32::from(c)
        );
        causes.push(Cause::invalid(path, &json!(manager), &why));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid_options(options, causes))
}

/// `dryRun`: absent or `All`.
fn dry_run(query: &Query, options: &str) -> Result<bool, StatusError> {
    let values: Vec<&str> = query
        .all("dryRun")
        .filter(|value| !value.is_empty())
        .collect();
    if let Some(cause) = wrong_dry_run(&values) {
        return Err(StatusError::invalid_options(options, vec![cause]));
    }
    Ok(!values.is_empty())
}

/// What is wrong with the values of `dryRun`.
pub(super) fn wrong_dry_run(values: &[&str]) -> Option<Cause> {
    let is_known = values.iter().all(|value| *value == "All");
    (!is_known).then(|| Cause::unsupported("dryRun", &json!(values), &["All"]))
}

fn field_validation(query: &Query, options: &str) -> Result<FieldValidation, StatusError> {
    match query.get("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some(other) => {
            // With the empty one, as upstream has it.
            let known = ["", "Ignore", "Strict", "Warn"];
            let cause = Cause::unsupported("fieldValidation", &json!(other), &known);
            Err(StatusError::invalid_options(options, vec![cause]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        assert!(dry_run(&Query::parse("dryRun=All"), "CreateOptions").unwrap());
        assert!(!dry_run(&Query::parse("dryRun="), "CreateOptions").unwrap());
        assert!(dry_run(&Query::parse("dryRun=Some"), "CreateOptions").is_err());
        assert!(
            field_validation(&Query::parse("fieldValidation=Sometimes"), "PatchOptions").is_err()
        );
        assert_eq!(default_manager("kubectl/v1.35.0 (linux/amd64)"), "kubectl");
        assert_eq!(default_manager(""), "unknown");
        assert!(check_manager(&"x".repeat(129), "PatchOptions").is_err());
    }
}
