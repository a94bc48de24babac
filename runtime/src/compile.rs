//! The compiling side: what is in a wasm file, and machine code for a target.
//!
//! Compiling may panic or eat memory on hostile input: run it in a child process
//! (see [`run_child`]).

mod inspect;
mod preview1;

use crate::{
    Error,
    engine::{self, Compatibility},
};
pub use inspect::{Inspection, Kind, inspect};
use std::{
    borrow::Cow,
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The largest wasm file a child reads; the registry's own limit is smaller.
const WASM_BYTES_MAX: u64 = 512 << 20;

/// Knows the targets it compiles for and their hashes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compiler(());

impl Compiler {
    /// Makes a compiler; checks that the profile of every target is valid in this build.
    pub fn new() -> Result<Self, Error> {
        for target in engine::TARGETS {
            engine::compiling(target)?;
        }
        Ok(Self(()))
    }

    /// The compatibility hash of code compiled for `target`.
    pub fn compatibility(&self, target: &str) -> Result<String, Error> {
        Ok(Compatibility::of_target(target)?.hash)
    }

    /// The targets it compiles for.
    pub fn targets(&self) -> &'static [&'static str] {
        engine::TARGETS
    }
}

/// Compiles for a target; a preview 1 core module is wrapped first.
pub fn compile(wasm: &[u8], target: &str) -> Result<Vec<u8>, Error> {
    let component = component(wasm)?;
    let engine = engine::compiling(target)?;
    // Some back ends panic on code they cannot compile; a panic here is a refusal.
    catch_unwind(AssertUnwindSafe(|| engine.precompile_component(&component)))
        .map_err(|panic| Error::Compile(panic_text(panic.as_ref()).into()))?
        .map_err(|e| Error::Compile(e.into()))
}

/// The component to compile: the bytes themselves, or a preview 1 core module wrapped.
pub fn component(wasm: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    match inspect(wasm)?.kind {
        Kind::Component => Ok(Cow::Borrowed(wasm)),
        Kind::Core => preview1::wrap(wasm).map(Cow::Owned),
    }
}

/// The body of a compiling child process: wasm on `input`, compiled code on `output`.
///
/// Nothing is written unless compiling has succeeded; the caller reports the error its own way
/// (standard error and an exit code).
pub fn run_child(target: &str, input: impl Read, mut output: impl Write) -> Result<(), Error> {
    let mut wasm = Vec::new();
    let mut input = input.take(WASM_BYTES_MAX + 1);
    input.read_to_end(&mut wasm)?;
    if wasm.len() as u64 > WASM_BYTES_MAX {
        return Err(Error::NotRunnable(format!(
            "the file is larger than {WASM_BYTES_MAX} bytes"
        )));
    }
    let compiled = compile(&wasm, target)?;
    output.write_all(&compiled)?;
    output.flush()?;
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("the compiler panicked: {text}")
}

#[cfg(test)]
mod tests;
