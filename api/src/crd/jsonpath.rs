//! JSON paths of printer columns: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Source: k8s.io/client-go `util/jsonpath`, of which this knows names, indexes, slices, unions, wildcards, filters and
//! `..`; not what takes several values to make a text. Fields are visited by name, where upstream has no order.

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
    Slice(Slice),
    Union(Vec<JsonPath>),
    All,
    /// A value and everything in it that holds something.
    Recursive,
    Filter(Box<Filter>),
}

/// `from:to:step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
}

/// The path does not fit the value: it leads nowhere then, whatever else it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unfit;

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
        let mut steps: Vec<Step> = Vec::new();
        while !rest.is_empty() {
            if steps.len() >= STEPS_MAX {
                return None;
            }
            if let Some(tail) = rest.strip_prefix('[') {
                let (more, tail) = bracket(tail)?;
                steps.extend(more);
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return None;
                }
                steps.push(Step::Recursive);
                rest = tail;
                if rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                    let (name, tail) = name(rest);
                    steps.push(Step::Name(name));
                    rest = tail;
                }
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
        self.follow(vec![root]).unwrap_or_default()
    }

    fn follow<'a>(&self, mut found: Vec<&'a Value>) -> Result<Vec<&'a Value>, Unfit> {
        for step in &self.steps {
            if let Step::Union(paths) = step {
                let mut all = Vec::new();
                for path in paths {
                    all.extend(path.follow(found.clone())?);
                }
                all.truncate(VALUES_MAX);
                found = all;
                continue;
            }
            let mut next = Vec::new();
            for value in found {
                step.apply(value, &mut next)?;
                if next.len() > VALUES_MAX {
                    next.truncate(VALUES_MAX);
                    break;
                }
            }
            found = next;
        }
        Ok(found)
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value, out: &mut Vec<&'a Value>) -> Result<(), Unfit> {
        match (self, value) {
            (Self::Name(name), Value::Object(fields)) => out.extend(fields.get(name)),
            (Self::Index(_) | Self::Slice(_), Value::Null) => {}
            (Self::Index(index), Value::Array(items)) => {
                let at = place(*index, items.len()).and_then(|at| items.get(at));
                out.push(at.ok_or(Unfit)?);
            }
            (Self::Slice(slice), Value::Array(items)) => slice.take(items, out)?,
            (Self::All, Value::Array(items)) => out.extend(items),
            (Self::All, Value::Object(fields)) => out.extend(fields.values()),
            (Self::Recursive, value) => descend(value, out),
            (Self::Filter(filter), Value::Array(items)) => {
                out.extend(items.iter().filter(|item| filter.holds(item)));
            }
            (Self::Index(_) | Self::Slice(_) | Self::Filter(_), _) => return Err(Unfit),
            (Self::Name(_) | Self::All | Self::Union(_), _) => {}
        }
        Ok(())
    }
}

impl Slice {
    fn take<'a>(self, items: &'a [Value], out: &mut Vec<&'a Value>) -> Result<(), Unfit> {
        let size = i64::try_from(items.len()).map_err(|_never| Unfit)?;
        let bound = |bound: i64| if bound < 0 { bound + size } else { bound };
        let (from, to) = (self.from.map_or(0, bound), self.to.map_or(size, bound));
        if from == to {
            return Ok(());
        }
        let step = usize::try_from(self.step.unwrap_or(1)).unwrap_or(0);
        if !(0..size).contains(&from) || to > size || from > to || step == 0 {
            return Err(Unfit);
        }
        let from = usize::try_from(from).map_err(|_never| Unfit)?;
        let to = usize::try_from(to).map_err(|_never| Unfit)?;
        out.extend(items[from..to].iter().step_by(step));
        Ok(())
    }
}

