//! A method, a path, whether it watches, one a line: the request they are; and a body, in which fields stand twice.

#![no_main]

use coracle_api::go::{DEPTH_MAX, settle_numbers, syntax_error};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// Private to the controller, and pure: what is fuzzed is the very file, without the controller around it.
#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../../controller/src/http/route.rs"]
mod route;

#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../../controller/src/http/decode/once.rs"]
mod once;

#[path = "../../controller/src/http/decode/mend.rs"]
mod mend;

/// A reader that names fields that stand twice reads what any reader reads, and what it refuses is told why. `-0` is the
/// whole number to it, a float to any.
fn read(body: &[u8]) {
    let settled = |mut value: Value| {
        settle_numbers(&mut value);
        value
    };
    let plain: Option<Value> = serde_json::from_slice(body).ok();
    let read = once::json(body);
    let value = read.as_ref().ok().map(|read| read.value.clone());
    assert_eq!(value.map(settled), plain.map(settled));
    let fault = syntax_error(body, DEPTH_MAX);
    match read {
        Ok(read) => assert!(read.duplicates.warnings().len() <= 32 && fault.is_none()),
        Err(refused) if fault.is_none() => {
            let mended = mend::characters(body).map(|mended| once::json(&mended));
            let why = match mended {
                Some(Ok(_read)) => return,
                Some(Err(why)) => why,
                None => refused,
            };
            assert!(why.to_string().contains("out of range"), "{why}");
        }
        Err(_told) => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (Some(method), Some(path), Some(watch)) = (text(), text(), text()) else {
        return;
    };
    read(lines.next().unwrap_or_default());
    let Ok(method) = method.parse() else { return };
    let Some(info) = route::parse(&method, path, !watch.is_empty()) else {
        return;
    };
    assert!(!info.version.is_empty() && !info.resource.is_empty());
    assert_eq!(path.starts_with("/api/"), info.group.is_empty());
    // Whatever a path looks like: who asks for one object never gets all of them.
    if matches!(info.verb, "list" | "deletecollection") {
        assert!(info.name.is_empty() && info.subresource.is_empty());
    }
    if matches!(info.verb, "get" | "delete") {
        assert!(!info.name.is_empty());
    }
});
