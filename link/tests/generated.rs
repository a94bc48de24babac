//! `proto/link.pb.rs` is what `proto/link.proto` says.
//!
//! The messages are generated here and not in a build script: whoever builds Coracle then builds no protobuf
//! compiler. No protoc is needed either way.

use std::{fs, path::Path};

#[test]
fn the_messages_are_current() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile([proto.join("link.proto")], [&proto]).unwrap();
    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new()
        .out_dir(out.path())
        .skip_debug(["."])
        .compile_fds(descriptors)
        .unwrap();
    let generated = fs::read_to_string(out.path().join("coracle.link.v1.rs")).unwrap();
    let path = proto.join("link.pb.rs");
    if fs::read_to_string(&path).unwrap_or_default() != generated {
        fs::write(&path, generated).unwrap();
        panic!("proto/link.pb.rs did not follow proto/link.proto; it does now: commit it");
    }
}
