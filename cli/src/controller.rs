//! `coracle controller`: the controller alone.

use anyhow::Context as _;
use coracle_controller::{images, link_server::pod_range::PodRange, start};
use coracle_daemon::{Clock, Tasks, Termination};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Requests under way get this long to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

/// The flags that every program with a controller in it has.
#[derive(Debug, clap::Args)]
pub(crate) struct ControllerArguments {
    /// Where everything is kept
    #[arg(long, default_value = "./.coracle", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Address of the Kubernetes API and the image registry (HTTPS)
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR")]
    listen: SocketAddr,
    /// Address that agents dial (UDP)
    #[arg(long, default_value = "0.0.0.0:6443", value_name = "ADDR")]
    link_listen: SocketAddr,
    /// Address of the status page (HTTP, loopback only)
    #[arg(long, default_value = "127.0.0.1:6480", value_name = "ADDR")]
    page_listen: SocketAddr,
    /// Addresses of pods; each node gets a block of 256 of them
    #[arg(long, default_value = coracle_controller::link_server::pod_range::DEFAULT, value_name = "CIDR")]
    pod_cidr: PodRange,
}

impl ControllerArguments {
    pub(crate) fn config(&self) -> anyhow::Result<start::Config> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(start::Config {
            data_dir: self.data_dir.clone(),
            listen: self.listen,
            link_listen: self.link_listen,
            page_listen: self.page_listen,
            pod_range: self.pod_cidr,
            compiler: images::Program {
                path: program,
                args: vec!["compile".to_owned()],
            },
            clock: Clock::system(),
        })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    controller: ControllerArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    coracle_daemon::log::init("info");
    let (tasks, mut termination) = (Tasks::new(), Termination::listen());
    let starting = start::start(arguments.controller.config()?, &tasks);
    let running = tokio::select! {
        running = starting => running?,
        () = termination.asked() => return Ok(()),
    };
    show(&running);
    // It holds the store open.
    drop(running);
    let ended = wait_for_end(&tasks, &mut termination).await;
    stop(&tasks).await?;
    ended
}

/// Runs until a signal, or until something the program cannot go on without has ended.
pub(crate) async fn wait_for_end(
    tasks: &Tasks,
    termination: &mut Termination,
) -> anyhow::Result<()> {
    tokio::select! {
        () = termination.asked() => Ok(()),
        () = tasks.stop().cancelled() => {
            anyhow::bail!("a part that cannot be missing has stopped; see the log above")
        }
    }
}

pub(crate) async fn stop(tasks: &Tasks) -> anyhow::Result<()> {
    anyhow::ensure!(
        tasks.shut_down(SHUTDOWN_LIMIT).await,
        "some work was still under way {} s after the stop",
        SHUTDOWN_LIMIT.as_secs()
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what a person types next")]
fn show(running: &start::Running) {
    let kubeconfig = running.kubeconfig.display();
    println!("Coracle's controller is up.\n");
    println!("  API          https://{}", running.api);
    println!("  link         {} (UDP, for agents)", running.link);
    println!("  status page  {}", running.page_url);
    println!("  kubeconfig   {kubeconfig}\n");
    println!("Try:  kubectl --kubeconfig {kubeconfig} get namespaces\n");
    println!("Ctrl-C stops it; the same command goes on with the same cluster.");
}
