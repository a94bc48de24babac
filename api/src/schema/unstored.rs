//! Rows of kinds that are answered and never stored: OpenAPI tells of them too.

use crate::{Kind, KindRef};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const BASE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    generation: false,
    stored_as: ("", ""),
    deprecation: "",
    list_kind: "",
    stored_row: None,
};

const fn review(group: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group,
        kind,
        plural,
        ..BASE
    }
}

/// All of them.
pub(super) static UNSTORED: &[Kind] = &[
    Kind {
        kind: "Binding",
        plural: "bindings",
        singular: "binding",
        namespaced: true,
        ..BASE
    },
    Kind {
        kind: "ComponentStatus",
        plural: "componentstatuses",
        singular: "componentstatus",
        short_names: &["cs"],
        verbs: &["get", "list"],
        deprecation: "v1 ComponentStatus is deprecated in v1.19+",
        ..BASE
    },
    review(AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews"),
    review(AUTHENTICATION, "TokenReview", "tokenreviews"),
    Kind {
        namespaced: true,
        ..review(
            AUTHORIZATION,
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
        )
    },
    review(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
    ),
    review(
        AUTHORIZATION,
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
    ),
    review(AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews"),
];

/// Where a pod shall run: created, and done at once.
pub static BINDING: KindRef = &UNSTORED[0];
/// How a part of the control plane does: told when it is asked for.
pub static COMPONENT_STATUS: KindRef = &UNSTORED[1];
