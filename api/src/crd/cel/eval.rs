//! Running an expression, against a budget that it can never exceed.
//!
//! Every step is paid before it is made, and what makes a text or list pays for its length: neither
//! time nor memory can run away. The prices are those of upstream, roughly.

mod operators;

pub(super) use operators::add;

use self::operators::{binary, negate};
use super::{
    Failure, Meter, Patterns,
    ast::{Expr, Kind, Literal, Loop, LoopKind},
    functions,
    val::{Key, Map, Text, Val},
};
use std::{collections::BTreeMap, rc::Rc};

type Result<T> = std::result::Result<T, Failure>;

/// Runs one expression.
pub(super) struct Machine<'a, 'm> {
    pub(super) scope: Vec<(&'a str, Val<'a>)>,
    pub(super) meter: &'m mut Meter,
    pub(super) patterns: &'a Patterns,
}

impl<'a> Machine<'a, '_> {
    /// The value of an expression.
    pub(super) fn eval(&mut self, expr: &'a Expr) -> Result<Val<'a>> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(literal_value(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select {
                of,
                field,
                optional,
            } => {
                let of = self.eval(of)?;
                self.meter.charge(1)?;
                select(&of, field, *optional)
            }
            Kind::Has { of, field } => {
                let of = self.eval(of)?;
                self.meter.charge(1)?;
                has(&of, field).map(Val::Bool)
            }
            Kind::Index {
                of,
                index,
                optional,
            } => {
                let (of, index) = (self.eval(of)?, self.eval(index)?);
                self.meter.charge(1)?;
                at_index(&of, &index, *optional)
            }
            Kind::Not(inner) => match self.eval(inner)? {
                Val::Bool(value) => Ok(Val::Bool(!value)),
                _ => Err(Failure::Overload),
            },
            Kind::Negate(inner) => negate(&self.eval(inner)?),
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.meter.charge(1)?;
                binary(*operator, &left, &right, self.meter)
            }
            Kind::And(parts) => self.junction(parts, false),
            Kind::Or(parts) => self.junction(parts, true),
            Kind::Choice(parts) => self.choice(parts),
            Kind::Call { name, args, .. } => self.call(name, args),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Loop(inner) => self.repeat(inner),
            Kind::OptionalMap {
                of,
                name,
                body,
                flat,
            } => self.optional(of, name, body, *flat),
            Kind::Bind { name, value, body } => {
                let value = self.eval(value)?;
                self.scope.push((name, value));
                let result = self.eval(body);
                self.scope.pop();
                result
            }
        }
    }

    fn ident(&mut self, name: &'a str) -> Result<Val<'a>> {
        self.meter.charge(1)?;
        let known = self.scope.iter().rev().find(|(known, _)| *known == name);
        match known {
            Some((_, value)) => Ok(value.clone()),
            None => functions::type_named(name)
                .map(Val::Type)
                .ok_or_else(|| Failure::other(format!("no such attribute: {name}"))),
        }
    }

    /// `&&` or `||`: a part that decides makes up for one that failed.
    fn junction(&mut self, parts: &'a [Expr], decides: bool) -> Result<Val<'a>> {
        let mut failed = None;
        for part in parts {
            match self.eval(part) {
                Ok(Val::Bool(value)) if value == decides => return Ok(Val::Bool(decides)),
                Ok(Val::Bool(_)) => {}
                Ok(_) => failed = failed.or(Some(Failure::Overload)),
                Err(Failure::Budget) => return Err(Failure::Budget),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn choice(&mut self, parts: &'a [Expr; 3]) -> Result<Val<'a>> {
        let [condition, then, otherwise] = parts;
        match self.eval(condition)? {
            Val::Bool(true) => self.eval(then),
            Val::Bool(false) => self.eval(otherwise),
            _ => Err(Failure::Overload),
        }
    }

    fn call(&mut self, name: &'a str, args: &'a [Expr]) -> Result<Val<'a>> {
        // The alternative of an optional value is looked at only where it is needed.
        if let ("orValue" | "or", [of, other]) = (name, args) {
            return match self.eval(of)? {
                Val::Optional(None) => self.eval(other),
                Val::Optional(Some(value)) if name == "orValue" => Ok((*value).clone()),
                of @ Val::Optional(_) => Ok(of),
                _ => Err(Failure::Overload),
            };
        }
        let args: Result<Vec<Val<'a>>> = args.iter().map(|arg| self.eval(arg)).collect();
        self.meter.charge(1)?;
        functions::call(name, &args?, self.meter, self.patterns)
    }

    fn list(&mut self, elements: &'a [(bool, Expr)]) -> Result<Val<'a>> {
        self.meter.charge(10)?;
        let mut items = Vec::with_capacity(elements.len());
        for (optional, element) in elements {
            match (self.eval(element)?, optional) {
                (Val::Optional(value), true) => {
                    items.extend(value.map(|value| (*value).clone()));
                }
                (value, _) => items.push(value),
            }
        }
        Ok(Val::list(items))
    }

    fn map(&mut self, entries: &'a [(bool, Expr, Expr)]) -> Result<Val<'a>> {
        self.meter.charge(30)?;
        let mut made = BTreeMap::new();
        for (optional, key, value) in entries {
            let key = self.eval(key)?.key()?;
            let value = match (self.eval(value)?, optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(value)), true) => (*value).clone(),
                (value, _) => value,
            };
            insert(&mut made, key, value)?;
        }
        Ok(Val::Map(Map::Made(Rc::new(made))))
    }

    fn optional(
        &mut self,
        of: &'a Expr,
        name: &'a str,
        body: &'a Expr,
        flat: bool,
    ) -> Result<Val<'a>> {
        let value = match self.eval(of)? {
            Val::Optional(Some(value)) => (*value).clone(),
            Val::Optional(None) => return Ok(Val::Optional(None)),
            _ => return Err(Failure::Overload),
        };
        self.scope.push((name, value));
        let body = self.eval(body);
        self.scope.pop();
        Ok(if flat { body? } else { Val::some(body?) })
    }

    fn repeat(&mut self, inner: &'a Loop) -> Result<Val<'a>> {
        let range = self.eval(&inner.range)?;
        let before = self.scope.len();
        let mut outcome = Outcome::default();
        let mut step = |this: &mut Self, first: Val<'a>, second: Val<'a>| {
            this.scope.push((&inner.first, first));
            if let Some(name) = &inner.second {
                this.scope.push((name, second));
            }
            let decided = this.step(inner, before, &mut outcome);
            this.scope.truncate(before);
            decided
        };
        match &range {
            Val::List(list) => {
                for index in 0..list.len() {
                    self.meter.charge(1)?;
                    let Some(item) = list.get(index) else { break };
                    let (first, second) = match &inner.second {
                        Some(_) => (Val::Int(i64::try_from(index).unwrap_or(i64::MAX)), item),
                        None => (item, Val::Null),
                    };
                    if step(self, first, second)? {
                        break;
                    }
                }
            }
            Val::Map(map) => {
                for (key, value) in map.iter() {
                    self.meter.charge(1)?;
                    if step(self, key, value)? {
                        break;
                    }
                }
            }
            _ => return Err(Failure::Overload),
        }
        outcome.finish(inner.kind)
    }

    /// One element; whether the loop is decided.
    fn step(&mut self, inner: &'a Loop, base: usize, outcome: &mut Outcome<'a>) -> Result<bool> {
        let decides = match inner.kind {
            LoopKind::All => Some(false),
            LoopKind::Exists => Some(true),
            _ => None,
        };
        if let Some(filter) = &inner.filter {
            match self.eval(filter)? {
                Val::Bool(true) => {}
                Val::Bool(false) => return Ok(false),
                _ => return Err(Failure::Overload),
            }
        }
        let value = match (self.eval(&inner.body), decides) {
            (Ok(value), _) => value,
            (Err(failure), Some(_)) if failure != Failure::Budget => {
                outcome.failed.get_or_insert(failure);
                return Ok(false);
            }
            (Err(failure), _) => return Err(failure),
        };
        let first = || {
            self.scope
                .get(base)
                .map_or(Val::Null, |(_, value)| value.clone())
        };
        match (inner.kind, value) {
            (LoopKind::Map, value) => outcome.items.push(value),
            (LoopKind::TransformMap, value) => {
                outcome.entries.insert(first().key()?, value);
            }
            (LoopKind::TransformMapEntry, Val::Map(map)) => {
                for (key, value) in map.iter() {
                    self.meter.charge(1)?;
                    add_entry(&mut outcome.entries, key.key()?, value)?;
                }
            }
            (LoopKind::TransformMapEntry, _) => return Err(Failure::Overload),
            (LoopKind::Filter, Val::Bool(holds)) => {
                if holds {
                    outcome.items.push(first());
                }
            }
            (LoopKind::ExistsOne, Val::Bool(holds)) => outcome.count += usize::from(holds),
            (_, Val::Bool(value)) => {
                outcome.decided = (Some(value) == decides).then_some(value);
                return Ok(outcome.decided.is_some());
            }
            _ => {
                outcome.failed.get_or_insert(Failure::Overload);
            }
        }
        Ok(false)
    }
}

/// What a loop has come to.
#[derive(Default)]
struct Outcome<'a> {
    items: Vec<Val<'a>>,
    entries: BTreeMap<Key, Val<'a>>,
    count: usize,
    decided: Option<bool>,
    failed: Option<Failure>,
}

impl<'a> Outcome<'a> {
    fn finish(self, kind: LoopKind) -> Result<Val<'a>> {
        if let Some(value) = self.decided {
            return Ok(Val::Bool(value));
        }
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        Ok(match kind {
            LoopKind::All => Val::Bool(true),
            LoopKind::Exists => Val::Bool(false),
            LoopKind::ExistsOne => Val::Bool(self.count == 1),
            LoopKind::Map | LoopKind::Filter => Val::list(self.items),
            LoopKind::TransformMap | LoopKind::TransformMapEntry => {
                Val::Map(Map::Made(Rc::new(self.entries)))
            }
        })
    }
}

fn insert<'a>(map: &mut BTreeMap<Key, Val<'a>>, key: Key, value: Val<'a>) -> Result<()> {
    match map.insert(key, value) {
        Some(_) => Err(Failure::other("Failed with repeated key")),
        None => Ok(()),
    }
}

fn add_entry<'a>(map: &mut BTreeMap<Key, Val<'a>>, key: Key, value: Val<'a>) -> Result<()> {
    let name = match &key {
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Text(text) => text.to_string(),
    };
    match map.insert(key, value) {
        Some(_) => Err(Failure::other(format!(
            "insert failed: key {name} already exists"
        ))),
        None => Ok(()),
    }
}

