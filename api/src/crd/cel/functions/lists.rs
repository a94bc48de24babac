//! Functions of lists, sets and optional values.

use super::{Called, place};
use crate::crd::cel::{
    Failure, Meter,
    eval::add,
    table::SORT_BY,
    val::{List, Val},
};
use std::{cmp::Ordering, rc::Rc};

type Result<T> = std::result::Result<T, Failure>;

/// Longest list that `lists.range` makes.
const RANGE_MAX: i64 = 1_000_000;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    match args {
        [Val::List(list)] => one(name, list, meter),
        [Val::Int(end)] if name == "lists.range" => Some(range(*end, meter)),
        [Val::List(a), Val::List(b)] if name.starts_with("sets.") => sets(name, a, b, meter),
        [Val::List(list), Val::List(keys)] if name == SORT_BY => Some(sort(list, keys, meter)),
        [Val::List(list), Val::Int(depth)] if name == "flatten" => {
            Some(flatten(list, *depth, meter))
        }
        [Val::List(list), what] => match name {
            "indexOf" => Some(find(list, 0..list.len(), what, meter)),
            "lastIndexOf" => Some(find(list, (0..list.len()).rev(), what, meter)),
            _ => None,
        },
        [Val::List(list), Val::Int(from), Val::Int(to)] if name == "slice" => {
            Some(slice(list, *from, *to, meter))
        }
        _ => None,
    }
}

fn one<'a>(name: &str, list: &List<'a>, meter: &mut Meter) -> Called<'a> {
    if let Err(failure) = meter.items(list.len()) {
        return Some(Err(failure));
    }
    Some(match name {
        "isSorted" => is_sorted(list, meter).map(Val::Bool),
        "sum" => sum(list, meter),
        "min" => extreme(list, Ordering::Less, meter),
        "max" => extreme(list, Ordering::Greater, meter),
        "distinct" => distinct(list, meter).map(Val::list),
        "flatten" => flatten(list, 1, meter),
        "reverse" => {
            let mut items: Vec<Val<'a>> = list.iter().collect();
            items.reverse();
            Ok(Val::list(items))
        }
        "sort" => sort(list, list, meter),
        _ => return None,
    })
}

fn range<'a>(end: i64, meter: &mut Meter) -> Result<Val<'a>> {
    meter.charge(u64::try_from(end).unwrap_or(0))?;
    Ok(Val::list((0..end.min(RANGE_MAX)).map(Val::Int).collect()))
}

fn is_sorted(list: &List<'_>, meter: &mut Meter) -> Result<bool> {
    let mut before: Option<Val<'_>> = None;
    for item in list.iter() {
        if let Some(before) = &before
            && before.order(&item, meter)? == Ordering::Greater
        {
            return Ok(false);
        }
        before = Some(item);
    }
    Ok(true)
}

fn sum<'a>(list: &List<'a>, meter: &mut Meter) -> Result<Val<'a>> {
    let mut sum: Option<Val<'a>> = None;
    for item in list.iter() {
        sum = Some(match &sum {
            Some(sum) => add(sum, &item, meter)?,
            None => item,
        });
    }
    Ok(sum.unwrap_or(Val::Int(0)))
}

fn extreme<'a>(list: &List<'a>, wanted: Ordering, meter: &mut Meter) -> Result<Val<'a>> {
    let mut best: Option<Val<'a>> = None;
    for item in list.iter() {
        let better = match &best {
            Some(best) => item.order(best, meter)? == wanted,
            None => true,
        };
        if better {
            best = Some(item);
        }
    }
    let name = if wanted == Ordering::Less {
        "min"
    } else {
        "max"
    };
    best.ok_or_else(|| Failure::other(format!("{name} called on empty list")))
}

fn find<'a>(
    list: &List<'a>,
    places: impl Iterator<Item = usize>,
    what: &Val<'a>,
    meter: &mut Meter,
) -> Result<Val<'a>> {
    for at in places {
        let Some(item) = list.get(at) else { break };
        if item.equals(what, meter)? {
            return Ok(place(Some(at)));
        }
    }
    Ok(place(None))
}

fn distinct<'a>(list: &List<'a>, meter: &mut Meter) -> Result<Vec<Val<'a>>> {
    let mut distinct: Vec<Val<'a>> = Vec::new();
    for item in list.iter() {
        let mut known = false;
        for other in &distinct {
            known |= item.equals(other, meter)?;
        }
        if !known {
            distinct.push(item);
        }
    }
    Ok(distinct)
}

