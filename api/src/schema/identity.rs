//! What an object says it is, and what upstream says where it is something else.
//!
//! Source: k8s.io/apimachinery `pkg/runtime/serializer/versioning` and `pkg/runtime`, whose words for a type that it does
//! not know, or cannot turn into the one that is wanted, are these.

use super::unstored::UNSTORED;
use crate::{
    Kind, KindRef,
    kind::{EVENTS_EVENT, KINDS},
    status::Cause,
};
use serde_json::{Value, json};

/// Group, version and kind.
pub type TypeName<'a> = (&'a str, &'a str, &'a str);

/// Why an object is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It could be turned into what is wanted, and is in the wrong place.
    Version(String),
    /// It is something else.
    Kind(String),
}

/// What an object says it is; what it leaves out is what is wanted.
#[must_use]
pub fn name_of<'a>(object: &'a Value, wanted: TypeName<'a>) -> TypeName<'a> {
    let text = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = match text("apiVersion") {
        "" => (wanted.0, wanted.1),
        said => said.split_once('/').unwrap_or(("", said)),
    };
    let kind = match text("kind") {
        "" => wanted.2,
        said => said,
    };
    (group, version, kind)
}

/// The package that has a group's types in upstream's server.
#[must_use]
pub fn go_package(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("" | "events") => "core",
        Some(package) => package,
    }
}

/// Why what is said is not what is wanted; none if it is.
#[must_use]
pub fn mismatch(said: TypeName<'_>, wanted: TypeName<'_>) -> Option<Mismatch> {
    if said == wanted {
        return None;
    }
    let (group, version, kind) = said;
    let its_version = api_version(group, version);
    if !is_type(said) {
        return Some(Mismatch::Kind(format!(
            "no kind {kind:?} is registered for version {its_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )));
    }
    let is_event = |(group, _, kind): TypeName<'_>| {
        kind == "Event" && (group.is_empty() || group == EVENTS_EVENT.group)
    };
    let is_another_version = kind == wanted.2 && group == wanted.0;
    if is_another_version || (is_event(said) && is_event(wanted)) {
        let expected = api_version(wanted.0, wanted.1);
        return Some(Mismatch::Version(format!(
            "the API version in the data ({its_version}) does not match the expected API version ({expected})"
        )));
    }
    let package = go_package(wanted.0);
    Some(Mismatch::Kind(format!(
        "converting ({version}.{kind}) to ({package}.{}): unknown conversion",
        wanted.2
    )))
}

/// Why a custom object cannot be read as one of a kind: it has to say that it is of its group and version.
///
/// Source: k8s.io/apiextensions-apiserver `pkg/apiserver/conversion/converter.go`.
#[must_use]
pub fn custom_version_mismatch(of: KindRef, object: &Value) -> Option<String> {
    let said = name_of(object, ("", "", ""));
    if (said.0, said.1) == (of.group, of.version) {
        return None;
    }
    Some(if said.0 == of.group {
        let version = api_version(said.0, said.1);
        format!("request to convert CR from an invalid group/version: {version}")
    } else {
        let (said, wanted) = (Kind::full_name(said), of.api_version());
        format!("{said} is unstructured and is not suitable for converting to {wanted:?}")
    })
}

/// What is wrong with the kind that a custom object says it is.
///
/// Source: k8s.io/apiextensions-apiserver `pkg/registry/customresource/validator.go`, `ValidateTypeMeta`.
#[must_use]
pub fn custom_kind_mismatch(of: KindRef, object: &Value) -> Option<Cause> {
    let said = object["kind"].as_str().unwrap_or_default();
    (said != of.kind).then(|| {
        let why = format!("must be {}", of.kind);
        Cause::invalid("kind", &json!(said), &why)
    })
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Kinds that every version of every group has.
const EVERYWHERE: [&str; 7] = [
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
    "WatchEvent",
];
/// Those of `v1` that are no resource.
const PLAIN: [&str; 6] = [
    "APIGroup",
    "APIGroupList",
    "APIResourceList",
    "APIVersions",
    "List",
    "Status",
];

/// Whether a built-in type has this name.
#[must_use]
pub fn is_type((group, version, kind): TypeName<'_>) -> bool {
    let all = || KINDS.iter().chain(UNSTORED);
    let has_version = all().any(|row| (row.group, row.version) == (group, version));
    let is_row = all().any(|row| {
        let of = (row.group, row.version) == (group, version);
        let is_part = row
            .subresources
            .iter()
            .any(|part| part.kind == (group, version, kind));
        (of && (row.kind == kind || row.list_name() == kind)) || is_part
    });
    is_row
        || (has_version && EVERYWHERE.contains(&kind))
        || ((group, version) == ("", "v1") && PLAIN.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_what_is_wanted() {
        let wanted = ("apps", "v1", "Deployment");
        assert_eq!(name_of(&json!({}), wanted), wanted);
        let said = json!({"apiVersion": "v1", "kind": "Pod"});
        assert_eq!(name_of(&said, wanted), ("", "v1", "Pod"));
        assert_eq!(mismatch(wanted, wanted), None);
    }

    #[test]
    fn custom_objects_say_all_of_what_they_are() {
        // Any row will do.
        let of = crate::kind::DEPLOYMENT;
        for (object, why) in [
            (json!({"apiVersion": "apps/v1"}), None),
            (
                json!({"apiVersion": "apps/v2"}),
                Some("request to convert CR from an invalid group/version: apps/v2"),
            ),
            (
                json!({"kind": "Deployment"}),
                Some(
                    "/, Kind=Deployment is unstructured and is not suitable for converting to \"apps/v1\"",
                ),
            ),
        ] {
            assert_eq!(custom_version_mismatch(of, &object).as_deref(), why);
        }
        let cause = custom_kind_mismatch(of, &json!({"kind": "Other"})).unwrap();
        assert_eq!(
            cause.message,
            "Invalid value: \"Other\": must be Deployment"
        );
        assert_eq!(
            custom_kind_mismatch(of, &json!({"kind": "Deployment"})),
            None
        );
    }

    #[test]
    fn says_what_upstream_says() {
        let version = |text: &str| Some(Mismatch::Version(text.to_owned()));
        let kind = |text: &str| Some(Mismatch::Kind(text.to_owned()));
        for (said, wanted, why) in [
            (
                ("autoscaling", "v2", "HorizontalPodAutoscaler"),
                ("autoscaling", "v1", "HorizontalPodAutoscaler"),
                version(
                    "the API version in the data (autoscaling/v2) does not match the expected API version (autoscaling/v1)",
                ),
            ),
            (
                ("events.k8s.io", "v1", "Event"),
                ("", "v1", "Event"),
                version(
                    "the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)",
                ),
            ),
            (
                ("", "v1", "Status"),
                ("", "v1", "Pod"),
                kind("converting (v1.Status) to (core.Pod): unknown conversion"),
            ),
            (
                ("apps", "v1", "DeploymentList"),
                ("rbac.authorization.k8s.io", "v1", "Role"),
                kind("converting (v1.DeploymentList) to (rbac.Role): unknown conversion"),
            ),
            (
                ("autoscaling", "v1", "Scale"),
                ("", "v1", "Pod"),
                kind("converting (v1.Scale) to (core.Pod): unknown conversion"),
            ),
            (
                ("apps", "v9", "Deployment"),
                ("apps", "v1", "Deployment"),
                kind(
                    "no kind \"Deployment\" is registered for version \"apps/v9\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
                ),
            ),
        ] {
            assert_eq!(mismatch(said, wanted), why);
        }
    }
}
