//! What is wrong with an expression before it runs: unknown names and fields, types that no function
//! takes.
//!
//! Where a type is not known, nothing is refused: a rule is never turned down for what it might do.

mod literals;
mod signature;

use self::signature::{arithmetic, is_ordered, takes_it, type_of};
use super::{
    Patterns, SyntaxError,
    ast::{Binary, Expr, Kind, Literal, Loop, LoopKind},
    cost::Types,
    table::FUNCTIONS,
    types::Type,
};
use crate::crd::pattern::Patterns as All;
use std::mem;

/// Errors that are told of one expression, as upstream.
const ERRORS_MAX: usize = 100;

/// Checks one expression.
pub(super) struct Checker<'a, 'p> {
    /// Names and what they are; the last of a name is meant.
    scope: Vec<(String, Type<'a>)>,
    errors: Faults,
    /// What is wrong with literals. Nothing of it is said where a type does not fit.
    late: Faults,
    /// Calls around it whose lists may hold anything.
    mixing: usize,
    /// `oldSelf` is named.
    pub(super) uses_old_self: bool,
    /// Patterns that stand in the text, compiled.
    patterns: &'p mut Patterns,
    /// What compiles them.
    all: &'p mut All,
    /// Of every part that was looked at.
    pub(super) types: Types<'a>,
}

/// What is wrong, the first so many: each is printed with its whole line.
#[derive(Default)]
struct Faults {
    told: Vec<SyntaxError>,
    more: usize,
}

impl Faults {
    fn push(&mut self, at: usize, message: String) {
        if self.told.len() < ERRORS_MAX {
            self.told.push(SyntaxError { at, message });
        } else {
            self.more += 1;
        }
    }

    /// By where they are.
    fn print(mut self, text: &str) -> String {
        self.told.sort_by_key(|error| error.at);
        let mut lines: Vec<String> = self.told.iter().map(|error| error.print(text)).collect();
        if self.more > 0 {
            lines.push(format!("{} more errors were truncated", self.more));
        }
        lines.join("\n")
    }
}

/// What a name that is a type stands for.
fn type_named<'a>(name: &str) -> Option<Type<'a>> {
    let any = Type::Dyn;
    let of = match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "list" => Type::list(any),
        "map" => Type::map(any.clone(), any),
        "null_type" => Type::Null,
        "type" => Type::Kind(None),
        "optional_type" => Type::optional(any),
        _ => return None,
    };
    Some(Type::Kind(Some(Box::new(of))))
}

