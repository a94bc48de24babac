//! The formats of strings that upstream checks; others are annotations only.
//!
//! Source: k8s.io/kube-openapi `pkg/validation/strfmt`.

use super::pattern::Pattern;
use crate::{
    go::is_base64_line,
    validate::{is_dns_label, is_dns_subdomain},
};
use jiff::{Timestamp, civil};
use regex::Regex;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

type Check = fn(&str) -> bool;

const FORMATS: &[(&str, Check)] = &[
    ("bsonobjectid", is_object_id),
    ("uri", |text| super::url::Url::parse(text).is_some()),
    ("email", is_email),
    ("hostname", is_hostname),
    ("ipv4", |text| is_ip(text) && text.contains('.')),
    ("ipv6", |text| is_ip(text) && text.contains(':')),
    ("cidr", is_cidr),
    ("mac", is_mac),
    ("uuid", |text| is_uuid(text, None, false)),
    ("uuid3", |text| is_uuid(text, Some('3'), false)),
    ("uuid4", |text| is_uuid(text, Some('4'), true)),
    ("uuid5", |text| is_uuid(text, Some('5'), true)),
    ("isbn", |text| is_isbn10(text) || is_isbn13(text)),
    ("isbn10", is_isbn10),
    ("isbn13", is_isbn13),
    ("creditcard", is_credit_card),
    ("ssn", |text| SSN.is_match(text)),
    ("hexcolor", is_hex_color),
    ("rgbcolor", |text| RGB_COLOR.is_match(text)),
    ("byte", is_base64_line),
    ("password", |_| true),
    ("date", |text| date(text).is_some()),
    ("duration", |text| super::duration::is_duration(text)),
    ("datetime", is_date_time),
    ("k8sshortname", is_dns_label),
    ("k8slongname", is_dns_subdomain),
];

static HOSTNAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
    Regex::new(HOSTNAME).ok()
});
static SSN: Fixed = Fixed(LazyLock::new(|| {
    Pattern::compile(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$").ok()
}));
static RGB_COLOR: Fixed = Fixed(LazyLock::new(|| {
    const PART: &str = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*";
    Pattern::compile(&format!("^rgb\\({PART},{PART},{PART}\\)$")).ok()
}));
static CREDIT_CARD: Fixed = Fixed(LazyLock::new(|| {
    const CARDS: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$";
    Pattern::compile(CARDS).ok()
}));

struct Fixed(LazyLock<Option<Pattern>>);

impl Fixed {
    fn is_match(&self, text: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(text))
    }
}

/// A format that is checked.
#[derive(Debug, Clone)]
pub(super) struct Format {
    /// As the schema writes it.
    pub(super) text: String,
    check: Check,
}

impl Format {
    /// A format that is checked; `-` do not count.
    pub(super) fn find(text: &str) -> Option<Self> {
        let normal = text.replace('-', "");
        let (_, check) = FORMATS.iter().find(|(name, _)| *name == normal)?;
        Some(Self {
            text: text.to_owned(),
            check: *check,
        })
    }

    /// Whether a text has it.
    pub(super) fn matches(&self, text: &str) -> bool {
        (self.check)(text)
    }
}

/// `2006-01-02`.
pub(super) fn date(text: &str) -> Option<civil::Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    text.parse().ok().filter(|_| shape)
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((day, time)) = lower.split_once('t') else {
        return false;
    };
    let zone = time.ends_with('z')
        || time
            .rfind(['+', '-'])
            .is_some_and(|at| time.len() - at == 6);
    date(day).is_some()
        && zone
        && (lower.parse::<Timestamp>().is_ok() || (time.get(6..8) == Some("60")))
}

fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `local@domain`, bare or as `Name <local@domain>`.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<').map_or("", |(_, address)| address),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let atom = |text: &str| {
        let part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| {
                    c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c)
                })
        };
        text.split('.').all(part)
    };
    (quoted || atom(local)) && (atom(domain) || (domain.starts_with('[') && domain.ends_with(']')))
}

fn is_hostname(text: &str) -> bool {
    HOSTNAME.as_ref().is_some_and(|regex| regex.is_match(text))
        && text.len() <= 255
        && text.split('.').all(|part| part.len() <= 63)
}

/// Leading zeros of octets are tolerated, as upstream does.
fn is_ip(text: &str) -> bool {
    sloppy_ip(text).is_some()
}

fn sloppy_ip(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts
        .next()
        .is_none()
        .then(|| Ipv4Addr::from(octets).into())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let max = match sloppy_ip(address) {
        Some(IpAddr::V4(_)) => 32,
        Some(IpAddr::V6(_)) => 128,
        None => return false,
    };
    digits && bits.parse::<u32>().is_ok_and(|bits| bits <= max)
}

