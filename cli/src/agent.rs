//! `coracle agent`: an agent alone, or as a service of this box.

use crate::up::{host_name, wait_for_end};
use anyhow::Context as _;
use coracle_daemon::{OnExit, Tasks};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What `coracle token create` printed; needed once, the first time
    #[arg(long, value_name = "TOKEN@ADDR")]
    join: Option<String>,
    /// Where everything is kept
    #[arg(long, default_value = "./.coracle-agent", value_name = "DIR")]
    data_dir: PathBuf,
    /// Name of this node [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// A label of this node; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write and start a systemd unit that runs the agent from now on
    Install(RunArguments),
    /// Stop the service and remove its unit; data stays
    Uninstall,
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not KEY=VALUE"))
}

impl RunArguments {
    fn config(self) -> coracle_agent::Config {
        coracle_agent::Config {
            data_dir: self.data_dir,
            node_name: self.node_name.unwrap_or_else(host_name),
            join: self.join,
            labels: self.labels,
            ..coracle_agent::Config::default()
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.action {
        None => serve(arguments.run.config()).await,
        Some(Action::Install(run)) => {
            let program = std::env::current_exe().context("cannot find this program's own file")?;
            say(&coracle_agent::install::install(&program, &run.config())?);
            Ok(())
        }
        Some(Action::Uninstall) => {
            say(&coracle_agent::install::uninstall()?);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the commands say what they did")]
fn say(text: &str) {
    println!("{text}");
}

async fn serve(config: coracle_agent::Config) -> anyhow::Result<()> {
    coracle_daemon::log::init("info");
    let tasks = Tasks::new();
    let agent_tasks = tasks.clone();
    let (tx, rx) = tokio::sync::oneshot::channel();
    tasks.spawn("agent", OnExit::Shutdown, async move {
        let _receiver_waits = tx.send(coracle_agent::run(config, agent_tasks).await);
    });
    let ended = wait_for_end(&tasks).await;
    if let Ok(Err(error)) = rx.await {
        return Err(error.into());
    }
    ended
}
