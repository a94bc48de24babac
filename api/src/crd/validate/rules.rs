//! Rules in a schema: what each must say, and whether it can be compiled.

use super::{
    schema::{Place, Walk},
    text,
};
use crate::{
    crd::{
        cause::{invalid, too_many},
        cel::rules::RULES_MAX,
        fieldpath,
        path::Path,
        structural::Structural,
    },
    status::Cause,
};
use serde_json::{Value, json};

const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// What is wrong with the rules of one schema.
pub(super) fn validate(
    raw: &Value,
    rules: &[Value],
    place: &Place<'_>,
    path: Path<'_>,
    walk: &mut Walk,
) {
    let path = path.field("x-kubernetes-validations");
    if rules.len() > RULES_MAX {
        let max = i64::try_from(RULES_MAX).unwrap_or(i64::MAX);
        walk.causes.push(too_many(path, rules.len(), max));
        return;
    }
    let named = rules.iter().any(|rule| !text(rule, "fieldPath").is_empty());
    let compiled = named.then(|| Structural::compile(raw)).and_then(Result::ok);
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        shape(rule, path, &mut walk.causes);
        field_path(rule, compiled.as_ref(), path, &mut walk.causes);
    }
    // Errors of a schema make for errors of rules that say nothing.
    let Some(node) = place.node.filter(|_| walk.causes.is_empty()) else {
        return;
    };
    for (index, rule) in node.rules.iter().enumerate() {
        let (path, problems) = (path.index(index), rule.problems());
        let causes = &mut walk.rule_causes;
        if let Some(error) = problems.error {
            causes.push(invalid(path.field("rule"), problems.shown, error));
        }
        if let Some(error) = problems.message_error {
            causes.push(invalid(
                path.field("messageExpression"),
                problems.shown,
                error,
            ));
        }
        match (problems.uses_old_self, &place.no_old_self) {
            (Some(true), Some(list)) => {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {list}"
                );
                causes.push(invalid(path.field("rule"), &json!(problems.rule), &detail));
            }
            (Some(false), _) if !rules[index]["optionalOldSelf"].is_null() => {
                let path = path.field("optionalOldSelf");
                let detail = "may not be set if oldSelf is not used in rule";
                causes.push(invalid(path, &rules[index]["optionalOldSelf"], detail));
            }
            _ => {}
        }
    }
}

fn shape(rule: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    let breaks = |text: &str| text.contains(['\n', '\r']);
    if expression.is_empty() {
        causes.push(Cause::required(
            path.field("rule").to_field(),
            "rule is not specified",
        ));
    } else if !message.is_empty() && message.trim().is_empty() {
        let detail = "must be non-empty if specified";
        causes.push(invalid(path.field("message"), &json!(message), detail));
    } else if breaks(message.trim()) {
        let detail = "must not contain line breaks";
        causes.push(invalid(path.field("message"), &json!(message), detail));
    } else if breaks(expression) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        causes.push(Cause::required(path.field("message").to_field(), detail));
    }
    let expression = text(rule, "messageExpression");
    if !expression.is_empty() && expression.trim().is_empty() {
        let field = path.field("messageExpression").to_field();
        let detail = "messageExpression must be non-empty if specified";
        causes.push(Cause::required(field, detail));
    }
    if !rule["reason"].is_null() && !REASONS.contains(&text(rule, "reason")) {
        let field = path.field("reason").to_field();
        causes.push(Cause::unsupported(field, &rule["reason"], &REASONS));
    }
}

fn field_path(rule: &Value, schema: Option<&Structural>, path: Path<'_>, causes: &mut Vec<Cause>) {
    let value = text(rule, "fieldPath");
    if value.is_empty() {
        return;
    }
    let path = path.field("fieldPath");
    if value.trim().is_empty() {
        causes.push(invalid(
            path,
            &json!(value),
            "must be non-empty if specified",
        ));
    }
    if value.contains(['\n', '\r']) {
        causes.push(invalid(path, &json!(value), "must not contain line breaks"));
    }
    if schema.is_some_and(|schema| fieldpath::follow(value, &schema.root, true).is_err()) {
        causes.push(invalid(path, &json!(value), "must be a valid path"));
    }
}
