//! From query parameters to what the registry is told of a write.

use super::super::{Call, error, query::Query};
use crate::registry::{Context, FieldValidation};
use coracle_api::status::StatusError;
use http::{Method, header};

/// The context of a write; its body was read before. A field that stands twice in it is treated as an
/// unknown one: refused, warned of or ignored, as the client asks.
pub(super) fn context(call: &Call) -> Result<Context, StatusError> {
    let query = &call.query;
    let options = kind_of_options(call);
    let field_validation = field_validation(query, options)?;
    let twice: Vec<String> = call
        .duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .collect();
    // Of a patch they are no object's.
    if field_validation == FieldValidation::Strict && !twice.is_empty() && options == "PatchOptions"
    {
        let list = twice.join(", ");
        return Err(error::bad_request(format!("strict decoding error: {list}")));
    }
    let (duplicates, warnings) = match field_validation {
        FieldValidation::Warn => (Vec::new(), twice),
        FieldValidation::Strict => (twice, Vec::new()),
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
    Err(error::status(
        422,
        "Invalid",
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
    ))
}

/// What `fieldManager` upstream takes when none is given: the program's name.
fn default_manager(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    let clean: String = name.chars().filter(|c| !c.is_control()).take(128).collect();
    if clean.is_empty() {
        "unknown".to_owned()
    } else {
        clean
    }
}

fn check_manager(manager: &str, options: &str) -> Result<(), StatusError> {
    if manager.chars().count() > 128 {
        return Err(invalid(
            options,
            "fieldManager: Too long: may not be more than 128 bytes".to_owned(),
        ));
    }
    if manager.chars().any(char::is_control) {
        return Err(invalid(
            options,
            format!(
                "fieldManager: Invalid value: {manager:?}: should only contain printable characters"
            ),
        ));
    }
    Ok(())
}

/// `dryRun`: absent or `All`.
fn dry_run(query: &Query, options: &str) -> Result<bool, StatusError> {
    let mut values = query
        .all("dryRun")
        .filter(|value| !value.is_empty())
        .peekable();
    let asked = values.peek().is_some();
    match values.find(|value| *value != "All") {
        Some(other) => Err(invalid(
            options,
            format!("dryRun: Unsupported value: [{other:?}]: supported values: \"All\""),
        )),
        None => Ok(asked),
    }
}

fn field_validation(query: &Query, options: &str) -> Result<FieldValidation, StatusError> {
    match query.get("fieldValidation") {
        None | Some("Warn") => Ok(FieldValidation::Warn),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some(other) => Err(invalid(
            options,
            format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \
                 \"Strict\", \"Warn\""
            ),
        )),
    }
}

fn invalid(options: &str, message: String) -> StatusError {
    error::status(
        422,
        "Invalid",
        format!("{options}.meta.k8s.io \"\" is invalid: {message}"),
    )
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
