//! From a compiled file on disk to the guest's main, through the runtime alone.

use crate::{
    Bench,
    table::{Row, Times, bytes, duration},
};
use anyhow::Context as _;
use bytes::Bytes;
use coracle_runtime::{
    Config, Host, HttpOptions, Limits, Module, Output, Runtime, SandboxSpec, StdStream, compile,
};
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

const STARTS: usize = 500;
/// About 2 MB of WebAssembly: this many functions of this many steps.
const FUNCTIONS: u32 = 2_500;
const STEPS: u32 = 100;

/// When the guest has first written: it is in its main.
#[derive(Default)]
struct FirstWrite(OnceLock<Instant>);

impl Output for FirstWrite {
    fn write(&self, _stream: StdStream, _bytes: &[u8]) {
        let _again = self.0.set(Instant::now());
    }
}

struct NoHost;

impl Host for NoHost {
    fn tcp_listen(&self, _guest_port: u16, _local: SocketAddr) {}
    fn tcp_closed(&self, _guest_port: u16) {}
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let wasm = large_module()?;
    let runtime = Runtime::new(Config::default())?;
    let target = runtime.compatibility().target;
    let started = Instant::now();
    let compiled = tokio::task::spawn_blocking({
        let wasm = wasm.clone();
        move || compile::compile(&wasm, &target)
    })
    .await??;
    let compile_time = started.elapsed();
    let dir = tempfile::tempdir_in(".")?;
    let path = dir.path().join("large.cwasm");
    fs::write(&path, &compiled)?;
    let started = Instant::now();
    let module = runtime.load(&path)?;
    let first_load = started.elapsed();
    let (mut mapped, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs(STARTS) {
        let started = Instant::now();
        let again = runtime.load(&path)?;
        mapped.push(main_of(&runtime, &again).await? - started);
        drop(again);
        let started = Instant::now();
        kept.push(main_of(&runtime, &module).await? - started);
    }
    let (mapped, kept) = (Times::of(mapped)?, Times::of(kept)?);
    let process = bench.floor.process;
    let size = bytes(wasm.len() as u64);
    Ok(vec![
        Row::new(format!("compiled image on disk to guest main, {size} wasm"))
            .times(&mapped)
            .baseline("native process", mapped.ratio(process))
            .goal("<= 0.5 / 1 ms", mapped.within(0.5, 1.0)),
        Row::new("the same, the module kept by its agent")
            .times(&kept)
            .baseline("native process", kept.ratio(process)),
        Row::new(format!(
            "the same, first map of {}",
            bytes(compiled.len() as u64)
        ))
        .value(duration(first_load)),
        Row::new(format!("compile of {size} wasm")).value(duration(compile_time)),
    ])
}

/// Starts the module; when its main ran.
async fn main_of(runtime: &Runtime, module: &Module) -> anyhow::Result<Instant> {
    let output = Arc::new(FirstWrite::default());
    let spec = SandboxSpec {
        id: "bench".to_owned(),
        args: vec!["guest".to_owned()],
        env: Vec::new(),
        mounts: Vec::new(),
        limits: Limits {
            memory_bytes: Some(64 << 20),
            cpu_millis: Some(1_000),
            cpu_shares_millis: 10,
        },
        output: Arc::clone(&output) as Arc<dyn Output>,
        http: HttpOptions::default(),
    };
    let sandbox = runtime.start(module, spec, Arc::new(NoHost)).await?;
    let exit = tokio::time::timeout(Duration::from_secs(10), sandbox.exited()).await?;
    let first = output.0.get().copied();
    first.with_context(|| format!("the guest wrote nothing and ended with {exit:?}"))
}

/// A preview 1 command that writes one byte, with a lot of code that it does not call.
fn large_module() -> anyhow::Result<Bytes> {
    let mut text = String::from(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "x")
        (func (export "_start")
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 1))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        "#,
    );
    for function in 0..FUNCTIONS {
        text.push_str("(func (param i32) (result i32) local.get 0 ");
        for step in 0..STEPS {
            // Constants of five bytes that differ, so that nothing folds away.
            let constant = 0x1000_0000_u32 + function * STEPS + step;
            let operator = ["i32.xor", "i32.add", "i32.rotl", "i32.mul"][(step % 4) as usize];
            write!(text, "i32.const {constant} {operator} ")?;
        }
        text.push_str(")\n");
    }
    text.push(')');
    Ok(Bytes::from(wat::parse_str(&text)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_module_has_about_two_megabytes() {
        let size = super::large_module().unwrap().len();
        assert!((1_600_000..2_600_000).contains(&size), "{size}");
    }
}
