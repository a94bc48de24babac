//! Upstream's own table of estimates: each without limits in the schema, and with one.

use super::*;
use crate::crd::{Structural, validate_create};
use serde_json::{Value, json};

/// What one rule at the root of a schema costs.
#[track_caller]
fn cost(schema: &Value, rule: &str) -> u64 {
    let mut schema = schema.clone();
    schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
    // The schema stands in one, for a root is an object.
    let root = json!({"type": "object", "properties": {"p": schema}});
    let compiled = Structural::compile(&root).unwrap();
    let problems = compiled.root.properties["p"].rules[0].problems();
    assert_eq!(problems.error, None, "{rule}");
    problems.costs.unwrap().rule
}

/// Without limits, and with `limit` where the schema says `LIMIT`.
#[track_caller]
fn check(schema: &Value, rule: &str, unlimited: u64, (limit, limited): (u64, u64)) {
    let without = set_limit(schema, None);
    assert_eq!(cost(&without, rule), unlimited, "{rule} of {without}");
    let with = set_limit(schema, Some(limit));
    assert_eq!(cost(&with, rule), limited, "{rule} of {with}");
}

fn set_limit(schema: &Value, limit: Option<u64>) -> Value {
    match schema {
        Value::Object(map) => {
            let fields = map.iter().filter_map(|(name, value)| {
                let value = match (value, limit) {
                    (Value::String(text), Some(limit)) if text == "LIMIT" => json!(limit),
                    (Value::String(text), None) if text == "LIMIT" => return None,
                    (value, limit) => set_limit(value, limit),
                };
                Some((name.clone(), value))
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn of_type(name: &str) -> Value {
    match name {
        "int-or-string" => json!({"x-kubernetes-int-or-string": true}),
        "duration" | "date" | "date-time" | "byte" => json!({"type": "string", "format": name}),
        "object" => {
            let fields = json!({"required": {"type": "string"}, "optional": {"type": "string"}});
            json!({"type": "object", "required": ["required"], "properties": fields})
        }
        "numbers" => list(of_type("number")),
        "map of numbers" => map(of_type("number")),
        name => json!({"type": name}),
    }
}

fn list(items: Value) -> Value {
    json!({"type": "array", "maxItems": "LIMIT", "items": items})
}

fn map(values: Value) -> Value {
    json!({"type": "object", "maxProperties": "LIMIT", "additionalProperties": values})
}

fn text() -> Value {
    json!({"type": "string", "maxLength": "LIMIT"})
}

#[test]
fn lists_by_the_least_their_elements_take() {
    let cases = [
        ("number", "self.all(x, true)", 4_718_591, (10, 32)),
        ("string", "self.all(x, true)", 3_145_727, (20, 62)),
        ("boolean", "self.all(x, true)", 1_887_437, (5, 17)),
        ("numbers", "self.all(x, true)", 3_145_727, (100, 302)),
        ("object", "self.all(x, true)", 555_128, (50, 152)),
        ("int-or-string", "self.all(x, true)", 4_718_591, (10, 32)),
        ("duration", "self.all(x, true)", 2_359_295, (5, 17)),
        ("date", "self.all(x, true)", 725_936, (15, 47)),
        ("date-time", "self.all(x, true)", 428_963, (25, 77)),
        ("number", "self[1] == 0.0", 2, (5000, 2)),
        ("string", "self[1] == self[1]", 314_577, (8, 314_577)),
        ("int-or-string", "self[0] == 5", 3, (10, 3)),
        ("boolean", "self[0] == false", 2, (25, 2)),
        ("object", "self[0] == null", 2, (422, 2)),
        ("numbers", "self[0][0] == -1.0", 3, (51, 3)),
        (
            "map of numbers",
            "self.all(x, x.y == 25.2)",
            6_291_452,
            (12, 74),
        ),
        ("map of numbers", "self[0].x > 2.0", 4, (3000, 4)),
        ("duration", "self[0].getHours() == 2", 4, (525, 4)),
        ("date", "self[2].getDayOfMonth() == 13", 4, (42, 4)),
        ("date-time", "self[2].getMinutes() == 45", 4, (99, 4)),
        ("number", "self[3] == 0.0", 2, (0, 2)),
        (
            "number",
            "self.all(x, x == 0.0)",
            6_291_454,
            (6_291_456, 25_165_826),
        ),
    ];
    for (items, rule, unlimited, limited) in cases {
        check(&list(of_type(items)), rule, unlimited, limited);
    }
    let numbers = set_limit(&list(of_type("number")), None);
    assert!(cost(&numbers, "self.all(x, self.all(y, true))") > RULE_ESTIMATE_MAX);
    let numbers = set_limit(&list(of_type("number")), Some(10));
    assert_eq!(cost(&numbers, "self.all(x, self.all(y, true))"), 352);
    let three = "self.all(x, self.all(y, self.all(z, true)))";
    assert_eq!(cost(&numbers, three), 3552);
}

#[test]
fn maps_by_the_least_their_values_take() {
    let cases = [
        ("number", "self.all(x, true)", 1_348_169, (10, 32)),
        ("string", "self.all(x, true)", 1_179_647, (3, 11)),
        ("boolean", "self.all(x, true)", 943_718, (100, 302)),
        ("int-or-string", "self.all(x, true)", 1_348_169, (15, 47)),
        ("map of numbers", "self.all(x, true)", 1_179_647, (10, 32)),
        ("numbers", "self.all(x, true)", 1_179_647, (25, 77)),
        ("duration", "self.all(x, true)", 1_048_577, (5, 17)),
        ("date", "self.all(x, true)", 524_288, (10, 32)),
        ("date-time", "self.all(x, true)", 349_526, (25, 77)),
        ("number", "self['x'] == 0.0", 2, (0, 2)),
        ("integer", "oldSelf.size() == self.size()", 5, (10, 5)),
        ("date-time", "self['a'] == self['b']", 8, (7, 8)),
        ("duration", "self['c'] == self['d']", 8, (42, 8)),
        (
            "string",
            "self.all(x, x.contains(self[x]))",
            2_752_507,
            (10, 72),
        ),
    ];
    for (values, rule, unlimited, limited) in cases {
        check(&map(of_type(values)), rule, unlimited, limited);
    }
    let nested = list(map(of_type("object")));
    let rule = "self.all(x, x['y'].required == 'z')";
    check(&nested, rule, 7_340_027, (10, 72));
}

#[test]
fn texts_by_their_length() {
    let cases = [
        ("self.contains('test')", 314_574, (10, 5)),
        ("self.startsWith('test')", 2, (15, 2)),
        ("self.endsWith('test')", 2, (30, 2)),
        ("size(self + \"hello\") > size(\"hello\")", 314_578, (4, 7)),
        ("self.matches(\"x\")", 314_574, (50, 22)),
        ("self.matches(\"\")", 1, (100, 1)),
        ("self == \"x\"", 2, (0, 1)),
        ("self.find('[0-9]+') == ''", 629_147, (10, 11)),
        ("self.lowerAscii() == 'lower!'", 314_575, (10, 6)),
        ("isSemver(self)", 314_574, (10, 5)),
        ("isSemver(self, true)", 314_574, (10, 5)),
        ("semver(self, true).major() == 1", 314_576, (10, 7)),
        ("semver(self) == semver('1.0.0')", 314_576, (10, 7)),
        ("semver(self).isLessThan(semver('1.0.0'))", 314_576, (10, 7)),
    ];
    for (rule, unlimited, limited) in cases {
        check(&text(), rule, unlimited, limited);
    }
    let bytes = json!({"type": "string", "format": "byte", "maxLength": "LIMIT"});
    check(&bytes, "self == b'x'", 2, (0, 1));
    let mut named = text();
    named["enum"] = json!(["A", "B", "C", "LongValue"]);
    check(&named, "self.contains('A')", 2, (1000, 401));
    let texts = list(text());
    let join = "self.join(' ') == 'aa bb'";
    check(&texts, join, 329_853_068_905, (10, 43));
    let sorted = "self.isSorted() == true";
    check(&texts, sorted, 329_854_432_052, (10, 52));
    let two = json!({"type": "object", "properties": {"str": text(), "separator": text(),
        "before": {"type": "string", "maxLength": 2}, "after": {"type": "string", "maxLength": 4}}});
    let split = "self.str.split(self.separator) == []";
    check(&two, split, 629_160, (10, 22));
    let replace = "self.str.replace(self.before, self.after) == 'does not matter'";
    check(&two, replace, 629_154, (4, 12));
}

#[test]
fn loops_by_what_they_make() {
    let names =
        json!({"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 5}});
    for (rule, expected) in [
        // One element: the loop's 3 or 4, the name, and the rest.
        ("self.all(x, x == 'a')", 2 + 10 * (3 + 1 + 1)),
        ("self.exists(x, x == 'a')", 2 + 10 * (4 + 1 + 1)),
        ("self.exists_one(x, x == 'a')", 3 + 10 * (2 + 1 + 1)),
        ("self.filter(x, true).size() == 0", 1 + 11 + 10 * 13 + 1 + 1),
        ("self.map(x, x).size() == 0", 1 + 11 + 10 * 13 + 1 + 1),
        // An element of what a loop made is priced as what the rule is about: a list of ten.
        (
            "self.map(x, x).all(x, x == x)",
            1 + 11 + 10 * 13 + 1 + 10 * (3 + 2 + 1),
        ),
        ("self.exists(i, x, x == 'a')", 2 + 10 * (4 + 1 + 1)),
        ("self.sort().size() == 0", 1 + (11 + 210) + 2),
        (
            "self.map(x, 1).sort().size() == 0",
            1 + 11 + 10 * 12 + (11 + 200) + 2,
        ),
        // The list is named; its keys are made; they are compared, each with each.
        (
            "self.sortBy(x, x.size()).size() == 0",
            (10 + 1) + 1 + (1 + 11 + 10 * (2 + 12)) + (11 + 200) + 2,
        ),
        ("self.reverse().size() == 0", 1 + (11 + 10) + 2),
        ("self.distinct().size() == 0", 1 + (11 + 200) + 2),
        ("self.slice(1, 3).size() == 0", 1 + (11 + 2) + 2),
        (
            "self.slice(1, self.size()).size() == 0",
            1 + 2 + (11 + 9) + 2,
        ),
        ("lists.range(7).size() == 0", (11 + 7) + 2),
        (
            "[[self]].flatten(2).size() == 0",
            (10 + 10 + 1) + (11 + 2) + 2,
        ),
        ("self.first().hasValue()", 1 + 1 + 1),
        (
            "self.transformMapEntry(i, x, {x: i}).size() == 0",
            1 + 31 + 10 * (30 + 2 + 2) + 2,
        ),
        (
            "self.transformMap(i, x, x).size() == 0",
            1 + 31 + 10 * (1 + 3) + 2,
        ),
        (
            "self.filter(x, x in ['a', 'b']).size() > 0",
            1 + 11 + 10 * (13 + 1 + 10 + 2) + 1 + 1,
        ),
    ] {
        assert_eq!(cost(&names, rule), expected, "{rule}");
    }
}

/// What upstream takes and refuses; the first refused one is its issue 124234.
#[test]
fn messages_of_several_texts() {
    let schema = |message: &str| {
        json!({"type": "object", "properties": {
            "s": {"type": "string"},
            "short": {"type": "string", "maxLength": 10},
            "n": {"type": "integer"},
            "when": {"type": "string", "format": "date-time"},
            "any": {"x-kubernetes-int-or-string": true},
            "names": {"type": "array", "items": {"type": "string"}},
            "few": {"type": "array", "maxItems": 9, "items": {"type": "string", "maxLength": 9}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
        }, "x-kubernetes-validations": [{"rule": "true", "messageExpression": message}]})
    };
    let sum = |count: u32| -> String {
        let terms = (0..count).map(|index| format!("self.names[{index}]"));
        terms.collect::<Vec<_>>().join(" + ")
    };
    let taken = [
        "'a' + 'b' + 'c'",
        "self.s + ' is not ' + self.short + ', nor ' + self.s",
        &sum(7),
        "'not ' + string(self.any) + ' of ' + self.s",
        "string(dyn(self.n)) + '!'",
        "self.s.split('/')[1] + ' is no host'",
        "'wrong: ' + self.s.findAll('[0-9]+')[0]",
        "'%s and %d'.format([self.s, self.n])",
        "'only ' + self.few.join(', ')",
        "self.map['a'] + ' of a'",
        "(has(self.s) ? self.s : 'none') + '!'",
        "'%s exceeded max limit of %d'.format([self.s, self.n])",
        "type(self.any) == string ? 'text ' + self.s : 'a number'",
        "self.few.filter(x, x != 'a')[0] + '!'",
        "self.s.substring(1) + self.s.trim().upperAscii()",
        "quantity(self.short) == quantity('1') ? 'one' : 'other'",
    ];
    let refused_ones = [
        // As Kubernetes' own documentation has it; the text of a number has no known length.
        "\"x exceeded max limit of \" + string(self.n)",
        "'invalid attempts: ' + string(self.n)",
        "'at ' + string(self.when)",
        "string(self.s) + string(self.s)",
        "'%d'.format([self.n]) + '!'",
        &sum(8),
        "'all of ' + self.names.join(', ')",
        "self.map.a + ' of a'",
        "self.?s.orValue('') + '!'",
        "self.s.charAt(1) + '!'",
    ];
    let all = taken.iter().map(|message| (message, true));
    for (message, is_taken) in all.chain(refused_ones.iter().map(|message| (message, false))) {
        let said = refused(&schema(message));
        let is_so = if is_taken {
            said.is_empty()
        } else {
            said.first()
                .is_some_and(|said| said.contains("estimated messageExpression cost exceeds"))
        };
        assert!(is_so, "{message}: {said:?}");
    }
}

/// What is said of a definition with one rule on a property.
fn refused(property: &Value) -> Vec<String> {
    let root = json!({"type": "object", "properties": {"p": property}});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": root}}]},
        "status": {"storedVersions": ["v1"]},
    });
    let causes = validate_create(&crd).into_iter();
    let brief = |text: String| text.replace("spec.versions[0].schema.openAPIV3Schema", "ROOT");
    causes
        .map(|cause| brief(format!("{}: {}", cause.field, cause.message)))
        .collect()
}

#[test]
fn definitions_are_refused_by_what_their_rules_cost() {
    const HINT: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let rule = |rule: &str| json!([{"rule": rule}]);
    // A list of which nothing is known, in one of which something is.
    let texts = json!({"type": "array", "items": {"type": "string"},
        "x-kubernetes-validations": rule("self.all(x, x.contains('gpu'))")});
    let at = "ROOT.properties[p].x-kubernetes-validations[0].rule: Forbidden";
    assert_eq!(
        refused(&texts),
        [
            format!("{at}: estimated rule cost exceeds budget by factor of more than 100x {HINT}"),
            format!(
                "{at}: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            format!(
                "ROOT: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {HINT}"
            ),
        ]
    );
    // The largest that upstream was seen to take, and one more.
    for (length, most) in [(16, 909_090), (63, 333_333), (253, 94_339), (1024, 24_154)] {
        for (count, taken) in [(most, true), (most + 1, false)] {
            let mut texts = texts.clone();
            texts["maxItems"] = json!(count);
            texts["items"]["maxLength"] = json!(length);
            let said = refused(&texts);
            assert_eq!(said.is_empty(), taken, "{length} {count}: {said:?}");
        }
    }
    // A rule below a list counts as often as there are elements; without a limit as many as fit.
    let inner = json!({"type": "string", "maxLength": 10, "x-kubernetes-validations": rule("self.contains('a')")});
    let list = |max: Option<u64>| {
        let mut list = json!({"type": "array", "items": inner});
        if let Some(max) = max {
            list["maxItems"] = json!(max);
        }
        refused(&list)
    };
    assert!(list(None).is_empty());
    assert!(list(Some(2_000_000)).is_empty());
    let said = list(Some(2_500_000));
    assert!(
        said[0].contains("ROOT.properties[p].items.x-kubernetes-validations[0].rule"),
        "{said:?}"
    );
    assert!(said[0].contains("by factor of 1.250000x"), "{said:?}");
    assert!(list(Some(6_400_000))[0].contains("by factor of 3.2x"));
    // A message is priced once.
    let message = json!({"type": "string", "x-kubernetes-validations": [
        {"rule": "true", "messageExpression": "'a' + self.replace('', self) + string(1)"},
    ]});
    let said = refused(&message);
    assert!(
        said[0].contains("x-kubernetes-validations[0].messageExpression"),
        "{said:?}"
    );
    assert!(
        said[0].contains("estimated messageExpression cost exceeds"),
        "{said:?}"
    );
}
