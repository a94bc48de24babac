//! Running the rules of a schema on an object.
//!
//! A failed rule that does not ask for the old object is tolerated where nothing changed. When a
//! budget is spent, nothing further runs and the object is refused.

use super::{
    super::{Failure, Meter, OBJECT_COST_MAX, RULE_COST_MAX, eval::Machine, val::Val},
    Compiled, Rule,
};
use crate::{
    crd::{
        cause::{invalid, invalid_omitted},
        path::Path,
        structural::{Additional, Node, Ruled, Type},
        value::{CAUSES_MAX, OldItems},
    },
    status::Cause,
};
use serde_json::{Value, json};
use std::ptr;

/// Longest message that an expression may make.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// Runs all rules on an object.
pub(crate) fn validate(
    node: &Node,
    new: &Value,
    old: Option<&Value>,
    path: Path<'_>,
    causes: &mut Vec<Cause>,
) {
    let mut runner = Runner {
        budget: OBJECT_COST_MAX,
        causes,
        compared: None,
    };
    let ratchet = Ratchet {
        nearest: old.map(|old| (new, old)),
        live: old.is_some(),
    };
    let _stopped = runner.node(node, Place { new, old, ratchet }, path);
}

/// A budget is spent: nothing further runs.
struct Stopped;

/// A value, what it was before, and what it is compared with to tolerate what is wrong.
#[derive(Clone, Copy)]
struct Place<'a> {
    new: &'a Value,
    old: Option<&'a Value>,
    ratchet: Ratchet<'a>,
}

/// The nearest value, at or above a place, that was there before too.
#[derive(Clone, Copy)]
struct Ratchet<'a> {
    nearest: Option<(&'a Value, &'a Value)>,
    /// It is at the place itself.
    live: bool,
}

impl<'a> Ratchet<'a> {
    fn below(self, new: &'a Value, old: Option<&'a Value>) -> Self {
        match (self.live, old) {
            (true, Some(old)) => Self {
                nearest: Some((new, old)),
                live: true,
            },
            _ => Self {
                nearest: self.nearest,
                live: false,
            },
        }
    }
}

struct Runner<'c> {
    budget: u64,
    causes: &'c mut Vec<Cause>,
    /// The last values that were compared, by address, and whether they are the same: all items of a
    /// list may ask the same.
    compared: Option<(usize, usize, bool)>,
}

