//! `cargo xtask test`: everything the tests need, then the tests.

use crate::run::{cargo, installed, step};
use std::process::Command;

/// Used where no cargo-nextest is installed.
const NEXTEST: &str = "0.9.143";

pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let mut nextest = match Command::new("cargo-nextest").args(["nextest", "--version"]).output() {
        Ok(output) if output.status.success() => Command::new("cargo-nextest"),
        _ => Command::new(installed("cargo-nextest", NEXTEST)?),
    };
    nextest.current_dir(crate::run::root());
    nextest.args(["nextest", "run", "--workspace", "--locked"]);
    nextest.args(filter);
    step("test", &mut nextest)?;
    if filter.is_none() {
        step("doc tests", cargo().args(["test", "--doc", "--workspace", "--locked", "--quiet"]))?;
    }
    Ok(())
}
