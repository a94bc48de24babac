//! Compiles `proto/link.proto` with a compiler written in Rust: no protoc is needed.

use std::{env, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=proto/link.proto");
    let descriptors = protox::compile(["proto/link.proto"], ["proto"]).map_err(io::Error::other)?;
    let out = PathBuf::from(
        env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?,
    );
    prost_build::Config::new()
        .out_dir(out)
        .skip_debug(["."])
        .compile_fds(descriptors)
}
