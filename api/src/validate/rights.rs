//! Roles and bindings.
//!
//! Source: k8s.io/kubernetes `pkg/apis/rbac/validation`.

use super::{elements, meta::path_segment, rules, text};
use crate::{Kind, kind, status::Cause};
use serde_json::{Value, json};

fn has(of: &Value, name: &str) -> bool {
    of[name].as_array().is_some_and(|list| !list.is_empty())
}

pub(super) fn role(of: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    for (index, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        policy_rule(rule, of.namespaced, &format!("rules[{index}]"), causes);
    }
    let selectors = &object["aggregationRule"]["clusterRoleSelectors"];
    if object["aggregationRule"].is_object() && selectors.as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ));
    }
    let path = "aggregationRule";
    for (path, selector) in elements(&object["aggregationRule"], "clusterRoleSelectors", path) {
        rules::selector(selector, &path, causes);
    }
}

fn policy_rule(rule: &Value, namespaced: bool, path: &str, causes: &mut Vec<Cause>) {
    if !has(rule, "verbs") {
        causes.push(Cause::required(
            format!("{path}.verbs"),
            "verbs must contain at least one value",
        ));
    }
    if has(rule, "nonResourceURLs") {
        let mut invalid = |detail: &str| {
            let field = format!("{path}.nonResourceURLs");
            causes.push(Cause::invalid(field, &rule["nonResourceURLs"], detail));
        };
        if namespaced {
            invalid("namespaced rules cannot apply to non-resource URLs");
        }
        if ["apiGroups", "resources", "resourceNames"]
            .iter()
            .any(|field| has(rule, field))
        {
            invalid("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    for (field, detail) in [
        (
            "apiGroups",
            "resource rules must supply at least one api group",
        ),
        (
            "resources",
            "resource rules must supply at least one resource",
        ),
    ] {
        if !has(rule, field) {
            causes.push(Cause::required(format!("{path}.{field}"), detail));
        }
    }
}

pub(super) fn binding(of: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let role = &object["roleRef"];
    if role["apiGroup"] != kind::RBAC {
        let group = json!(text(role, "apiGroup"));
        causes.push(Cause::unsupported(
            "roleRef.apiGroup",
            &group,
            &[kind::RBAC],
        ));
    }
    let kinds: &[&str] = if of.namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&text(role, "kind")) {
        causes.push(Cause::unsupported(
            "roleRef.kind",
            &json!(text(role, "kind")),
            kinds,
        ));
    }
    let name = text(role, "name");
    if name.is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for problem in path_segment(name) {
        causes.push(Cause::invalid("roleRef.name", &json!(name), problem));
    }
    for (index, subject) in object["subjects"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        subject_of(
            subject,
            of.namespaced,
            &format!("subjects[{index}]"),
            causes,
        );
    }
}

fn subject_of(subject: &Value, namespaced: bool, path: &str, causes: &mut Vec<Cause>) {
    let at = |field: &str| format!("{path}.{field}");
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        causes.push(Cause::required(at("name"), ""));
    }
    let mut must_be_of = |wanted: &str| {
        if group != wanted {
            let cause = Cause::unsupported(at("apiGroup"), &json!(group), &[wanted]);
            causes.push(cause);
        }
    };
    match text(subject, "kind") {
        "ServiceAccount" => {
            must_be_of("");
            if !name.is_empty() && !super::is_dns_subdomain(name) {
                causes.push(Cause::invalid(
                    at("name"),
                    &json!(name),
                    super::meta::SUBDOMAIN_MESSAGE,
                ));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                causes.push(Cause::required(at("namespace"), ""));
            }
        }
        "User" | "Group" => must_be_of(kind::RBAC),
        other => causes.push(Cause::unsupported(
            at("kind"),
            &json!(other),
            &["ServiceAccount", "User", "Group"],
        )),
    }
}

/// A binding is to one role for as long as it lives.
pub(super) fn unchanged_role(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["roleRef"] != old["roleRef"] {
        causes.push(Cause::invalid(
            "roleRef",
            &new["roleRef"],
            "cannot change roleRef",
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::{KindRef, defaults, kind, validate};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(kind: KindRef, mut object: Value, expected: &[&str]) {
        object["metadata"] = json!({"name": "a:b"});
        defaults::apply(kind, &mut object);
        let found: Vec<String> = validate::create(kind, &object)
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rules() {
        let role = |rule: Value| json!({"rules": [rule]});
        let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        check(kind::ROLE, role(pods), &[]);
        check(kind::ROLE, json!({}), &[]);
        check(
            kind::ROLE,
            role(json!({})),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        );
        let path = json!({"verbs": ["get"], "nonResourceURLs": ["/x"]});
        check(kind::CLUSTER_ROLE, role(path.clone()), &[]);
        check(
            kind::ROLE,
            role(path.clone()),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        );
        let mut both = path;
        both["resources"] = json!(["pods"]);
        check(
            kind::CLUSTER_ROLE,
            role(both),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
            ],
        );
    }

    #[test]
    fn bindings() {
        let binding = |role: Value, subject: Value| json!({"roleRef": role, "subjects": [subject]});
        let view = || json!({"kind": "ClusterRole", "name": "view"});
        let ann = || json!({"kind": "User", "name": "ann"});
        let robot = json!({"kind": "ServiceAccount", "name": "robot"});
        check(kind::ROLE_BINDING, binding(view(), ann()), &[]);
        check(kind::ROLE_BINDING, binding(view(), robot.clone()), &[]);
        check(
            kind::CLUSTER_ROLE_BINDING,
            binding(view(), robot),
            &["subjects[0].namespace: Required value"],
        );
        check(
            kind::CLUSTER_ROLE_BINDING,
            binding(json!({"kind": "Role", "name": "view"}), ann()),
            &["roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""],
        );
        check(
            kind::ROLE_BINDING,
            binding(
                json!({"kind": "Role", "name": "a/b"}),
                json!({"kind": "Pod", "name": "x"}),
            ),
            &[
                "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
                "subjects[0].kind: Unsupported value: \"Pod\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            ],
        );
        let mut old = binding(view(), ann());
        old["metadata"] = json!({"name": "b"});
        defaults::apply(kind::ROLE_BINDING, &mut old);
        let mut new = old.clone();
        new["roleRef"]["name"] = json!("admin");
        let causes = validate::update(kind::ROLE_BINDING, &new, &old);
        assert_eq!(causes.len(), 1);
        assert!(causes[0].message.ends_with("cannot change roleRef"));
    }
}
