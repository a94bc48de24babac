//! Tables of expressions: what they give, what is refused, what they cost.

use crate::crd::{Structural, tests::values::causes_are};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A schema with what the expressions below look at.
fn schema(rules: &Value) -> Value {
    json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
        "n": {"type": "integer"},
        "d": {"type": "number"},
        "s": {"type": "string"},
        "b": {"type": "boolean"},
        "any": {"x-kubernetes-int-or-string": true},
        "when": {"type": "string", "format": "date-time"},
        "long": {"type": "string", "format": "duration"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "names": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "x-y": {"type": "object", "properties": {"namespace": {"type": "string"}}},
        "objects": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
            "type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        }},
    }})
}

fn object() -> Value {
    json!({
        "apiVersion": "a/v1", "kind": "K", "metadata": {"name": "me"},
        "n": 5, "d": 2, "s": "hello", "b": true, "any": "50%",
        "when": "2024-02-29T12:30:00Z", "long": "1h30m",
        "list": [1, 2, 3], "names": ["a", "b"], "set": ["x", "y"], "map": {"one": 1, "two": 2},
        "x-y": {"namespace": "ns"},
        "objects": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
    })
}

fn run(rule: &str) -> Vec<String> {
    let compiled = Structural::compile(&schema(&json!([{"rule": rule}]))).unwrap();
    let causes = compiled.validate_rules(&object(), None);
    causes.into_iter().map(|cause| cause.message).collect()
}

/// As deep as a rule may be, on the stack of the program's threads (`cli/src/main.rs`).
#[test]
fn the_deepest_rules_fit_a_thread() {
    let nested = |open: &str, inner: &str, close: &str| {
        let most = super::EXPRESSION_DEPTH_MAX - 1;
        format!("{}{inner}{}", open.repeat(most), close.repeat(most))
    };
    let rules = [
        nested("(", "true", ")"),
        nested("string(", "1", ")"),
        nested("{'a': ", "1", "}"),
        nested("[", "1", "]"),
        nested("self.list.all(x, ", "true", ")"),
        nested("true ? ", "true", ": true"),
    ];
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    let run_all = move || rules.map(|rule| run(&rule));
    let causes = thread.spawn(run_all).unwrap().join().unwrap();
    assert_eq!(causes[0], [""; 0]);
}

