//! Every wildcard, what is covered by what, and the words of a refusal.

use super::*;
use serde_json::{Value, json};

fn rule(value: Value) -> PolicyRule {
    serde_json::from_value(value).unwrap()
}

/// `verb group resource subresource name`, a dash for none; or `verb /path`.
fn asked(text: &'static str) -> Attributes<'static> {
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| if word == "-" { "" } else { word })
        .collect();
    match words[..] {
        [verb, path] => Attributes {
            verb,
            path,
            ..Attributes::default()
        },
        [verb, group, resource, subresource, name] => Attributes {
            verb,
            group,
            resource,
            subresource,
            name,
            ..Attributes::default()
        },
        _ => panic!("{text}"),
    }
}

#[track_caller]
fn check(of: &Value, allowed: &[&'static str], refused: &[&'static str]) {
    let of = rule(of.clone());
    for text in allowed {
        assert!(allows(&of, &asked(text)), "{text} is refused");
    }
    for text in refused {
        assert!(!allows(&of, &asked(text)), "{text} is allowed");
    }
}

#[test]
fn rules_allow_what_they_name() {
    check(
        &json!({"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"]}),
        &[
            "get - pods - a",
            "list - pods - -",
            "get apps pods - a",
            "get apps deployments scale d",
        ],
        &[
            "delete - pods - a",
            "get - pods log a",
            "get batch pods - a",
            "get apps deployments - d",
            "get - podsx - a",
            "get /pods",
        ],
    );
    check(
        &json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}),
        &["get - pods - a", "whatever - pods - a"],
        &["get - pods log a", "get apps pods - a"],
    );
    check(
        &json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["pods"]}),
        &["get - pods - a", "get x.y pods - a"],
        &["list - pods - -"],
    );
    check(
        &json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*"]}),
        &["get - pods - a", "get - pods log a", "get - secrets - s"],
        &["get apps deployments - d", "get /anything"],
    );
    check(
        &json!({"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]}),
        &["update apps deployments scale d", "update - x scale d"],
        &[
            "update apps deployments - d",
            "update apps deployments status d",
            "update apps deployments downscale d",
        ],
    );
    // A star is a whole segment or nothing.
    check(
        &json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/*", "po*"]}),
        &[],
        &["get - pods log a", "get - pods - a"],
    );
}

#[test]
fn names_narrow_a_rule() {
    check(
        &json!({"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a", "b"]}),
        &["get - configmaps - a", "list - configmaps - b"],
        &[
            "get - configmaps - c",
            "list - configmaps - -",
            "create - configmaps - -",
        ],
    );
}

#[test]
fn paths() {
    let of = |urls: &[&str]| json!({"verbs": ["get"], "nonResourceURLs": urls});
    check(
        &of(&["*"]),
        &["get /a/b", "get /"],
        &["post /a", "get - pods - a"],
    );
    check(&of(&["/a"]), &["get /a"], &["get /a/b", "get /ab", "get /"]);
    check(
        &of(&["/a/*", "/b*"]),
        &["get /a/", "get /a/b/c", "get /b", "get /bc"],
        &["get /a", "get /c"],
    );
    // Within a path it is a letter.
    check(&of(&["/a/*/c"]), &["get /a/*/c"], &["get /a/b/c"]);
    // A rule for a path never says something of a resource, nor the other way.
    check(
        &json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        &["get - pods - a"],
        &["get /healthz"],
    );
}

#[track_caller]
fn lacks(held: &Value, wanted: &Value, expected: &[&str]) {
    let rules =
        |value: &Value| -> Vec<PolicyRule> { serde_json::from_value(value.clone()).unwrap() };
    let found = missing(&rules(held), &rules(wanted)).unwrap();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_covered() {
    let pods = |verbs: &[&str]| json!([{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]);
    let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]);
    lacks(&pods(&["get", "list"]), &pods(&["get"]), &[]);
    lacks(&all, &pods(&["get", "anything"]), &[]);
    lacks(&all, &all, &[]);
    lacks(
        &pods(&["get"]),
        &pods(&["get", "list", "watch"]),
        &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#],
    );
    // Two rules together, each permission by one of them.
    lacks(
        &json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]),
        &pods(&["get", "list"]),
        &[],
    );
    lacks(
        &pods(&["get", "list"]),
        &all,
        &[
            r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#,
            r#"{NonResourceURLs:["*"], Verbs:["*"]}"#,
        ],
    );
}

#[test]
fn what_is_covered_of_names_subresources_and_paths() {
    let named = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}]);
    let every = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    lacks(&every, &named, &[]);
    lacks(&named, &named, &[]);
    lacks(
        &named,
        &every,
        &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
    );
    lacks(
        &json!([]),
        &named,
        &[r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get"]}"#],
    );
    let scale = |resource: &str| json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": [resource]}]);
    lacks(&scale("*/scale"), &scale("deployments/scale"), &[]);
    lacks(
        &scale("*/scale"),
        &scale("deployments"),
        &[r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}"#],
    );
    lacks(
        &scale("deployments"),
        &scale("deployments/scale"),
        &[r#"{APIGroups:["apps"], Resources:["deployments/scale"], Verbs:["get"]}"#],
    );
    let path = |url: &str| json!([{"verbs": ["get"], "nonResourceURLs": [url]}]);
    lacks(&path("/a/*"), &path("/a/b"), &[]);
    lacks(&path("/a/*"), &path("/a/b/*"), &[]);
    lacks(
        &path("/a/b"),
        &path("/a/*"),
        &[r#"{NonResourceURLs:["/a/*"], Verbs:["get"]}"#],
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let many: Vec<String> = (0..PERMISSIONS_MAX).map(|n| n.to_string()).collect();
    let huge =
        rule(json!({"verbs": many, "apiGroups": many, "resources": many, "resourceNames": many}));
    assert_eq!(missing(&[], &[huge]), Err(TooMany));
    let fits = rule(json!({"verbs": many, "apiGroups": ["a"], "resources": ["b"]}));
    assert!(missing(&[], std::slice::from_ref(&fits)).is_ok());
    assert_eq!(missing(&[], &[fits.clone(), fits.clone()]), Err(TooMany));
    let held = vec![fits.clone(); 3];
    assert_eq!(missing(&held, &[fits]), Err(TooMany));
}

#[test]
fn the_refusal_is_upstreams() {
    let user = UserInfo::new("ann", ["dev".to_owned()]);
    let wanted =
        rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}));
    let missing = missing(&[], &[wanted]).unwrap();
    assert_eq!(
        escalation(&user, &missing),
        "user \"ann\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not \
         currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
    );
}