impl Runner<'_> {
    fn push(&mut self, cause: Cause) {
        if self.causes.len() < CAUSES_MAX {
            self.causes.push(cause);
        }
    }

    fn tolerates(&mut self, ratchet: Ratchet<'_>) -> bool {
        let Some((new, old)) = ratchet.nearest else {
            return false;
        };
        let (new_at, old_at) = (ptr::from_ref(new).addr(), ptr::from_ref(old).addr());
        match self.compared {
            Some((a, b, same)) if (a, b) == (new_at, old_at) => same,
            _ => {
                let same = new == old;
                self.compared = Some((new_at, old_at, same));
                same
            }
        }
    }

    fn node(&mut self, node: &Node, place: Place<'_>, path: Path<'_>) -> Result<(), Stopped> {
        if node.ruled == Ruled::No || place.new.is_null() {
            return Ok(());
        }
        for rule in &node.rules {
            self.rule(rule, node, place, path)?;
        }
        match place.new {
            Value::Array(items) => {
                let Some(schema) = &node.items else {
                    return Ok(());
                };
                let olds = OldItems::new(&node.list, place.old);
                for (index, new) in items.iter().enumerate() {
                    let old = olds.find(new);
                    let ratchet = place.ratchet.below(new, old);
                    self.node(schema, Place { new, old, ratchet }, path.index(index))?;
                }
            }
            Value::Object(fields) => {
                for (name, new) in fields {
                    let old = place.old.and_then(|old| old.get(name));
                    let ratchet = place.ratchet.below(new, old);
                    let below = Place { new, old, ratchet };
                    if let Some(property) = node.properties.get(name) {
                        self.node(property, below, path.field(name))?;
                    } else if let Additional::Schema(schema) = &node.additional {
                        self.node(schema, below, path.key(name))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rule(
        &mut self,
        rule: &Rule,
        node: &Node,
        place: Place<'_>,
        path: Path<'_>,
    ) -> Result<(), Stopped> {
        let typed = json!(type_name(node));
        if let Some(error) = &rule.error {
            self.push(invalid(
                path,
                &typed,
                &format!("rule compile error: {error}"),
            ));
            return Ok(());
        }
        let Some(compiled) = &rule.compiled else {
            return Ok(());
        };
        if compiled.uses_old_self && place.old.is_none() && !rule.optional_old_self {
            return Ok(());
        }
        let limit = self.budget.min(RULE_COST_MAX);
        let mut meter = Meter { left: limit };
        let result = run(rule, compiled, node, place, (&mut meter, false));
        self.budget -= limit - meter.left;
        match result {
            Ok(Val::Bool(true)) => Ok(()),
            Ok(_) => self.failed(rule, compiled, node, (place, path)),
            Err(failure) => {
                let detail = self.refusal(&failure, rule, limit);
                self.push(invalid(path, &typed, &detail));
                if failure == Failure::Budget {
                    return Err(Stopped);
                }
                Ok(())
            }
        }
    }

    fn refusal(&self, failure: &Failure, rule: &Rule, limit: u64) -> String {
        let shown = shown(rule);
        match failure {
            Failure::Budget if limit < RULE_COST_MAX => {
                "validation failed due to running out of cost budget, no further validation rules will be run".to_owned()
            }
            Failure::Budget => format!(
                "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
            ),
            Failure::Overload => format!(
                "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
            ),
            Failure::Other(message) => format!("{message} evaluating rule: {shown}"),
        }
    }

    fn failed(
        &mut self,
        rule: &Rule,
        compiled: &Compiled,
        node: &Node,
        (place, path): (Place<'_>, Path<'_>),
    ) -> Result<(), Stopped> {
        if !compiled.uses_old_self && self.tolerates(place.ratchet) {
            return Ok(());
        }
        let mut detail = None;
        if compiled.message.is_some() {
            let limit = self.budget.min(RULE_COST_MAX);
            let mut meter = Meter { left: limit };
            let made = run(rule, compiled, node, place, (&mut meter, true));
            self.budget -= limit - meter.left;
            match made {
                Ok(Val::Text(text)) => detail = usable(&text),
                Err(Failure::Budget) => {
                    let detail = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
                    self.push(invalid(path, &json!(type_name(node)), detail));
                    return Err(Stopped);
                }
                _ => {}
            }
        }
        let detail = detail.unwrap_or_else(|| {
            if rule.message.is_empty() {
                format!("failed rule: {}", shown(rule))
            } else {
                rule.message.trim().to_owned()
            }
        });
        let below = path.field(&rule.field_path);
        let path = if rule.field_path.is_empty() {
            path
        } else {
            below
        };
        self.push(cause(rule, node, place.new, path, &detail));
        Ok(())
    }
}

/// A message is one line of some length.
fn usable(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
    fits.then(|| text.to_owned())
}

fn run<'a>(
    rule: &'a Rule,
    compiled: &'a Compiled,
    node: &'a Node,
    place: Place<'a>,
    (meter, message): (&mut Meter, bool),
) -> Result<Val<'a>, Failure> {
    let expr = match (&compiled.message, message) {
        (Some(message), true) => message,
        _ => &compiled.expr,
    };
    let old = place.old.map(|old| Val::of(old, Some(node)));
    let old = match (old, rule.optional_old_self) {
        (Some(old), false) => Some(old),
        (Some(old), true) => Some(Val::some(old)),
        (None, true) => Some(Val::Optional(None)),
        (None, false) => None,
    };
    let mut scope = vec![("self", Val::of(place.new, Some(node)))];
    scope.extend(old.map(|old| ("oldSelf", old)));
    let mut machine = Machine {
        scope,
        meter,
        patterns: &compiled.patterns,
    };
    machine.eval(expr)
}

/// The message where there is one, else the rule.
fn shown(rule: &Rule) -> &str {
    if rule.message.is_empty() {
        rule.rule.trim()
    } else {
        rule.message.trim()
    }
}

/// The type as the schema has it; an int or string has none.
fn type_name(node: &Node) -> &'static str {
    match node.kind {
        Type::IntOrString => "",
        kind => kind.name(),
    }
}

fn cause(rule: &Rule, node: &Node, value: &Value, path: Path<'_>, detail: &str) -> Cause {
    let compound = matches!(node.kind, Type::Object | Type::Array);
    match rule.reason.as_str() {
        "FieldValueForbidden" => Cause::forbidden(path.to_field(), detail),
        "FieldValueRequired" => Cause::required(path.to_field(), detail),
        "FieldValueDuplicate" if compound => Cause {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {detail}"),
            field: path.to_field(),
        },
        "FieldValueDuplicate" => Cause::duplicate(path.to_field(), value),
        _ if compound => invalid_omitted(path, detail),
        _ => invalid(path, value, detail),
    }
}
