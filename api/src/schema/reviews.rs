//! Rows of kinds that are created to be answered and never stored: OpenAPI tells of them too.

use crate::Kind;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const fn review(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        plural,
        singular: "",
        short_names: &[],
        categories: &[],
        namespaced,
        verbs: &["create"],
        subresources: &[],
        generation: false,
        stored_as: ("", ""),
        deprecation: "",
        list_kind: "",
        stored_row: None,
    }
}

/// All of them.
pub(super) static REVIEWS: &[Kind] = &[
    review(
        AUTHENTICATION,
        "SelfSubjectReview",
        "selfsubjectreviews",
        false,
    ),
    review(AUTHENTICATION, "TokenReview", "tokenreviews", false),
    review(
        AUTHORIZATION,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        true,
    ),
    review(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        false,
    ),
    review(
        AUTHORIZATION,
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        false,
    ),
    review(
        AUTHORIZATION,
        "SubjectAccessReview",
        "subjectaccessreviews",
        false,
    ),
];