#[test]
fn what_holds() {
    let rules = [
        // Operators and literals.
        "1 + 2 * 3 == 7 && 7 % 4 == 3 && -self.n == -5",
        "self.d == 2.0 && self.d / 4.0 == 0.5",
        "1.0 < 2 && 3u > 2 && self.n >= 5",
        r#"'a' + "b" == 'ab' && r'\d' == '\\d' && '\u00e4' == 'ä'"#,
        "0x10 == 16 && 1e3 == 1000.0 && -9223372036854775808 < 0",
        "[1, 2] + [3] == self.list && {'a': 1}['a'] == 1",
        "self.b ? true : false",
        "1 in self.list && !(9 in self.list) && 'one' in self.map",
        "self.n > 100 || self.s == 'hello'",
        // Errors are made up for by the other side.
        "self.list[99] == 1 || true",
        "!(self.list[99] == 1 && false)",
        // Fields.
        "has(self.s) && !has(self.map.three) && self.map.two == 2",
        "self.x__dash__y.__namespace__ == 'ns'",
        "self.metadata.name == 'me' && self.kind == 'K'",
        "self.?s.orValue('') == 'hello' && self.map[?'three'].orValue(7) == 7",
        "self.map.?three.hasValue() == false",
        // Macros.
        "self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 2)",
        "self.list.map(x, x * 2) == [2, 4, 6] && self.list.filter(x, x > 1) == [2, 3]",
        "self.list.map(x, x > 1, x + 1) == [3, 4]",
        "self.map.all(k, self.map[k] > 0) && self.map.exists(k, v, k == 'two' && v == 2)",
        "self.list.transformList(i, x, i + x) == [1, 3, 5]",
        "self.map.transformMap(k, v, v * 10)['two'] == 20",
        "{'a': 'x', 'b': 'y'}.transformMapEntry(k, v, v != 'x', {v: k}) == {'y': 'b'}",
        "self.names.transformMapEntry(i, x, {x: i}) == {'a': 0, 'b': 1}",
        "self.list.exists_one(i, x, i == x - 1 && x == 2) && self.list.existsOne(i, x, x == 3)",
        "self.objects.sortBy(o, -o.v).map(o, o.k) == ['b', 'a'] && [3, 1, 2].sortBy(x, x) == [1, 2, 3]",
        "optional.of(3).optMap(x, x + 1).value() == 4 && !optional.none().hasValue()",
        // Texts.
        "self.s.startsWith('he') && self.s.endsWith('lo') && self.s.contains('ell')",
        "self.s.matches('^h.*o$') && matches(self.s, 'l+') && !self.s.matches('^x')",
        "self.s.upperAscii() == 'HELLO' && ' x '.trim() == 'x' && self.s.charAt(1) == 'e'",
        "self.s.indexOf('l') == 2 && self.s.lastIndexOf('l') == 3 && self.s.indexOf('z') == -1",
        "self.s.substring(1, 3) == 'el' && self.s.substring(3) == 'lo'",
        "self.s.replace('l', 'L') == 'heLLo' && self.s.replace('l', 'L', 1) == 'heLlo'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
        "self.names.join('-') == 'a-b' && size(self.s) == 5 && 'ä'.size() == 1",
        "'%s is %d of %.1f'.format(['x', 3, 1.25]) == 'x is 3 of 1.2'",
        "'%s'.format([[1, 'a']]) == '[1, \"a\"]' && '%x'.format([255]) == 'ff'",
        "'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        // Lists and sets.
        "self.list.sum() == 6 && self.list.min() == 1 && self.list.max() == 3",
        "self.list.isSorted() && [3, 1].sort() == [1, 3] && self.list.indexOf(2) == 1",
        "[1, 1, 2].distinct() == [1, 2] && [[1], [2]].flatten() == [1, 2]",
        "self.list.reverse() == [3, 2, 1] && self.list.slice(1, 2) == [2]",
        "sets.contains(self.list, [3, 1]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2])",
        "self.set == ['y', 'x'] && self.names != ['b', 'a']",
        // Conversions.
        "int('5') == self.n && string(self.n) == '5' && double(self.n) == 5.0 && uint(5) == 5u",
        "type(self.any) == string && type(1) == int && bool('true')",
        "type(self.any) == int ? self.any < 5 : int(self.any.replace('%', '')) == 50",
        // Time.
        "self.when < timestamp('2025-01-01T00:00:00Z') && self.when.getMonth() == 1",
        "self.when + self.long == timestamp('2024-02-29T14:00:00Z')",
        "self.long.getMinutes() == 90 && duration('90m') == self.long",
        "self.when.getHours('-08:00') == 4 && self.when.getDayOfWeek() == 4",
        // Quantities, URLs, addresses, formats.
        "quantity('1Gi').isGreaterThan(quantity('1G')) && isQuantity('500m') && !isQuantity('x')",
        "quantity('1500m').add(quantity('500m')).asInteger() == 2 && quantity('-1').sign() == -1",
        "url('https://a.b:80/c?d=e').getHostname() == 'a.b' && url('https://a.b:80/c').getPort() == '80'",
        "url('https://a/b?k=v').getQuery() == {'k': ['v']} && !isURL('a b')",
        "isIP('::1') && ip('10.0.0.1').family() == 4 && !isIP('10.0.0.256')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && isCIDR('::/0')",
        "!format.dns1123Label().validate('ok').hasValue()",
        "format.dns1123Label().validate('ok') != null",
        "format.named('dns1123Label').value().validate('Not ok').hasValue()",
    ];
    hold(&rules);
}

