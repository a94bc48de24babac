//! The rules of a schema: compiled with it, run on objects.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/cel`.

mod run;

pub(crate) use run::validate;

use super::{Patterns, ast::Expr, check::Checker, cost, parser::parse, types::Type};
use crate::crd::{
    fieldpath,
    pattern::Patterns as All,
    structural::{Additional, Node, Ruled, array, flag, text},
};
use serde_json::{Map, Value, json};
use std::mem;

/// Rules of one schema.
pub(crate) const RULES_MAX: usize = 1_000;

/// One rule.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    rule: String,
    message: String,
    message_expression: String,
    reason: String,
    field_path: String,
    optional_old_self: bool,
    /// As errors show it.
    shown: Value,
    compiled: Option<Compiled>,
    /// Why it cannot be compiled.
    error: Option<String>,
    message_error: Option<String>,
}

#[derive(Debug)]
struct Compiled {
    expr: Expr,
    message: Option<Expr>,
    uses_old_self: bool,
    patterns: Patterns,
    costs: Costs,
}

/// What a rule may cost at worst.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Costs {
    /// One run of it.
    pub(crate) rule: u64,
    /// One run of its message.
    pub(crate) message: Option<u64>,
    /// How often it may run, where no limit of the lists and maps around it says so.
    pub(crate) often: u64,
}

/// What is wrong with a rule before it runs.
pub(crate) struct Problems<'a> {
    /// The rule as upstream shows it.
    pub(crate) shown: &'a Value,
    pub(crate) rule: &'a str,
    pub(crate) error: Option<&'a str>,
    pub(crate) message_error: Option<&'a str>,
    /// Nothing where it could not be compiled.
    pub(crate) uses_old_self: Option<bool>,
    /// Nothing where it could not be compiled.
    pub(crate) costs: Option<Costs>,
}

impl Rule {
    pub(crate) fn problems(&self) -> Problems<'_> {
        Problems {
            shown: &self.shown,
            rule: &self.rule,
            error: self.error.as_deref(),
            message_error: self.message_error.as_deref(),
            uses_old_self: self
                .compiled
                .as_ref()
                .map(|compiled| compiled.uses_old_self),
            costs: self.compiled.as_ref().map(|compiled| compiled.costs),
        }
    }
}

/// Reads the rules of a schema; they are compiled once the schema is.
pub(crate) fn read(schema: &Map<String, Value>) -> Vec<Rule> {
    let rules = array(schema, "x-kubernetes-validations")
        .iter()
        .take(RULES_MAX);
    rules.filter_map(Value::as_object).map(read_one).collect()
}

fn read_one(rule: &Map<String, Value>) -> Rule {
    let of = |name: &str| text(rule, name).unwrap_or_default().to_owned();
    let or_null = |name: &str| rule.get(name).cloned().unwrap_or_default();
    Rule {
        rule: of("rule"),
        message: of("message"),
        message_expression: of("messageExpression"),
        reason: of("reason"),
        field_path: of("fieldPath"),
        optional_old_self: flag(rule, "optionalOldSelf"),
        shown: json!({
            "Rule": of("rule"),
            "Message": of("message"),
            "MessageExpression": of("messageExpression"),
            "Reason": or_null("reason"),
            "FieldPath": of("fieldPath"),
            "OptionalOldSelf": or_null("optionalOldSelf"),
        }),
        ..Rule::default()
    }
}

/// Compiles the rules of a schema and of all below it, with the patterns of the definition.
pub(in crate::crd) fn compile(node: &mut Node, is_resource: bool, all: &mut All) {
    let mut rules = mem::take(&mut node.rules);
    for rule in &mut rules {
        compile_rule(rule, node, is_resource, all);
    }
    let mut ruled = !rules.is_empty();
    node.rules = rules;
    let mut below = |node: &mut Node| {
        compile(node, false, all);
        node.ruled == Ruled::Yes
    };
    for property in node.properties.values_mut() {
        ruled |= below(property);
    }
    if let Some(items) = &mut node.items {
        ruled |= below(items);
    }
    if let Additional::Schema(schema) = &mut node.additional {
        ruled |= below(schema);
    }
    node.ruled = if ruled { Ruled::Yes } else { Ruled::No };
}

fn compile_rule(rule: &mut Rule, node: &Node, is_resource: bool, all: &mut All) {
    if rule.rule.trim().is_empty() {
        return;
    }
    if !rule.field_path.is_empty() {
        let found = fieldpath::follow(&rule.field_path, node, true);
        rule.field_path = found.map(|found| found.text).unwrap_or_default();
    }
    let Some(self_type) = Type::of(node, is_resource) else {
        rule.error = Some("failed to convert to declType for CEL validation rules".to_owned());
        return;
    };
    let mut patterns = Patterns::new();
    let rule_text = rule.rule.clone();
    let source = Source {
        self_type: &self_type,
        optional_old_self: rule.optional_old_self,
        node,
        is_resource,
    };
    let mut costs = Costs {
        often: cost::often(node),
        ..Costs::default()
    };
    let checked = source.check(&rule_text, &Type::Bool, (&mut patterns, all));
    let (expr, uses_old_self, cost) = match checked {
        Ok(checked) => checked,
        Err(Wrong::Text(errors)) => {
            rule.error = Some(format!("compilation failed: {errors}"));
            return;
        }
        Err(Wrong::Type) => {
            rule.error = Some("cel expression must evaluate to a bool".to_owned());
            return;
        }
    };
    costs.rule = cost;
    let mut message = None;
    if !rule.message_expression.is_empty() {
        match source.check(&rule.message_expression, &Type::Text, (&mut patterns, all)) {
            Ok((expr, _, cost)) => {
                message = Some(expr);
                costs.message = Some(cost);
            }
            Err(Wrong::Text(errors)) => {
                rule.message_error =
                    Some(format!("messageExpression compilation failed: {errors}"));
            }
            Err(Wrong::Type) => {
                rule.message_error = Some("messageExpression must evaluate to a string".to_owned());
            }
        }
    }
    rule.compiled = Some(Compiled {
        expr,
        message,
        uses_old_self,
        patterns,
        costs,
    });
}

enum Wrong {
    Text(String),
    /// It gives something else than is wanted.
    Type,
}

/// What a rule's expressions may name.
struct Source<'a, 't> {
    self_type: &'t Type<'a>,
    optional_old_self: bool,
    node: &'a Node,
    is_resource: bool,
}

impl<'a> Source<'a, '_> {
    /// The expression, whether it names what was before, and what it costs at worst.
    fn check(
        &self,
        text: &str,
        wanted: &Type<'a>,
        (patterns, all): (&mut Patterns, &mut All),
    ) -> Result<(Expr, bool, u64), Wrong> {
        let expr = parse(text).map_err(|error| Wrong::Text(error.print(text)))?;
        let old_self = if self.optional_old_self {
            Type::optional(self.self_type.clone())
        } else {
            self.self_type.clone()
        };
        let scope = vec![
            ("self".to_owned(), self.self_type.clone()),
            ("oldSelf".to_owned(), old_self),
        ];
        let mut checker = Checker::new(scope, patterns, all);
        let found = checker.expr(&expr);
        if let Some(errors) = checker.errors(text) {
            return Err(Wrong::Text(errors));
        }
        if !found.fits(wanted) {
            return Err(Wrong::Type);
        }
        let uses_old_self = checker.uses_old_self;
        let cost = cost::estimate(&expr, &checker.types, self.node, self.is_resource);
        Ok((expr, uses_old_self, cost))
    }
}
