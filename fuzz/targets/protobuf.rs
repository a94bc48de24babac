//! A body of protobuf: what is read is written so that it reads the same.
//!
//! An input is the body itself, or an object as a line of JSON and what to change in its body: places of two bytes
//! and their new byte. So a seed is text, and the fuzzer still starts from whole bodies.

#![no_main]

use coracle_api::protobuf;
use libfuzzer_sys::fuzz_target;

fn body(data: &[u8]) -> Option<Vec<u8>> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let (object, changes) = (&data[..end], &data[end + 1..]);
    let mut body = protobuf::encode(&serde_json::from_slice(object).ok()?).ok()?;
    for change in changes.chunks_exact(3) {
        let place = usize::from(change[0]) << 8 | usize::from(change[1]);
        let length = body.len().max(1);
        if let Some(byte) = body.get_mut(place % length) {
            *byte = change[2];
        }
    }
    Some(body)
}

fuzz_target!(|data: &[u8]| {
    let body = body(data);
    let Ok(object) = protobuf::decode(body.as_deref().unwrap_or(data)) else {
        return;
    };
    // Defaults of protobuf and what JSON has no place for may go in the first round, nothing in the second.
    if let Ok(written) = protobuf::encode(&object) {
        let once = protobuf::decode(&written).expect("what was written is read");
        let written = protobuf::encode(&once).expect("what was read is written");
        let twice = protobuf::decode(&written).expect("what was written is read");
        assert_eq!(twice, once);
    }
});
