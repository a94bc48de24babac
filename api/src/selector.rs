//! Label and field selectors, as text in a URL or as an object in a spec.
//!
//! Source: k8s.io/apimachinery `pkg/labels`, `pkg/fields`. Pure; lengths are the caller's matter.

mod text;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::Value;
use std::collections::BTreeMap;

/// More requirements than any real selector has.
const REQUIREMENTS_MAX: usize = 256;

/// Why a selector is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not one; in upstream's words.
    #[error("{0}")]
    Syntax(String),
    /// A field that cannot be selected by.
    #[error("field label not supported: {0}")]
    Field(String),
}

/// All requirements must hold; the empty selector matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// A selector of a spec as one writes it on a command line; a plain map of labels is one too.
#[must_use]
pub fn to_text(selector: &Value) -> String {
    let is_spec = ["matchLabels", "matchExpressions"]
        .iter()
        .any(|field| !selector[*field].is_null() && !selector[*field].is_string());
    if is_spec {
        spec_text(selector).unwrap_or_default()
    } else {
        labels_text(selector)
    }
}

/// Labels as one writes them on a command line: sorted as they are written.
#[must_use]
pub fn labels_text(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let mut terms: Vec<String> = labels.map(|(key, value)| equality(key, value)).collect();
    terms.sort();
    terms.join(",")
}

/// A selector with `matchLabels` and `matchExpressions`, sorted by key; nothing of one that says nothing sensible.
#[must_use]
pub fn spec_text(selector: &Value) -> Option<String> {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<(&str, String)> = labels
        .map(|(key, value)| (key.as_str(), equality(key, value)))
        .collect();
    let expressions = selector["matchExpressions"].as_array();
    for one in expressions.into_iter().flatten() {
        let key = one["key"].as_str().unwrap_or_default();
        terms.push((key, expression_text(key, one)?));
    }
    terms.sort_by_key(|(key, _)| *key);
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    Some(terms.join(","))
}

fn equality(key: &str, value: &Value) -> String {
    format!("{key}={}", value.as_str().unwrap_or_default())
}

fn expression_text(key: &str, expression: &Value) -> Option<String> {
    let values = expression["values"].as_array().into_iter().flatten();
    let mut values: Vec<&str> = values.filter_map(Value::as_str).collect();
    values.sort_unstable();
    let list = values.join(",");
    match (expression["operator"].as_str()?, values.is_empty()) {
        ("In", false) => Some(format!("{key} in ({list})")),
        ("NotIn", false) => Some(format!("{key} notin ({list})")),
        ("Exists", true) => Some(key.to_owned()),
        ("DoesNotExist", true) => Some(format!("!{key}")),
        _ => None,
    }
}

impl LabelSelector {
    /// Parses `a=b,c in (x,y),!d`.
    ///
    /// # Errors
    /// When the text is no selector.
    pub fn parse(text: &str) -> Result<Self, Error> {
        text::parse(text).map(Self).map_err(Error::Syntax)
    }

    /// Of a spec. An absent selector matches nothing and is the caller's to handle.
    ///
    /// # Errors
    /// When an operator is unknown.
    pub fn from_spec(spec: &meta::LabelSelector) -> Result<Self, Error> {
        let mut requirements: Vec<Requirement> = spec
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        for expression in spec.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(Error::Syntax(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement {
                key: expression.key.clone(),
                operator,
                values,
            });
        }
        Ok(Self(requirements))
    }

    /// Of a plain map, as a Service has it.
    #[must_use]
    pub fn from_map(map: &BTreeMap<String, String>) -> Self {
        let equal = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        };
        Self(map.iter().map(equal).collect())
    }

    /// Matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All requirements hold for these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0
            .iter()
            .all(|requirement| requirement.matches(labels.get(&requirement.key)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&String>) -> bool {
        let compared = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            let value = value.and_then(|value| value.parse().ok());
            matches!((value, bound), (Some(value), Some(bound)) if holds(value, bound))
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared(|value, bound| value > bound),
            Operator::LessThan => compared(|value, bound| value < bound),
        }
    }
}

