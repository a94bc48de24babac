//! Parts of timestamps and durations. Without a zone it is UTC.

use super::Called;
use crate::crd::cel::{Failure, val::Val};
use jiff::{
    Timestamp, Zoned,
    tz::{Offset, TimeZone},
};

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Called<'a> {
    match args {
        [Val::Duration(nanos)] => duration(name, *nanos).map(|part| Ok(Val::Int(part))),
        [Val::Timestamp(time)] => {
            let time = time.to_zoned(TimeZone::UTC);
            part(name, &time).map(|part| Ok(Val::Int(part)))
        }
        [Val::Timestamp(time), Val::Text(zone)] => {
            let Some(time) = zoned(*time, zone) else {
                return Some(Err(Failure::other(format!(
                    "unknown time zone {}",
                    &**zone
                ))));
            };
            part(name, &time).map(|part| Ok(Val::Int(part)))
        }
        _ => None,
    }
}

/// `UTC` or an offset such as `-08:00`: there is no time zone database in here.
fn zoned(time: Timestamp, zone: &str) -> Option<Zoned> {
    if matches!(zone, "UTC" | "Etc/UTC" | "Z" | "") {
        return Some(time.to_zoned(TimeZone::UTC));
    }
    let (sign, rest) = match zone.strip_prefix(['+', '-']) {
        Some(rest) if zone.starts_with('-') => (-1, rest),
        Some(rest) => (1, rest),
        None => (1, zone),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let valid = (0..24).contains(&hours) && (0..60).contains(&minutes);
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok();
    Some(time.to_zoned(TimeZone::fixed(offset.filter(|_| valid)?)))
}

fn part(name: &str, time: &Zoned) -> Option<i64> {
    Some(match name {
        "getFullYear" => time.year().into(),
        "getMonth" => i64::from(time.month()) - 1,
        "getDate" => time.day().into(),
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDayOfWeek" => time.weekday().to_sunday_zero_offset().into(),
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getHours" => time.hour().into(),
        "getMinutes" => time.minute().into(),
        "getSeconds" => time.second().into(),
        "getMilliseconds" => time.millisecond().into(),
        _ => return None,
    })
}

fn duration(name: &str, nanos: i64) -> Option<i64> {
    Some(match name {
        "getHours" => nanos / 3_600_000_000_000,
        "getMinutes" => nanos / 60_000_000_000,
        "getSeconds" => nanos / 1_000_000_000,
        "getMilliseconds" => nanos / 1_000_000 % 1000,
        _ => return None,
    })
}
