//! What CI runs, in the order that fails earliest.

use crate::run::{announce, cargo, installed, step};
use std::process::Command;

/// The version whose findings we have answered in `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run() -> anyhow::Result<()> {
    step("fmt", cargo().args(["fmt", "--all", "--check"]))?;
    announce("tidy");
    crate::tidy::run()?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    step("clippy", cargo().args(clippy))?;
    let mut deny = Command::new(installed("cargo-deny", CARGO_DENY)?);
    deny.current_dir(crate::run::root())
        .args(["--locked", "check", "bans", "licenses", "sources"]);
    step("deny", &mut deny)?;
    crate::test::run(None)?;
    crate::fuzz::briefly()
}
