//! An object and a patch of it: all three ways.

#![no_main]

use coracle_api::{kind, patch, schema};
use coracle_fuzz::documents;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// A patch may add this much at most, whatever it repeats: three megabytes of copies, and itself.
const GROWTH_MAX: usize = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let Some([target, patch]) = documents(data) else {
        return;
    };
    if let Ok(patched) = patch::json::apply(target.clone(), &patch) {
        let text = patched.to_string();
        assert!(text.len() <= data.len() * 8 + GROWTH_MAX);
        // What a patch makes can be stored, and read again.
        let again = serde_json::from_str(&text).ok();
        assert_eq!(again, Some(patched));
    }
    let merged = patch::merge::apply(target.clone(), patch.clone());
    // A merge patch says what it wants: again, it changes nothing.
    assert_eq!(patch::merge::apply(merged.clone(), patch.clone()), merged);
    for kind in [kind::POD, kind::SERVICE] {
        let merged = patch::strategic::apply(schema::type_of(kind), target.clone(), patch.clone());
        assert!(
            merged.is_err()
                || merged.is_ok_and(
                    |merged: Value| merged.to_string().len() <= data.len() * 8 + GROWTH_MAX
                )
        );
    }
});
