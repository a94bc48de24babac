//! `cargo xtask dist`: the small agent for devices, `coracle-agent` built alone with `--profile device`.
//!
//! Built alone, because in a build of the whole workspace cargo would give it the controller's
//! features, the compiler among them; [`check_no_compiler`] makes sure that it never has one.

use crate::run::{announce, cargo, install_packages, on_path, root, step, target_dir};
use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PROGRAM: &str = "coracle-agent";
const PROFILE: &str = "device";
/// Says what is left out of the binary, and why.
const LINKER_SCRIPT: &str = "xtask/device.ld";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/src/lib.rs";
const DEBIAN_TOOLCHAIN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// Text that stands in every binary with Cranelift in it: names of its crates in its panics' paths, which no strip
/// removes. (Not the names of its settings: wasmtime compares them with those of compiled code.)
const COMPILER_MARKS: [&str; 3] = ["cranelift-codegen", "cranelift-frontend", "regalloc2"];

/// What an agent can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    #[value(name = "x86_64-unknown-linux-gnu")]
    X86_64,
    #[value(name = "aarch64-unknown-linux-gnu")]
    Aarch64,
    /// 32-bit ARM; guests run in the interpreter Pulley.
    #[value(name = "armv7-unknown-linux-gnueabihf")]
    Armv7,
}

/// What Debian calls the C compiler and the packages for a target.
struct Cross {
    gcc: &'static str,
    packages: &'static [&'static str],
}

impl Target {
    fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
        }
    }

    fn cross(self) -> Cross {
        match self {
            Self::X86_64 => Cross {
                gcc: "gcc",
                packages: &["gcc", "libc6-dev"],
            },
            Self::Aarch64 => Cross {
                gcc: "aarch64-linux-gnu-gcc",
                packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
            },
            Self::Armv7 => Cross {
                gcc: "arm-linux-gnueabihf-gcc",
                packages: &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
            },
        }
    }

    /// `CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER` and the like.
    fn linker_variable(self) -> String {
        let triple = self.triple().to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{triple}_LINKER")
    }
}

pub(crate) fn run(target: Target) -> anyhow::Result<()> {
    let binary = build(target)?;
    let size = fs::metadata(&binary)?.len();
    report(&binary, size);
    Ok(())
}

/// Builds and checks the agent; where it is.
pub(crate) fn build(target: Target) -> anyhow::Result<PathBuf> {
    let mut build = builder(target)?;
    build
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target_dir())
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags())
        // C code of dependencies, and the linker, are the target's. A native build needs neither.
        .args([
            "build",
            "--locked",
            "--profile",
            PROFILE,
            "--package",
            PROGRAM,
        ])
        .args(["--target", target.triple()]);
    if target != Target::X86_64 {
        let gcc = target.cross().gcc;
        ensure!(
            on_path(gcc),
            "{gcc} is not installed; on Debian: apt-get install {}",
            target.cross().packages.join(" ")
        );
        let cc = format!("CC_{}", target.triple().replace('-', "_"));
        build.env(target.linker_variable(), gcc).env(cc, gcc);
    }
    step(
        &format!("build {PROGRAM} for {}", target.triple()),
        &mut build,
    )?;
    let binary = output(target);
    let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    check_no_compiler(&bytes)?;
    Ok(binary)
}

fn rustflags() -> String {
    let script = root().join(LINKER_SCRIPT);
    let script = format!("-Clink-arg=-Wl,-T,{}", script.display());
    // Arguments are divided by this sign in the variable.
    [&script, "-Clink-arg=-Wl,--no-eh-frame-hdr"].join("\x1f")
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn report(binary: &Path, bytes: u64) {
    println!("{} {bytes} bytes", binary.display());
}

fn output(target: Target) -> PathBuf {
    let dir = target_dir().join(target.triple());
    dir.join(PROFILE).join(PROGRAM)
}

/// Installs from Debian what a build for the target lacks.
pub(crate) fn install_toolchain(target: Target) -> anyhow::Result<()> {
    let mut packages = Vec::new();
    if !has_target(target) && !has_debian() {
        packages.extend(DEBIAN_TOOLCHAIN);
    }
    if !on_path(target.cross().gcc) {
        packages.extend(target.cross().packages);
    }
    if packages.is_empty() {
        return Ok(());
    }
    install_packages(&packages).with_context(|| format!("to build for {}", target.triple()))
}

/// A cargo that can build for the target: rustup's where it has the target, else Debian's, which
/// builds std from source.
fn builder(target: Target) -> anyhow::Result<Command> {
    if has_target(target) {
        return Ok(cargo());
    }
    if !has_debian() {
        bail!(
            "no toolchain for {triple}: run `rustup target add {triple}`, or on Debian `apt-get \
             install {toolchain} {packages}`",
            triple = target.triple(),
            toolchain = DEBIAN_TOOLCHAIN.join(" "),
            packages = target.cross().packages.join(" "),
        );
    }
    announce("rustup has no such target; Debian's rustc builds std from source");
    let mut command = Command::new(DEBIAN_CARGO);
    command
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        // Names the libraries of the toolchain that runs us.
        .env_remove("LD_LIBRARY_PATH")
        .arg("-Zbuild-std=std,panic_abort");
    Ok(command)
}

fn has_debian() -> bool {
    let needed = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD];
    needed.into_iter().all(|path| Path::new(path).exists())
}

fn has_target(target: Target) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target.triple()])
        .current_dir(root())
        .output();
    output.is_ok_and(|output| {
        let dir = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(dir.trim()).is_dir()
    })
}

/// Refuses a binary with a compiler in it.
fn check_no_compiler(binary: &[u8]) -> anyhow::Result<()> {
    for mark in COMPILER_MARKS {
        let found = binary
            .windows(mark.len())
            .any(|window| window == mark.as_bytes());
        ensure!(
            !found,
            "the agent has a compiler in it: the binary holds {mark:?}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_variables_are_cargos() {
        assert_eq!(
            Target::Armv7.linker_variable(),
            "CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER"
        );
    }

    /// What `run` checks in the binary, here in what goes into it: quick enough for each test run.
    #[test]
    fn the_agent_built_alone_depends_on_no_compiler() {
        let mut tree = cargo();
        tree.args(["tree", "--locked", "--offline", "--edges", "normal"]);
        tree.args(["--prefix", "none", "--package", PROGRAM]);
        let output = tree.output().unwrap();
        let packages = String::from_utf8(output.stdout).unwrap();
        assert!(packages.contains("wasmtime v"), "{packages}");
        for name in ["cranelift-codegen", "wasmtime-internal-cranelift"] {
            assert!(!packages.contains(name), "the agent depends on {name}");
        }
    }

    #[test]
    fn the_check_finds_a_compiler() {
        assert!(check_no_compiler(b"an agent with wasmtime and pulley").is_ok());
        let binary = b"\0\0/cargo/cranelift-codegen-0.135.8/src/lib.rs\0";
        assert!(check_no_compiler(binary).is_err());
    }
}
