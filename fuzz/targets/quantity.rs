//! A quantity: what is read is written so that it reads the same.

#![no_main]

use coracle_api::quantity::Quantity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(quantity) = Quantity::parse(text) else {
        return;
    };
    let written = quantity.to_string();
    let again = Quantity::parse(&written);
    assert_eq!(again.as_ref().map(ToString::to_string), Ok(written));
    // What has no fraction when it is written is rounded up.
    let size = |quantity: &Quantity| quantity.milli_value().unsigned_abs();
    let more = again.map(|again| size(&again) - size(&quantity));
    assert!(more.is_ok_and(|more| more < 1000));
    assert!(quantity.value() >= quantity.milli_value() / 1000);
});
