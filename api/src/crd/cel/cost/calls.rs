//! What functions cost: most one, those that read a text or a list by its size.

use super::{Coster, LIST, Part, Size};
use crate::crd::cel::{
    ast::{Expr, Kind, Literal},
    table::SORT_BY,
    types::Type,
};

/// What a pattern costs for each character of a text: a fourth of its own length.
fn pattern(size: Size) -> u64 {
    size.max.div_ceil(4)
}

/// The price of a search by a pattern. Also an empty text has its price.
fn search(text: Size, expression: Size) -> u64 {
    text.add(Size::fixed(1))
        .read()
        .saturating_mul(pattern(expression))
}

/// The longest name of a format.
const NAMED_FORMAT_NAME: u64 = 64;
/// The longest pattern of a named format, for each character.
const NAMED_FORMAT: u64 = 128 / 4;
/// Comparing two addresses of 16 bytes, and then masking one.
const CONTAINS_IP: u64 = 4;
const CONTAINS_CIDR: u64 = CONTAINS_IP + 2 + 1;

impl<'a> Coster<'a, '_> {
    /// A call; of a method the first argument is its target.
    pub(super) fn call(&mut self, name: &str, method: bool, args: &[Expr]) -> Part<'a> {
        let parts: Vec<Part<'a>> = args.iter().map(|arg| self.part(arg)).collect();
        let types: Vec<&Type<'a>> = args.iter().map(|arg| self.type_of(arg)).collect();
        let (price, size) = if method {
            method_price(name, args, &parts, &types)
        } else {
            function_price(name, args, &parts, &types)
        };
        let mut part = Part::of(super::sum(&parts)).plus(price);
        part.size = size;
        if let ("dyn", [of]) = (name, parts.as_slice()) {
            (part.size, part.entry) = (of.size, of.entry);
        }
        part
    }
}