fn is_mac(text: &str) -> bool {
    let groups = |separator: char, width: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(separator).take(21).collect();
        counts.contains(&parts.len())
            && parts
                .iter()
                .all(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    groups(':', 2, &[6, 8, 20]) || groups('-', 2, &[6, 8, 20]) || groups('.', 4, &[3, 4, 10])
}

fn is_uuid(text: &str, version: Option<char>, variant: bool) -> bool {
    let mut rest = text;
    let mut hex = String::with_capacity(32);
    for (index, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((part, tail)) = rest.split_at_checked(width) else {
            return false;
        };
        hex.push_str(part);
        rest = tail;
    }
    rest.is_empty()
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
        && version.is_none_or(|version| hex.chars().nth(12) == Some(version))
        && (!variant || hex.chars().nth(16).is_some_and(|c| "89abAB".contains(c)))
}

fn digits_of(text: &str) -> String {
    text.replace([' ', '-'], "")
}

fn is_isbn10(text: &str) -> bool {
    let digits = digits_of(text);
    let bytes = digits.as_bytes();
    if bytes.len() != 10 {
        return false;
    }
    let mut sum = 0;
    for (index, byte) in (1u32..).zip(bytes) {
        let digit = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b'X' if index == 10 => 10,
            _ => return false,
        };
        sum += index * digit;
    }
    sum % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits_of(text);
    let bytes = digits.as_bytes();
    let weighed = bytes.iter().enumerate().map(|(index, byte)| {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        digit * if index % 2 == 0 { 1 } else { 3 }
    });
    bytes.len() == 13 && bytes.iter().all(u8::is_ascii_digit) && weighed.sum::<u32>() % 10 == 0
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let doubled = digits.bytes().rev().enumerate().map(|(index, byte)| {
        let digit = u32::from(byte - b'0');
        match (index % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        }
    });
    CREDIT_CARD.is_match(&digits) && doubled.sum::<u32>() % 10 == 0
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, yes: &[&str], no: &[&str]) {
        let format = Format::find(format).unwrap();
        for text in yes {
            assert!(format.matches(text), "{text}");
        }
        for text in no {
            assert!(!format.matches(text), "{text}");
        }
    }

    #[test]
    fn formats() {
        check(
            "ipv4",
            &["1.2.3.4", "010.2.3.4"],
            &["1.2.3", "::1", "1.2.3.256", "a"],
        );
        check("ipv6", &["::1", "fe80::1"], &["1.2.3.4", "x::"]);
        check(
            "cidr",
            &["10.0.0.0/8", "::/0"],
            &["10.0.0.0/33", "10.0.0.0", "x/8"],
        );
        check(
            "date",
            &["2024-02-29"],
            &["2023-02-29", "2024-2-9", "20240229"],
        );
        check(
            "date-time",
            &["2014-12-15T19:30:20.000Z", "2014-12-15T19:30:20+02:00"],
            &["2014-12-15", "2014-12-15 19:30:20Z", "2014-12-15T25:30:20Z"],
        );
        check("duration", &["1h30m", "22 ns", "1 week"], &["x", "", "1"]);
        check("email", &["a@b.c", "A B <a@b.c>"], &["a", "@b", "a b@c"]);
        check("hostname", &["a.example.com", "a"], &["-a", "a_b", ""]);
        check(
            "mac",
            &["01:23:45:67:89:ab", "0123.4567.89ab"],
            &["01:23", "01:23:45:67:89:zz"],
        );
        check(
            "uuid4",
            &["F47AC10B-58CC-4372-A567-0E02B2C3D479"],
            &["F47AC10B-58CC-3372-A567-0E02B2C3D479", "x"],
        );
        check(
            "isbn",
            &["0321751043", "978-0321751041"],
            &["0321751044", "978"],
        );
        check(
            "creditcard",
            &["4111-1111-1111-1111"],
            &["4111-1111-1111-1112"],
        );
        check("hexcolor", &["#fff", "FFFFFF"], &["#ff", "#ggg"]);
        check(
            "rgbcolor",
            &["rgb(1, 20,255)"],
            &["rgb(256,0,0)", "rgb(1,2)"],
        );
        check("byte", &["aGk=", "aGl="], &["aGk", "*", "", "aGk=\n"]);
        check("uri", &["http://a/b", "/a"], &["a b", "", "a"]);
        check("k8s-short-name", &["a-b"], &["A", "a.b"]);
        check("ssn", &["123-45-6789"], &["123"]);
        check("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f"]);
        assert!(Format::find("int32").is_none());
    }
}
