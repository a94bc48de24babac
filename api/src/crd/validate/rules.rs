//! Rules in a schema: what each must say, and whether it can be compiled.

use super::{
    schema::{Place, Walk},
    text,
};
use crate::{
    crd::{
        cause::{invalid, too_many},
        cel::{
            cost::{RULE_ESTIMATE_MAX, SCHEMA_ESTIMATE_MAX},
            rules::RULES_MAX,
        },
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
    let compiled = named.then(|| Structural::compile_with(raw, &mut walk.patterns));
    let compiled = compiled.and_then(Result::ok);
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
        if let Some(costs) = problems.costs {
            let times = place.often.unwrap_or(costs.often);
            let (rule, message) = (path.field("rule"), path.field("messageExpression"));
            walk.cost(
                rule,
                "estimated rule cost",
                costs.rule.saturating_mul(times),
            );
            if let Some(cost) = costs.message {
                walk.cost(message, "estimated messageExpression cost", cost);
            }
        }
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

/// What all rules of a schema may cost at worst.
#[derive(Debug, Default)]
pub(super) struct Total {
    cost: u64,
    /// The dearest, dearest first.
    worst: Vec<(u64, String)>,
}

/// So many of the dearest rules are told of, and only those that matter.
const WORST_MAX: usize = 4;

impl Walk {
    /// Counts what an expression costs in all places where it stands.
    fn cost(&mut self, path: Path<'_>, what: &str, cost: u64) {
        if cost > RULE_ESTIMATE_MAX {
            let detail = too_costly(what, cost, RULE_ESTIMATE_MAX);
            let field = path.to_field();
            self.rule_causes.push(Cause::forbidden(field, &detail));
        }
        self.total.cost = self.total.cost.saturating_add(cost);
        if cost >= SCHEMA_ESTIMATE_MAX / 100 {
            let worst = &mut self.total.worst;
            let at = worst.partition_point(|(known, _)| *known >= cost);
            worst.insert(at, (cost, path.to_field()));
            worst.truncate(WORST_MAX);
        }
    }

    /// Refuses what costs too much together.
    pub(super) fn total_cost(&mut self, path: Path<'_>) {
        if self.total.cost <= SCHEMA_ESTIMATE_MAX {
            return;
        }
        for (_, field) in std::mem::take(&mut self.total.worst) {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            self.rule_causes.push(Cause::forbidden(field, detail));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        let detail = too_costly(what, self.total.cost, SCHEMA_ESTIMATE_MAX);
        let field = path.to_field();
        self.rule_causes.push(Cause::forbidden(field, &detail));
    }
}

fn too_costly(what: &str, cost: u64, limit: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a factor to be read")]
    let times = cost as f64 / limit as f64;
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
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
