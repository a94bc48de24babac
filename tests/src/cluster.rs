//! A cluster as a fleet operator has one: a controller and agents, each a process, each agent on a box of its own.

use crate::{Controller, net::Net, program, wait};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// For a node to be Ready after its agent's start; compiling is not part of it.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// Of Debian's package qemu-user-static.
const AARCH64_EMULATOR: &str = "qemu-aarch64-static";
/// Where Debian keeps the C library of that architecture.
const AARCH64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";
/// For a clean stop: pods get their grace.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// An agent that runs its pods however full this machine's disk is.
const ROOMY: [&str; 2] = ["--min-free-disk", "0"];

/// A controller and its agents. Everything ends when dropped.
#[derive(Debug)]
pub struct Cluster {
    agents: Vec<Agent>,
    /// None while it is stopped.
    controller: Option<Controller>,
    dir: tempfile::TempDir,
    api: SocketAddr,
    link: SocketAddr,
    /// What runs an agent: its program, or an emulator and what it takes.
    agent: Vec<PathBuf>,
    /// More arguments of every agent.
    arguments: Vec<String>,
    /// The boxes.
    pub net: Net,
}

/// One agent on its box.
#[derive(Debug)]
struct Agent {
    dir: PathBuf,
    process: Option<Child>,
}

impl Cluster {
    /// A controller and `agents` agents that have joined with tokens and are Ready; named `box0`, `box1`, ...
    ///
    /// # Errors
    /// What did not work.
    pub fn start(agents: u8) -> anyhow::Result<Self> {
        Self::start_with(agents, &ROOMY)
    }

    /// As [`Cluster::start`], with other arguments for every agent than those that let it run its pods however full this
    /// machine's disk is.
    ///
    /// # Errors
    /// What did not work.
    pub fn start_with(agents: u8, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_as(agents, arguments, vec![program("CORACLE_AGENT_BIN")?])
    }

    /// As [`Cluster::start`], on boxes with 64-bit ARM, emulated: the agent as devices get it.
    ///
    /// # Errors
    /// What did not work.
    pub fn start_aarch64(agents: u8) -> anyhow::Result<Self> {
        let emulator = [AARCH64_EMULATOR, "-L", AARCH64_LIBRARIES];
        let mut agent: Vec<PathBuf> = emulator.iter().map(PathBuf::from).collect();
        agent.push(program("CORACLE_AGENT_AARCH64")?);
        Self::start_as(agents, &ROOMY, agent)
    }

    fn start_as(agents: u8, arguments: &[&str], agent: Vec<PathBuf>) -> anyhow::Result<Self> {
        let net = Net::new(agents)?;
        let dir = tempfile::tempdir()?;
        // The ports stay the same over restarts of the controller, as a real one's do.
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let link = UdpSocket::bind((net.host(), 0))?.local_addr()?;
        let mut cluster = Self {
            agents: Vec::new(),
            controller: None,
            dir,
            api,
            link,
            agent,
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            net,
        };
        cluster.start_controller()?;
        for number in 0..agents {
            let dir = cluster.dir.path().join(format!("box{number}"));
            cluster.agents.push(Agent { dir, process: None });
            let token = cluster.join_token()?;
            cluster.start_agent(number, Some(&token))?;
        }
        for number in 0..agents {
            cluster.wait_node(number, "True", JOIN_LIMIT)?;
        }
        Ok(cluster)
    }

    fn controller_dir(&self) -> PathBuf {
        self.dir.path().join("controller")
    }

    /// The controller; it must be running.
    ///
    /// # Errors
    /// When it is stopped.
    pub fn controller(&self) -> anyhow::Result<&Controller> {
        self.controller
            .as_ref()
            .context("the controller is stopped")
    }

