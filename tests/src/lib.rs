//! The harness of the end-to-end tests: the real binary, a real kubectl, a data directory of its own.
//!
//! `cargo xtask test` builds and fetches what is needed and names it in the environment. Waits are for
//! a level, with a limit.

use anyhow::{Context as _, bail};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// A program that `cargo xtask test` provides.
fn program(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set; run the tests with: cargo xtask test"))?;
    Ok(PathBuf::from(path))
}

/// A running controller. Killed when dropped.
#[derive(Debug)]
pub struct Controller {
    process: Child,
    dir: PathBuf,
    /// The address of the status page with its token.
    pub page_url: String,
}

impl Controller {
    /// Starts a controller on `dir` and waits until it says that it is up.
    ///
    /// # Errors
    /// When it ends before that; with what it wrote.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(program("CORACLE_BIN")?)
            .args([
                "controller",
                "--listen",
                "127.0.0.1:0",
                "--page-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start coracle")?;
        let lines = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let mut page_url = String::new();
        for line in lines {
            let line = line?;
            if let Some(url) = line.trim().strip_prefix("status page") {
                url.trim().clone_into(&mut page_url);
            }
            if line.starts_with("Ctrl-C") {
                return Ok(Self {
                    process,
                    dir: dir.to_owned(),
                    page_url,
                });
            }
        }
        let output = process.wait_with_output()?;
        bail!(
            "coracle ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs kubectl against this controller; `input` is its standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        use std::io::Write as _;
        let mut kubectl = Command::new(program("CORACLE_KUBECTL")?)
            .env_clear()
            .env("HOME", &self.dir)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg("--kubeconfig")
            .arg(self.dir.join("kubeconfig"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        kubectl
            .stdin
            .take()
            .context("no standard input")?
            .write_all(input.as_bytes())?;
        Ok(kubectl.wait_with_output()?)
    }

    /// Runs kubectl, which must succeed; what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn ok(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let output = self.kubectl(arguments, input)?;
        if !output.status.success() {
            bail!(
                "kubectl {arguments:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs kubectl, which must fail; what it complained of.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn refused(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let output = self.kubectl(arguments, input)?;
        if output.status.success() {
            bail!(
                "kubectl {arguments:?} succeeded: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Kills the controller as a power cut would.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// What `coracle` says when it must fail.
///
/// # Errors
/// When it succeeds.
pub fn coracle_refused(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program("CORACLE_BIN")?)
        .args(arguments)
        .output()?;
    anyhow::ensure!(
        output.status.code() == Some(1),
        "coracle {arguments:?} ended with {}",
        output.status
    );
    Ok(String::from_utf8(output.stderr)?)
}
