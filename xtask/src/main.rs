//! `cargo xtask`: the one entry point for everything that is not the product itself.
//!
//! Each command is a file of its own. Programs are started with an argument list, never a shell.

mod ci;
mod run;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "Builds, tests and checks Coracle")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What CI runs: fmt, clippy, tidy, deny, test
    Ci,
    /// Set up what the tests need and run them all
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Our own checks of the structure
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Tidy => tidy::run(),
    }
}
