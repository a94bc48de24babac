//! The small agent for devices: one process, no compiler. Parses flags, runs, prints one sentence when it can not.

use clap::Parser;
use coracle_agent::{Config, Join, config};
use coracle_daemon::Tasks;
use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

/// Pods get 20 s of it, the last words to the controller the rest.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// Runs WebAssembly pods on this machine for a Coracle controller.
#[derive(Debug, Parser)]
#[command(name = "coracle-agent", version)]
struct Flags {
    /// Join token and address of the controller; needed once.
    #[arg(long, value_name = "TOKEN@ADDR")]
    join: Option<Join>,
    /// Where the node's key, certificate, pods, images and logs are kept.
    #[arg(long, value_name = "DIR", default_value = "./.coracle-agent")]
    data_dir: PathBuf,
    /// Name of the node; by default the host's name.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Label of the node; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = config::parse_label)]
    label: Vec<(String, String)>,
    /// How many pods the node takes.
    #[arg(long, value_name = "N", default_value_t = config::PODS_MAX_DEFAULT)]
    max_pods: u32,
    /// Where node ports listen.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0")]
    node_port_address: IpAddr,
    /// Folder that hostPath volumes may use; may be repeated. Without it there are none.
    #[arg(long, value_name = "PREFIX")]
    allow_host_path: Vec<PathBuf>,
    /// Instances of HTTP containers that are kept ready to be filled.
    #[arg(long, value_name = "N")]
    pool_instances: Option<u32>,
}

impl Flags {
    fn config(self) -> Result<Config, String> {
        let node_name = self.node_name.unwrap_or_else(config::default_node_name);
        if !config::is_node_name(&node_name) {
            return Err(format!(
                "\"{node_name}\" is not a node name: lower-case letters, digits, '-' and '.'"
            ));
        }
        let from_unit = || {
            std::env::var("CORACLE_JOIN")
                .ok()
                .filter(|join| !join.is_empty())
        };
        let join = match self.join {
            Some(join) => Some(join),
            None => from_unit()
                .map(|join| join.parse())
                .transpose()
                .map_err(|error: config::JoinError| error.to_string())?,
        };
        let mut config = Config::new(self.data_dir, node_name);
        config.join = join;
        config.labels = self.label;
        config.pods_max = self.max_pods;
        config.node_port_address = self.node_port_address;
        config.host_paths = self.allow_host_path;
        if let Some(pool_instances) = self.pool_instances {
            config.pool_instances = pool_instances;
        }
        Ok(config)
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one sentence of a program that can not start"
)]
fn main() -> ExitCode {
    let config = match Flags::parse().config() {
        Ok(config) => config,
        Err(sentence) => {
            eprintln!("coracle-agent: {sentence}");
            return ExitCode::FAILURE;
        }
    };
    coracle_daemon::log::init("info");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("coracle-agent: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("coracle-agent: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> Result<(), String> {
    let tasks = Tasks::new();
    let signals = tasks.clone();
    tasks.spawn("signals", coracle_daemon::OnExit::Ignore, async move {
        tokio::select! {
            () = coracle_daemon::terminated() => signals.stop().cancel(),
            () = signals.stop().cancelled() => {}
        }
    });
    let result = Box::pin(coracle_agent::run(config, tasks.clone())).await;
    let in_time = tasks.shut_down(SHUTDOWN).await;
    if !in_time {
        tracing::warn!("some tasks did not end in time");
    }
    result.map_err(|error| coracle_agent::sentence(&error))
}