fn literal_value(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(value) => Val::Bool(*value),
        Literal::Int(value) => Val::Int(*value),
        Literal::Uint(value) => Val::Uint(*value),
        Literal::Double(value) => Val::Double(*value),
        Literal::Text(text) => Val::Text(Text::Ref(text)),
        Literal::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
    }
}

fn select<'a>(of: &Val<'a>, field: &str, optional: bool) -> Result<Val<'a>> {
    match of {
        Val::Map(map) => match (map.field(field), optional) {
            (Some(value), true) => Ok(Val::some(value)),
            (Some(value), false) => Ok(value),
            (None, true) => Ok(Val::Optional(None)),
            (None, false) => Err(Failure::other(format!("no such key: {field}"))),
        },
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => select(inner, field, true),
        _ => Err(Failure::Overload),
    }
}

fn has(of: &Val<'_>, field: &str) -> Result<bool> {
    match of {
        Val::Map(map) => Ok(map.field(field).is_some()),
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => has(inner, field),
        _ => Err(Failure::Overload),
    }
}

fn at_index<'a>(of: &Val<'a>, index: &Val<'a>, optional: bool) -> Result<Val<'a>> {
    let (found, why) = match of {
        Val::List(list) => {
            let Ok(Key::Int(at)) = index.key() else {
                return Err(Failure::Overload);
            };
            let found = usize::try_from(at).ok().and_then(|at| list.get(at));
            (found, format!("index out of bounds: {at}"))
        }
        Val::Map(map) => {
            let name = match index {
                Val::Text(text) => text.to_string(),
                other => functions::print(other).unwrap_or_default(),
            };
            (map.get(index)?, format!("no such key: {name}"))
        }
        Val::Optional(None) => return Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => return at_index(inner, index, true),
        _ => return Err(Failure::Overload),
    };
    match (found, optional) {
        (Some(value), true) => Ok(Val::some(value)),
        (Some(value), false) => Ok(value),
        (None, true) => Ok(Val::Optional(None)),
        (None, false) => Err(Failure::other(why)),
    }
}
