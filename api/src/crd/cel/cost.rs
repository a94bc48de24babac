//! What a rule costs at worst, before it ever runs: by the limits that its schema sets.
//!
//! Upstream refuses definitions by these numbers, and authors tune their limits until they fit: so this counts
//! exactly as upstream does, also where that is not what a run costs here. It is linear in the rule.
//! Source: cel-go `checker/cost.go`, k8s.io/apiserver `pkg/cel/library/cost.go`.

mod calls;
mod size;

pub(crate) use size::{Measure, measure};

use self::size::{Place, Size};
use super::{
    ast::{Binary, Expr, Kind, Literal, Loop, LoopKind},
    types::Type,
};
use crate::crd::structural::Node;
use std::collections::HashMap;

/// What one rule may cost at worst, over all places where it stands; as upstream.
pub(crate) const RULE_ESTIMATE_MAX: u64 = 10_000_000;
/// What all rules of a version's schema may cost together; as upstream.
pub(crate) const SCHEMA_ESTIMATE_MAX: u64 = 100_000_000;

/// Prices of what makes a list or a map.
const LIST: u64 = 10;
const MAP: u64 = 30;

/// The types of an expression's parts, by where in memory they are: they do not move while one is checked.
pub(super) type Types<'a> = HashMap<*const Expr, Type<'a>>;

/// What an expression costs at worst, whose parts have these types, where `self` is of the schema.
pub(super) fn estimate(expr: &Expr, types: &Types<'_>, node: &Node, is_resource: bool) -> u64 {
    let mut coster = Coster {
        types,
        root: Place::Node(node, is_resource),
        scope: Vec::new(),
    };
    coster.part(expr).cost
}

/// How often a rule of a schema can run in one request, where no limit says so.
pub(super) fn often(node: &Node) -> u64 {
    size::often(node)
}

/// A name in scope.
#[derive(Clone, Copy, Default)]
struct Local<'a> {
    place: Option<Place<'a>>,
    size: Option<Size>,
    entry: Option<Entry>,
}

/// Sizes of the names and the values of what was put together in the rule.
#[derive(Debug, Clone, Copy)]
struct Entry {
    is_list: bool,
    name: Size,
    value: Size,
}

impl Entry {
    fn union(self, other: Self) -> Self {
        Self {
            is_list: self.is_list,
            name: self.name.union(other.name),
            value: self.value.union(other.value),
        }
    }
}

/// What is known of a part of an expression.
#[derive(Clone, Copy, Default)]
struct Part<'a> {
    cost: u64,
    place: Option<Place<'a>>,
    size: Option<Size>,
    entry: Option<Entry>,
}

impl<'a> Part<'a> {
    fn of(cost: u64) -> Self {
        Self {
            cost,
            ..Self::default()
        }
    }

    fn size(&self) -> Size {
        self.size.unwrap_or(Size::UNKNOWN)
    }

    fn plus(self, cost: u64) -> Self {
        Self {
            cost: self.cost.saturating_add(cost),
            ..self
        }
    }

    /// The size of one element.
    fn element(&self) -> Size {
        let inside = self.place.and_then(Place::inside);
        inside.and_then(Place::size).unwrap_or(Size::UNKNOWN)
    }

    fn local(&self) -> Local<'a> {
        Local {
            place: self.place,
            size: self.size,
            entry: self.entry,
        }
    }
}

