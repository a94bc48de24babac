//! Schedules of CronJobs: five fields, or a word for them.
//!
//! Source: github.com/robfig/cron v3 `parser.go`; its words are what users of CronJobs see.

use jiff::tz::TimeZoneDatabase;

/// Of each field: least, most and the names that stand for numbers from the least on.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// Why there is no time zone of this name. Upper and lower case matter, as upstream.
pub(super) fn unknown_zone(name: &str) -> Option<String> {
    // The bundled ones: a device may have none of its own, and nothing in this crate reads files.
    let zone = TimeZoneDatabase::bundled().get(name);
    let known = zone.is_ok_and(|zone| zone.iana_name() == Some(name));
    let is_known = matches!(name, "" | "UTC" | "Local") || known;
    (!is_known).then(|| format!("unknown time zone {name}"))
}

/// What is wrong with a schedule.
pub(super) fn refused(schedule: &str) -> Option<String> {
    check(schedule).err()
}

fn check(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let zoned = ["TZ=", "CRON_TZ="]
        .iter()
        .find_map(|prefix| schedule.strip_prefix(prefix)?.split_once(' '));
    if let Some((zone, why)) = zoned.and_then(|(zone, _)| Some((zone, unknown_zone(zone)?))) {
        return Err(format!("provided bad location {zone}: {why}"));
    }
    let schedule = zoned.map_or(schedule, |(_, rest)| rest.trim());
    if schedule.starts_with('@') {
        return word(schedule);
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let (found, all) = (fields.len(), fields.join(" "));
        return Err(format!(
            "expected exactly {} fields, found {found}: [{all}]",
            FIELDS.len()
        ));
    }
    for (field, bounds) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            range(part, bounds)?;
        }
    }
    Ok(())
}

fn word(word: &str) -> Result<(), String> {
    let known = WORDS.contains(&word);
    let is_period = word
        .strip_prefix("@every ")
        .is_some_and(|period| period.starts_with(|c: char| c.is_ascii_digit()));
    if known || is_period {
        return Ok(());
    }
    Err(format!("unrecognized descriptor: {word}"))
}

fn range(part: &str, (min, max, names): (u32, u32, &[&str])) -> Result<(), String> {
    let mut around_step = part.split('/');
    let bounds = around_step.next().unwrap_or_default();
    let step = around_step.next();
    if around_step.next().is_some() {
        return Err(format!("too many slashes: {part}"));
    }
    let ends: Vec<&str> = bounds.split('-').collect();
    let (start, end) = match ends.as_slice() {
        ["*" | "?"] => (min, max),
        [only] => {
            let start = number(only, min, names)?;
            (start, if step.is_some() { max } else { start })
        }
        [start, end] => (number(start, min, names)?, number(end, min, names)?),
        _ => return Err(format!("too many hyphens: {part}")),
    };
    if let Some(step) = step
        && number(step, min, &[])? == 0
    {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    if start < min {
        return Err(format!(
            "beginning of range ({start}) below minimum ({min}): {part}"
        ));
    }
    if end > max {
        return Err(format!(
            "end of range ({end}) above maximum ({max}): {part}"
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {part}"
        ));
    }
    Ok(())
}

fn number(text: &str, first: u32, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_lowercase();
    if let Some(at) = names.iter().position(|name| *name == lower) {
        return Ok(first + u32::try_from(at).unwrap_or_default());
    }
    if let Ok(negative) = text.parse::<i64>()
        && negative < 0
    {
        return Err(format!("negative number ({negative}) not allowed: {text}"));
    }
    text.parse().map_err(|_no_number| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for good in [
            "*/5 * * * *",
            "0 0 1 jan MON-FRI",
            "0,30 9-17/2 * * ?",
            "@hourly",
            "@every 1h30m",
            "CRON_TZ=America/New_York 0 6 * * *",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
        for (bad, why) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            (
                "9-5 * * * *",
                "beginning of range (9) beyond end of range (5): 9-5",
            ),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            (
                "x * * * *",
                "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            ("@never", "unrecognized descriptor: @never"),
            (
                "TZ=Mars/Base * * * * *",
                "provided bad location Mars/Base: unknown time zone Mars/Base",
            ),
        ] {
            assert_eq!(refused(bad).as_deref(), Some(why), "{bad}");
        }
    }

    #[test]
    fn zones() {
        let known = [
            "UTC",
            "Local",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Asia/Kolkata",
            "US/Pacific",
            "EST",
            "EST5EDT",
            "Etc/GMT+5",
            "Etc/UTC",
            "GMT0",
            "Factory",
            "W-SU",
            "Zulu",
        ];
        for zone in known {
            assert_eq!(unknown_zone(zone), None, "{zone}");
        }
        for zone in [
            "europe/berlin",
            "Europe",
            "Europe/Bonn",
            "utc",
            "local",
            "+02:00",
            "Etc/Unknown",
        ] {
            let why = format!("unknown time zone {zone}");
            assert_eq!(unknown_zone(zone), Some(why), "{zone}");
        }
    }
}
