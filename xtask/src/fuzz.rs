//! `cargo xtask fuzz`: the fuzz targets (`fuzz/`), built with the coverage that libFuzzer steers by, and run.
//!
//! What it finds on the way is kept in the target directory and is where the next run starts. The flags are those of
//! cargo-fuzz without a sanitizer, so that the pinned compiler will do.

use crate::run::{announce, cargo, root, started, step, target_dir};
use anyhow::{Context as _, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// One binary of `fuzz/` each.
const TARGETS: [&str; 8] = [
    "apply",
    "definition",
    "patch",
    "protobuf",
    "quantity",
    "route",
    "schema",
    "selector",
];
/// In CI, for each target and seed: eight targets with two seeds each, two at a time, in 24 seconds.
const CI_SECONDS: u64 = 3;
/// In CI every time; the other seed is new, and printed.
const CI_SEED: u32 = 1;
/// Coverage of edges, and comparisons that show the fuzzer what an input is compared with.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Longer inputs, slower ones and more memory than this are findings, or not tried.
const LIMITS: [&str; 3] = ["-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"];
/// Of the log of a target that found something.
const TAIL_LINES: usize = 40;

/// What is fuzzed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this target
    target: Option<String>,
    /// How long each is tried
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Where chance begins; 0 is a new place each time
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let targets: Vec<&str> = TARGETS
        .into_iter()
        .filter(|name| arguments.target.as_ref().is_none_or(|only| only == name))
        .collect();
    ensure!(
        !targets.is_empty(),
        "there is no such target; there are: {}",
        TARGETS.join(", ")
    );
    let programs = build()?;
    all(&programs, &targets, arguments.seconds, seed(arguments.seed))
}

/// Each target briefly, with the known seed and with a new one.
pub(crate) fn briefly() -> anyhow::Result<()> {
    let programs = build()?;
    for seed in [CI_SEED, seed(0)] {
        all(&programs, &TARGETS, CI_SECONDS, seed)?;
    }
    Ok(())
}

/// Each target for so long, with a new seed.
pub(crate) fn at_length(seconds: u64) -> anyhow::Result<()> {
    all(&build()?, &TARGETS, seconds, seed(0))
}

/// The seed, or a new one: nothing but chance is wanted of it.
fn seed(wanted: u32) -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    if wanted != 0 {
        return wanted;
    }
    // libFuzzer takes 0 for "choose one".
    let [_, _, _, _, bytes @ ..] = RandomState::new().hash_one(0).to_le_bytes();
    u32::from_le_bytes(bytes).max(1)
}

fn work_dir() -> PathBuf {
    target_dir().join("fuzz")
}

/// Builds all targets; where their binaries are.
fn build() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--quiet"])
        .arg("--manifest-path")
        .arg(root().join("fuzz/Cargo.toml"))
        // Named, so that build scripts are built without the coverage.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", work_dir())
        .env("RUSTFLAGS", COVERAGE);
    step("build the fuzz targets", &mut build)?;
    Ok(work_dir().join(host).join("release"))
}

/// The target that the compiler builds for.
fn host() -> anyhow::Result<String> {
    let output = cargo().arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo -vV names no host")?.to_owned())
}

/// As many at a time as there are processors.
fn all(programs: &Path, targets: &[&str], seconds: u64, seed: u32) -> anyhow::Result<()> {
    announce(&format!("fuzz for {seconds} s each, seed {seed}"));
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let begin = started();
    let mut found = Vec::new();
    for some in targets.chunks(at_once) {
        let mut running = Vec::with_capacity(some.len());
        for name in some {
            running.push((*name, start(programs, name, seconds, seed)?));
        }
        for (name, mut child) in running {
            let status = child.wait()?;
            if !report(name, status.success())? {
                found.push(name);
            }
        }
    }
    ensure!(
        found.is_empty(),
        "found something in: {} (seed {seed}; what did it is in {})",
        found.join(", "),
        work_dir().join("findings").display()
    );
    announce(&format!("fuzz: ok, {} s", begin.elapsed().as_secs()));
    Ok(())
}

fn log(name: &str) -> PathBuf {
    work_dir().join(format!("{name}.log"))
}

fn start(programs: &Path, name: &str, seconds: u64, seed: u32) -> anyhow::Result<Child> {
    let (corpus, findings) = (
        work_dir().join("corpus").join(name),
        work_dir().join("findings"),
    );
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&findings)?;
    let log = File::create(log(name))?;
    Command::new(programs.join(name))
        .arg(format!("-seed={seed}"))
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS)
        .arg(format!(
            "-dict={}",
            root().join("fuzz/words.dict").display()
        ))
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .arg("-print_final_stats=1")
        .arg(corpus)
        .arg(root().join("fuzz/seeds").join(name))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start the fuzz target {name}"))
}

/// Says how many inputs were tried, or all that was said when one was bad; whether all were good.
fn report(name: &str, good: bool) -> anyhow::Result<bool> {
    let text = fs::read(log(name))?;
    let text = String::from_utf8_lossy(&text);
    if !good {
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.len().saturating_sub(TAIL_LINES);
        announce(&format!("fuzz {name}:\n{}", lines[tail..].join("\n")));
        return Ok(false);
    }
    let count = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what));
        line.unwrap_or("?").trim().to_owned()
    };
    announce(&format!(
        "fuzz {name}: {} inputs, {} MB at most",
        count("stat::number_of_executed_units:"),
        count("stat::peak_rss_mb:")
    ));
    Ok(true)
}
