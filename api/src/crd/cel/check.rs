//! What is wrong with an expression before it runs: unknown names and fields, types that no function
//! takes.
//!
//! Where a type is not known, nothing is refused: a rule is never turned down for what it might do.

mod signature;

use self::signature::{arithmetic, is_ordered, takes_it, type_of};
use super::{
    Patterns, SyntaxError,
    ast::{Binary, Expr, Kind, Literal, Loop, LoopKind},
    cost::Types,
    table::FUNCTIONS,
    types::Type,
};
use crate::crd::{duration, pattern::Pattern};

/// Checks one expression.
pub(super) struct Checker<'a, 'p> {
    /// Names and what they are; the last of a name is meant.
    pub(super) scope: Vec<(String, Type<'a>)>,
    pub(super) errors: Vec<SyntaxError>,
    /// `oldSelf` is named.
    pub(super) uses_old_self: bool,
    /// Patterns that stand in the text, compiled.
    pub(super) patterns: &'p mut Patterns,
    /// Of every part that was looked at.
    pub(super) types: Types<'a>,
}

/// Names that are types.
const TYPES: [&str; 11] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
];

impl<'a> Checker<'a, '_> {
    fn error(&mut self, at: usize, message: String) -> Type<'a> {
        self.errors.push(SyntaxError { at, message });
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
        if TYPES.contains(&name) {
            return Type::Kind;
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
        let mut joined: Option<Type<'a>> = None;
        for (optional, element) in elements {
            let found = self.expr(element);
            let found = match found {
                Type::Optional(of) if *optional => *of,
                other => other,
            };
            joined = Some(match joined {
                Some(joined) => joined.join(&found),
                None => found,
            });
        }
        Type::list(joined.unwrap_or(Type::Dyn))
    }

    fn map(&mut self, entries: &[(bool, Expr, Expr)]) -> Type<'a> {
        let mut joined: Option<(Type<'a>, Type<'a>)> = None;
        for (optional, key, value) in entries {
            let (key, value) = (self.expr(key), self.expr(value));
            let value = match value {
                Type::Optional(of) if *optional => *of,
                other => other,
            };
            joined = Some(match joined {
                Some((keys, values)) => (keys.join(&key), values.join(&value)),
                None => (key, value),
            });
        }
        let (key, value) = joined.unwrap_or((Type::Dyn, Type::Dyn));
        Type::map(key, value)
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
        let types: Vec<Type<'a>> = args.iter().map(|arg| self.expr(arg)).collect();
        self.literal_argument(name, args);
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

    /// Patterns and durations that stand in the text are checked before the rule runs.
    fn literal_argument(&mut self, name: &str, args: &[Expr]) {
        let literal = |index: usize| match args.get(index).map(|arg| (&arg.kind, arg.at)) {
            Some((Kind::Literal(Literal::Text(text)), at)) => Some((text, at)),
            _ => None,
        };
        match name {
            "matches" | "find" | "findAll" => {
                let Some((text, at)) = literal(1) else { return };
                if self.patterns.contains_key(text) {
                    return;
                }
                match Pattern::compile_small(text) {
                    Ok(compiled) => {
                        self.patterns.insert(text.clone(), compiled);
                    }
                    Err(why) => {
                        self.error(at, format!("invalid {name} argument: {why}"));
                    }
                }
            }
            "duration" => {
                if let Some((_, at)) =
                    literal(0).filter(|(text, _)| duration::parse(text).is_none())
                {
                    self.error(at, "invalid duration argument".to_owned());
                }
            }
            "timestamp" => {
                let wrong = |text: &str| text.parse::<jiff::Timestamp>().is_err();
                if let Some((_, at)) = literal(0).filter(|(text, _)| wrong(text)) {
                    self.error(at, "invalid timestamp argument".to_owned());
                }
            }
            _ => {}
        }
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
