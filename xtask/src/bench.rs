//! `cargo xtask bench`: builds what is measured, gets what it is measured against, and runs the bench program.
//!
//! The agent is the device build, the controller the `dist` build: what is shipped, not what tests run.

use crate::{
    dist,
    run::{announce, cargo, install_packages, on_path, root, step, target_dir, tools},
};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The peer of the HTTP rows; the same engine as ours.
const WASMTIME: &str = "48.0.8";
/// All of `wasmtime serve`, and nothing of the rest: built in half the time of the default.
const WASMTIME_FEATURES: &str = "run,serve,cranelift,parallel-compilation,pooling-allocator,component-model,component-model-async,logging";
/// Parts that run a controller at most.
const WITHOUT_AGENTS: [&str; 4] = ["store", "api", "scheduler", "disk"];

/// What the bench is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fewer runs, and without the comparisons that need wasmtime to be built or etcd to be fetched
    #[arg(long)]
    quick: bool,
    /// Only these parts: store, api, scheduler, disk, idle, apply, crash, http, isolation, loss, density
    #[arg(value_name = "PART")]
    parts: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let kubectl = crate::test::kubectl()?;
    for (program, package) in [("ip", "iproute2"), ("wrk", "wrk")] {
        if !on_path(program) {
            install_packages(&[package])?;
        }
    }
    let compares = |part: &str| {
        let parts = &arguments.parts;
        !arguments.quick && (parts.is_empty() || parts.iter().any(|wanted| wanted == part))
    };
    let wasmtime = compares("http").then(wasmtime).transpose()?;
    let etcd = compares("api").then(etcd).transpose()?;
    // Alone and for devices: that is the agent whose figures count.
    let has_agents = |part: &String| !WITHOUT_AGENTS.contains(&part.as_str());
    let agent = (arguments.parts.is_empty() || arguments.parts.iter().any(has_agents))
        .then(|| dist::build(dist::Target::X86_64))
        .transpose()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", "dist", "--bins"]);
    build.args(["--package", "coracle-cli", "--package", "coracle-tests"]);
    step(
        "build coracle and the bench as they are shipped (some fifteen minutes on two cores)",
        &mut build,
    )?;

    let dist = target_dir().join("dist");
    let out = target_dir().join("bench.md");
    let mut bench = Command::new(dist.join("coracle-bench"));
    bench
        .current_dir(target_dir())
        .env("CORACLE_KUBECTL", kubectl)
        .env("CORACLE_BIN", dist.join("coracle"))
        // A backtrace for each error costs milliseconds, in ours and in the peer's.
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .arg("--out")
        .arg(&out);
    if let Some(agent) = agent {
        bench.env("CORACLE_AGENT_BIN", agent);
    }
    if let Some(wasmtime) = wasmtime {
        bench.env("CORACLE_BENCH_WASMTIME", wasmtime);
    }
    if let Some(etcd) = etcd {
        bench.env("CORACLE_BENCH_ETCD", etcd);
    }
    if !arguments.parts.is_empty() {
        bench.args(["--only", &arguments.parts.join(",")]);
    }
    if arguments.quick {
        bench.arg("--quick");
    }
    machine();
    step("bench", &mut bench)?;
    announce(&format!("the table is in {}", relative(&out)));
    Ok(())
}

/// What a figure depends on; the table says nothing without it.
fn machine() {
    let first = |path: &str, field: &str| -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(field))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = first("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = first("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    announce(&format!(
        "machine: {cpus} CPUs ({model}), {memory}, Linux {}, load {load}",
        kernel.trim()
    ));
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// wasmtime's CLI, built once into the tools folder.
fn wasmtime() -> anyhow::Result<PathBuf> {
    let program = tools().join("bin/wasmtime");
    if program.exists() {
        return Ok(program);
    }
    let mut install = cargo();
    install
        .args(["install", "--locked", "--quiet", "--version", WASMTIME])
        .args(["--no-default-features", "--features", WASMTIME_FEATURES])
        .arg("--root")
        .arg(tools())
        .arg("wasmtime-cli")
        .env_remove("RUSTFLAGS");
    step(
        &format!("build wasmtime {WASMTIME} to compare with (once; ten minutes on two cores; --quick leaves it out)"),
        &mut install,
    )
    .context("wasmtime-cli could not be built; --quick goes without")?;
    Ok(program)
}

/// Debian's etcd 3.4, unpacked into the tools folder; nothing is installed, no service starts.
fn etcd() -> anyhow::Result<PathBuf> {
    let dir = tools().join("etcd-3.4");
    let program = dir.join("usr/bin/etcd");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&dir)?;
    let mut update = Command::new("apt-get");
    step("update the list of packages", update.args(["update", "-q"]))?;
    let mut download = Command::new("apt-get");
    download.current_dir(&dir);
    step(
        "fetch etcd to compare with (once)",
        download.args(["download", "-q", "etcd-server"]),
    )
    .context("Debian's etcd-server could not be fetched; --quick goes without")?;
    let package = fs::read_dir(&dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .context("apt-get download left no package")?;
    let mut unpack = Command::new("dpkg-deb");
    step("unpack", unpack.arg("-x").arg(&package).arg(&dir))?;
    fs::remove_file(&package)?;
    Ok(program)
}
