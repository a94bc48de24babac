//! Names and finalizers of all kinds.

use super::*;

const NEITHER: &str = "name is neither a standard finalizer name nor is it fully qualified";

fn held(finalizers: Value) -> Value {
    json!({"metadata": {"finalizers": finalizers}})
}

fn said(causes: Vec<Cause>) -> Vec<String> {
    let words = |cause: Cause| format!("{}: {}", cause.field, cause.message);
    causes.into_iter().map(words).collect()
}

#[test]
fn finalizers_are_known_or_of_a_domain() {
    let well = json!(["kubernetes", "orphan", "x.io/f"]);
    check(kind::CONFIG_MAP, held(well), &[]);
    let nope = format!("metadata.finalizers[1]: Invalid value: \"nope\": {NEITHER}");
    check(kind::CONFIG_MAP, held(json!(["x.io/f", "nope"])), &[&nope]);
    let both = held(json!(["orphan", "foregroundDeletion"]));
    check(
        kind::CONFIG_MAP,
        both,
        &[
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ],
    );
    // Where a kind's own rules say nothing of its metadata, any qualified name will do.
    for kind in [
        kind::LEASE,
        kind::POD_DISRUPTION_BUDGET,
        kind::CUSTOM_RESOURCE_DEFINITION,
    ] {
        let mut object = held(json!(["nope"]));
        object["metadata"]["name"] = json!("a");
        let said = said(create(kind, &object));
        assert!(
            !said.iter().any(|said| said.ends_with(NEITHER)),
            "{}: {said:?}",
            kind.kind
        );
    }
}

/// What an older version took is no reason to refuse everything else.
#[test]
fn a_finalizer_that_is_there_may_stay() {
    let named = |finalizers: Value| {
        let mut map = held(finalizers);
        map["metadata"]["name"] = json!("a");
        map
    };
    let old = named(json!(["nope"]));
    let mut new = named(json!(["x.io/f", "nope"]));
    assert_eq!(update(kind::CONFIG_MAP, &new, &old), []);
    new["metadata"]["finalizers"] = json!(["nope", "other"]);
    let other = format!("metadata.finalizers[1]: Invalid value: \"other\": {NEITHER}");
    assert_eq!(said(update(kind::CONFIG_MAP, &new, &old)), [other]);
}

#[test]
fn finalizers_of_a_namespace() {
    let space =
        |finalizers: Value| json!({"metadata": {"name": "a"}, "spec": {"finalizers": finalizers}});
    check(kind::NAMESPACE, space(json!(["kubernetes", "x.io/f"])), &[]);
    let new = format!("spec.finalizers: Invalid value: \"x\": {NEITHER}");
    check(kind::NAMESPACE, space(json!(["x"])), &[&new]);
    let (old, now) = (
        space(json!(["kubernetes"])),
        space(json!(["kubernetes", "x"])),
    );
    let written = format!("spec.finalizers[1]: Invalid value: \"x\": {NEITHER}");
    assert_eq!(said(finalize(kind::NAMESPACE, &now, &old)), [written]);
    assert_eq!(finalize(kind::NAMESPACE, &now, &now), []);
}

#[test]
fn what_names_are_made_from() {
    let made = |base: &str| json!({"metadata": {"name": "a", "generateName": base}});
    // The letter before the dash is not looked at, as upstream.
    for (kind, well) in [
        (kind::CONFIG_MAP, &["a-", "a.b-", "a", ""][..]),
        (kind::ROLE, &["A_", "a:", "."][..]),
        (kind::SERVICE, &["a-", "1-"][..]),
    ] {
        for base in well {
            let said = said(create(kind, &made(base)));
            let of_base = said
                .iter()
                .find(|said| said.starts_with("metadata.generate"));
            assert_eq!(of_base, None, "{base}");
        }
    }
    for (kind, base) in [
        (kind::CONFIG_MAP, "A_"),
        (kind::CONFIG_MAP, "-"),
        (kind::CONFIG_MAP, "a/"),
        (kind::ROLE, "a/"),
        (kind::SERVICE, "1a-"),
        (kind::NAMESPACE, "a.b-"),
    ] {
        let causes = create(kind, &made(base));
        let of_base = causes
            .iter()
            .find(|cause| cause.field == "metadata.generateName");
        assert!(of_base.is_some(), "{} {base}: {causes:?}", kind.kind);
    }
    let old = made("A_");
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(kind::CONFIG_MAP, &new, &old), []);
}
