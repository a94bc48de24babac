//! `coracle agent`: an agent alone, or as a service of this box; the same flags as the small `coracle-agent`.

use crate::controller::{stop, wait_for_end};
use anyhow::Context as _;
pub(crate) use coracle_agent::flags::Arguments;
use coracle_daemon::{OnExit, Tasks, Termination};

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Some(action) = arguments.action else {
        let config = arguments.flags.config().map_err(anyhow::Error::msg)?;
        return serve(config).await;
    };
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let done = action.perform(&program, &["agent"]);
    say(&done.map_err(anyhow::Error::msg)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the commands say what they did")]
fn say(sentences: &[String]) {
    for sentence in sentences {
        println!("{sentence}");
    }
}

async fn serve(config: coracle_agent::Config) -> anyhow::Result<()> {
    coracle_daemon::log::init("info");
    let (tasks, mut termination) = (Tasks::new(), Termination::listen());
    let own = tasks.clone();
    let (failed, failure) = tokio::sync::oneshot::channel();
    tasks.spawn("agent", OnExit::Shutdown, async move {
        if let Err(error) = Box::pin(coracle_agent::run(config, own)).await {
            // Who would hear of it waits below.
            let _heard = failed.send(coracle_agent::sentence(&error));
        }
    });
    let ended = wait_for_end(&tasks, &mut termination).await;
    let stopped = stop(&tasks).await;
    if let Ok(sentence) = failure.await {
        anyhow::bail!(sentence);
    }
    stopped?;
    ended
}
