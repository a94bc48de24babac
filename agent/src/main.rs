//! The small agent for devices: one process, no compiler. Parses flags, runs, prints one sentence when it can not.

use clap::Parser;
use coracle_agent::{Config, flags::Arguments};
use coracle_daemon::Tasks;
use std::{process::ExitCode, time::Duration};

/// Pods get 5 s of it, the last words to the controller the rest.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// Threads for the disk and for names: bursts of container starts wait for one another.
const BLOCKING_THREADS_MAX: usize = 32;
/// A blocking thread that has nothing to do gives its stack back.
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(2);

/// Runs WebAssembly pods on this machine for a Coracle controller.
#[derive(Debug, Parser)]
#[command(name = "coracle-agent", version)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    match run(Program::parse().arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one sentence of a program that can not start"
)]
fn complain(sentence: &str) {
    eprintln!("coracle-agent: {sentence}");
}

#[expect(clippy::print_stdout, reason = "install says what it did")]
fn say(sentences: &[String]) {
    for sentence in sentences {
        println!("{sentence}");
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    if let Some(action) = arguments.action {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find this program's own file: {error}"))?;
        say(&action.perform(&program, &[])?);
        return Ok(());
    }
    let config = arguments.flags.config()?;
    coracle_daemon::log::init("info");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), String> {
    let tasks = Tasks::new();
    let (signals, mut termination) = (tasks.clone(), coracle_daemon::Termination::listen());
    tasks.spawn("signals", coracle_daemon::OnExit::Ignore, async move {
        tokio::select! {
            () = termination.asked() => signals.stop().cancel(),
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
