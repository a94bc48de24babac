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
#[command(name = "coracle", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a controller and an agent in this process
    Up(up::Arguments),
    /// Run the controller: the Kubernetes API, the store, the scheduler, the image registry
    Controller(controller::Arguments),
    /// Run an agent, or install it as a service on this box
    Agent(agent::Arguments),
    /// Push a wasm module or component to the controller's registry
    Push(push::Arguments),
    /// Create, list or delete tokens: for boxes that join, and for the API
    Token(token::Arguments),
    /// Compile a module for a target: standard input to standard output (the controller's child)
    #[command(hide = true)]
    Compile(compile::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Compile(arguments) => compile::run(&arguments),
        command => run(command),
    };
    match result {
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
    // One cryptographic library for everything; a second call could only find it already set.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Up(arguments) => up::run(arguments).await,
            Command::Controller(arguments) => controller::run(arguments).await,
            Command::Agent(arguments) => agent::run(arguments).await,
            Command::Push(arguments) => push::run(arguments).await,
            Command::Token(arguments) => token::run(&arguments),
            Command::Compile(arguments) => compile::run(&arguments),
        }
    })
}