fn flatten<'a>(list: &List<'a>, depth: i64, meter: &mut Meter) -> Result<Val<'a>> {
    if depth < 0 {
        return Err(Failure::other("level must be non-negative"));
    }
    let mut flat = Vec::new();
    pour(list, depth, &mut flat, meter)?;
    Ok(Val::list(flat))
}

/// As deep as lists stand in lists: that is no deeper than an expression or an object is.
fn pour<'a>(list: &List<'a>, depth: i64, flat: &mut Vec<Val<'a>>, meter: &mut Meter) -> Result<()> {
    meter.items(list.len())?;
    for item in list.iter() {
        match item {
            Val::List(inner) if depth > 0 => {
                pour(&inner, depth - 1, flat, meter)?;
            }
            other => flat.push(other),
        }
    }
    Ok(())
}

/// By insertion of halves, so that an order that fails can end it.
fn sort<'a>(list: &List<'a>, keys: &List<'a>, meter: &mut Meter) -> Result<Val<'a>> {
    let (size, count) = (list.len(), keys.len());
    if size != count {
        return Err(Failure::other(format!(
            "{SORT_BY}() expected a list of the same size as the associated keys list, but got {size} and {count} elements respectively"
        )));
    }
    meter.items(size)?;
    let mut sorted: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(size);
    for (key, item) in keys.iter().zip(list.iter()) {
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if sorted[middle].0.order(&key, meter)? == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        // What moves up is paid too.
        meter.items((sorted.len() - low) / 64)?;
        sorted.insert(low, (key, item));
    }
    let items = sorted.into_iter().map(|(_, item)| item);
    Ok(Val::list(items.collect()))
}

fn slice<'a>(list: &List<'a>, from: i64, to: i64, meter: &mut Meter) -> Result<Val<'a>> {
    let refused = |why: &str| Failure::other(format!("cannot slice({from}, {to}), {why}"));
    let (Ok(start), Ok(end)) = (usize::try_from(from), usize::try_from(to)) else {
        return Err(refused("negative indexes not supported"));
    };
    if start > end {
        return Err(refused(
            "start index must be less than or equal to end index",
        ));
    }
    if end > list.len() {
        return Err(refused(&format!("list is length {}", list.len())));
    }
    meter.items(end - start)?;
    let items = (start..end).filter_map(|at| list.get(at));
    Ok(Val::list(items.collect()))
}

fn sets<'a>(name: &str, a: &List<'a>, b: &List<'a>, meter: &mut Meter) -> Called<'a> {
    let mut all_in = |inner: &List<'a>, outer: &List<'a>| -> Result<bool> {
        for item in inner.iter() {
            if !outer.contains(&item, meter)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Some(
        match name {
            "sets.contains" => all_in(b, a),
            "sets.equivalent" => all_in(a, b).and_then(|is| Ok(is && all_in(b, a)?)),
            "sets.intersects" => intersects(a, b, meter),
            _ => return None,
        }
        .map(Val::Bool),
    )
}

fn intersects<'a>(a: &List<'a>, b: &List<'a>, meter: &mut Meter) -> Result<bool> {
    for item in a.iter() {
        if b.contains(&item, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `optional.of` and its kin.
pub(super) fn optional<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    Some(Ok(match (name, args) {
        ("first", [Val::List(list)]) => Val::Optional(list.get(0).map(Rc::new)),
        ("last", [Val::List(list)]) => {
            let last = list.len().checked_sub(1).and_then(|at| list.get(at));
            Val::Optional(last.map(Rc::new))
        }
        ("optional.unwrap" | "unwrapOpt", [Val::List(list)]) => return Some(unwrap(list, meter)),
        ("optional.none", []) => Val::Optional(None),
        ("optional.of", [value]) => Val::some(value.clone()),
        ("optional.ofNonZeroValue", [value]) => {
            if is_zero(value) {
                Val::Optional(None)
            } else {
                Val::some(value.clone())
            }
        }
        ("hasValue", [Val::Optional(value)]) => Val::Bool(value.is_some()),
        ("value", [Val::Optional(Some(value))]) => (**value).clone(),
        ("value", [Val::Optional(None)]) => {
            return Some(Err(Failure::other("optional.none() dereference")));
        }
        _ => return None,
    }))
}

fn unwrap<'a>(list: &List<'a>, meter: &mut Meter) -> Result<Val<'a>> {
    meter.items(list.len())?;
    let mut values = Vec::new();
    for item in list.iter() {
        let Val::Optional(value) = item else {
            return Err(Failure::Overload);
        };
        values.extend(value.map(|value| (*value).clone()));
    }
    Ok(Val::list(values))
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) | Val::Duration(0) => true,
        Val::Double(value) => *value == 0.0,
        other => other.size() == Some(0),
    }
}
