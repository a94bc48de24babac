//! What somebody wants to do, and the refusal: worded as upstream words it, so that clients and people
//! recognise it.

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
    /// The field selector of a list or a watch.
    pub fields: &'a str,
}

/// Paths that anybody may read.
pub(crate) fn is_public(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == "/version" || under("/healthz") || under("/livez") || under("/readyz")
}

/// The refusal, in upstream's words, with what stood in the way if something did.
#[must_use]
pub fn forbidden(user: &UserInfo, attributes: &Attributes<'_>, reason: &str) -> StatusError {
    let Attributes {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        path,
        ..
    } = *attributes;
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    if resource.is_empty() {
        return StatusError::forbidden_text(format!(
            "forbidden: User {:?} cannot {verb} path {path:?}{reason}",
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
         group {group:?}{place}{reason}",
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
