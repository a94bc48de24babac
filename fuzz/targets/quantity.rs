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
    // What has no fraction when it is written is rounded up; nothing more happens to it.
    let size = |quantity: &Quantity| quantity.milli_value().unsigned_abs();
    let again = Quantity::parse(&quantity.to_string()).expect("what was written is read");
    assert!(size(&again) - size(&quantity) < 1000);
    let twice = Quantity::parse(&again.to_string()).expect("what was written is read");
    assert_eq!(size(&twice), size(&again));
    assert!(quantity.value() >= quantity.milli_value() / 1000);
});
