//! `cargo xtask soak`: the tests that are cut short in CI, at their full length.
//!
//! Each part runs even if one before it failed; the first failure is the command's.

use crate::{
    run::{announce, started, step},
    test,
};
use std::time::Duration;

/// Kills of the controller under a loop of writes.
const KILLS: &str = "50";
/// How long watchers are kept under churn, with each of two seeds.
const CHURN_SECONDS: &str = "120";
/// Cases of each property in one round; a round has seeds of its own.
const CASES: &str = "20000";
/// Where properties are: what reads a stranger's bytes.
const PROPERTIES: &str = "package(coracle-api) | package(coracle-link) | (package(coracle-controller) & (test(/reference/) | test(/route/)))";

/// What a soak is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long the properties are tried, and each fuzz target
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Only these parts
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Part>,
}

/// A part of a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The controller is killed under a loop of writes
    Kills,
    /// 200 watchers, whose connections and controller are lost
    Churn,
    /// Tests that want a quiet machine, and those with emulated devices
    Quiet,
    /// Property tests with many cases
    Properties,
    /// Fuzz targets, two at a time on two processors
    Fuzz,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = [
        Part::Kills,
        Part::Churn,
        Part::Quiet,
        Part::Properties,
        Part::Fuzz,
    ];
    let wanted = all
        .into_iter()
        .filter(|part| arguments.parts.is_empty() || arguments.parts.contains(part));
    let mut results = Vec::new();
    for part in wanted {
        match part {
            Part::Kills => results.push(kills()),
            Part::Churn => results.push(churn()),
            Part::Quiet => results.push(quiet()),
            Part::Properties => results.extend(properties(arguments.minutes)),
            Part::Fuzz => results.push(crate::fuzz::at_length(arguments.minutes * 60)),
        }
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    announce(&format!("{} parts, {failed} failed", results.len()));
    results.into_iter().collect()
}

fn kills() -> anyhow::Result<()> {
    nextest(
        &test::prepare()?,
        &format!("{KILLS} kills of the controller"),
        &[("CORACLE_KILLS", KILLS)],
        &["-E", "package(coracle-tests) & test(/durability/)"],
    )
}

fn churn() -> anyhow::Result<()> {
    nextest(
        &test::prepare()?,
        &format!("200 watchers under churn for {CHURN_SECONDS} s, twice"),
        &[("CORACLE_CHURN_SECONDS", CHURN_SECONDS)],
        &["-E", "package(coracle-tests) & test(/^churn::/)"],
    )
}

fn quiet() -> anyhow::Result<()> {
    nextest(
        &test::prepare_devices()?,
        "tests for a quiet machine, and with devices",
        &[],
        // One after the other: an emulated device beside it is no quiet machine.
        &["--run-ignored", "only", "--test-threads", "1"],
    )
}

/// Rounds until the time is over, or one fails.
fn properties(minutes: u64) -> Vec<anyhow::Result<()>> {
    let environment = match test::prepare() {
        Ok(environment) => environment,
        Err(error) => return vec![Err(error)],
    };
    let (begin, limit) = (started(), Duration::from_secs(minutes * 60));
    let mut results: Vec<anyhow::Result<()>> = Vec::new();
    while begin.elapsed() < limit && results.iter().all(Result::is_ok) {
        let name = format!("properties, round {}", results.len() + 1);
        let cases = [("PROPTEST_CASES", CASES)];
        results.push(nextest(&environment, &name, &cases, &["-E", PROPERTIES]));
    }
    results
}

fn nextest(
    environment: &test::Environment,
    name: &str,
    variables: &[(&str, &str)],
    what: &[&str],
) -> anyhow::Result<()> {
    let mut nextest = test::nextest(environment)?;
    nextest.envs(variables.iter().copied());
    nextest.args(["--profile", "soak", "--no-fail-fast"]);
    nextest.args(what);
    step(name, &mut nextest)
}
