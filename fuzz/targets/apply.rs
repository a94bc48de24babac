//! An object, a configuration that is applied to it, and who managed what before.

#![no_main]

use coracle_api::{
    apply::{Writer, apply, track},
    kind, schema,
};
use coracle_fuzz::{documents, with_metadata};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let Some([live, config, fields]) = documents(data) else {
        return;
    };
    let (Some(mut live), Some(config)) = (with_metadata(live), with_metadata(config)) else {
        return;
    };
    let writer = |manager| Writer {
        manager,
        api_version: "v1",
        subresource: "",
        leaves: &[],
        time: "2026-01-01T00:00:00Z",
    };
    let whole = live.clone();
    live["metadata"]["managedFields"] = json!([
        {"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields},
    ]);
    for kind in [kind::POD, kind::SERVICE] {
        let ty = schema::type_of(kind);
        // What is there fits its type: it was refused otherwise. An item of a list without its key has no place.
        let fits = apply(ty, &json!({}), &whole, writer("one"), true).is_ok();
        if let Ok(once) = apply(ty, &live, &config, writer("one"), true)
            && once["metadata"].get("managedFields").is_some()
            && fits
        {
            let twice = apply(ty, &once, &config, writer("one"), false);
            assert_eq!(twice, Ok(once));
        }
        let mut new = config.clone();
        track(ty, Some(&live), &mut new, Some(writer("two")));
    }
});
