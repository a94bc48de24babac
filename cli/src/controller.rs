//! `coracle controller`: the controller alone.

use crate::up::{ControllerArguments, wait_for_end};
use coracle_daemon::Tasks;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    controller: ControllerArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    coracle_daemon::log::init("info");
    let tasks = Tasks::new();
    let running = coracle_controller::start::start(arguments.controller.config()?, &tasks).await?;
    tracing::info!(api = %running.api, link = %running.link, page = running.page_url, "controller is up");
    wait_for_end(&tasks).await
}
