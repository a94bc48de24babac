//! Operators: sums, products, comparisons. What would overflow is an error.

use super::super::{Failure, Meter, ast::Binary, val::Val};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;

type Result<T> = std::result::Result<T, Failure>;

pub(super) fn negate<'a>(of: &Val<'a>) -> Result<Val<'a>> {
    match of {
        Val::Int(value) => value.checked_neg().map(Val::Int).ok_or_else(int_overflow),
        Val::Double(value) => Ok(Val::Double(-value)),
        Val::Duration(value) => value
            .checked_neg()
            .map(Val::Duration)
            .ok_or_else(int_overflow),
        _ => Err(Failure::Overload),
    }
}

fn int_overflow() -> Failure {
    Failure::other("integer overflow")
}

pub(super) fn binary<'a>(
    operator: Binary,
    left: &Val<'a>,
    right: &Val<'a>,
    meter: &mut Meter,
) -> Result<Val<'a>> {
    let ordered = |holds: fn(Ordering) -> bool, meter: &mut Meter| {
        left.order(right, meter)
            .map(|order| Val::Bool(holds(order)))
    };
    match operator {
        Binary::Equal => left.equals(right, meter).map(Val::Bool),
        Binary::NotEqual => left.equals(right, meter).map(|same| Val::Bool(!same)),
        Binary::Less => ordered(Ordering::is_lt, meter),
        Binary::LessEqual => ordered(Ordering::is_le, meter),
        Binary::Greater => ordered(Ordering::is_gt, meter),
        Binary::GreaterEqual => ordered(Ordering::is_ge, meter),
        Binary::In => match right {
            Val::List(list) => list.contains(left, meter).map(Val::Bool),
            Val::Map(map) => Ok(Val::Bool(map.get(left)?.is_some())),
            _ => Err(Failure::Overload),
        },
        Binary::Add => add(left, right, meter),
        _ => arithmetic(operator, left, right),
    }
}

/// `+`, also of one element after the other: what `sum` does.
pub(in crate::crd::cel) fn add<'a>(
    left: &Val<'a>,
    right: &Val<'a>,
    meter: &mut Meter,
) -> Result<Val<'a>> {
    match (left, right) {
        (Val::Text(a), Val::Text(b)) => {
            meter.bytes(a.len() + b.len())?;
            Ok(Val::text([&**a, &**b].concat()))
        }
        (Val::Bytes(a), Val::Bytes(b)) => {
            meter.bytes(a.len() + b.len())?;
            Ok(Val::Bytes([&**a, &**b].concat().into()))
        }
        (Val::List(a), Val::List(b)) => {
            let joined = a.join(b, meter)?;
            Ok(Val::list(joined))
        }
        _ => arithmetic(Binary::Add, left, right),
    }
}

fn arithmetic<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    let division = |zero: bool| match (operator, zero) {
        (Binary::Divide, true) => Err(Failure::other("division by zero")),
        (Binary::Modulo, true) => Err(Failure::other("modulus by zero")),
        _ => Ok(()),
    };
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => {
            division(*b == 0)?;
            let result = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Val::Int).ok_or_else(int_overflow)
        }
        (Val::Uint(a), Val::Uint(b)) => {
            division(*b == 0)?;
            let result = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            let overflow = || Failure::other("unsigned integer overflow");
            result.map(Val::Uint).ok_or_else(overflow)
        }
        (Val::Double(a), Val::Double(b)) => match operator {
            Binary::Add => Ok(Val::Double(a + b)),
            Binary::Subtract => Ok(Val::Double(a - b)),
            Binary::Multiply => Ok(Val::Double(a * b)),
            Binary::Divide => Ok(Val::Double(a / b)),
            _ => Err(Failure::Overload),
        },
        _ => time_arithmetic(operator, left, right),
    }
}

fn time_arithmetic<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    let overflow = || Failure::other("timestamp overflow");
    let moved = |time: &Timestamp, nanos: i64| {
        let moved = time.checked_add(SignedDuration::from_nanos(nanos));
        moved.map(Val::Timestamp).map_err(|_range| overflow())
    };
    match (operator, left, right) {
        (Binary::Add, Val::Duration(a), Val::Duration(b)) => a
            .checked_add(*b)
            .map(Val::Duration)
            .ok_or_else(int_overflow),
        (Binary::Subtract, Val::Duration(a), Val::Duration(b)) => a
            .checked_sub(*b)
            .map(Val::Duration)
            .ok_or_else(int_overflow),
        (Binary::Add, Val::Timestamp(time), Val::Duration(nanos))
        | (Binary::Add, Val::Duration(nanos), Val::Timestamp(time)) => moved(time, *nanos),
        (Binary::Subtract, Val::Timestamp(time), Val::Duration(nanos)) => {
            moved(time, nanos.checked_neg().ok_or_else(overflow)?)
        }
        (Binary::Subtract, Val::Timestamp(a), Val::Timestamp(b)) => {
            let nanos = a.as_nanosecond() - b.as_nanosecond();
            let nanos = i64::try_from(nanos);
            nanos.map(Val::Duration).map_err(|_range| overflow())
        }
        _ => Err(Failure::Overload),
    }
}
