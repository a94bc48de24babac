//! `cargo xtask`: the one entry point for everything that is not the product itself.
//!
//! Each command is a file of its own. Programs are started with an argument list, never a shell.

mod bench;
mod ci;
mod clients;
mod dist;
mod fuzz;
mod guests;
mod merging;
mod protobuf;
mod run;
mod soak;
mod test;
mod tidy;
mod upstream;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "Builds, tests and checks Coracle")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What CI runs: fmt, clippy, tidy, deny, test, fuzz
    Ci,
    /// Write the table of how fields merge from the Go modules of Kubernetes' types
    Merging {
        /// Directory of k8s.io/api
        api: PathBuf,
        /// Directory of k8s.io/apimachinery
        apimachinery: PathBuf,
        /// Directory of k8s.io/apiextensions-apiserver
        apiextensions: PathBuf,
    },
    /// Write the table of protobuf fields from the Go modules of Kubernetes' types
    Protobuf {
        /// Directory of k8s.io/api
        api: PathBuf,
        /// Directory of k8s.io/apimachinery
        apimachinery: PathBuf,
        /// Directory of k8s.io/apiextensions-apiserver
        apiextensions: PathBuf,
    },
    /// Write the table of all verbs, codes and shapes from a checkout of the Kubernetes repository
    Upstream {
        /// Directory of the checkout; only files below `api/` are read
        kubernetes: PathBuf,
    },
    /// Set up what the tests need and run them all
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
        /// Only the tests with emulated devices; first builds their agent, some minutes
        #[arg(long, conflicts_with = "filter")]
        devices: bool,
    },
    /// Our own checks of the structure
    Tidy,
    /// Build the example guests into `wasm-examples/prebuilt`; exit code 3 without a wasm toolchain
    Guests {
        /// Write nothing: build elsewhere and compare with what is committed
        #[arg(long)]
        check: bool,
    },
    /// Build the small agent for devices, and check that no compiler is in it
    Dist {
        /// What it is built for
        #[arg(long, value_enum, default_value = "x86_64-unknown-linux-gnu")]
        target: dist::Target,
    },
    /// Try what reads a stranger's bytes with libFuzzer
    Fuzz(fuzz::Arguments),
    /// Measure speed and size against their goals; one table at the end
    Bench(bench::Arguments),
    /// The tests that CI cuts short, at their full length
    Soak(soak::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Ci => ci::run()?,
        Command::Test { devices: true, .. } => test::run_devices()?,
        Command::Test { filter, .. } => test::run(filter.as_deref())?,
        Command::Tidy => tidy::run()?,
        Command::Guests { check } => return guests::run(check),
        Command::Dist { target } => dist::run(target)?,
        Command::Merging {
            api,
            apimachinery,
            apiextensions,
        } => merging::run(&api, &apimachinery, &apiextensions)?,
        Command::Protobuf {
            api,
            apimachinery,
            apiextensions,
        } => protobuf::run(&api, &apimachinery, &apiextensions)?,
        Command::Fuzz(arguments) => fuzz::run(&arguments)?,
        Command::Upstream { kubernetes } => upstream::run(&kubernetes)?,
        Command::Bench(arguments) => bench::run(&arguments)?,
        Command::Soak(arguments) => soak::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
