//! The official client libraries that the tests run: pinned versions, each in a folder of its own.
//!
//! Fetched once, from PyPI and npm; never one that happens to be installed. A folder counts only with its
//! mark, which is always written last.

use crate::run::{announce, install_packages, step, tools};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The client of PyPI.
const PYTHON_CLIENT: (&str, &str) = ("kubernetes", "37.0.2");
/// The client of npm: the newest that runs on Node.js 20; its version 2 wants 22.
const NODE_CLIENT: (&str, &str) = ("@kubernetes/client-node", "1.4.0");
/// In a folder that is complete.
const MARK: &str = "complete";
/// Where there may be a Python: whatever the PATH says, and the one of Debian's packages.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// An interpreter that knows the Python client.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let (package, version) = PYTHON_CLIENT;
    let dir = tools().join(format!("python-{package}-{version}"));
    let interpreter = dir.join("bin/python");
    // A link to a Python that has gone since is none.
    if dir.join(MARK).exists() && interpreter.exists() {
        return Ok(interpreter);
    }
    begin(&dir)?;
    let mut venv = Command::new(with_venv()?);
    venv.args(["-m", "venv"]).arg(&dir);
    step(
        "make an environment for the Python client (once)",
        &mut venv,
    )?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet"]);
    install.args(["--disable-pip-version-check", "--only-binary", ":all:"]);
    install.arg(format!("{package}=={version}"));
    step("fetch the Python client (once)", &mut install)?;
    fs::write(dir.join(MARK), "")?;
    Ok(interpreter)
}

/// A Python that can make environments. Debian keeps what that needs in a package of its own.
fn with_venv() -> anyhow::Result<&'static str> {
    let able = |python: &&str| {
        let mut asked = Command::new(python);
        asked.args(["-c", "import ensurepip, venv"]);
        asked.stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    if let Some(python) = PYTHONS.into_iter().find(able) {
        return Ok(python);
    }
    install_packages(&["python3-venv"]).context("python3 with venv is needed for its client")?;
    PYTHONS
        .into_iter()
        .find(able)
        .context("no python3 here makes environments (python3 -m venv)")
}

/// The folder of packages that holds the JavaScript client.
pub(crate) fn node_modules() -> anyhow::Result<PathBuf> {
    let (package, version) = NODE_CLIENT;
    let dir = tools().join(format!("node-client-{version}"));
    let modules = dir.join("node_modules");
    if dir.join(MARK).exists() {
        return Ok(modules);
    }
    begin(&dir)?;
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund"]);
    install.arg("--ignore-scripts").arg("--prefix").arg(&dir);
    install.arg(format!("{package}@{version}"));
    step("fetch the JavaScript client (once)", &mut install)
        .context("npm is needed for the JavaScript client; install Node.js")?;
    fs::write(dir.join(MARK), "")?;
    Ok(modules)
}

/// An empty folder; what an earlier, broken attempt left is gone.
fn begin(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        announce(&format!("{} is incomplete: once more", dir.display()));
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    Ok(())
}
