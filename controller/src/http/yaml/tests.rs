//! What is quoted, and what is read again.

use super::text;
use serde_json::{Value, json};

/// As go-yaml writes them, which kubectl and PyYAML read back.
#[test]
fn what_another_reader_takes_for_no_text_is_quoted() {
    for other in [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "NO",
        "True",
        "null",
        "~",
        "",
        "=",
        "<<",
        "1",
        "-1",
        "+1",
        "1_000",
        "1:30",
        "1:30:00.5",
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "0o7",
        "012",
        "0b1",
        "0x1f",
        ".inf",
        "-.INF",
        ".nan",
        "1e3",
        "1.",
        ".5",
        "1.5e-3",
        "08",
        "-0x1_f",
        "9_",
    ] {
        assert_eq!(
            text(&json!({ other: other })),
            format!("{other:?}: {other:?}\n")
        );
    }
    for plain in [
        "a",
        "yess",
        "1.2.3",
        "10.0.0.1",
        "5m",
        "10Gi",
        "--flag=on",
        "-f",
        "1a",
        "a:b",
        "a#b",
        "nginx:1.25@sha256:0e",
        "2020-01-01a",
        "kube-root-ca.crt",
        "/var/run",
        "$(POD)",
        "ä b",
        "0x",
        ".x",
        "a, b [c]",
        "it's",
    ] {
        assert_eq!(
            text(&json!({ plain: plain })),
            format!("{plain}: {plain}\n")
        );
    }
}

#[test]
fn what_would_be_an_indicator_is_quoted() {
    for (value, shown) in [
        ("{\"a\":'b'}", "'{\"a\":''b''}'"),
        ("- a", "'- a'"),
        ("-", "'-'"),
        ("---", "'---'"),
        ("...a", "'...a'"),
        ("*", "'*'"),
        ("@a", "'@a'"),
        ("a: b", "'a: b'"),
        ("a:", "'a:'"),
        ("a #b", "'a #b'"),
        (" a", "' a'"),
        ("a ", "'a '"),
        ("a\tb", "\"a\\tb\""),
        (
            "\u{7f}\u{85}\u{2028}\u{feff}",
            "\"\\x7f\\x85\\u2028\\ufeff\"",
        ),
        ("\u{1f600}", "'\u{1f600}'"),
        ("a \nb", "\"a \\nb\""),
        (" a\nb", "\" a\\nb\""),
        ("\n", "\"\\n\""),
    ] {
        assert_eq!(text(&json!({ "a": value })), format!("a: {shown}\n"));
    }
}

#[test]
fn the_parts_of_a_value_are_indented() {
    let long = "k".repeat(200);
    let value = json!({
        "list": [{"a": 1, "b": [[], ["x"], {}]}, null, [1.5, true]],
        "lines": {"one": "a\n  b\n", "two": "a\n\nb", "three": "a\n\n", "four": ["x\ny"]},
        "power": 1e40,
        long.as_str(): {"a": "b"},
    });
    let shown = text(&value);
    let read: Value = serde_yaml_ng::from_str(&shown).unwrap();
    assert_eq!(read, value, "{shown}");
    for part in [
        "list:\n- a: 1\n  b:\n  - []\n  - - x\n  - {}\n- null\n- - 1.5\n  - true\n",
        "  one: |\n    a\n      b\n",
        "  three: |+\n    a\n\n",
        "  two: |-\n    a\n\n    b\n",
        "  four:\n  - |-\n    x\n    y\n",
        "power: 1.0e+40\n",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(
        (text(&json!(null)), text(&json!([]))),
        ("null\n".into(), "[]\n".into())
    );
}

mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_read_back(key in "[ -~\n\t\u{85}ä]{0,12}", value in "\\PC{0,20}|[yno0-9.:_e+\n -]{0,8}") {
            let whole = json!({"a": [{key.as_str(): value}, value], "b": {key.as_str(): [value]}});
            let shown = text(&whole);
            let read: Value = serde_yaml_ng::from_str(&shown).unwrap();
            prop_assert_eq!(read, whole, "{}", shown);
        }
    }
}
