//! Versions, in the sense of semver.org.
//!
//! Source: k8s.io/apiserver `pkg/cel/library/semverlib.go`, which reads them with github.com/blang/semver.

use super::Called;
use crate::crd::cel::{Failure, Meter, val::Val};
use semver::Version;
use std::{cmp::Ordering, rc::Rc};

pub(super) fn call<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    match (name, args) {
        ("semver" | "isSemver", [Val::Text(text)]) => Some(read(name, text, false, meter)),
        ("semver" | "isSemver", [Val::Text(text), Val::Bool(normal)]) => {
            Some(read(name, text, *normal, meter))
        }
        (name, [Val::Semver(of)]) => {
            let number = match name {
                "major" => of.major,
                "minor" => of.minor,
                "patch" => of.patch,
                _ => return None,
            };
            // Upstream does not look whether it fits.
            Some(Ok(Val::Int(number.cast_signed())))
        }
        (name, [Val::Semver(a), Val::Semver(b)]) => compare(name, a, b, meter),
        _ => None,
    }
}

fn read<'a>(name: &str, text: &str, normal: bool, meter: &mut Meter) -> Result<Val<'a>, Failure> {
    meter.bytes(text.len())?;
    let version = if normal {
        normalise(text).and_then(|text| parse(&text))
    } else {
        parse(text)
    };
    if name == "isSemver" {
        return Ok(Val::Bool(version.is_ok()));
    }
    let version = version.map_err(Failure::Other)?;
    Ok(Val::Semver(Rc::new(version)))
}

fn compare<'a>(name: &str, a: &Version, b: &Version, meter: &mut Meter) -> Called<'a> {
    if let Err(failure) = meter.bytes(a.pre.len().min(b.pre.len())) {
        return Some(Err(failure));
    }
    // What was built does not count.
    let order = a.cmp_precedence(b);
    Some(Ok(match name {
        "isGreaterThan" => Val::Bool(order == Ordering::Greater),
        "isLessThan" => Val::Bool(order == Ordering::Less),
        "compareTo" => Val::Int(match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        _ => return None,
    }))
}

/// Without a leading `v` and leading zeros, and with all three numbers.
fn normalise(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
    let is_short = parts.len() < 3;
    if is_short && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    Ok(parts.join("."))
}

fn without_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|first: char| first.is_ascii_digit()) {
        rest.to_owned()
    } else {
        format!("0{rest}")
    }
}

fn parse(text: &str) -> Result<Version, String> {
    let version = Version::parse(text);
    let version = version.ok().filter(|version| {
        // Upstream's numbers have 64 bits everywhere.
        version.pre.is_empty()
            || version
                .pre
                .split('.')
                .all(|part| !is_number(part) || fits(part))
    });
    version.ok_or_else(|| fault(text))
}

fn is_number(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_digit())
}

fn fits(number: &str) -> bool {
    number.parse::<u64>().is_ok()
}

/// What is wrong with a text that is no version, in upstream's words and order.
fn fault(text: &str) -> String {
    if text.is_empty() {
        return "Version string empty".to_owned();
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts.as_slice() else {
        return "No Major.Minor.Patch elements found".to_owned();
    };
    let (rest, built) = match rest.split_once('+') {
        Some((rest, built)) => (rest, Some(built)),
        None => (*rest, None),
    };
    let (patch, before) = match rest.split_once('-') {
        Some((patch, before)) => (patch, Some(before)),
        None => (rest, None),
    };
    let numbers = [("Major", *major), ("Minor", *minor), ("Patch", patch)];
    let mut faults = numbers.into_iter().filter_map(|(name, number)| {
        number_fault(
            &name.to_ascii_lowercase(),
            &format!("{name} number"),
            number,
        )
    });
    let before = || before.into_iter().flat_map(|before| before.split('.'));
    let built = || built.into_iter().flat_map(|built| built.split('.'));
    let found = faults.next();
    let found = found.or_else(|| before().find_map(pre_release_fault));
    let found = found.or_else(|| built().find_map(build_fault));
    found.unwrap_or_else(|| format!("{text:?} is no version"))
}

fn number_fault(lower: &str, name: &str, number: &str) -> Option<String> {
    if !is_number(number) {
        return Some(format!(
            "Invalid character(s) found in {lower} number {number:?}"
        ));
    }
    if number.len() > 1 && number.starts_with('0') {
        return Some(format!("{name} must not contain leading zeroes {number:?}"));
    }
    (!fits(number)).then(|| unfit(number))
}

fn unfit(number: &str) -> String {
    let why = if number.is_empty() {
        "invalid syntax"
    } else {
        "value out of range"
    };
    format!("strconv.ParseUint: parsing {number:?}: {why}")
}

fn is_word(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn pre_release_fault(part: &str) -> Option<String> {
    if part.is_empty() {
        return Some("Prerelease is empty".to_owned());
    }
    if !is_number(part) {
        let wrong = !is_word(part);
        return wrong.then(|| format!("Invalid character(s) found in prerelease {part:?}"));
    }
    if part.len() > 1 && part.starts_with('0') {
        return Some(format!(
            "Numeric PreRelease version must not contain leading zeroes {part:?}"
        ));
    }
    (!fits(part)).then(|| unfit(part))
}

fn build_fault(part: &str) -> Option<String> {
    if part.is_empty() {
        return Some("Build meta data is empty".to_owned());
    }
    let wrong = !is_word(part);
    wrong.then(|| format!("Invalid character(s) found in build meta data {part:?}"))
}
