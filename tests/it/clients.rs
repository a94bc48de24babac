//! The official Python and JavaScript clients: the scripts in `tests/clients`, each one a test.
//!
//! A script says on its standard output how far it came; what it asserts is written there.

use anyhow::{Context as _, ensure};
use coracle_tests::{Controller, root};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

fn provided(variable: &str) -> anyhow::Result<OsString> {
    std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set; run the tests with: cargo xtask test"))
}

fn script(path: &str) -> PathBuf {
    root().join("tests/clients").join(path)
}

/// Runs a script against a controller that was started again, so that its first revisions are history.
fn check(dir: &Path, interpreter: &OsString, script: &Path) -> anyhow::Result<()> {
    Controller::start(dir)?.stop(LIMIT)?;
    let controller = Controller::start(dir)?;
    let output = Command::new(interpreter)
        .arg(script)
        .env_clear()
        .env("HOME", dir)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KUBECONFIG", controller.kubeconfig())
        .output()
        .with_context(|| format!("cannot start {}", interpreter.display()))?;
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{} failed after:\n{said}{complained}",
        script.display()
    );
    Ok(())
}

fn python(name: &str) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let interpreter = provided("CORACLE_PYTHON")?;
    check(dir.path(), &interpreter, &script("python").join(name))
}

/// Node.js looks for packages beside the script only, so that is where they are linked.
fn node(name: &str) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let here = tempfile::tempdir()?;
    symlink(
        provided("CORACLE_NODE_MODULES")?,
        here.path().join("node_modules"),
    )?;
    let copy = here.path().join(name);
    fs::copy(script("node").join(name), &copy)?;
    check(dir.path(), &OsString::from("node"), &copy)
}

#[test]
fn python_typed() -> anyhow::Result<()> {
    python("typed.py")
}

#[test]
fn python_dynamic() -> anyhow::Result<()> {
    python("dynamic.py")
}

#[test]
fn python_reads_yaml() -> anyhow::Result<()> {
    python("words.py")
}

#[test]
fn node_typed() -> anyhow::Result<()> {
    node("typed.mjs")
}

#[test]
fn node_objects() -> anyhow::Result<()> {
    node("objects.mjs")
}
