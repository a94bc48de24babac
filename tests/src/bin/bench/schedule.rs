//! The scheduler alone, in this process.

use crate::{
    Bench,
    table::{Row, duration},
};
use anyhow::Context as _;
use coracle_controller::{registry::Registry, scheduler::measure, store::Embedded};
use coracle_daemon::{Clock, Tasks};
use std::{sync::Arc, time::Duration};

const NODES: usize = 5_000;
const PODS: usize = 5_000;
const LIMIT: Duration = Duration::from_secs(120);
const PER_SECOND_GOAL: f64 = 5_000.0;
const STOP: Duration = Duration::from_secs(10);

/// Pods that exist already, to the last durable binding.
#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let (nodes, pods) = (bench.runs(NODES), bench.runs(PODS));
    let dir = tempfile::tempdir_in(".")?;
    let tasks = Tasks::new();
    let store = Arc::new(Embedded::open(dir.path())?);
    let registry = Registry::open(store, Clock::system(), &tasks)?;
    registry.bootstrap().await?;
    let run = measure::measure(&registry, &tasks, nodes, pods);
    let took = tokio::time::timeout(LIMIT, run)
        .await
        .context("the pods were not all bound in time")??;
    let _in_time = tasks.shut_down(STOP).await;
    let rate = pods as f64 / took.as_secs_f64();
    let row = Row::new(format!(
        "scheduler: {pods} pods over {nodes} nodes, first to last binding"
    ))
    .value(format!("{} ({rate:.0}/s)", duration(took)))
    .baseline(
        "fdatasync of one pod each",
        rate / bench.floor.writes_per_second(),
    )
    .goal(">= 5,000/s", rate >= PER_SECOND_GOAL);
    Ok(vec![row])
}
