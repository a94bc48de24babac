//! An object of a built-in kind and an older form of it: decoding, defaults, validation, columns.
//!
//! The kind is the one that the first names.

#![no_main]

use coracle_api::{defaults, kind, schema, table, validate, view};
use coracle_fuzz::{documents, with_metadata};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some([new, old]) = documents(data) else {
        return;
    };
    let (Some(mut new), Some(mut old)) = (with_metadata(new), with_metadata(old)) else {
        return;
    };
    let api_version = new["apiVersion"].as_str().unwrap_or("v1").to_owned();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let name = new["kind"].as_str().unwrap_or("Pod").to_owned();
    let Some(kind) = kind::by_kind(group, version, &name) else {
        return;
    };
    // Only what fits the schema gets further, as in the server.
    for object in [&mut new, &mut old] {
        if schema::check(kind, object).mistyped.is_some() {
            return;
        }
        // Quantities and times are in their last form.
        let mut again = object.clone();
        assert_eq!(schema::check(kind, &mut again), schema::Findings::default());
        assert_eq!(again, *object);
        defaults::apply(kind, object);
    }
    let mut again = new.clone();
    defaults::apply(kind, &mut again);
    assert_eq!(again, new);
    let _causes = (
        validate::create(kind, &new),
        validate::update(kind, &new, &old),
    );
    let _cells = table::cells(kind, &new, jiff::Timestamp::UNIX_EPOCH);
    let _shown = view::shown(kind, new);
});
