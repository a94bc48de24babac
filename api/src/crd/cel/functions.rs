//! What functions do: `table` says what they take.
//!
//! Each looks at what it got: where nothing fits, the caller says that there is no such overload.

mod convert;
mod formats;
mod lists;
mod network;
mod texts;
mod time;
mod versions;

use super::{Failure, Meter, Patterns, val::Val};

pub(super) use convert::{print, type_named};

/// What one function made of its arguments; nothing where it does not take these.
type Called<'a> = Option<Result<Val<'a>, Failure>>;

/// Calls a function; of a method the first argument is its target.
pub(super) fn call<'a>(
    name: &str,
    args: &[Val<'a>],
    meter: &mut Meter,
    patterns: &Patterns,
) -> Result<Val<'a>, Failure> {
    convert::call(name, args, meter)
        .or_else(|| texts::call(name, args, meter))
        .or_else(|| texts::patterns(name, args, meter, patterns))
        .or_else(|| lists::call(name, args, meter))
        .or_else(|| lists::optional(name, args, meter))
        .or_else(|| time::call(name, args))
        .or_else(|| network::call(name, args))
        .or_else(|| network::quantity(name, args))
        .or_else(|| versions::call(name, args, meter))
        .or_else(|| formats::call(name, args, meter))
        .unwrap_or(Err(Failure::Overload))
}

/// An index or count that an argument gives.
fn index(value: i64) -> Result<usize, Failure> {
    usize::try_from(value)
        .map_err(|_negative| Failure::other(format!("index out of range: {value}")))
}

/// A count as a value.
fn count<'a>(count: usize) -> Val<'a> {
    Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A place that was searched for, or -1.
fn place<'a>(found: Option<usize>) -> Val<'a> {
    found.map_or(Val::Int(-1), count)
}
