//! The `coracle` binary: parses the command line and hands over.
//!
//! Each command is a file of its own; nothing is decided here.

mod agent;
mod client;
mod compile;
mod controller;
mod demo;
mod kubeconfig;
mod push;
mod token;
mod up;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Kubernetes for places too small for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "coracle", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a controller and an agent in one process: a whole cluster
    Up(up::Arguments),
    /// Run the controller: the Kubernetes API, the store and the image registry
    Controller(controller::Arguments),
    /// Run an agent: makes this machine a node
    Agent(Box<agent::Arguments>),
    /// Push a wasm module or component to the controller's registry
    Push(push::Arguments),
    /// Tokens that let boxes join, or users use the API
    #[command(subcommand)]
    Token(token::Command),
    /// Compile a module for a target: standard input to standard output (the controller's child)
    #[command(hide = true)]
    Compile(compile::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the command line's one error sentence")]
fn complain(error: &anyhow::Error) {
    eprintln!("coracle: {error:#}");
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Token(command) => in_runtime(token::run(command)),
        Command::Up(arguments) => in_runtime(up::run(arguments)),
        Command::Agent(arguments) => in_runtime(agent::run(*arguments)),
        Command::Controller(arguments) => in_runtime(controller::run(arguments)),
        Command::Push(arguments) => in_runtime(push::run(arguments)),
    }
}

/// Of each thread; what is not used is not there. Rules and bodies nest deeply: in a build without optimization 99 brackets of a
/// rule overflowed 2 MiB.
const STACK_BYTES: usize = 8 * 1024 * 1024;

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // One cryptographic library for everything; a second call could only find it already set.
    let _already = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()?
        .block_on(work)
}
