//! `has`, `all`, `exists`, `map`, `filter` and their kin: calls that are not functions.

use super::{
    SyntaxError,
    ast::{Expr, Kind, Loop, LoopKind},
    table::SORT_BY,
};

type Result<T> = std::result::Result<T, SyntaxError>;

/// What became of a method.
pub(super) enum Expanded {
    Loop(Expr),
    /// No macro: its target back.
    Not(Expr),
}

/// `name(args)`.
pub(super) fn global(name: &str, mut args: Vec<Expr>, at: usize) -> Result<Expr> {
    if name == "has" && args.len() == 1 {
        let arg = args.remove(0);
        let Kind::Select {
            of,
            field,
            optional: false,
        } = arg.kind
        else {
            let message = "invalid argument to has() macro".to_owned();
            return Err(SyntaxError {
                at: arg.at,
                message,
            });
        };
        let kind = Kind::Has { of, field };
        return Ok(Expr::new(at, kind));
    }
    let kind = Kind::Call {
        name: name.to_owned(),
        method: false,
        args,
    };
    Ok(Expr::new(at, kind))
}

/// `of.name(args)`.
pub(super) fn method(of: Expr, name: &str, args: &mut Vec<Expr>, at: usize) -> Result<Expanded> {
    let (kind, variables, filter) = match (name, args.len()) {
        ("all", 2) => (LoopKind::All, 1, false),
        ("all", 3) => (LoopKind::All, 2, false),
        ("exists", 2) => (LoopKind::Exists, 1, false),
        ("exists", 3) => (LoopKind::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (LoopKind::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (LoopKind::ExistsOne, 2, false),
        ("map", 2) => (LoopKind::Map, 1, false),
        ("map", 3) => (LoopKind::Map, 1, true),
        ("filter", 2) => (LoopKind::Filter, 1, false),
        ("transformList", 3) => (LoopKind::Map, 2, false),
        ("transformList", 4) => (LoopKind::Map, 2, true),
        ("transformMap", 3) => (LoopKind::TransformMap, 2, false),
        ("transformMap", 4) => (LoopKind::TransformMap, 2, true),
        ("transformMapEntry", 3) => (LoopKind::TransformMapEntry, 2, false),
        ("transformMapEntry", 4) => (LoopKind::TransformMapEntry, 2, true),
        ("sortBy", 2) => return sort_by(of, args, at),
        ("optMap" | "optFlatMap", 2) => return optional(of, name == "optFlatMap", args, at),
        _ => return Ok(Expanded::Not(of)),
    };
    let body = args.pop().ok_or_else(|| bad_variable(at))?;
    let filter = if filter { args.pop() } else { None };
    let first = variable(args.first(), at)?;
    let second = if variables == 2 {
        Some(another(args.get(1), &first, at)?)
    } else {
        None
    };
    let inner = Loop {
        kind,
        range: of,
        first,
        second,
        filter,
        body,
    };
    let kind = Kind::Loop(Box::new(inner));
    Ok(Expanded::Loop(Expr::new(at, kind)))
}

/// A list by what becomes of its elements: it is looked at twice, and made once.
fn sort_by(of: Expr, args: &mut Vec<Expr>, at: usize) -> Result<Expanded> {
    const LIST: &str = "@list";
    if matches!(of.kind, Kind::Literal(_) | Kind::Map(_)) {
        let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        let message = message.to_owned();
        return Err(SyntaxError { at: of.at, message });
    }
    let body = args.pop().ok_or_else(|| bad_variable(at))?;
    let list = || Expr::new(at, Kind::Ident(LIST.to_owned()));
    let keys = Kind::Loop(Box::new(Loop {
        kind: LoopKind::Map,
        range: list(),
        first: variable(args.first(), at)?,
        second: None,
        filter: None,
        body,
    }));
    let sorted = Kind::Call {
        name: SORT_BY.to_owned(),
        method: true,
        args: vec![list(), Expr::new(at, keys)],
    };
    let kind = Kind::Bind {
        name: LIST.to_owned(),
        value: Box::new(of),
        body: Box::new(Expr::new(at, sorted)),
    };
    Ok(Expanded::Loop(Expr::new(at, kind)))
}

fn optional(of: Expr, flat: bool, args: &mut Vec<Expr>, at: usize) -> Result<Expanded> {
    let body = args.pop().ok_or_else(|| bad_variable(at))?;
    let name = variable(args.first(), at)?;
    let kind = Kind::OptionalMap {
        of: Box::new(of),
        name,
        body: Box::new(body),
        flat,
    };
    Ok(Expanded::Loop(Expr::new(at, kind)))
}

fn variable(arg: Option<&Expr>, at: usize) -> Result<String> {
    match arg {
        Some(Expr {
            kind: Kind::Ident(name),
            ..
        }) => Ok(name.clone()),
        Some(other) => Err(bad_variable(other.at)),
        None => Err(bad_variable(at)),
    }
}

/// The second name of a loop.
fn another(arg: Option<&Expr>, first: &str, at: usize) -> Result<String> {
    let name = variable(arg, at)?;
    if name == first {
        return Err(SyntaxError {
            at: arg.map_or(at, |arg| arg.at),
            message: format!("duplicate variable name: {name}"),
        });
    }
    Ok(name)
}

fn bad_variable(at: usize) -> SyntaxError {
    SyntaxError {
        at,
        message: "argument must be a simple name".to_owned(),
    }
}
