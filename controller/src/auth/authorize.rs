//! The authorizer: members of `system:masters` may do everything, everybody else nothing.
//!
//! What it answers is worded as upstream words it, so that clients and people recognise it.

use super::UserInfo;
use coracle_api::status::{Details, StatusError};

/// What a request wants to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `get`, `list`, `create`, ...
    pub verb: &'a str,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural, empty for a path that is no resource.
    pub resource: &'a str,
    /// `status`, `log`, ... or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Object, or empty.
    pub name: &'a str,
    /// The path of a request that is no resource.
    pub path: &'a str,
}

/// Whether `user` may do it.
#[must_use]
pub fn allowed(user: &UserInfo, attributes: &Attributes<'_>) -> bool {
    user.is_master() || (attributes.resource.is_empty() && is_public(attributes.path))
}

/// Paths that anybody may read.
fn is_public(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == "/version" || under("/healthz") || under("/livez") || under("/readyz")
}

/// The refusal, in upstream's words.
#[must_use]
pub fn forbidden(user: &UserInfo, attributes: &Attributes<'_>) -> StatusError {
    let Attributes {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        path,
    } = *attributes;
    if resource.is_empty() {
        return StatusError::forbidden_text(format!(
            "forbidden: User {:?} cannot {verb} path {path:?}",
            user.name
        ));
    }
    let mut full = resource.to_owned();
    if !subresource.is_empty() {
        full = format!("{resource}/{subresource}");
    }
    let place = if namespace.is_empty() {
        " at the cluster scope".to_owned()
    } else {
        format!(" in the namespace {namespace:?}")
    };
    let group_resource = if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    };
    let object = if name.is_empty() {
        String::new()
    } else {
        format!(" {name:?}")
    };
    let message = format!(
        "{group_resource}{object} is forbidden: User {:?} cannot {verb} resource {full:?} in API \
         group {group:?}{place}",
        user.name
    );
    let mut error = StatusError::forbidden_text(message);
    error.details = Some(Box::new(Details {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: resource.to_owned(),
        ..Details::default()
    }));
    error
}
