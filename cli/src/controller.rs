//! `coracle controller`: the controller alone.

use anyhow::Context as _;
use coracle_controller::{images, start};
use coracle_daemon::{Clock, Tasks};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Requests under way get this long to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where everything is kept
    #[arg(long, default_value = "./.coracle", value_name = "DIR")]
    data_dir: PathBuf,
    /// Address of the Kubernetes API and the image registry (HTTPS)
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR")]
    listen: SocketAddr,
    /// Address of the status page (HTTP, loopback only)
    #[arg(long, default_value = "127.0.0.1:6480", value_name = "ADDR")]
    page_listen: SocketAddr,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    coracle_daemon::log::init("info");
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let config = start::Config {
        data_dir: arguments.data_dir,
        listen: arguments.listen,
        page_listen: arguments.page_listen,
        compiler: images::Program {
            path: program,
            args: vec!["compile".to_owned()],
        },
        clock: Clock::system(),
    };
    let tasks = Tasks::new();
    let running = start::start(config, &tasks).await?;
    show(&running);
    let failed = tokio::select! {
        () = coracle_daemon::terminated() => false,
        () = tasks.stop().cancelled() => true,
    };
    let ended = tasks.shut_down(SHUTDOWN_LIMIT).await;
    anyhow::ensure!(
        !failed,
        "a part that cannot be missing has stopped; see the log above"
    );
    anyhow::ensure!(
        ended,
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
    println!("  status page  {}", running.page_url);
    println!("  kubeconfig   {kubeconfig}\n");
    println!("Try:  kubectl --kubeconfig {kubeconfig} get namespaces\n");
    println!("Ctrl-C stops it; the same command goes on with the same cluster.");
}