struct Coster<'a, 't> {
    types: &'t Types<'a>,
    /// Where `self` is, `oldSelf`, and to upstream every name that no loop gives: those of types, too.
    root: Place<'a>,
    scope: Vec<(String, Local<'a>)>,
}

impl<'a> Coster<'a, '_> {
    fn type_of(&self, expr: &Expr) -> &Type<'a> {
        self.types
            .get(&std::ptr::from_ref(expr))
            .unwrap_or(&Type::Dyn)
    }

    /// Where a part of something stands. What was put together in the rule has no place; its parts have that of the
    /// root, for upstream's path to them is one step long, and the first step is taken for a name.
    fn step(
        &self,
        of: Option<Place<'a>>,
        step: impl FnOnce(Place<'a>) -> Option<Place<'a>>,
    ) -> Option<Place<'a>> {
        Some(of.map_or(self.root, |place| step(place).unwrap_or(Place::Nowhere)))
    }

    /// An expression with the size it has if nothing else says so: the schema's, or that of one value.
    fn part(&mut self, expr: &Expr) -> Part<'a> {
        let mut part = self.bare(expr);
        if part.size.is_none() {
            part.size = part.place.and_then(Place::size);
        }
        if part.size.is_none() && is_scalar(self.type_of(expr)) {
            part.size = Some(Size::fixed(1));
        }
        if let (None, Kind::Ident(name)) = (part.size, &expr.kind) {
            part.size = self.named(name).and_then(|local| local.size);
        }
        part
    }

    fn bare(&mut self, expr: &Expr) -> Part<'a> {
        match &expr.kind {
            Kind::Literal(literal) => Part {
                size: Some(literal_size(literal)),
                ..Part::default()
            },
            Kind::Ident(name) => {
                let local = self.named(name).unwrap_or(Local {
                    place: Some(self.root),
                    ..Local::default()
                });
                Part {
                    cost: 1,
                    place: local.place,
                    size: None,
                    entry: local.entry,
                }
            }
            Kind::Select {
                of,
                field,
                optional,
            } => self.select(of, field, *optional),
            // Whether something is there costs nothing.
            Kind::Has { of, .. } => Part::of(self.part(of).cost),
            Kind::Index {
                of,
                index,
                optional,
            } => {
                let (of, index) = (self.part(of), self.part(index));
                let cost = of.cost.saturating_add(index.cost).saturating_add(1);
                if *optional {
                    return Part::of(cost);
                }
                Part {
                    cost,
                    place: self.step(of.place, Place::inside),
                    size: of.entry.map(|entry| entry.value),
                    entry: None,
                }
            }
            Kind::Not(of) | Kind::Negate(of) => Part::of(self.part(of).cost).plus(1),
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::And(parts) | Kind::Or(parts) => {
                let costs = parts.iter().map(|part| self.part(part).cost);
                Part::of(costs.fold(0, u64::saturating_add))
            }
            Kind::Choice(parts) => self.choice(parts),
            Kind::Call { name, method, args } => self.call(name, *method, args),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Loop(inner) => self.repeat(inner),
            Kind::OptionalMap {
                of,
                name,
                body,
                flat,
            } => self.optional(of, name, body, *flat),
            Kind::Bind { name, value, body } => self.bind(name, value, body),
        }
    }

    fn named(&self, name: &str) -> Option<Local<'a>> {
        let found = self.scope.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, local)| *local)
    }

    /// Runs with a name in scope.
    fn with<T>(
        &mut self,
        locals: impl IntoIterator<Item = (String, Local<'a>)>,
        run: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.scope.len();
        self.scope.extend(locals);
        let done = run(self);
        self.scope.truncate(before);
        done
    }

    fn select(&mut self, of: &Expr, field: &str, optional: bool) -> Part<'a> {
        let part = self.part(of);
        if optional {
            return Part::of(part.cost).plus(1);
        }
        let price = match self.type_of(of) {
            Type::Map(..) | Type::Object(_) => 1,
            _ => 0,
        };
        Part {
            place: self.step(part.place, |place| place.field(field)),
            ..Part::of(part.cost).plus(price)
        }
    }

    fn binary(&mut self, operator: Binary, left: &Expr, right: &Expr) -> Part<'a> {
        let (one, other) = (self.part(left), self.part(right));
        let args = one.cost.saturating_add(other.cost);
        let types = [self.type_of(left), self.type_of(right)];
        let is_text = types
            .iter()
            .any(|of| matches!(of, Type::Text | Type::Bytes))
            || types.iter().all(|of| matches!(of, Type::Dyn));
        let is_list = types.iter().any(|of| matches!(of, Type::List(_)));
        let smaller = Size::up_to(one.size().max.min(other.size().max));
        match operator {
            Binary::Equal | Binary::NotEqual => {
                let price = match types {
                    [Type::Named(one), Type::Named(two)] if one == two => match operator {
                        Binary::Equal => calls::same(one, other.size),
                        _ => smaller.read(),
                    },
                    _ => smaller.read(),
                };
                Part::of(args).plus(price)
            }
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual
                if is_text =>
            {
                Part::of(args).plus(smaller.read())
            }
            Binary::In if !matches!(types[1], Type::Map(..)) => {
                Part::of(args).plus(other.size().max)
            }
            Binary::Add if is_text || is_list => {
                let size = one.size().add(other.size());
                let price = if is_list { 1 } else { size.read() };
                let entry = one.entry.zip(other.entry);
                Part {
                    size: Some(size),
                    entry: entry.map(|(one, other)| one.union(other)),
                    ..Part::of(args).plus(price)
                }
            }
            _ => Part::of(args).plus(1),
        }
    }

    fn choice(&mut self, parts: &[Expr; 3]) -> Part<'a> {
        let [condition, then, otherwise] = parts;
        let condition = self.part(condition).cost;
        let (then, otherwise) = (self.part(then), self.part(otherwise));
        let entry = then.entry.zip(otherwise.entry);
        Part {
            size: Some(then.size().union(otherwise.size())),
            entry: entry.map(|(one, other)| one.union(other)),
            ..Part::of(then.cost.max(otherwise.cost)).plus(condition)
        }
    }

    fn list(&mut self, elements: &[(bool, Expr)]) -> Part<'a> {
        let parts: Vec<Part<'a>> = elements.iter().map(|(_, part)| self.part(part)).collect();
        let sizes = parts.iter().map(Part::size).reduce(Size::union);
        Part {
            size: Some(Size::of(parts.len())),
            entry: Some(Entry {
                is_list: true,
                name: Size::fixed(1),
                value: sizes.unwrap_or(Size::fixed(0)),
            }),
            ..Part::of(LIST).plus(sum(&parts))
        }
    }

    fn map(&mut self, entries: &[(bool, Expr, Expr)]) -> Part<'a> {
        let mut parts = |values: bool| -> Vec<Part<'a>> {
            let all = entries.iter();
            let all = all.map(|(_, name, value)| if values { value } else { name });
            all.map(|part| self.part(part)).collect()
        };
        let (names, values) = (parts(false), parts(true));
        let size = |parts: &[Part<'a>]| {
            let sizes = parts.iter().map(Part::size).reduce(Size::union);
            sizes.unwrap_or(Size::fixed(0))
        };
        Part {
            size: Some(Size::of(entries.len())),
            entry: Some(Entry {
                is_list: false,
                name: size(&names),
                value: size(&values),
            }),
            ..Part::of(MAP).plus(sum(&names)).plus(sum(&values))
        }
    }

    /// What a loop's names stand for, by what it goes over.
    fn variables(&self, inner: &Loop, range: &Part<'a>) -> Vec<(String, Local<'a>)> {
        let is_list = match range.entry {
            Some(entry) => entry.is_list,
            None => matches!(self.type_of(&inner.range), Type::List(_)),
        };
        let local = |place: Option<Place<'a>>, size: fn(Entry) -> Size| Local {
            place,
            size: range.entry.map(size),
            entry: None,
        };
        let value = local(self.step(range.place, Place::inside), |entry| entry.value);
        // The index of a list has no place in the schema.
        let names = |place: Place<'a>| if is_list { None } else { place.names() };
        let names = self.step(range.place, names);
        let name = local(names, |entry| entry.name);
        match &inner.second {
            Some(second) => vec![(inner.first.clone(), name), (second.clone(), value)],
            None if is_list => vec![(inner.first.clone(), value)],
            None => vec![(inner.first.clone(), name)],
        }
    }

    /// A loop is what upstream's macros make of it: a value that each step makes anew.
    fn repeat(&mut self, inner: &Loop) -> Part<'a> {
        let range = self.part(&inner.range);
        let variables = self.variables(inner, &range);
        let first = variables.first().map(|(_, local)| *local);
        let (filter, body) = self.with(variables, |coster| {
            let filter = inner.filter.as_ref().map(|filter| coster.part(filter).cost);
            (filter, coster.part(&inner.body))
        });
        // What is before and after the loop, and each step.
        let (around, step) = match inner.kind {
            LoopKind::All => (1, body.cost.saturating_add(3)),
            LoopKind::Exists => (1, body.cost.saturating_add(4)),
            LoopKind::ExistsOne => (2, body.cost.saturating_add(2)),
            LoopKind::Map => (LIST + 1, body.cost.saturating_add(LIST + 2)),
            LoopKind::Filter => (LIST + 1, body.cost.saturating_add(LIST + 3)),
            LoopKind::TransformMap => (MAP + 1, body.cost.saturating_add(3)),
            LoopKind::TransformMapEntry => (MAP + 1, body.cost.saturating_add(2)),
        };
        let step = step.saturating_add(filter.unwrap_or(0));
        let count = range.size();
        let cost = count.max.saturating_mul(step);
        let value = match inner.kind {
            LoopKind::Map => Some(body.size()),
            LoopKind::Filter => first.map(|local| {
                let placed = local.place.and_then(Place::size);
                placed.or(local.size).unwrap_or(Size::UNKNOWN)
            }),
            _ => None,
        };
        let entry = value.map(|value| Entry {
            is_list: true,
            name: Size::fixed(1),
            value: value.union(Size::fixed(0)),
        });
        let is_made = matches!(
            inner.kind,
            LoopKind::Map | LoopKind::Filter | LoopKind::TransformMap | LoopKind::TransformMapEntry
        );
        Part {
            size: Some(if is_made { count } else { Size::fixed(1) }),
            entry,
            ..Part::of(range.cost).plus(around).plus(cost)
        }
    }

    /// `of.hasValue() ? optional.of(bind(name, of.value(), body)) : optional.none()`.
    fn optional(&mut self, of: &Expr, name: &str, body: &Expr, flat: bool) -> Part<'a> {
        let of = self.part(of).cost;
        let local = Local::default();
        let body = self.with([(name.to_owned(), local)], |coster| coster.part(body));
        let bound = body.cost.saturating_add(of).saturating_add(LIST + 1);
        let then = bound.saturating_add(u64::from(!flat));
        Part::of(of).plus(1).plus(then)
    }

    /// A name for a value.
    fn bind(&mut self, name: &str, value: &Expr, body: &Expr) -> Part<'a> {
        let value = self.part(value);
        let local = value.local();
        let body = self.with([(name.to_owned(), local)], |coster| coster.part(body));
        Part {
            place: None,
            ..body.plus(LIST).plus(value.cost)
        }
    }
}

fn sum(parts: &[Part<'_>]) -> u64 {
    let costs = parts.iter().map(|part| part.cost);
    costs.fold(0, u64::saturating_add)
}

/// Whether values of a type all have one size.
fn is_scalar(of: &Type<'_>) -> bool {
    match of {
        Type::Optional(of) => is_scalar(of),
        of => matches!(
            of,
            Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Duration | Type::Timestamp
        ),
    }
}

fn literal_size(literal: &Literal) -> Size {
    match literal {
        Literal::Text(text) => Size::of(text.chars().count()),
        Literal::Bytes(bytes) => Size::of(bytes.len()),
        Literal::Null
        | Literal::Bool(_)
        | Literal::Int(_)
        | Literal::Uint(_)
        | Literal::Double(_) => Size::fixed(1),
    }
}

#[cfg(test)]
mod tests;