    /// Starts the controller, again on the same addresses and data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_controller(&mut self) -> anyhow::Result<()> {
        let (api, link) = (self.api.to_string(), self.link.to_string());
        self.controller = Some(Controller::start_on(&self.controller_dir(), &api, &link)?);
        Ok(())
    }

    /// Stops the controller as an operator would.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub fn stop_controller(&mut self) -> anyhow::Result<()> {
        let controller = self
            .controller
            .take()
            .context("the controller is stopped already")?;
        controller.stop(STOP_LIMIT)
    }

    /// A token from `coracle token create`.
    ///
    /// # Errors
    /// When there is none in what it prints.
    pub fn join_token(&self) -> anyhow::Result<String> {
        let output = Command::new(program("CORACLE_BIN")?)
            .args(["token", "create", "--data-dir"])
            .arg(self.controller_dir())
            .args(["--address", &self.link.to_string()])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let token = text
            .split_whitespace()
            .skip_while(|word| *word != "--join")
            .nth(1);
        let token = token.with_context(|| {
            let why = String::from_utf8_lossy(&output.stderr);
            format!("no join command in {text:?}: {why}")
        })?;
        Ok(token.to_owned())
    }

    /// Starts the agent of a box; a token is needed the first time only.
    ///
    /// # Errors
    /// When it can not be started.
    pub fn start_agent(&mut self, number: u8, token: Option<&str>) -> anyhow::Result<()> {
        let agent = &mut self.agents[usize::from(number)];
        fs::create_dir_all(&agent.dir)?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(agent.dir.join("agent.log"))?;
        let (first, before) = self.agent.split_first().context("no agent")?;
        let mut command = self.net.command(number, first);
        command
            .args(before)
            .args(["--node-name", &format!("box{number}"), "--data-dir"])
            .arg(agent.dir.join("data"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(token) = token {
            command.args(["--join", token]);
        }
        agent.process = Some(command.spawn().context("cannot start coracle-agent")?);
        Ok(())
    }

    /// Kills an agent as a power cut would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_agent(&mut self, number: u8) -> anyhow::Result<()> {
        let process = self.agents[usize::from(number)].process.take();
        let mut process = process.context("the agent is stopped already")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Stops an agent as systemd would.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub fn stop_agent(&mut self, number: u8) -> anyhow::Result<()> {
        let process = self.agents[usize::from(number)].process.take();
        crate::terminate(process.context("the agent is stopped already")?, STOP_LIMIT)
    }

    /// The process of an agent, for its figures.
    #[must_use]
    pub fn agent_pid(&self, number: u8) -> Option<u32> {
        self.agents[usize::from(number)]
            .process
            .as_ref()
            .map(Child::id)
    }

    /// What an agent has logged.
    ///
    /// # Errors
    /// When there is no log.
    pub fn agent_log(&self, number: u8) -> anyhow::Result<String> {
        Ok(fs::read_to_string(
            self.agents[usize::from(number)].dir.join("agent.log"),
        )?)
    }

    /// Where an agent keeps its data.
    #[must_use]
    pub fn agent_data(&self, number: u8) -> PathBuf {
        self.agents[usize::from(number)].dir.join("data")
    }

    /// Pushes a module under a name.
    ///
    /// # Errors
    /// What `coracle push` says.
    pub fn push(&self, module: &Path, name: &str) -> anyhow::Result<()> {
        self.controller()?.push(module, name)
    }

    /// Waits until the Ready condition of a node is `status`; how long it took.
    ///
    /// # Errors
    /// When it is something else until the limit, with the log of the agent.
    pub fn wait_node(&self, number: u8, status: &str, limit: Duration) -> anyhow::Result<Duration> {
        let name = format!("box{number}");
        let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let found = wait::until(&format!("Ready={status} of {name}"), limit, || {
            let output = self
                .controller()?
                .kubectl(&["get", "node", &name, "-o", ready], "")?;
            let seen = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(if seen == status { Ok(()) } else { Err(seen) })
        });
        let ((), took) = found.map_err(|error| {
            let log = self.agent_log(number).unwrap_or_default();
            error.context(format!("the agent's log:\n{log}"))
        })?;
        Ok(took)
    }

    /// The pods of a selector.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn pods(&self, selector: &str) -> anyhow::Result<Vec<Value>> {
        self.controller()?.items(&["get", "pods", "-l", selector])
    }

    /// Waits until exactly `count` pods of a selector are Ready and none is going; those, and how long it took.
    ///
    /// # Errors
    /// When the time is over; with what was there.
    pub fn wait_pods(
        &self,
        selector: &str,
        count: usize,
        limit: Duration,
    ) -> anyhow::Result<(Vec<Value>, Duration)> {
        let what = format!("{count} ready pods of {selector}");
        let found = wait::until(&what, limit, || {
            let pods = self.pods(selector)?;
            let live: Vec<Value> = pods
                .iter()
                .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null() && is_ready(pod))
                .cloned()
                .collect();
            Ok(if live.len() == count {
                Ok(live)
            } else {
                Err(format!(
                    "{} ready of {}:\n{}",
                    live.len(),
                    pods.len(),
                    self.table()
                ))
            })
        })?;
        Ok(found)
    }

    /// What a person would look at.
    fn table(&self) -> String {
        let Ok(controller) = self.controller() else {
            return "the controller is stopped".to_owned();
        };
        let pods = controller.ok(&["get", "nodes,pods", "-A", "-o", "wide"], "");
        let events = controller.ok(&["get", "events", "-A"], "");
        format!(
            "{}\n{}",
            pods.unwrap_or_default(),
            events.unwrap_or_default()
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            if let Some(process) = &mut agent.process {
                let _gone = process.kill();
                let _reaped = process.wait();
            }
        }
        if std::thread::panicking() || std::env::var_os("CORACLE_KEEP").is_some() {
            for number in 0..u8::try_from(self.agents.len()).unwrap_or(0) {
                let log = self.agent_log(number).unwrap_or_default();
                #[expect(clippy::print_stderr, reason = "what a failed test is read by")]
                {
                    eprintln!("--- log of box{number}\n{log}");
                }
            }
        }
    }
}

/// Whether the Ready condition of a pod is true.
#[must_use]
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The body of an HTTP GET, which must be answered with 200.
///
/// # Errors
/// When it is not.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    use std::io::{Read as _, Write as _};
    let limit = Duration::from_secs(5);
    let mut stream = std::net::TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "{address}{path} answered {head:?}: {body}"
    );
    Ok(body.to_owned())
}

/// An example module as it is committed.
///
/// # Errors
/// When it is not there.
pub fn example(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../wasm-examples/prebuilt/{name}.wasm"));
    if !path.exists() {
        bail!(
            "{} is missing; cargo xtask guests builds it",
            path.display()
        );
    }
    Ok(path)
}