/// A value, then what is in it; values that hold nothing are left out. As deep as JSON is.
fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    if out.len() > VALUES_MAX {
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push(value);
            fields.values().for_each(|field| descend(field, out));
        }
        Value::Array(items) if !items.is_empty() => {
            out.push(value);
            items.iter().for_each(|item| descend(item, out));
        }
        Value::String(text) if !text.is_empty() => out.push(value),
        _ => {}
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

/// A name and what follows; `\` takes the next letter as it is, and is no letter itself.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c).filter(|c| *c != '\\')),
            c => name.push(c),
        }
    }
    (name, "")
}

/// What stands in brackets, and what follows them.
fn bracket(text: &str) -> Option<(Vec<Step>, &str)> {
    if let Some(rest) = text.strip_prefix("?(") {
        let end = closing(rest)?;
        let tail = rest[end..].strip_prefix(")]")?;
        let filter = Step::Filter(Box::new(filter(&rest[..end])?));
        return Some((vec![filter], tail));
    }
    let (inner, tail) = text.split_once(']')?;
    if !inner.contains(',') {
        return Some((element(inner)?, tail));
    }
    let parts = inner.split(',').map(|part| {
        let steps = element(part.trim_matches(' '))?;
        Some(JsonPath { steps })
    });
    let union = Step::Union(parts.take(STEPS_MAX).collect::<Option<_>>()?);
    Some((vec![union], tail))
}

/// One element of a bracket: a quoted name, in which a dot divides names as it does elsewhere; an index or a slice.
fn element(text: &str) -> Option<Vec<Step>> {
    for quote in ['\'', '"'] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            if inner.is_empty() {
                return Some(vec![Step::Name(String::new())]);
            }
            let path = JsonPath::parse(&format!(".{inner}"))?;
            return Some(path.steps);
        }
    }
    let number = |text: &str| match text {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let step = match text.split(':').collect::<Vec<_>>()[..] {
        ["*"] => Step::Slice(Slice::default()),
        [index] => Step::Index(number(index)?.unwrap_or(0)),
        [from, to] => Step::Slice(Slice {
            from: number(from)?,
            to: number(to)?,
            step: None,
        }),
        [from, to, step] => Step::Slice(Slice {
            from: number(from)?,
            to: number(to)?,
            step: number(step)?,
        }),
        _ => return None,
    };
    Some(vec![step])
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
        check(".metadata.labels['a\\.b/c']", json!(["dotted"]));
        check(".metadata.labels[\"a\\.b/c\"]", json!(["dotted"]));
        // A dot divides in quotes, too, as upstream.
        check(".metadata.labels['a.b/c']", json!([]));
        check("['metadata.labels'].a\\.b/c", json!(["dotted"]));
        check(".list[0].type", json!(["A"]));
        check(".list[-1].n", json!([3]));
        check(".list[3].n", json!([]));
        check(".list[*].n", json!([1, 2, 3]));
        check(".list[1:].n", json!([2, 3]));
        check(".list[:1].n", json!([1]));
        check(".list[::2].n", json!([1, 3]));
        check(".list[0,2].n", json!([1, 3]));
        check(".list[1]['n','type']", json!([2, "B"]));
        check(".list[?(@.type==\"B\")].n", json!([2]));
        check(".list[?(@.n >= 2)].type", json!(["B", "C"]));
        check(".list[?(@.type != 'A')].n", json!([2, 3]));
        check(".missing.deep", json!([]));
        check(".list.n", json!([]));
        check("..type", json!(["A", "B", "C"]));
        check(".list..n", json!([1, 2, 3]));
        check(".metadata..a\\.b/c", json!(["dotted"]));
        check(".list[0]..", json!([{"type": "A", "n": 1}, "A"]));
        check(".metadata..['labels'].a\\.b/c", json!(["dotted"]));
        // Not everything that there is has elements.
        check(".metadata[*]", json!([]));
        check("..[0]", json!([]));
        for path in [
            "a",
            ".a[",
            ".a[x]",
            ".a[1:2:3:4]",
            ".a....b",
            "..*",
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