#[track_caller]
fn hold(rules: &[&str]) {
    for rule in rules {
        assert_eq!(run(rule), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn what_holds_of_lists_and_formats() {
    hold(&[
        "[[[1]], [[2, 3]]].flatten(2) == [1, 2, 3] && [dyn(1), dyn([2])].flatten(1) == [1, 2]",
        "self.list.first().value() == 1 && self.list.last() == optional.of(3) && ![].first().hasValue()",
        "optional.unwrap([optional.of(1), optional.none()]) == [1] && [self.?s].unwrapOpt() == ['hello']",
        // Lists and maps of one type, as far as it is known.
        "[dyn(1), dyn('a'), dyn(null)].size() == 3 && [1, ?optional.of(2), 3].sum() == 6",
        "[[], [1], []].size() == 3 && [{}, {'a': 1}].size() == 2 && type(self.any) in [dyn(int), dyn(string)]",
        "format.dns1123Label().validate('a.b').value() == ['must not contain dots']",
        "format.uuid().validate('x').value() == ['does not match the UUID format']",
        "!format.dns1123LabelPrefix().validate('ab-').hasValue() && format.dns1035LabelPrefix().validate('12-').hasValue()",
        "!format.named('dns1123SubdomainPrefix').value().validate('a.b-').hasValue()",
    ]);
}

#[test]
fn what_holds_of_versions() {
    hold(&[
        "isSemver('1.0.0') && isSemver('0.1.0-alpha.1+b') && isSemver('1.' + string(self.n) + '.0')",
        "!isSemver('') && !isSemver('1.0') && !isSemver('v1.0.0') && !isSemver('01.0.0') && !isSemver('1.0.0-')",
        "!isSemver('200K') && !isSemver('1.0.0-01') && !isSemver('1.0.0+') && !isSemver(' 1.0.0') && !isSemver('1.0.0-a_b')",
        "isSemver('1.0.0-18446744073709551615') && !isSemver('1.0.0-18446744073709551616')",
        "isSemver('v1.0', true) && isSemver('01.01.01', true) && isSemver('1', true) && isSemver('1.2.0-rc', true)",
        "!isSemver('1.0-rc', true) && !isSemver('', true) && !isSemver('vv1', true) && !isSemver('v1.0.0', false)",
        "semver('v01.002', true) == semver('1.2.0') && semver('1.2.003-rc', true) == semver('1.2.3-rc')",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3-4').patch() == 3",
        "semver('18446744073709551615.0.0').major() == -1 && type(semver('1.0.0')) == type(semver('2.0.0'))",
        "semver('1.2.3').compareTo(semver('1.2.3')) == 0 && semver('1.2.3').compareTo(semver('2.0.0')) == -1",
        "semver('1.2.3').compareTo(semver('0.1.2')) == 1 && semver('1.0.0').isGreaterThan(semver('1.0.0-rc.1'))",
        "semver('1.0.0-alpha.1').isLessThan(semver('1.0.0-alpha.b')) && semver('1.0.0-9').isLessThan(semver('1.0.0-10'))",
        // What it was built from says nothing of its order.
        "semver('1.0.0+a') == semver('1.0.0+b') && semver('1.0.0+a').compareTo(semver('1.0.0')) == 0",
    ]);
}

#[test]
fn what_fails() {
    let rules = [
        ("self.n > 5", "Invalid value: failed rule: self.n > 5"),
        (
            "self.list[3] == 1",
            r#"Invalid value: "object": index out of bounds: 3 evaluating rule: self.list[3] == 1"#,
        ),
        (
            "self.map['x'] == 1",
            r#"Invalid value: "object": no such key: x evaluating rule: self.map['x'] == 1"#,
        ),
        (
            "self.any < 5",
            r#"Invalid value: "object": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.any < 5"#,
        ),
        (
            "self.n / 0 == 1",
            r#"Invalid value: "object": division by zero evaluating rule: self.n / 0 == 1"#,
        ),
        (
            "9223372036854775807 + self.n > 0",
            r#"Invalid value: "object": integer overflow evaluating rule: 9223372036854775807 + self.n > 0"#,
        ),
        (
            "semver(self.s).major() == 1",
            r#"Invalid value: "object": No Major.Minor.Patch elements found evaluating rule: semver(self.s).major() == 1"#,
        ),
        (
            "semver('1.0-rc', true).major() == 1",
            r#"Invalid value: "object": short version cannot contain PreRelease/Build meta data evaluating rule: semver('1.0-rc', true).major() == 1"#,
        ),
        (
            "semver('1.x.0').major() == 1",
            r#"Invalid value: "object": Invalid character(s) found in minor number "x" evaluating rule: semver('1.x.0').major() == 1"#,
        ),
        (
            "['a', 'a'].transformMapEntry(i, x, {x: i}).size() == 1",
            r#"Invalid value: "object": insert failed: key a already exists evaluating rule: ['a', 'a'].transformMapEntry(i, x, {x: i}).size() == 1"#,
        ),
        (
            "self.list.slice(2, 1) == []",
            r#"Invalid value: "object": cannot slice(2, 1), start index must be less than or equal to end index evaluating rule: self.list.slice(2, 1) == []"#,
        ),
    ];
    for (rule, wanted) in rules {
        assert_eq!(run(rule), [wanted], "{rule}");
    }
}

#[test]
fn what_is_refused_before_it_runs() {
    let rules = [
        ("self.n +", "Syntax error: mismatched input '<EOF>'"),
        (
            "self.missing == 1",
            "<input>:1:5: undefined field 'missing'\n | self.missing == 1\n | ....^",
        ),
        (
            "foo == 1",
            "undeclared reference to 'foo' (in container '')",
        ),
        (
            "self.n == 'a'",
            "found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("self.s.nope()", "undeclared reference to 'nope'"),
        (
            "self.s.startsWith(1)",
            "found no matching overload for 'startsWith' applied to 'string.(int)'",
        ),
        ("self.n", "cel expression must evaluate to a bool"),
        ("self.n.all(x, true)", "cannot be range of a comprehension"),
        ("self.n && true", "expected type 'bool' but found 'int'"),
        ("self.s.matches('(')", "invalid matches argument"),
        ("duration('x') == self.long", "invalid duration argument"),
        ("has(self)", "invalid argument to has() macro"),
        (
            "self.list.map(1, 2) == []",
            "argument must be a simple name",
        ),
        ("'a", "unterminated string"),
        ("self.metadata.labels == {}", "undefined field 'labels'"),
        ("let == 1", "reserved identifier: let"),
        ("9223372036854775808 > 0", "invalid int literal"),
    ];
    refused(&rules);
    let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    assert!(run(&deep)[0].contains("recursion limit"));
    let chain = format!("0{} > 0", "+1".repeat(500));
    assert!(run(&chain)[0].contains("recursion limit"));
    assert!(run(&"(".repeat(99_000))[0].contains("recursion limit"));
    assert!(run(&"[".repeat(200_000))[0].contains("longer than"));
}

#[track_caller]
fn refused(rules: &[(&str, &str)]) {
    for (rule, wanted) in rules {
        let messages = run(rule);
        assert!(
            messages.len() == 1 && messages[0].contains(wanted),
            "{rule}: {messages:?}"
        );
    }
}

#[test]
fn what_upstream_has_no_function_for_is_refused() {
    refused(&[
        (
            "cel.bind(x, self.n, x) == 1",
            "undeclared reference to 'cel'",
        ),
        (
            "self.list.transformList(i, i, i) == []",
            "duplicate variable name: i",
        ),
        ("'a'.sortBy(x, x) == []", "sortBy can only be applied to a"),
        (
            "[[1]].sort() == [[1]]",
            "found no matching overload for 'sort' applied to 'list(list(int)).()'",
        ),
        (
            "self.names.sum() == 'ab'",
            "found no matching overload for 'sum' applied to 'list(string).()'",
        ),
        (
            "semver(self.n).major() == 1",
            "found no matching overload for 'semver' applied to '(int)'",
        ),
        (
            "semver('1.0.0') < semver('2.0.0')",
            "found no matching overload for '_<_' applied to '(kubernetes.Semver, kubernetes.Semver)'",
        ),
        (
            "semver('1.0.0').isLessThan(quantity('1'))",
            "found no matching overload for 'isLessThan' applied to 'kubernetes.Semver.(kubernetes.Quantity)'",
        ),
    ]);
}

#[test]
fn lists_and_maps_of_several_types_are_refused() {
    let rules = [
        (
            "[1, 'a'].size() == 2",
            "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'].size() == 2\n | ....^",
        ),
        (
            "{'a': 1, 'b': 'c'}.size() == 2",
            "expected type 'int' but found 'string'",
        ),
        (
            "{1: 'a', 'b': 'c'}.size() == 2",
            "expected type 'int' but found 'string'",
        ),
        (
            "[dyn(1), 'a'].size() == 2",
            "expected type 'dyn' but found 'string'",
        ),
        (
            "['a', self.any].size() == 2",
            "expected type 'string' but found 'dyn'",
        ),
        (
            "[1, null].size() == 2",
            "expected type 'int' but found 'null'",
        ),
        (
            "[1, 2u].size() == 2",
            "expected type 'int' but found 'uint'",
        ),
        (
            "[self.when, null].size() == 2",
            "expected type 'timestamp' but found 'null'",
        ),
        (
            "[[1], ['a']].size() == 2",
            "expected type 'list(int)' but found 'list(string)'",
        ),
        (
            "[[], [1], ['a']].size() == 3",
            "expected type 'list(int)' but found 'list(string)'",
        ),
        (
            "type(self.any) in [int, string]",
            "expected type 'type(int)' but found 'type(string)'",
        ),
        (
            "[1, 2].map(x, [x, 'a']).size() == 2",
            "expected type 'int' but found 'string'",
        ),
    ];
    refused(&rules);
    // Of a list the first that differs is told, of a map all, and nothing where a type does not fit.
    let told = |rule: &str| run(rule)[0].matches("ERROR").count();
    assert_eq!(told("[1, 'a', true].size() == 3"), 1);
    assert_eq!(told("{'a': 1, 2: 'b', 'c': true}.size() == 3"), 3);
    let said = run("[1, 'a'].size() == 2 && self.n == 'a'");
    assert!(!said[0].contains("expected type"), "{said:?}");
}

#[test]
fn not_every_error_is_told() {
    let rule = format!("[{}].size() == 1", vec!["nope"; 250].join(", "));
    let said = run(&rule);
    assert_eq!(said[0].matches("ERROR").count(), 100);
    assert!(
        said[0].contains("\n150 more errors were truncated"),
        "{said:?}"
    );
    // Every entry is compared with the first: that is looked through once.
    let large = format!("[{}]", vec!["[]"; 5_000].join(", "));
    let rest: Vec<String> = (1..5_000).map(|key| format!("{key}: 'a'")).collect();
    let said = run(&format!("{{0: {large}, {}}}.size() == 1", rest.join(", ")));
    assert!(said[0].contains("4899 more errors were truncated"));
}

#[test]
fn clauses_that_do_not_fit_are_refused() {
    let rules = [
        (
            "'%d'.format(['a']) == ''",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%.2f'.format([1]) == ''",
            "error during formatting: fixed-point clause can only be used on doubles, was given int",
        ),
        (
            "'%x'.format([1.5]) == ''",
            "only integers, byte buffers, and strings can be formatted as hex, was given double",
        ),
        (
            "'%s'.format([[quantity('1')]]) == ''",
            "maps, lists, types, durations, and timestamps, was given kubernetes.Quantity",
        ),
        ("'%s'.format([]) == ''", "index 0 out of range"),
        (
            "'%s'.format([1, 2]) == ''",
            "too many arguments supplied to string.format (expected 1, got 2)",
        ),
        (
            "'%z'.format([1]) == ''",
            "could not parse formatting clause: unrecognized formatting clause \"z\"",
        ),
        (
            "'%.f'.format([1.0]) == ''",
            "error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax",
        ),
        ("'a%'.format([1]) == ''", "unexpected end of string"),
    ];
    refused(&rules);
    assert_eq!(
        run("'%%%s %d'.format([[1, 'a'], dyn(2)]) == '%[1, \"a\"] 2'"),
        Vec::<String>::new()
    );
}

#[test]
fn nothing_runs_away() {
    let object = json!({"list": vec![1; 2000], "s": "a".repeat(100_000)});
    let spent = [
        "self.list.all(a, self.list.all(b, self.list.all(c, a == b && b == c)))",
        "self.list.map(x, self.s + self.s + self.s + self.s).size() > 0",
        "self.list.all(x, self.s.replace('a', self.s).size() > 0)",
        "self.list.all(x, self.s.matches(self.s))",
        "self.list.all(x, self.s.split('') == self.s.split(''))",
        "lists.range(9000000000).size() > 0",
        "self.list.map(x, self.list).flatten().map(x, self.list).flatten().size() > 0",
    ];
    for rule in spent {
        let compiled = Structural::compile(&schema(&json!([{"rule": rule}]))).unwrap();
        let causes = compiled.validate_rules(&object, None);
        assert!(
            causes.len() == 1 && causes[0].message.contains("cost limit exceeded"),
            "{rule}: {causes:?}"
        );
    }
    // Eleven rules at a million each: the object's budget ends first.
    let dear = json!({"rule": "self.list.all(a, self.list.exists(b, a + b == 2 && [1, 2, 3].size() < 3 || b == 1))"});
    let compiled = Structural::compile(&schema(&json!(vec![dear; 2000]))).unwrap();
    let causes = compiled.validate_rules(&object, None);
    assert!(
        causes.len() == 1 && causes[0].message.contains("running out of cost budget"),
        "{causes:?}"
    );
}

#[test]
fn messages_reasons_and_paths() {
    let rules = json!([
        {"rule": "self.n > 9", "message": " too small "},
        {"rule": "self.n > 9", "messageExpression": "'n is ' + string(self.n)"},
        {"rule": "self.n > 9", "messageExpression": "self.s.substring(99)", "message": "plain"},
        {"rule": "self.n > 9", "reason": "FieldValueForbidden", "fieldPath": ".n"},
        {"rule": "self.n > 9", "reason": "FieldValueRequired", "fieldPath": ".map['a b']"},
    ]);
    let compiled = Structural::compile(&schema(&rules)).unwrap();
    causes_are(
        compiled.validate_rules(&object(), None),
        &[
            "<nil>: Invalid value: too small",
            "<nil>: Invalid value: n is 5",
            "<nil>: Invalid value: plain",
            "n: Forbidden: failed rule: self.n > 9",
            "map[a b]: Required value: failed rule: self.n > 9",
        ],
    );
    let leaf = json!({"type": "object", "properties": {"s": {"type": "string", "x-kubernetes-validations": [
        {"rule": "self == 'x'"},
    ]}}});
    let compiled = Structural::compile(&leaf).unwrap();
    causes_are(
        compiled.validate_rules(&json!({"s": "y"}), None),
        &[r#"s: Invalid value: "y": failed rule: self == 'x'"#],
    );
}

#[test]
fn transitions() {
    let leaf = json!({"type": "object", "properties": {
        "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}]},
        "soft": {"type": "integer", "x-kubernetes-validations": [
            {"rule": "oldSelf.hasValue() ? self >= oldSelf.value() : self == 1", "optionalOldSelf": true},
        ]},
        "plain": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 3"}]},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
            "type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "may not shrink"}],
        }},
    }});
    let compiled = Structural::compile(&leaf).unwrap();
    let check = |new: Value, old: Option<Value>, wanted: &[&str]| {
        causes_are(compiled.validate_rules(&new, old.as_ref()), wanted);
    };
    check(json!({"fixed": "a"}), None, &[]);
    check(json!({"fixed": "a"}), Some(json!({})), &[]);
    check(json!({"fixed": "a"}), Some(json!({"fixed": "a"})), &[]);
    check(
        json!({"fixed": "b"}),
        Some(json!({"fixed": "a"})),
        &[r#"fixed: Invalid value: "b": is immutable"#],
    );
    check(json!({"soft": 1}), None, &[]);
    check(json!({"soft": 2}), Some(json!({"soft": 1})), &[]);
    check(
        json!({"soft": 2}),
        None,
        &[
            "soft: Invalid value: 2: failed rule: oldSelf.hasValue() ? self >= oldSelf.value() : self == 1",
        ],
    );
    // What was wrong before and stays is tolerated.
    check(
        json!({"plain": 5, "fixed": "x"}),
        Some(json!({"plain": 5})),
        &[],
    );
    check(
        json!({"plain": 6}),
        Some(json!({"plain": 5})),
        &["plain: Invalid value: 6: failed rule: self < 3"],
    );
    check(
        json!({"items": [{"k": "b", "v": 9}, {"k": "a", "v": 1}]}),
        Some(json!({"items": [{"k": "a", "v": 2}]})),
        &["items[1]: Invalid value: may not shrink"],
    );
}

proptest! {
    #[test]
    fn never_panics(rule in "\\PC{0,40}") {
        let _any = run(&rule);
    }

    #[test]
    fn words_in_any_order_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "self", ".", "n", "s", "list", "(", ")", "[", "]", "{", "}", "?", ":", ",", "+", "-", "*", "/", "%", "==",
        "<", "in", "&&", "||", "!", "1", "'a'", "b'x'", "2.5", "1u", "has", "all", "map", "x", "size", "matches",
        "substring", "replace", "sortBy", "semver", "isSemver", "%s", "indexOf", "lastIndexOf", "split", "format", "slice", "type", "int", "duration",
    ]), 0..14)) {
        let _any = run(&words.join(" "));
        let _any = run(&words.concat());
    }

    #[test]
    fn calls_with_anything_never_panic(
        of in prop::sample::select(vec!["self.s", "self.list", "self.map", "self.n", "self.any", "self.when", "self.long", "dyn(self.b)", "quantity('1')", "cidr('1.2.3.4/0')"]),
        row in 0..super::table::FUNCTIONS.len(),
        a in prop::sample::select(vec!["self.s", "0", "-1", "9223372036854775807", "''", "'ä'", "self.list", "dyn(1.5)", "'('"]),
        b in prop::sample::select(vec!["3", "-9223372036854775808", "'l'", "self.any", "self.names"]),
    ) {
        let name = super::table::FUNCTIONS[row].0;
        for rule in [
            format!("dyn({of}).{name}() == 1"), format!("dyn({of}).{name}(dyn({a})) == 1"),
            format!("dyn({of}).{name}(dyn({a}), dyn({b})) == 1"), format!("{name}(dyn({of})) == 1"),
            format!("{name}(dyn({of}), dyn({a})) == 1"), format!("dyn({of}) + dyn({a}) == 1"),
            format!("dyn({a}) - dyn({b}) == dyn({a}) * dyn({b}) || dyn({a}) / dyn({b}) < dyn({a}) % dyn({b})"),
        ] {
            let _any = run(&rule);
        }
    }
}
