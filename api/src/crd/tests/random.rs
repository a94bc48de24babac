//! Random schemas and values: nothing panics, and what is done twice is done once.

use super::values::structural;
use crate::crd::{
    CustomVersion, Structural, definition, publish, validate_create, validate_update,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-d]",
        Just("metadata".to_owned()),
        Just("x-y.z".to_owned())
    ]
}

pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-4i64..4).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-d]{0,3}".prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn keyword() -> impl Strategy<Value = (String, Value)> {
    let pair = |name: &str, value: Value| Just((name.to_owned(), value));
    prop_oneof![
        pair("nullable", json!(true)),
        pair("minimum", json!(1)),
        pair("maximum", json!(2.5)),
        pair("multipleOf", json!(0)),
        pair("maxLength", json!(-1)),
        pair("minItems", json!(2)),
        pair("pattern", json!("^[a-c]*$")),
        pair("format", json!("date-time")),
        pair("required", json!(["a", "b"])),
        pair("enum", json!(["a", 1, null])),
        pair("x-kubernetes-list-type", json!("set")),
        pair("x-kubernetes-preserve-unknown-fields", json!(true)),
        pair("x-kubernetes-embedded-resource", json!(true)),
        pair("x-kubernetes-int-or-string", json!(true)),
        pair(
            "x-kubernetes-validations",
            json!([{"rule": "self == oldSelf"}, {"rule": "has(self.a) && self.a > 1"}])
        ),
        value().prop_map(|value| ("default".to_owned(), value)),
    ]
}

pub(super) fn schema() -> impl Strategy<Value = Value> {
    let leaf = (
        prop::sample::select(vec![
            "object", "array", "string", "integer", "number", "boolean", "",
        ]),
        prop::collection::vec(keyword(), 0..3),
    )
        .prop_map(|(kind, keywords)| {
            let mut schema: serde_json::Map<String, Value> = keywords.into_iter().collect();
            schema.insert("type".to_owned(), json!(kind));
            Value::Object(schema)
        });
    leaf.prop_recursive(4, 32, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            (
                inner.clone(),
                prop::collection::btree_map(name(), inner.clone(), 0..4)
            )
                .prop_map(|(mut schema, properties)| {
                    schema["type"] = json!("object");
                    schema["properties"] = Value::Object(properties.into_iter().collect());
                    schema
                }),
            (inner.clone(), inner.clone()).prop_map(|(mut schema, items)| {
                schema["type"] = json!("array");
                schema["items"] = items;
                schema
            }),
            (inner.clone(), inner.clone()).prop_map(|(mut schema, more)| {
                schema["additionalProperties"] = more;
                schema
            }),
            (
                inner,
                prop::sample::select(vec!["allOf", "anyOf", "oneOf"]),
                list
            )
                .prop_map(|(mut schema, junctor, list)| {
                    schema[junctor] = Value::Array(list);
                    schema
                }),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(schema in schema(), new in value(), old in value()) {
        let compiled = structural(&schema);
        let _all = (
            compiled.validate_value(&new, None),
            compiled.validate_value(&new, Some(&old)),
            compiled.validate_status(&new, Some(&old)),
            compiled.validate_lists(&new, Some(&old)),
            compiled.validate_embedded(&new),
            compiled.validate_rules(&new, None),
            compiled.validate_rules(&new, Some(&old)),
        );
    }

    #[test]
    fn pruning_is_idempotent(schema in schema(), object in value()) {
        let compiled = structural(&schema);
        let mut once = object;
        compiled.prune(&mut once);
        let mut twice = once.clone();
        prop_assert!(compiled.prune(&mut twice).is_empty());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn defaulting_is_idempotent(schema in schema(), object in value()) {
        let compiled = structural(&schema);
        let mut once = object;
        compiled.fill_defaults(&mut once).unwrap();
        let mut twice = once.clone();
        compiled.fill_defaults(&mut twice).unwrap();
        // A default that is wrong itself, which no definition may have, may take a second round.
        let is_valid = validate_create(&super::definitions::crd(&schema)).is_empty();
        let mut thrice = twice.clone();
        compiled.fill_defaults(&mut thrice).unwrap();
        prop_assert!(once == twice || !is_valid);
        prop_assert_eq!(twice, thrice);
    }

    #[test]
    fn what_stays_is_tolerated(schema in schema(), object in value()) {
        let compiled = structural(&schema);
        let causes = compiled.validate_value(&object, Some(&object));
        prop_assert!(causes.is_empty(), "{:?}", causes);
    }

    #[test]
    fn any_json_compiles_or_not(schema in value()) {
        let _any = Structural::compile(&schema);
    }

    #[test]
    fn definitions_never_panic(schema in schema(), anything in value(), object in value()) {
        let mut old = super::definitions::crd(&schema);
        let _any = validate_create(&old);
        for place in ["/spec/versions", "/spec/versions/0", "/spec/names", "/spec", "/status"] {
            let mut new = old.clone();
            *new.pointer_mut(place).unwrap() = anything.clone();
            definition::set_defaults(&mut new);
            let _any = (validate_create(&new), validate_update(&new, &old));
            definition::prepare_update(&mut new, &old);
            let _any = definition::accept_names(&new, [old.clone(), anything.clone()].iter(), "now");
            let _any = (publish::schemas(&new, "v1", ("a", "b")), publish::schemas_v2(&new, "v1", ("a", "b")));
        }
        old["spec"]["versions"][0]["additionalPrinterColumns"] = json!([{"name": "A", "type": "date", "jsonPath": ".a[*].b"}]);
        let version = CustomVersion::compile(&old, "v1").unwrap();
        let mut decoded = object.clone();
        version.decode(&mut decoded).unwrap();
        let _any = (version.validate_create(&decoded), version.validate_update(&decoded, &object));
        let _any = version.columns.cells(&object, jiff::Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn valid_schemas_have_valid_defaults(schema in schema()) {
        let crd = super::definitions::crd(&schema);
        // Most are not valid: they are passed over, not counted as rejected.
        if !validate_create(&crd).is_empty() {
            return Ok(());
        }
        let version = CustomVersion::compile(&crd, "v1").unwrap();
        let mut object = json!({"spec": schema.get("default")});
        version.decode(&mut object).unwrap();
        let mut again = object.clone();
        prop_assert!(version.decode(&mut again).unwrap().is_empty());
        prop_assert_eq!(object, again);
    }
}