fn function_price(
    name: &str,
    args: &[Expr],
    parts: &[Part<'_>],
    types: &[&Type<'_>],
) -> (u64, Option<Size>) {
    let size = |index: usize| parts.get(index).map_or(Size::UNKNOWN, Part::size);
    let given = size(0);
    let sets = || given.multiply(size(1)).max;
    match (name, types) {
        ("bytes", [Type::Text | Type::Dyn]) => {
            (given.read(), Some(given.multiply(Size { min: 1, max: 4 })))
        }
        ("string", [Type::Bytes | Type::Dyn]) => {
            // What is dynamic may be bytes, the one overload whose text has a known length: upstream takes that for all.
            let size = Size {
                min: given.min / 4,
                ..given
            };
            (
                given.read().max(u64::from(types[0] == &Type::Dyn)),
                Some(size),
            )
        }
        ("strings.quote", _) => {
            let size = given.multiply(Size { min: 1, max: 2 }).add(Size::fixed(2));
            (given.read(), Some(size))
        }
        ("url", _) => (given.read(), Some(given)),
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity", _) => (given.read(), None),
        ("semver" | "isSemver", _) => (given.read(), None),
        ("ip.isCanonical", _) => (given.copy(), None),
        ("lists.range", _) => made(10, Size::fixed(literal(args, 0).unwrap_or(u64::MAX))),
        ("sets.contains" | "sets.intersects", _) => (sets().saturating_add(1), None),
        ("sets.equivalent", _) => (sets().saturating_mul(2).saturating_add(1), None),
        _ => (1, None),
    }
}

fn method_price(
    name: &str,
    args: &[Expr],
    parts: &[Part<'_>],
    types: &[&Type<'_>],
) -> (u64, Option<Size>) {
    let size = |index: usize| parts.get(index).map_or(Size::UNKNOWN, Part::size);
    let of = size(0);
    let is_text = |index: usize| matches!(types.get(index), Some(Type::Text));
    match name {
        "startsWith" | "endsWith" => (size(1).read(), None),
        "contains" => (of.read().saturating_mul(size(1).read()), None),
        "matches" => (search(of, size(1)), None),
        "find" | "findAll" => (search(of, size(1)), Some(Size::up_to(of.max))),
        "lowerAscii" | "upperAscii" | "substring" | "trim" => (of.read(), Some(of)),
        "format" => (of.read(), None),
        "replace" => (of.copy(), Some(replaced(of, size(1), size(2)))),
        "split" => {
            // A negative count is a very large one.
            let parts = match args.get(2).map(|arg| &arg.kind) {
                Some(Kind::Literal(Literal::Int(count))) => count.cast_unsigned(),
                _ => of.max,
            };
            (of.copy(), Some(Size::up_to(parts)))
        }
        "join" => {
            let size = joined(&parts[0], parts.get(1));
            (size.read(), Some(size))
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            let Some(Type::List(element)) = types.first() else {
                return (of.read(), None);
            };
            let compared = match **element {
                Type::Text | Type::Bytes => parts[0].element().read().saturating_add(1),
                _ => 1,
            };
            (of.max.saturating_mul(compared), None)
        }
        "slice" | "flatten" | "reverse" | "distinct" | "sort" | SORT_BY => {
            list_price(name, args, parts, types)
        }
        "containsIP" if is_text(1) => (size(1).read().saturating_add(CONTAINS_IP), None),
        "containsIP" => (CONTAINS_IP, None),
        "containsCIDR" if is_text(1) => (size(1).read().saturating_add(CONTAINS_CIDR), None),
        "containsCIDR" => (CONTAINS_CIDR, None),
        "validate" => (size(1).read().saturating_mul(NAMED_FORMAT), None),
        _ => (1, None),
    }
}

/// The price of comparing two values of a type of Kubernetes' own.
pub(super) fn same(name: &str, size: Option<Size>) -> u64 {
    match name {
        "kubernetes.URL" => size.unwrap_or(Size::fixed(1)).read(),
        "kubernetes.NamedFormat" => NAMED_FORMAT_NAME.div_ceil(10),
        _ => 1,
    }
}

/// The size of a text in which one is replaced by another, as often as it may be there.
fn replaced(of: Size, what: Size, by: Size) -> Size {
    let times = |text: u64, pieces: u64| text.div_ceil(pieces.max(1));
    let (count_max, kept_max) = match (what.min, by.max <= what.min) {
        // Nothing stands around every character.
        (0, _) => (of.max.saturating_add(1), of.max),
        (_, true) => (0, of.max),
        (least, false) => (times(of.max, least), 0),
    };
    let (count_min, kept_min) = match (what.max, what.max <= by.min) {
        (0, _) => (of.min.saturating_add(1), of.min),
        (_, true) => (0, of.min),
        (most, false) => (times(of.min, most), 0),
    };
    let count = Size {
        min: count_min,
        max: count_max,
    };
    let kept = Size {
        min: kept_min,
        max: kept_max,
    };
    count.multiply(by).add(kept)
}

/// The size of a list's texts in one, with something between them.
fn joined(list: &Part<'_>, separator: Option<&Part<'_>>) -> Size {
    let count = list.size();
    let texts = count.multiply(list.element());
    let Some(separator) = separator else {
        return texts;
    };
    let between = Size {
        min: count.min.saturating_sub(1),
        max: count.max.saturating_sub(1),
    };
    texts.add(separator.size().multiply(between))
}

/// What makes a list: by its length, or by how often its elements are compared.
fn list_price(
    name: &str,
    args: &[Expr],
    parts: &[Part<'_>],
    types: &[&Type<'_>],
) -> (u64, Option<Size>) {
    let of = parts.first().map_or(Size::UNKNOWN, Part::size);
    match name {
        "slice" => {
            let (start, end) = (literal(args, 1), literal(args, 2));
            let count = end.unwrap_or(of.max).wrapping_sub(start.unwrap_or(0));
            made(10, Size::fixed(count))
        }
        "flatten" if args.len() == 1 => made(10, of),
        "flatten" => {
            let depth = literal(args, 1).unwrap_or(u64::MAX);
            made(depth.saturating_mul(10), of)
        }
        "reverse" => made(10, of),
        "distinct" => made(20, of.multiply(of)),
        // Sorted by their own values, or by others.
        _ => {
            let keys = parts.last().map_or(Size::UNKNOWN, Part::size);
            let in_texts = match types.last() {
                Some(Type::List(of)) => matches!(**of, Type::Text | Type::Bytes | Type::Dyn),
                _ => true,
            };
            made(if in_texts { 21 } else { 20 }, keys.multiply(keys))
        }
    }
}

/// A list of a size, at a price in tenths for each element.
fn made(tenths: u64, size: Size) -> (u64, Option<Size>) {
    let each = u128::from(size.max) * u128::from(tenths);
    let price = u64::try_from(each.div_ceil(10)).unwrap_or(u64::MAX);
    (price.saturating_add(LIST + 1), Some(size))
}

/// A number that stands in the text; what is less than nothing is nothing.
fn literal(args: &[Expr], index: usize) -> Option<u64> {
    match args.get(index)?.kind {
        Kind::Literal(Literal::Int(count)) => Some(u64::try_from(count).unwrap_or(0)),
        _ => None,
    }
}