impl<'a, 'p> Checker<'a, 'p> {
    pub(super) fn new(
        scope: Vec<(String, Type<'a>)>,
        patterns: &'p mut Patterns,
        all: &'p mut All,
    ) -> Self {
        Self {
            scope,
            errors: Faults::default(),
            late: Faults::default(),
            mixing: 0,
            uses_old_self: false,
            patterns,
            all,
            types: Types::new(),
        }
    }

    /// What was found, as upstream prints it.
    pub(super) fn errors(&mut self, text: &str) -> Option<String> {
        let errors = mem::take(&mut self.errors);
        let late = mem::take(&mut self.late);
        let found = if errors.told.is_empty() { late } else { errors };
        (!found.told.is_empty()).then(|| found.print(text))
    }
}

impl<'a> Checker<'a, '_> {
    fn error(&mut self, at: usize, message: String) -> Type<'a> {
        self.errors.push(at, message);
        Type::Dyn
    }

    fn no_overload(&mut self, at: usize, name: &str, args: &[Type<'a>], method: bool) -> Type<'a> {
        let text = |args: &[Type<'a>]| {
            let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        let applied = match args {
            [of, rest @ ..] if method => format!("{of}.({})", text(rest)),
            args => format!("({})", text(args)),
        };
        let message = format!("found no matching overload for '{name}' applied to '{applied}'");
        self.error(at, message)
    }

    /// The type of an expression; errors are collected.
    pub(super) fn expr(&mut self, expr: &Expr) -> Type<'a> {
        let found = self.part(expr);
        self.types.insert(expr, found.clone());
        found
    }

    fn part(&mut self, expr: &Expr) -> Type<'a> {
        match &expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => self.ident(name, expr.at),
            Kind::Select {
                of,
                field,
                optional,
            } => {
                let of = self.expr(of);
                let selected = self.select(of, field, expr.at);
                if *optional { wrap(selected) } else { selected }
            }
            Kind::Has { of, field } => {
                let of = self.expr(of);
                self.select(of, field, expr.at);
                Type::Bool
            }
            Kind::Index {
                of,
                index,
                optional,
            } => {
                let (of, index) = (self.expr(of), self.expr(index));
                let found = self.index(of, index, expr.at);
                if *optional { wrap(found) } else { found }
            }
            Kind::Not(inner) => self.expect(inner, &Type::Bool),
            Kind::Negate(inner) => match self.expr(inner) {
                found @ (Type::Int | Type::Double | Type::Dyn | Type::Duration) => found,
                other => self.no_overload(expr.at, "-_", &[other], false),
            },
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.expr(left), self.expr(right));
                self.binary(*operator, left, right, expr.at)
            }
            Kind::And(parts) | Kind::Or(parts) => {
                for part in parts {
                    self.expect(part, &Type::Bool);
                }
                Type::Bool
            }
            Kind::Choice(parts) => self.choice(parts),
            Kind::Call { name, method, args } => self.call(name, *method, args, expr.at),
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
                let value = self.expr(value);
                self.scope.push((name.clone(), value));
                let found = self.expr(body);
                self.scope.pop();
                found
            }
        }
    }

    fn expect(&mut self, expr: &Expr, wanted: &Type<'a>) -> Type<'a> {
        let found = self.expr(expr);
        if !found.fits(wanted) {
            let message = format!("expected type '{wanted}' but found '{found}'");
            self.error(expr.at, message);
        }
        wanted.clone()
    }

    fn ident(&mut self, name: &str, at: usize) -> Type<'a> {
        let known = self.scope.iter().rev().find(|(known, _)| known == name);
        if let Some((_, found)) = known {
            self.uses_old_self |= name == "oldSelf";
            return found.clone();
        }
        if let Some(found) = type_named(name) {
            return found;
        }
        let message = format!("undeclared reference to '{name}' (in container '')");
        self.error(at, message)
    }

    fn select(&mut self, of: Type<'a>, field: &str, at: usize) -> Type<'a> {
        match of {
            Type::Dyn => Type::Dyn,
            Type::Optional(of) => wrap(self.select(*of, field, at)),
            Type::Map(_, value) => *value,
            Type::Object(fields) => match fields.field(field) {
                Some(found) => found,
                None => self.error(at, format!("undefined field '{field}'")),
            },
            // The name of a message type, such as `google.protobuf.Timestamp`.
            other => {
                let message = format!("type '{other}' does not support field selection");
                self.error(at, message)
            }
        }
    }

    fn index(&mut self, of: Type<'a>, index: Type<'a>, at: usize) -> Type<'a> {
        let number = matches!(index, Type::Dyn | Type::Int | Type::Uint | Type::Double);
        match of {
            Type::Dyn => Type::Dyn,
            Type::List(item) if number => *item,
            Type::Map(key, value) if index.fits(&key) => *value,
            Type::Optional(of) => wrap(self.index(*of, index, at)),
            other => self.no_overload(at, "_[_]", &[other, index], false),
        }
    }

    fn choice(&mut self, parts: &[Expr; 3]) -> Type<'a> {
        let [condition, then, otherwise] = parts;
        self.expect(condition, &Type::Bool);
        let (then, otherwise) = (self.expr(then), self.expr(otherwise));
        if then.fits(&otherwise) {
            return then.join(&otherwise);
        }
        self.no_overload(condition.at, "_?_:_", &[Type::Bool, then, otherwise], false)
    }

    fn list(&mut self, elements: &[(bool, Expr)]) -> Type<'a> {
        let mut parts: Vec<(&Expr, Type<'a>)> = Vec::with_capacity(elements.len());
        for (optional, element) in elements {
            let found = self.expr(element);
            parts.push((element, inner(found, *optional)));
        }
        self.alike(&parts, 1);
        let types = parts.into_iter().map(|(_, found)| found);
        let joined = types.reduce(|joined, found| joined.join(&found));
        Type::list(joined.unwrap_or(Type::Dyn))
    }

    fn map(&mut self, entries: &[(bool, Expr, Expr)]) -> Type<'a> {
        let mut keys: Vec<(&Expr, Type<'a>)> = Vec::with_capacity(entries.len());
        let mut values: Vec<(&Expr, Type<'a>)> = Vec::with_capacity(entries.len());
        for (optional, key, value) in entries {
            keys.push((key, self.expr(key)));
            let found = self.expr(value);
            values.push((value, inner(found, *optional)));
        }
        for parts in [&keys, &values] {
            self.alike(parts, usize::MAX);
        }
        let joined = |parts: Vec<(&Expr, Type<'a>)>| {
            let types = parts.into_iter().map(|(_, found)| found);
            let joined = types.reduce(|joined, found| joined.join(&found));
            joined.unwrap_or(Type::Dyn)
        };
        Type::map(joined(keys), joined(values))
    }

    fn repeat(&mut self, inner: &Loop) -> Type<'a> {
        let range = self.expr(&inner.range);
        let two = inner.second.is_some();
        let (first, second) = match range {
            Type::List(item) if two => (Type::Int, *item),
            Type::List(item) => (*item, Type::Dyn),
            Type::Map(key, value) => (*key, *value),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.error(inner.range.at, message);
                (Type::Dyn, Type::Dyn)
            }
        };
        let before = self.scope.len();
        let key = first.clone();
        self.scope.push((inner.first.clone(), first));
        if let Some(name) = &inner.second {
            self.scope.push((name.clone(), second));
        }
        if let Some(filter) = &inner.filter {
            self.expect(filter, &Type::Bool);
        }
        let result = match inner.kind {
            LoopKind::Map => Type::list(self.expr(&inner.body)),
            LoopKind::TransformMap => {
                let value = self.expr(&inner.body);
                Type::map(key, value)
            }
            LoopKind::TransformMapEntry => match self.expr(&inner.body) {
                found @ Type::Map(..) => found,
                Type::Dyn => Type::map(Type::Dyn, Type::Dyn),
                other => {
                    let made = Type::map(Type::Dyn, Type::Dyn);
                    let at = inner.body.at;
                    self.no_overload(at, "cel.@mapInsert", &[made, other], false)
                }
            },
            LoopKind::Filter => {
                self.expect(&inner.body, &Type::Bool);
                Type::list(key)
            }
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => {
                self.expect(&inner.body, &Type::Bool)
            }
        };
        self.scope.truncate(before);
        result
    }

    fn optional(&mut self, of: &Expr, name: &str, body: &Expr, flat: bool) -> Type<'a> {
        let inner = match self.expr(of) {
            Type::Optional(inner) => *inner,
            Type::Dyn => Type::Dyn,
            other => self.no_overload(of.at, "hasValue", &[other], true),
        };
        self.scope.push((name.to_owned(), inner));
        let body = self.expr(body);
        self.scope.pop();
        if flat { body } else { Type::optional(body) }
    }

    fn call(&mut self, name: &str, method: bool, args: &[Expr], at: usize) -> Type<'a> {
        let mixing = usize::from(name == "format" && method);
        self.mixing += mixing;
        let types: Vec<Type<'a>> = args.iter().map(|arg| self.expr(arg)).collect();
        self.mixing -= mixing;
        self.literal_argument(name, args, at);
        let mut known = false;
        for (row, row_method, takes, gives) in FUNCTIONS {
            if *row != name || *row_method != method {
                continue;
            }
            known = true;
            let mut bound = None;
            let mut pairs = takes.iter().zip(&types);
            if takes.len() == types.len()
                && pairs.all(|(sort, found)| takes_it(*sort, found, &mut bound))
            {
                let dynamic = types.contains(&Type::Dyn);
                // A dynamic argument may be meant for another overload.
                return if dynamic {
                    self.common(name, method, &types)
                } else {
                    type_of(*gives, bound)
                };
            }
        }
        if known {
            return self.no_overload(at, name, &types, method);
        }
        self.error(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
        )
    }

    /// What all overloads that take these arguments give.
    fn common(&mut self, name: &str, method: bool, types: &[Type<'a>]) -> Type<'a> {
        let mut common: Option<Type<'a>> = None;
        for (row, row_method, takes, gives) in FUNCTIONS {
            let mut bound = None;
            let mut pairs = takes.iter().zip(types);
            let fits = *row == name
                && *row_method == method
                && takes.len() == types.len()
                && pairs.all(|(sort, found)| takes_it(*sort, found, &mut bound));
            if fits {
                let found = type_of(*gives, bound);
                common = Some(match common {
                    Some(common) if common == found => common,
                    Some(_) => Type::Dyn,
                    None => found,
                });
            }
        }
        common.unwrap_or(Type::Dyn)
    }

    fn binary(&mut self, operator: Binary, left: Type<'a>, right: Type<'a>, at: usize) -> Type<'a> {
        let result = match operator {
            Binary::Equal | Binary::NotEqual => left.fits(&right).then_some(Type::Bool),
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                is_ordered(&left, &right).then_some(Type::Bool)
            }
            Binary::In => match &right {
                Type::List(item) => left.fits(item).then_some(Type::Bool),
                Type::Map(key, _) => left.fits(key).then_some(Type::Bool),
                Type::Dyn => Some(Type::Bool),
                _ => None,
            },
            _ => arithmetic(operator, &left, &right),
        };
        result.unwrap_or_else(|| self.no_overload(at, operator.name(), &[left, right], false))
    }
}

/// The type of an element; one that may be absent is optional.
fn inner(found: Type<'_>, optional: bool) -> Type<'_> {
    match found {
        Type::Optional(of) if optional => *of,
        other => other,
    }
}

/// An optional value of it; one that is optional stays.
fn wrap(of: Type<'_>) -> Type<'_> {
    match of {
        Type::Optional(_) => of,
        other => Type::optional(other),
    }
}

fn literal_type<'a>(literal: &Literal) -> Type<'a> {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::Text(_) => Type::Text,
        Literal::Bytes(_) => Type::Bytes,
    }
}
