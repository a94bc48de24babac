//! Starts programs and says which, and how long they took.

use anyhow::{Context as _, bail};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where tools that only the checks need are kept: in the target directory, so they are a cache.
pub(crate) fn tools() -> PathBuf {
    target_dir().join("tools")
}

/// `cargo`, the one that runs us.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program that may build. What cargo says of us when it runs us is kept from it: build scripts would see it
/// (ring's asks), and everything above them would be built anew after each plain `cargo build`.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    let is_ours = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    command
}

/// Prints a line that a person reading a log looks for.
#[expect(clippy::print_stderr, reason = "progress of a developer's command")]
pub(crate) fn announce(text: &str) {
    eprintln!("xtask: {text}");
}

/// Runs a command to its end; its failure is ours.
pub(crate) fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    announce(name);
    let started = started();
    let status = command
        .status()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    announce(&format!("{name}: ok, {} s", started.elapsed().as_secs()));
    Ok(())
}

#[expect(
    clippy::disallowed_types,
    reason = "no async clock here: a developer's command times its steps"
)]
pub(crate) fn started() -> std::time::Instant {
    std::time::Instant::now()
}

/// A cargo-installed tool: from the tools folder, installed there the first time.
pub(crate) fn installed(package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let program = tools().join("bin").join(package);
    if !program.exists() {
        let mut install = cargo();
        install.args([
            "install",
            "--locked",
            "--quiet",
            "--debug",
            "--version",
            version,
            "--root",
        ]);
        install.arg(tools()).arg(package);
        // Built for a run or two: what it takes to optimise them is never won back. Not with CI's flags.
        install.env("CARGO_PROFILE_DEV_DEBUG", "false");
        install.env_remove("RUSTFLAGS");
        step(
            &format!("install {package} {version} (once; some minutes)"),
            &mut install,
        )?;
    }
    Ok(program)
}

/// Whether a program is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Packages of Debian.
pub(crate) fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    let mut update = Command::new("apt-get");
    step("update the list of packages", update.args(["update", "-q"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-q", "-y", "--no-install-recommends"]);
    install.args(packages);
    step(&format!("install {}", packages.join(" ")), &mut install)
}
