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
    /// How long the properties are tried
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let environment = test::prepare_devices()?;
    let part = |name: &str, variables: &[(&str, &str)], what: &[&str]| {
        let mut nextest = test::nextest(&environment)?;
        nextest.envs(variables.iter().copied());
        // Long tests are the point; they are not to be killed for it.
        nextest.args(["--no-fail-fast"]).args(what);
        step(name, &mut nextest)
    };
    let mut results = vec![
        part(
            &format!("{KILLS} kills of the controller"),
            &[("CORACLE_KILLS", KILLS)],
            &["-E", "package(coracle-tests) & test(/durability/)"],
        ),
        part(
            &format!("200 watchers under churn for {CHURN_SECONDS} s, twice"),
            &[("CORACLE_CHURN_SECONDS", CHURN_SECONDS)],
            &["-E", "package(coracle-tests) & test(/^churn::/)"],
        ),
        part(
            "tests for a quiet machine, and with devices",
            &[],
            &["--run-ignored", "only"],
        ),
    ];
    let (begin, limit) = (started(), Duration::from_secs(arguments.minutes * 60));
    let mut round = 0_u32;
    while begin.elapsed() < limit && results.iter().all(Result::is_ok) {
        round += 1;
        let name = format!("properties, round {round}");
        let cases = [("PROPTEST_CASES", CASES)];
        results.push(part(&name, &cases, &["-E", PROPERTIES]));
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    announce(&format!("{} parts, {failed} failed", results.len()));
    results.into_iter().collect()
}
