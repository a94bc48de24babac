//! `coracle compile TARGET`: the controller's compiler, in a process of its own.
//!
//! Reads a module that may be hostile; the parent limits its memory and time.

use anyhow::Context as _;
use std::io::{Read as _, Write as _};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Target triple, or pulley64, pulley32
    target: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).context("cannot read the module")?;
    let code = coracle_runtime::compile::compile(&wasm, &arguments.target)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).context("cannot write the compiled code")
}
