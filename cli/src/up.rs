//! `coracle up`: a controller and agents in one process, on one data directory.
//!
//! The agents join and talk over the same link as any other box; only the process is shared.

use crate::{client::Client, demo, kubeconfig::Kubeconfig};
use anyhow::Context as _;
use coracle_controller::start::{self, Running};
use coracle_daemon::{Clock, OnExit, Tasks};
use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Shutdown: agents stop their pods, the store closes.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) controller: ControllerArguments,
    /// Name of the node; with several agents a number is added
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// How many agents to run
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    agents: u16,
    /// Push and deploy the example workloads
    #[arg(long)]
    demo: bool,
}

/// The flags that every program with a controller in it has.
#[derive(Debug, clap::Args)]
pub(crate) struct ControllerArguments {
    /// Where everything is kept
    #[arg(long, default_value = "./.coracle", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Address of the Kubernetes API and the image registry (HTTPS)
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Address that agents dial (UDP)
    #[arg(long, default_value = "0.0.0.0:6443", value_name = "ADDR")]
    pub(crate) link_listen: SocketAddr,
    /// Address of the status page (HTTP, loopback only)
    #[arg(long, default_value = "127.0.0.1:6480", value_name = "ADDR")]
    pub(crate) page_listen: SocketAddr,
}

impl ControllerArguments {
    pub(crate) fn config(&self) -> anyhow::Result<start::Config> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(start::Config {
            data_dir: self.data_dir.clone(),
            listen: self.listen,
            link_listen: self.link_listen,
            page_listen: self.page_listen,
            compiler: coracle_controller::images::Program { path: program, args: vec!["compile".to_owned()] },
            clock: Clock::system(),
        })
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    coracle_daemon::log::init("warn");
    let tasks = Tasks::new();
    let running = start::start(arguments.controller.config()?, &tasks).await?;
    let names = node_names(arguments.node_name.as_deref(), arguments.agents);
    start_agents(&arguments, &running, &names, &tasks)?;
    if arguments.demo {
        let config = Kubeconfig::read(&arguments.controller.data_dir.join("kubeconfig"))?;
        let client = Client::new(&config)?;
        tokio::select! {
            deployed = demo::deploy(&client) => deployed?,
            () = coracle_daemon::terminated() => return stop(&tasks).await,
        }
    }
    show(&screen(&arguments.controller.data_dir, &running, &names, arguments.demo));
    wait_for_end(&tasks).await
}

/// Runs until a signal, or until something the program can not go on without has ended.
pub(crate) async fn wait_for_end(tasks: &Tasks) -> anyhow::Result<()> {
    let failed = tokio::select! {
        () = coracle_daemon::terminated() => false,
        () = tasks.stop().cancelled() => true,
    };
    stop(tasks).await?;
    anyhow::ensure!(!failed, "a part that cannot be missing has stopped; see the log above");
    Ok(())
}

async fn stop(tasks: &Tasks) -> anyhow::Result<()> {
    anyhow::ensure!(
        tasks.shut_down(SHUTDOWN_LIMIT).await,
        "some work was still under way {} s after the stop was asked for",
        SHUTDOWN_LIMIT.as_secs()
    );
    Ok(())
}

fn node_names(wanted: Option<&str>, agents: u16) -> Vec<String> {
    let base = wanted.map_or_else(host_name, str::to_owned);
    match agents {
        1 => vec![base],
        n => (1..=n).map(|i| format!("{base}-{i}")).collect(),
    }
}

/// The machine's name as a node name: lower case, letters, digits, dots and dashes.
pub(crate) fn host_name() -> String {
    let uname = rustix::system::uname();
    let name: String = uname
        .nodename()
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "coracle".to_owned() } else { name.to_owned() }
}

fn start_agents(arguments: &Arguments, running: &Running, names: &[String], tasks: &Tasks) -> anyhow::Result<()> {
    for name in names {
        let data_dir = arguments.controller.data_dir.join("agents").join(name);
        // Loopback, whatever address the link listens on.
        let dial = SocketAddr::new([127, 0, 0, 1].into(), running.link.port());
        let config = coracle_agent::Config {
            data_dir,
            node_name: name.clone(),
            join: Some(running.join_token(name, dial)?),
            ..coracle_agent::Config::default()
        };
        let (agent_tasks, name) = (tasks.clone(), name.clone());
        tasks.spawn("agent", OnExit::Shutdown, async move {
            if let Err(error) = coracle_agent::run(config, agent_tasks).await {
                let error = anyhow::Error::new(error);
                tracing::error!(node = name, "the agent has stopped: {error:#}");
            }
        });
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn show(text: &str) {
    println!("{text}");
}

fn screen(data_dir: &Path, running: &Running, names: &[String], demo: bool) -> String {
    let kubeconfig = data_dir.join("kubeconfig");
    let kubeconfig = kubeconfig.strip_prefix("./").unwrap_or(&kubeconfig).display();
    let mut text = String::from("Coracle is up.\n\n");
    let mut line = |label: &str, value: &str| {
        let _infallible = writeln!(text, "  {label:<12}{value}");
    };
    line("API", &format!("https://{}", running.api));
    line("kubeconfig", &kubeconfig.to_string());
    line("status page", &running.page_url);
    line("nodes", &names.join(", "));
    if demo {
        line("demo", &format!("http://127.0.0.1:{}/   (three copies of hello-http)", demo::HELLO_PORT));
    }
    text.push_str("\nTry:\n");
    for command in [
        format!("kubectl --kubeconfig {kubeconfig} get nodes,deploy,pods,svc -A -o wide"),
        format!("coracle push --kubeconfig {kubeconfig} app.wasm app:v1"),
        format!("coracle token create --data-dir {}     (the command that joins another box)", data_dir.display()),
    ] {
        let _infallible = writeln!(text, "  {command}");
    }
    text.push_str("\nCtrl-C stops it; the same command goes on with the same cluster.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_agents() {
        assert_eq!(node_names(Some("box"), 1), ["box"]);
        assert_eq!(node_names(Some("box"), 2), ["box-1", "box-2"]);
        assert!(!host_name().is_empty());
    }
}
