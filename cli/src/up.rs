//! `coracle up`: a controller and agents in one process, on one data directory.
//!
//! The agents join and talk over the same link as any other box; only the process is shared. Agents
//! always stop before the controller does, so that their last words arrive.

use crate::{client::Client, controller::ControllerArguments, demo, kubeconfig::Kubeconfig};
use anyhow::Context as _;
use coracle_controller::start::{self, Running};
use coracle_daemon::{OnExit, Tasks, Termination};
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

/// Agents stop their pods within this.
const AGENTS_SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);
/// Most agents in one process: each has an address of its own on loopback.
const AGENTS_MAX: i64 = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    controller: ControllerArguments,
    /// Name of the node [default: the machine's name]; with several agents a number is added
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// How many agents to run; with more than one, node N's ports listen on 127.0.0.N
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=AGENTS_MAX))]
    agents: u8,
    /// Less free disk than this is disk pressure: the node then takes no new pods
    /// [default: 2Gi, or a tenth of a small disk]
    #[arg(long, value_name = "SIZE", value_parser = coracle_agent::config::parse_size)]
    min_free_disk: Option<u64>,
    /// Push and deploy the example workloads
    #[arg(long)]
    demo: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    coracle_daemon::log::init("warn");
    if let Some(name) = &arguments.node_name {
        anyhow::ensure!(
            coracle_agent::config::is_node_name(name),
            "{name:?} is not a node name: lower-case letters, digits, '-' and '.'"
        );
    }
    anyhow::ensure!(
        !arguments.demo || arguments.agents > 0,
        "--demo needs a node to run on: --agents must be at least 1"
    );
    let (tasks, mut termination) = (Tasks::new(), Termination::listen());
    let starting = start::start(arguments.controller.config()?, &tasks);
    let running = tokio::select! {
        running = starting => running?,
        () = termination.asked() => return Ok(()),
    };
    let agents = Tasks::new();
    let lived = live(&arguments, &running, (&tasks, &agents), &mut termination).await;
    // It holds the store open.
    drop(running);
    let agents_ended = agents.shut_down(AGENTS_SHUTDOWN_LIMIT).await;
    let stopped = crate::controller::stop(&tasks).await;
    lived?;
    stopped?;
    anyhow::ensure!(
        agents_ended,
        "agents were still stopping pods {} s after the stop",
        AGENTS_SHUTDOWN_LIMIT.as_secs()
    );
    Ok(())
}

/// Everything between the start and the stop.
async fn live(
    arguments: &Arguments,
    running: &Running,
    (tasks, agents): (&Tasks, &Tasks),
    termination: &mut Termination,
) -> anyhow::Result<()> {
    let names = node_names(arguments.node_name.as_deref(), arguments.agents);
    let shared = Shared {
        arguments,
        running,
        tasks,
        agents,
    };
    for (name, number) in names.iter().zip(1..) {
        shared.start_agent(name, number).await?;
    }
    if arguments.demo {
        let config = Kubeconfig::read(&running.kubeconfig)?;
        let client = Client::new(&config)?;
        tokio::select! {
            deployed = demo::deploy(&client) => deployed?,
            () = termination.asked() => return Ok(()),
            () = tasks.stop().cancelled() => {}
        }
    }
    if !tasks.stop().is_cancelled() {
        let data_dir = &arguments.controller.data_dir;
        show(&screen(data_dir, running, &names, arguments.demo));
    }
    crate::controller::wait_for_end(tasks, termination).await
}

fn node_names(wanted: Option<&str>, agents: u8) -> Vec<String> {
    let base = wanted.map_or_else(coracle_agent::config::default_node_name, str::to_owned);
    match agents {
        1 => vec![base],
        n => (1..=n).map(|i| format!("{base}-{i}")).collect(),
    }
}

/// What every agent of this process needs.
struct Shared<'a> {
    arguments: &'a Arguments,
    running: &'a Running,
    /// Of the controller.
    tasks: &'a Tasks,
    agents: &'a Tasks,
}

impl Shared<'_> {
    async fn start_agent(&self, name: &str, number: u8) -> anyhow::Result<()> {
        let data_dir = self.arguments.controller.data_dir.join("agents").join(name);
        let is_node = self.running.has_node(name) && data_dir.exists();
        let mut config = coracle_agent::Config::new(data_dir, name.to_owned());
        config.node_port_address = node_port_address(number, self.arguments.agents);
        config.disk_free_min = self.arguments.min_free_disk;
        let link = self.running.link;
        let address = SocketAddr::new(reachable(link.ip()), link.port()).to_string();
        let token = self.running.join_token(is_node).await;
        let token = token.context("cannot make a join token for the agent in this process")?;
        let token = token.as_str().to_owned();
        config.join = Some(coracle_agent::Join { token, address });
        let (own, stop) = (self.agents.clone(), self.tasks.stop().clone());
        let node = name.to_owned();
        self.agents.spawn("agent", OnExit::Shutdown, async move {
            if let Err(error) = Box::pin(coracle_agent::run(config, own)).await {
                let error = coracle_agent::sentence(&error);
                tracing::error!(node, "the agent has stopped: {error}");
                // Without its agents the program is not what was asked for.
                stop.cancel();
            }
        });
        Ok(())
    }
}

/// Where an agent of this machine dials an address that is listened on.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// One agent has the machine's node ports; several cannot share them.
fn node_port_address(number: u8, agents: u8) -> IpAddr {
    if agents == 1 {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::new(127, 0, 0, number).into()
    }
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn show(text: &str) {
    println!("{text}");
}

fn screen(data_dir: &Path, running: &Running, names: &[String], demo: bool) -> String {
    let kubeconfig = running.kubeconfig.strip_prefix("./");
    let kubeconfig = kubeconfig.unwrap_or(&running.kubeconfig).display();
    let mut text = String::from("Coracle is up.\n\n");
    let mut line = |label: &str, value: &str| {
        let _infallible = writeln!(text, "  {label:<12}{value}");
    };
    line("API", &format!("https://{}", running.api));
    line("kubeconfig", &kubeconfig.to_string());
    line("status page", &running.page_url);
    line("nodes", &names.join(", "));
    if demo {
        let url = format!("http://127.0.0.1:{}/", demo::HELLO_PORT);
        line("demo", &format!("{url}   (three copies of hello-http)"));
    }
    text.push_str("\nTry:\n");
    let _infallible = write!(
        text,
        "  kubectl --kubeconfig {kubeconfig} get nodes,deploy,pods,svc -A -o wide
  coracle push --kubeconfig {kubeconfig} app.wasm app:v1
  coracle token create --data-dir {}     (the command that joins another box)

Ctrl-C stops it; the same command goes on with the same cluster.",
        data_dir.display()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_have_names_and_ports_of_their_own() {
        assert_eq!(node_names(Some("box"), 1), ["box"]);
        assert_eq!(node_names(Some("box"), 2), ["box-1", "box-2"]);
        assert!(node_names(None, 0).is_empty());
        assert_eq!(node_port_address(1, 1).to_string(), "0.0.0.0");
        assert_eq!(node_port_address(2, 3).to_string(), "127.0.0.2");
        assert_eq!(reachable([0, 0, 0, 0].into()).to_string(), "127.0.0.1");
        assert_eq!(reachable([10, 0, 0, 1].into()).to_string(), "10.0.0.1");
    }
}
