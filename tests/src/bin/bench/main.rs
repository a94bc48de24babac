//! The bench: the figures of LIMITS and their goals, measured on real processes, one table at the end.
//!
//! `cargo xtask bench` builds and fetches what it needs and names it in the environment. Parts run one after
//! the other on a machine that is meant to do nothing else. Every figure that has a goal has a row, also when it
//! could not be taken.

mod api;
mod density;
mod disk;
mod floor;
mod http_load;
mod idle;
mod isolation;
mod load;
mod loss;
mod manifest;
mod pods;
mod process;
mod schedule;
mod store;
mod table;

use anyhow::Context as _;
use clap::Parser;
use coracle_daemon::Tasks;
use coracle_tests::{client, cluster::Cluster, wait};
use floor::Floor;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use table::Row;

/// After a part has started what it measures, before it measures.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(
    name = "coracle-bench",
    about = "Measures Coracle; run it with: cargo xtask bench"
)]
struct Arguments {
    /// Where the table goes, besides standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only these parts, by commas: store, api, scheduler, disk, idle, apply, crash, http, isolation, loss, density
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<String>,
    /// Fewer runs, and no comparison that needs a program to be built
    #[arg(long)]
    quick: bool,
}

/// What every part has.
struct Bench {
    arguments: Arguments,
    floor: Floor,
    tasks: Tasks,
    rows: Vec<Row>,
}

impl Bench {
    fn wants(&self, part: &str) -> bool {
        let only = &self.arguments.only;
        only.is_empty() || only.iter().any(|name| name == part)
    }

    /// Runs to make: all, or a tenth of them.
    fn runs(&self, all: usize) -> usize {
        if self.arguments.quick {
            (all / 10).max(3)
        } else {
            all
        }
    }

    /// Keeps the rows of a part, or one that says why there are none.
    fn keep(&mut self, part: &str, rows: anyhow::Result<Vec<Row>>) {
        match rows {
            Ok(rows) => self.rows.extend(rows),
            Err(error) => {
                say(&format!("{part}: {error:#}"));
                self.rows.push(Row::failed(part));
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress of a long command")]
fn say(text: &str) {
    eprintln!("bench: {text}");
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let out = arguments.out.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let table = runtime.block_on(Box::pin(measure(arguments)))?;
    println!("{table}");
    if let Some(out) = out {
        std::fs::write(&out, &table).with_context(|| format!("cannot write {}", out.display()))?;
    }
    // A part that could not be measured is a failure; a goal that is missed is a finding.
    Ok(if table.contains(": not measured") {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn measure(arguments: Arguments) -> anyhow::Result<String> {
    say("the floor: what this machine can do at all");
    let floor = Floor::measure()?;
    let mut bench = Bench {
        arguments,
        floor,
        tasks: Tasks::new(),
        rows: floor.rows(),
    };
    if bench.wants("store") {
        say("store: durable writes");
        let rows = store::measure(&bench).await;
        bench.keep("store", rows);
    }
    if bench.wants("api")
        && let Err(error) = api::measure(&mut bench).await
    {
        bench.keep("api", Err(error));
    }
    if bench.wants("scheduler") {
        say("scheduler: pods over nodes");
        let rows = schedule::measure(&bench).await;
        bench.keep("scheduler", rows);
    }
    if bench.wants("disk") {
        say("disk: from a compiled file to the guest's main");
        let rows = disk::measure(&bench).await;
        bench.keep("disk", rows);
    }
    if ["idle", "apply", "crash", "http", "isolation", "loss"]
        .iter()
        .any(|part| bench.wants(part))
    {
        let ran = fleet(&mut bench).await;
        if let Err(error) = ran {
            bench.keep("cluster", Err(error));
        }
    }
    if bench.wants("density") {
        density::measure(&mut bench).await;
    }
    Ok(table::render(&bench.rows))
}

/// The parts that share a controller and two boxes: `box0` is measured, `box1` has the demo.
async fn fleet(bench: &mut Bench) -> anyhow::Result<()> {
    say("a controller and two boxes");
    let mut cluster = Cluster::start(2)?;
    for name in ["hello-http", "counter", "sensor", "report", "misbehave"] {
        cluster.push(
            &coracle_tests::cluster::example(name)?,
            &format!("{name}:v1"),
        )?;
    }
    if bench.wants("idle") {
        let rows = idle::measure(&cluster).await;
        bench.keep("idle", rows);
    }
    cluster.controller()?.ok(&["cordon", "box1"], "")?;
    cluster.controller()?.ok(&["uncordon", "box0"], "")?;
    if bench.wants("apply") {
        say("apply: from a Deployment to Running and to an answer");
        let rows = pods::apply(bench, &cluster).await;
        bench.keep("apply", rows);
    }
    if bench.wants("crash") {
        say("crash: from the end of a command to its next start");
        let rows = pods::crash(bench, &cluster).await;
        bench.keep("crash", rows);
    }
    if bench.wants("http") {
        say("http: requests to hello-http");
        let rows = http_load::measure(bench, &cluster).await;
        bench.keep("http", rows);
    }
    if bench.wants("isolation") {
        say("isolation: hello-http beside neighbours that misbehave");
        let rows = isolation::measure(bench, &cluster).await;
        bench.keep("isolation", rows);
    }
    if bench.wants("loss") {
        say("loss: from kill -9 of an agent to NotReady");
        let rows = loss::measure(bench, &mut cluster).await;
        bench.keep("loss", rows);
    }
    Ok(())
}

/// A pause that lets what was started come to rest, so that idle means idle.
fn settle() {
    wait::pause(SETTLE);
}
