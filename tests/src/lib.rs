//! The harness of the end-to-end tests: the real binary, a real kubectl, a data directory of its own.
//!
//! `cargo xtask test` builds and fetches what is needed and names it in the environment. Waits are for
//! a level, with a limit.

pub mod client;
pub mod cluster;
pub mod net;
pub mod steady;
pub mod wait;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A program that `cargo xtask test` provides.
pub(crate) fn program(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set; run the tests with: cargo xtask test"))?;
    Ok(PathBuf::from(path))
}

/// For a controller to say that it is up.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The controller on ports of its own.
const CONTROLLER: [&str; 5] = [
    "controller",
    "--listen",
    "127.0.0.1:0",
    "--link-listen",
    "127.0.0.1:0",
];
/// A whole cluster on ports of its own, that runs its pods however full this machine's disk is.
const UP: [&str; 7] = [
    "up",
    "--listen",
    "127.0.0.1:0",
    "--link-listen",
    "127.0.0.1:0",
    "--min-free-disk",
    "0",
];

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
        Self::start_on(dir, "127.0.0.1:0", "127.0.0.1:0")
    }

    /// As [`Controller::start`], with environment variables.
    ///
    /// # Errors
    /// As [`Controller::start`].
    pub fn start_with(dir: &Path, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::launch(dir, &CONTROLLER, environment)
    }

    /// As [`Controller::start`], on these addresses for the API and for agents.
    ///
    /// # Errors
    /// When it ends before it is up; with what it wrote.
    pub fn start_on(dir: &Path, api: &str, link: &str) -> anyhow::Result<Self> {
        let arguments = ["controller", "--listen", api, "--link-listen", link];
        Self::launch(dir, &arguments, &[])
    }

    /// Starts `coracle up` on `dir`, with further flags.
    ///
    /// # Errors
    /// When it ends before it is up; with what it wrote.
    pub fn up(dir: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::launch(dir, &[&UP[..], flags].concat(), &[])
    }

    fn launch(
        dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // A file, not a pipe that somebody would have to empty.
        let mut log = tempfile::tempfile()?;
        let mut process = Command::new(program("CORACLE_BIN")?)
            .args(arguments)
            .args(["--page-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()
            .context("cannot start coracle")?;
        let _started = end_unless_started(process.id());
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
        let (status, mut said) = (process.wait()?, String::new());
        log.rewind()?;
        log.read_to_string(&mut said)?;
        bail!("coracle ended with {status}: {said}");
    }

    /// Runs kubectl against this controller; `input` is its standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        self.kubectl_with(arguments, input, &[])
    }

    /// As [`Controller::kubectl`], with more environment variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kubectl_with(
        &self,
        arguments: &[&str],
        input: &str,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Output> {
        use std::io::Write as _;
        let mut kubectl = Command::new(program("CORACLE_KUBECTL")?)
            .env_clear()
            .env("HOME", &self.dir)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment.iter().copied())
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

    /// The items of a list that kubectl prints as JSON.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn items(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let mut list: Value = serde_json::from_str(&self.ok(&all, "")?)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("kubectl {arguments:?} printed no list but {other}"),
        }
    }

    /// Pushes a module under a name.
    ///
    /// # Errors
    /// What `coracle push` says.
    pub fn push(&self, module: &Path, name: &str) -> anyhow::Result<()> {
        let output = Command::new(program("CORACLE_BIN")?)
            .args(["push", "--kubeconfig"])
            .arg(self.dir.join("kubeconfig"))
            .arg(module)
            .arg(name)
            .output()?;
        ensure!(
            output.status.success(),
            "coracle push failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The process, for its figures.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Stops the controller as an operator would.
    ///
    /// # Errors
    /// When it does not end within the limit, or not well.
    pub fn stop(self, limit: Duration) -> anyhow::Result<()> {
        // The drop that follows finds it gone already.
        terminate_pid(self.process.id())?;
        let mut this = self;
        wait_for_exit(&mut this.process, limit)
    }

    /// Starts `kubectl proxy`: the API over plain HTTP on loopback.
    ///
    /// # Errors
    /// When it ends before it says where it listens.
    pub fn proxy(&self) -> anyhow::Result<Proxy> {
        let mut process = Command::new(program("CORACLE_KUBECTL")?)
            .arg("--kubeconfig")
            .arg(self.dir.join("kubeconfig"))
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl proxy")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no standard output")?)
            .read_line(&mut line)?;
        let address = line.trim().strip_prefix("Starting to serve on ");
        let address = address.with_context(|| format!("kubectl proxy said {line:?}"))?;
        Ok(Proxy {
            address: address.to_owned(),
            process,
        })
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

/// Asks a process to end, and waits until it has, well.
///
/// # Errors
/// When it does not end within the limit, or not well.
pub fn terminate(mut process: Child, limit: Duration) -> anyhow::Result<()> {
    terminate_pid(process.id())?;
    wait_for_exit(&mut process, limit)
}

/// Asks a process to end that is not up in time; what is returned says that it was, by being dropped.
fn end_unless_started(pid: u32) -> mpsc::Sender<()> {
    let (started, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        if waiting.recv_timeout(START_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _gone = terminate_pid(pid);
        }
    });
    started
}

fn terminate_pid(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.context("the process has no identifier")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    Ok(())
}

fn wait_for_exit(process: &mut Child, limit: Duration) -> anyhow::Result<()> {
    let (status, _took) = wait::until("end of the process", limit, || {
        Ok(process.try_wait()?.ok_or_else(|| "it runs".to_owned()))
    })?;
    ensure!(status.success(), "the process ended with {status}");
    Ok(())
}

/// A running `kubectl proxy`. Killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    process: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Sends one HTTP request on a connection of its own; the status code and everything after it.
///
/// # Errors
/// When the connection fails or what comes back is not HTTP.
pub fn http(address: &str, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, rest) = answer.split_once("\r\n").context("no answer")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((
        code.with_context(|| format!("{head:?} is no status line"))?,
        rest.to_owned(),
    ))
}

/// What `coracle` prints; it must succeed.
///
/// # Errors
/// When it fails; with what it said.
pub fn coracle(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program("CORACLE_BIN")?)
        .args(arguments)
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "coracle {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
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
