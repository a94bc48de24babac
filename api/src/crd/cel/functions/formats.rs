//! Named formats of texts.
//!
//! Source: k8s.io/apiserver `pkg/cel/library/format.go`.

use super::Called;
use crate::{
    crd::{
        cel::{Failure, Meter, val::Val},
        format::Format,
    },
    validate::{
        DNS_1035_MESSAGE, LABEL_MESSAGE, SUBDOMAIN_MESSAGE, label_value_problems,
        qualified_name_problems,
    },
};
use std::rc::Rc;

const FORMATS: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

/// `format.named` and `validate`.
pub(super) fn call<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    let known = |name: &str| FORMATS.into_iter().find(|known| *known == name);
    match (name, args) {
        ("format.named", [Val::Text(name)]) => Some(Ok(Val::Optional(
            known(name).map(|name| Rc::new(Val::Format(name))),
        ))),
        ("validate", [Val::Format(format), Val::Text(text)]) => Some(validate(format, text, meter)),
        (name, []) => {
            let name = known(name.strip_prefix("format.")?)?;
            Some(Ok(Val::Format(name)))
        }
        _ => None,
    }
}

fn validate<'a>(format: &str, text: &str, meter: &mut Meter) -> Result<Val<'a>, Failure> {
    meter.bytes(text.len())?;
    let problems = problems(format, text);
    if problems.is_empty() {
        return Ok(Val::Optional(None));
    }
    let problems = problems.into_iter().map(Val::text).collect();
    Ok(Val::some(Val::list(problems)))
}

fn problems(format: &str, text: &str) -> Vec<String> {
    let other = |why: String| {
        let fits = Format::find(format).is_none_or(|format| format.matches(text));
        if fits { Vec::new() } else { vec![why] }
    };
    match format {
        "dns1123Label" => label(text),
        "dns1123LabelPrefix" => label(&without_dash(text)),
        "dns1123Subdomain" => subdomain(text),
        "dns1123SubdomainPrefix" => subdomain(&without_dash(text)),
        "dns1035Label" => label_of_1035(text),
        "dns1035LabelPrefix" => label_of_1035(&without_dash(text)),
        "qualifiedName" => qualified_name_problems(text),
        "labelValue" => {
            let problems = label_value_problems(text).into_iter();
            problems.map(str::to_owned).collect()
        }
        "uri" => other(format!("parse {text:?}: invalid URI for request")),
        "uuid" => other("does not match the UUID format".to_owned()),
        "byte" => other("invalid base64".to_owned()),
        name => other(format!("invalid {name}")),
    }
}

/// What something is to be appended to. With the dash upstream takes away what stands before it.
fn without_dash(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut kept = rest.to_owned();
            kept.pop();
            kept.push('a');
            kept
        }
        _ => text.to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edge = |b: Option<&u8>| b.is_some_and(|b| inner(*b));
    let bytes = text.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

/// With what is wrong with its length before what is wrong with its letters.
fn measured(text: &str, most: usize, shape: Option<&str>) -> Vec<String> {
    let long = (text.len() > most).then(|| format!("must be no more than {most} bytes"));
    let shape = shape.map(str::to_owned);
    long.into_iter().chain(shape).collect()
}

fn label(text: &str) -> Vec<String> {
    let shape = if is_label(text) {
        None
    } else if text.split('.').all(is_label) {
        Some("must not contain dots")
    } else {
        Some(LABEL_MESSAGE)
    };
    measured(text, 63, shape)
}

fn subdomain(text: &str) -> Vec<String> {
    let shape = (!text.split('.').all(is_label)).then_some(SUBDOMAIN_MESSAGE);
    measured(text, 253, shape)
}

fn label_of_1035(text: &str) -> Vec<String> {
    let fits = is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase());
    measured(text, 63, (!fits).then_some(DNS_1035_MESSAGE))
}
