//! Which types operators and functions take, and what they give.

use super::super::{ast::Binary, table::Sort, types::Type};

fn is_number(of: &Type<'_>) -> bool {
    matches!(of, Type::Int | Type::Uint | Type::Double)
}

pub(super) fn is_ordered(left: &Type<'_>, right: &Type<'_>) -> bool {
    let numbers = is_number(left) && is_number(right);
    has_order(left) && has_order(right) && (left.fits(right) || numbers)
}

pub(super) fn arithmetic<'a>(
    operator: Binary,
    left: &Type<'a>,
    right: &Type<'a>,
) -> Option<Type<'a>> {
    use Type::{Bytes, Duration, Dyn, List, Text, Timestamp};
    Some(match (operator, left, right) {
        (_, Dyn, Dyn) => Dyn,
        (_, Dyn, Duration | Timestamp) | (_, Duration | Timestamp, Dyn) => Dyn,
        (Binary::Add, List(_), Dyn) | (Binary::Add, Dyn, List(_)) => Type::list(Dyn),
        (Binary::Add, List(a), List(b)) if a.fits(b) => Type::list((**a).clone().join(b)),
        (Binary::Add, Text | Dyn, Text) | (Binary::Add, Text, Dyn) => Text,
        (Binary::Add, Bytes | Dyn, Bytes) | (Binary::Add, Bytes, Dyn) => Bytes,
        (Binary::Add | Binary::Subtract, Duration, Duration) => Duration,
        (Binary::Add, Timestamp, Duration) | (Binary::Add, Duration, Timestamp) => Timestamp,
        (Binary::Subtract, Timestamp, Timestamp) => Duration,
        (Binary::Subtract, Timestamp, Duration) => Timestamp,
        (Binary::Modulo, Type::Double, _) | (Binary::Modulo, _, Type::Double) => return None,
        (_, number, Dyn) | (_, Dyn, number) if is_number(number) => number.clone(),
        (_, a, b) if is_number(a) && a == b => a.clone(),
        _ => return None,
    })
}

/// What has an order.
fn has_order(of: &Type<'_>) -> bool {
    is_number(of)
        || matches!(
            of,
            Type::Bool | Type::Text | Type::Bytes | Type::Duration | Type::Timestamp | Type::Dyn
        )
}

/// Sorts with an `A` in something.
fn binds(sort: Sort) -> bool {
    matches!(
        sort,
        Sort::ListA
            | Sort::ListListA
            | Sort::ListOrderedA
            | Sort::ListSummedA
            | Sort::ListOptionalA
            | Sort::OptionalA
    )
}

/// Whether an argument fits; `bound` is what `A` stands for in this call.
pub(super) fn takes_it<'a>(sort: Sort, found: &Type<'a>, bound: &mut Option<Type<'a>>) -> bool {
    let mut bind = |of: &Type<'a>| match bound {
        Some(known) if !of.fits(known) => false,
        Some(known) => {
            *bound = Some(known.clone().join(of));
            true
        }
        None => {
            *bound = Some(of.clone());
            true
        }
    };
    match (sort, found) {
        (Sort::A, found) => bind(found),
        (Sort::ListOrderedA, Type::List(of)) => has_order(of) && bind(of),
        (Sort::ListSummedA, Type::List(of)) => {
            let summed = is_number(of) || matches!(**of, Type::Duration | Type::Dyn);
            summed && bind(of)
        }
        (Sort::ListKeys, Type::List(of)) => has_order(of),
        (Sort::ListKeys, Type::Dyn) => true,
        (Sort::ListOptionalA, Type::List(of)) => match &**of {
            Type::Optional(of) => bind(of),
            Type::Dyn => bind(&Type::Dyn),
            _ => false,
        },
        (Sort::ListA, Type::List(of)) | (Sort::OptionalA, Type::Optional(of)) => bind(of),
        (Sort::ListListA, Type::List(of)) => match &**of {
            Type::List(of) => bind(of),
            other => bind(other),
        },
        (sort, Type::Dyn) if binds(sort) => bind(&Type::Dyn),
        (sort, _) if binds(sort) || sort == Sort::ListKeys => false,
        (sort, found) => found.fits(&type_of(sort, None)) && *found != Type::Null,
    }
}

pub(super) fn type_of(sort: Sort, bound: Option<Type<'_>>) -> Type<'_> {
    let a = || bound.unwrap_or(Type::Dyn);
    match sort {
        Sort::Dyn => Type::Dyn,
        Sort::Bool => Type::Bool,
        Sort::Int => Type::Int,
        Sort::Uint => Type::Uint,
        Sort::Double => Type::Double,
        Sort::Text => Type::Text,
        Sort::Bytes => Type::Bytes,
        Sort::Duration => Type::Duration,
        Sort::Timestamp => Type::Timestamp,
        Sort::Type => Type::Kind(Some(Box::new(a()))),
        Sort::Quantity => Type::Named("kubernetes.Quantity"),
        Sort::Url => Type::Named("kubernetes.URL"),
        Sort::Ip => Type::Named("net.IP"),
        Sort::Cidr => Type::Named("net.CIDR"),
        Sort::Format => Type::Named("kubernetes.NamedFormat"),
        Sort::Semver => Type::Named("kubernetes.Semver"),
        Sort::A => a(),
        Sort::ListA | Sort::ListOrderedA | Sort::ListSummedA => Type::list(a()),
        Sort::ListOptionalA => Type::list(Type::optional(a())),
        Sort::ListDyn | Sort::ListKeys => Type::list(Type::Dyn),
        Sort::ListListA => Type::list(Type::list(a())),
        Sort::ListInt => Type::list(Type::Int),
        Sort::ListText => Type::list(Type::Text),
        Sort::MapAny => Type::map(Type::Dyn, Type::Dyn),
        Sort::Query => Type::map(Type::Text, Type::list(Type::Text)),
        Sort::OptionalA => Type::optional(a()),
        Sort::OptionalListText => Type::optional(Type::list(Type::Text)),
        Sort::OptionalFormat => Type::optional(Type::Named("kubernetes.NamedFormat")),
    }
}
