//! A body of protobuf: what is read is written so that it reads the same.

#![no_main]

use coracle_api::protobuf;
use coracle_fuzz::rounded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(object) = protobuf::decode(data) else {
        return;
    };
    // Defaults of protobuf and what JSON has no place for may go in the first round, nothing in the second.
    if let Ok(written) = protobuf::encode(&object) {
        let once = protobuf::decode(&written).expect("what was written is read");
        let written = protobuf::encode(&once).expect("what was read is written");
        let twice = protobuf::decode(&written).expect("what was written is read");
        assert_eq!(rounded(twice), rounded(once));
    }
});