/// `metadata.name=a,status.phase!=Running`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    /// Parses a selector; which fields a kind supports is checked by [`FieldSelector::check`].
    ///
    /// # Errors
    /// When the text is no selector.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let parse = |part: &str| {
            for (sign, equal) in [("!=", false), ("==", true), ("=", true)] {
                if let Some((field, value)) = part.split_once(sign) {
                    return Ok((field.trim().to_owned(), equal, value.trim().to_owned()));
                }
            }
            Err(Error::Syntax(part.to_owned()))
        };
        Ok(Self(
            parts
                .take(REQUIREMENTS_MAX)
                .map(parse)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// Refuses fields that are not in `supported`; `metadata.name` and `.namespace` always are.
    ///
    /// # Errors
    /// With the first unsupported field.
    pub fn check(&self, supported: &[&str]) -> Result<(), Error> {
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace") || supported.contains(&field)
        };
        match self.0.iter().find(|(field, _, _)| !known(field)) {
            Some((field, _, _)) => Err(Error::Field(field.clone())),
            None => Ok(()),
        }
    }

    /// The name it asks for exactly, if it does.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.required("metadata.name")
    }

    /// The value that a field must have, if it must.
    #[must_use]
    pub fn required(&self, path: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, equal, _)| field == path && *equal)
            .map(|(_, _, value)| value.as_str())
    }

    /// Matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All requirements hold; `field` gives the value at a path, empty where there is none.
    pub fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.0
            .iter()
            .all(|(path, equal, value)| (field(path) == *value) == *equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(
            LabelSelector::parse(selector).unwrap().matches(&labels),
            expected,
            "{selector}"
        );
    }

    #[test]
    fn specs_are_written_as_on_a_command_line() {
        let spec = serde_json::json!({
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["y", "x"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "a.b", "operator": "NotIn", "values": ["z"]},
                {"key": "new", "operator": "Exists"},
            ],
        });
        let written = "a.b notin (z),app=a,new,!old,tier in (x,y)";
        assert_eq!(to_text(&spec), written);
        assert_eq!(spec_text(&spec).as_deref(), Some(written));
        assert_eq!(spec_text(&Value::Null).as_deref(), Some(""));
        for wrong in [
            serde_json::json!({"key": "a", "operator": "Gt", "values": ["1"]}),
            serde_json::json!({"key": "a", "operator": "In"}),
            serde_json::json!({"key": "a", "operator": "Exists", "values": ["1"]}),
        ] {
            let spec = serde_json::json!({"matchExpressions": [wrong]});
            assert_eq!(spec_text(&spec), None, "{spec}");
        }
        // The written terms are sorted, where a selector is sorted by its keys.
        let near = serde_json::json!({"a": "1", "a-b": "2"});
        assert_eq!(labels_text(&near), "a-b=2,a=1");
        let near = serde_json::json!({"matchLabels": near});
        assert_eq!(to_text(&near), "a=1,a-b=2");
        let map = serde_json::json!({"b": "2", "a": "1"});
        assert_eq!(to_text(&map), "a=1,b=2");
        assert_eq!(to_text(&Value::Null), "");
    }

    #[test]
    fn labels() {
        check("", &[], true);
        check("a=b", &[("a", "b")], true);
        check("a==b,c!=d", &[("a", "b")], true);
        check("a=b,c!=d", &[("a", "b"), ("c", "d")], false);
        check("a in (x, y)", &[("a", "y")], true);
        check("a notin (x,y)", &[], true);
        check("a,!b", &[("a", "")], true);
        check("!a", &[("a", "")], false);
        check("n>3", &[("n", "4")], true);
        check(
            "app.kubernetes.io/name=x",
            &[("app.kubernetes.io/name", "x")],
            true,
        );
        check("in in (in)", &[("in", "in")], true);
        check("a in ()", &[("a", "")], true);
        check("a in (,x)", &[("a", "")], true);
        check("a=,b=", &[("a", ""), ("b", "")], true);
        check("a = b , c", &[("a", "b"), ("c", "")], true);
        check("n < 3", &[("n", "x")], false);
    }

    #[test]
    fn fields() {
        let selector = FieldSelector::parse("metadata.name=a,status.phase!=Running").unwrap();
        let value = |path: &str| {
            if path == "metadata.name" {
                "a".to_owned()
            } else {
                "Pending".to_owned()
            }
        };
        assert!(selector.matches(value));
        assert_eq!(selector.name(), Some("a"));
        assert_eq!(
            selector.check(&[]),
            Err(Error::Field("status.phase".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            if let Ok(selector) = LabelSelector::parse(&text) { let _any = selector.matches(&BTreeMap::new()); }
            let _any = FieldSelector::parse(&text);
        }
    }
}
