//! JSON paths of printer columns: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Source: k8s.io/client-go `util/jsonpath`, of which this knows names, indexes, slices, wildcards and
//! filters; not unions and `..`.

use super::cause::go_float;
use serde_json::Value;
use std::cmp::Ordering;

/// Steps of one path.
const STEPS_MAX: usize = 64;
/// Values that a path may lead to at once.
const VALUES_MAX: usize = 10_000;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    Filter(Box<Filter>),
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Operand,
    /// Nothing: the left side is there.
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl JsonPath {
    /// Parses a path that starts with `.`; nothing where it is none that is known here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() >= STEPS_MAX {
                return None;
            }
            if let Some(tail) = rest.strip_prefix('[') {
                let (step, tail) = bracket(tail)?;
                steps.push(step);
                rest = tail;
            } else {
                let tail = rest.strip_prefix('.')?;
                if tail.is_empty() && steps.is_empty() {
                    break;
                }
                let (name, tail) = name(tail);
                rest = tail;
                match name.as_str() {
                    "" if rest.starts_with('[') => {}
                    "" => return None,
                    "*" => steps.push(Step::All),
                    _ => steps.push(Step::Name(name)),
                }
            }
        }
        Some(Self { steps })
    }

    /// What the path leads to, in order.
    pub(super) fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![root];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                step.apply(value, &mut next);
                if next.len() > VALUES_MAX {
                    next.truncate(VALUES_MAX);
                    break;
                }
            }
            found = next;
        }
        found
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value, out: &mut Vec<&'a Value>) {
        match (self, value) {
            (Self::Name(name), Value::Object(fields)) => out.extend(fields.get(name)),
            (Self::Index(index), Value::Array(items)) => {
                out.extend(place(*index, items.len()).and_then(|at| items.get(at)));
            }
            (Self::Slice(from, to), Value::Array(items)) => {
                let size = items.len();
                let from = from
                    .map_or(Some(0), |from| place(from, size))
                    .unwrap_or(size);
                let to = to.map_or(Some(size), |to| place(to, size)).unwrap_or(size);
                out.extend(items.iter().take(to).skip(from));
            }
            (Self::All, Value::Array(items)) => out.extend(items),
            (Self::All, Value::Object(fields)) => out.extend(fields.values()),
            (Self::Filter(filter), Value::Array(items)) => {
                out.extend(items.iter().filter(|item| filter.holds(item)));
            }
            _ => {}
        }
    }
}

/// An index; a negative one is counted from the end.
fn place(index: i64, size: usize) -> Option<usize> {
    let size = i64::try_from(size).ok()?;
    let at = if index < 0 { index + size } else { index };
    usize::try_from(at).ok()
}

impl Filter {
    fn holds(&self, item: &Value) -> bool {
        let left = self.left.value(item);
        let Some((comparison, right)) = &self.comparison else {
            return left.is_some();
        };
        let (Some(left), Some(right)) = (left, right.value(item)) else {
            return false;
        };
        let order = match (&left, &right) {
            (Value::String(a), Value::String(b)) => a.partial_cmp(b),
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (a, b) if a == b => Some(Ordering::Equal),
            _ => None,
        };
        match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order.is_some_and(Ordering::is_lt),
            Comparison::LessEqual => order.is_some_and(Ordering::is_le),
            Comparison::Greater => order.is_some_and(Ordering::is_gt),
            Comparison::GreaterEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Operand {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix('@') {
            return JsonPath::parse(path).map(Self::Path);
        }
        let quoted = |quote| {
            text.strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
        };
        if let Some(inner) = quoted('"').or_else(|| quoted('\'')) {
            return Some(Self::Literal(Value::from(inner)));
        }
        serde_json::from_str(text).ok().map(Self::Literal)
    }

    fn value(&self, item: &Value) -> Option<Value> {
        match self {
            Self::Path(path) => path.find(item).first().map(|value| (*value).clone()),
            Self::Literal(value) => Some(value.clone()),
        }
    }
}

/// A name and what follows; `\` takes the next letter as it is.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix("?(") {
        let end = closing(rest)?;
        let tail = rest[end..].strip_prefix(")]")?;
        return Some((Step::Filter(Box::new(filter(&rest[..end])?)), tail));
    }
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (name, tail) = rest.split_once(quote)?;
            return Some((Step::Name(name.to_owned()), tail.strip_prefix(']')?));
        }
    }
    let (inner, tail) = text.split_once(']')?;
    if inner == "*" {
        return Some((Step::All, tail));
    }
    if let Some((from, to)) = inner.split_once(':') {
        let bound = |text: &str| match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        };
        return Some((Step::Slice(bound(from)?, bound(to)?), tail));
    }
    Some((Step::Index(inner.parse().ok()?), tail))
}

/// Where the `)` of a filter is; those in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ')') => return Some(at),
            _ => {}
        }
    }
    None
}

fn filter(text: &str) -> Option<Filter> {
    const SIGNS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessEqual),
        (">=", Comparison::GreaterEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = SIGNS.iter().find_map(|(sign, comparison)| {
        let (left, right) = text.split_once(sign)?;
        Some((left, *comparison, right))
    });
    let Some((left, comparison, right)) = found else {
        let left = Operand::parse(text)?;
        let comparison = None;
        return Some(Filter { left, comparison });
    };
    Some(Filter {
        left: Operand::parse(left)?,
        comparison: Some((comparison, Operand::parse(right)?)),
    })
}

/// A value as text, as columns of type string show it.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => go_float(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(path: &str, wanted: Value) {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "dotted"}},
            "list": [{"type": "A", "n": 1}, {"type": "B", "n": 2}, {"type": "C", "n": 3}],
        });
        let found = JsonPath::parse(path).unwrap();
        assert_eq!(json!(found.find(&object)), wanted, "{path}");
    }

    #[test]
    fn paths() {
        check(".metadata.labels.a\\.b/c", json!(["dotted"]));
        check(".metadata.labels['a.b/c']", json!(["dotted"]));
        check(".list[0].type", json!(["A"]));
        check(".list[-1].n", json!([3]));
        check(".list[*].n", json!([1, 2, 3]));
        check(".list[1:].n", json!([2, 3]));
        check(".list[:1].n", json!([1]));
        check(".list[?(@.type==\"B\")].n", json!([2]));
        check(".list[?(@.n >= 2)].type", json!(["B", "C"]));
        check(".list[?(@.type != 'A')].n", json!([2, 3]));
        check(".missing.deep", json!([]));
        check(".list.n", json!([]));
        for path in [
            "a",
            ".a[",
            ".a[x]",
            "..a",
            ".a.",
            ".a[?(@.b==)]",
            ".a[?(@.b",
        ] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(path in "[.\\[\\]a-c0-9:*?()@='\"\\\\-]{0,20}") {
            if let Some(path) = JsonPath::parse(&path) {
                let _any = path.find(&json!({"a": [{"b": 1}, [2, "c"]], "b": {"c": [1]}}));
            }
        }
    }
}
