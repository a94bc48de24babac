//! When a Job has failed and when it has succeeded: rules over its pods.

use crate::{
    status::Cause,
    validate::{elements, meta, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Rules of a policy, and patterns and exit codes of a rule.
const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// One of some words that must be there; upstream lists them its own way where it is not.
fn word(of: &Value, field: &str, words: &[&str], path: &str, causes: &mut Vec<Cause>) {
    let (value, path) = (text(of, field), format!("{path}.{field}"));
    if value.is_empty() {
        let list: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let detail = format!("valid values: [{}]", list.join(" "));
        causes.push(Cause::required(path, &detail));
    } else if !words.contains(&value) {
        causes.push(Cause::unsupported(path, &json!(value), words));
    }
}

/// What follows from a pod that failed.
pub(super) fn on_failure(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let path = format!("{path}.podFailurePolicy");
    let list = elements(&spec["podFailurePolicy"], "rules", &path);
    if list.len() > RULES_MAX {
        causes.push(Cause::too_many(
            format!("{path}.rules"),
            list.len(),
            RULES_MAX,
        ));
    }
    let names = container_names(&spec["template"]["spec"]);
    for (path, rule) in list {
        let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
        word(rule, "action", &actions, &path, causes);
        let action = text(rule, "action");
        if action == "FailIndex" && spec["backoffLimitPerIndex"].is_null() {
            let detail = "requires the backoffLimitPerIndex to be set";
            causes.push(Cause::invalid(
                format!("{path}.action"),
                &json!(action),
                detail,
            ));
        }
        let (codes, patterns) = (&rule["onExitCodes"], &rule["onPodConditions"]);
        if !codes.is_null() {
            exit_codes(&names, codes, &format!("{path}.onExitCodes"), causes);
        }
        conditions(rule, &path, causes);
        let detail = match (codes.is_null(), rules::is_absent(patterns)) {
            (false, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (true, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        causes.push(Cause::invalid_unsaid(path, detail));
    }
}

fn container_names(pod: &Value) -> BTreeSet<&str> {
    let containers = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| pod[list].as_array().into_iter().flatten());
    containers.filter_map(|one| one["name"].as_str()).collect()
}

fn exit_codes(names: &BTreeSet<&str>, codes: &Value, path: &str, causes: &mut Vec<Cause>) {
    word(codes, "operator", &["In", "NotIn"], path, causes);
    let container = &codes["containerName"];
    let is_known = container.as_str().is_some_and(|name| names.contains(name));
    if !container.is_null() && !is_known {
        let detail = "must be one of the container or initContainer names in the pod template";
        causes.push(Cause::invalid(
            format!("{path}.containerName"),
            container,
            detail,
        ));
    }
    let list = elements(codes, "values", path);
    let values = format!("{path}.values");
    if list.is_empty() {
        let detail = "at least one value is required";
        causes.push(Cause::invalid(values.clone(), &codes["values"], detail));
    } else if list.len() > EXIT_CODES_MAX {
        causes.push(Cause::too_many(values.clone(), list.len(), EXIT_CODES_MAX));
    }
    let (mut seen, mut before, mut is_ordered) = (BTreeSet::new(), None, true);
    for (path, value) in list {
        let code = value.as_i64();
        if code == Some(0) && text(codes, "operator") == "In" {
            let detail = "must not be 0 for the In operator";
            causes.push(Cause::invalid(path.clone(), value, detail));
        }
        if !seen.insert(code) {
            causes.push(Cause::duplicate(path, value));
        }
        is_ordered &= before.is_none_or(|before| before <= code);
        before = Some(code);
    }
    if !is_ordered {
        causes.push(Cause::invalid(values, &codes["values"], "must be ordered"));
    }
}

fn conditions(rule: &Value, path: &str, causes: &mut Vec<Cause>) {
    let patterns = elements(rule, "onPodConditions", path);
    if patterns.len() > PATTERNS_MAX {
        let field = format!("{path}.onPodConditions");
        causes.push(Cause::too_many(field, patterns.len(), PATTERNS_MAX));
    }
    for (path, pattern) in patterns {
        let kind = text(pattern, "type");
        meta::qualified_name(kind, &json!(kind), &format!("{path}.type"), causes);
        let states = ["False", "True", "Unknown"];
        word(pattern, "status", &states, &path, causes);
    }
}

/// Which indexes are enough.
pub(super) fn on_success(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policy = &spec["successPolicy"];
    if policy.is_null() {
        return;
    }
    let path = format!("{path}.successPolicy");
    let (list, field) = (elements(policy, "rules", &path), format!("{path}.rules"));
    if list.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        causes.push(Cause::required(field, detail));
    } else if list.len() > RULES_MAX {
        causes.push(Cause::too_many(field, list.len(), RULES_MAX));
    }
    let completions = spec["completions"].as_i64().unwrap_or_default();
    for (path, rule) in list {
        enough(rule, completions, &path, causes);
    }
}

fn enough(rule: &Value, completions: i64, path: &str, causes: &mut Vec<Cause>) {
    let (count, indexes) = (&rule["succeededCount"], rule["succeededIndexes"].as_str());
    if count.is_null() && indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        causes.push(Cause::required(path, detail));
    }
    let mut listed = None;
    if let Some(written) = indexes {
        let field = format!("{path}.succeededIndexes");
        if written.len() > INDEXES_BYTES_MAX {
            causes.push(Cause::too_long(field.clone(), INDEXES_BYTES_MAX));
        }
        listed = Some(match number_of(written, completions) {
            Ok(number) => number,
            Err(why) => {
                let detail = format!("error parsing succeededIndexes: {why}");
                causes.push(Cause::invalid(field, &json!(written), &detail));
                0
            }
        });
    }
    rules::not_negative(rule, &["succeededCount"], path, causes);
    let Some(number) = count.as_i64() else {
        return;
    };
    let mut no_more_than = |max: i64, of: &str| {
        if number > max {
            let detail = format!("must be less than or equal to {max} ({of})");
            let field = format!("{path}.succeededCount");
            causes.push(Cause::invalid(field, count, &detail));
        }
    };
    no_more_than(completions, "the number of specified completions");
    if let Some(listed) = listed {
        let of = "the number of indexes in the specified succeededIndexes field";
        no_more_than(listed, of);
    }
}

/// How many indexes a list as `0,2-4` has, each below `completions`.
pub(in crate::validate) fn number_of(list: &str, completions: i64) -> Result<i64, String> {
    if list.is_empty() {
        return Ok(0);
    }
    let (mut last, mut number) = (None, 0);
    for interval in list.split(',') {
        let (first, end) = bounds(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!(
                "non-increasing order, previous: {last}, current: {first}"
            ));
        }
        number += end - first + 1;
        last = Some(end);
    }
    Ok(number)
}

/// The first index, in order, that two lists have both; what cannot be read of them is passed over.
pub(in crate::validate) fn common(one: &str, other: &str, completions: i64) -> Option<i64> {
    let read = |list: &str| -> Vec<(i64, i64)> {
        let intervals = list.split(',').map(|part| bounds(part, completions));
        intervals.filter_map(Result::ok).collect()
    };
    let (one, other) = (read(one), read(other));
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some((a, a_end)), Some((b, b_end))) = (one.peek(), other.peek()) {
        let first = *a.max(b);
        if first <= *a_end.min(b_end) {
            return Some(first);
        }
        if a_end < b_end {
            one.next();
        } else {
            other.next();
        }
    }
    None
}

fn bounds(interval: &str, completions: i64) -> Result<(i64, i64), String> {
    let index = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!(
            "cannot convert string to integer for index: {text:?}"
        )),
        Ok(index) if index >= completions => Err(format!("too large index: {text:?}")),
        Ok(index) => Ok(index),
    };
    match interval.split('-').collect::<Vec<_>>().as_slice() {
        [first, end] => {
            let (first, end) = (index(first)?, index(end)?);
            if first >= end {
                return Err(format!(
                    "non-increasing order, previous: {first}, current: {end}"
                ));
            }
            Ok((first, end))
        }
        [one] => Ok((index(one)?, index(one)?)),
        _ => Err(format!(
            "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )),
    }
}
