//! Many pods that do nothing on one agent.

use crate::{
    Bench,
    client::Endpoint,
    manifest::{self, DEPLOYMENTS},
    process::{Memory, descriptors, maps},
    say, settle,
    table::{Row, bytes},
};
use anyhow::{Context as _, bail};
use coracle_tests::cluster::{Cluster, example};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Pods, and how many MB of PSS and page tables they may take together.
const STEPS: [(usize, u64); 3] = [(100, 16), (1_000, 60), (10_000, 500)];
/// For all of them to run.
const LIMIT: Duration = Duration::from_secs(400);
const LOOK: Duration = Duration::from_millis(200);
/// In the controller, for each 10,000 pods.
const CONTROLLER_GOAL: u64 = 80_000_000;

pub(crate) async fn measure(bench: &mut Bench) {
    for (pods, goal) in STEPS {
        if bench.arguments.quick && pods > 1_000 {
            continue;
        }
        say(&format!("density: {pods} idle pods"));
        let rows = step(bench, pods, goal * 1_000_000).await;
        bench.keep(&format!("{pods} idle pods"), rows);
    }
}

async fn step(bench: &Bench, pods: usize, goal: u64) -> anyhow::Result<Vec<Row>> {
    let max_pods = (pods + 10).to_string();
    let cluster = Cluster::start_with(1, &["--max-pods", &max_pods, "--min-free-disk", "0"])?;
    cluster.push(&example("misbehave")?, "misbehave:v1")?;
    let controller = cluster.controller()?.pid();
    let empty = Memory::of(controller)?;
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let mut client = endpoint.connect().await?;
    // A day of sleep: blocked in the poll of a clock.
    let container = json!({"image": "misbehave:v1", "args": ["slow", "86400000"]});
    let deployment = manifest::deployment("idle", "idle", pods, container);
    let started = Instant::now();
    client.create(DEPLOYMENTS, &deployment).await?;
    loop {
        let found = client.get(&format!("{DEPLOYMENTS}/idle")).await?;
        let available = found["status"]["availableReplicas"].as_u64().unwrap_or(0);
        if available == pods as u64 {
            break;
        }
        if started.elapsed() > LIMIT {
            bail!("after {LIMIT:?} only {available} of {pods} pods are available");
        }
        tokio::time::sleep(LOOK).await;
    }
    let took = started.elapsed();
    settle();
    let agent = cluster.agent_pid(0).context("box0 has no agent")?;
    let memory = Memory::of(agent)?;
    let total = memory.pss + memory.page_tables;
    let (files, maps) = (descriptors(agent)?, maps(agent)?);
    let each = total / pods as u64;
    let grown = Memory::of(controller)?.pss.saturating_sub(empty.pss);
    let mut in_controller =
        Row::new(format!("{pods} idle pods: grown PSS of the controller")).value(bytes(grown));
    if pods == 10_000 {
        in_controller = in_controller.goal("<= 80 MB", grown <= CONTROLLER_GOAL);
    }
    Ok(vec![
        Row::new(format!("{pods} idle pods: agent's PSS and page tables"))
            .value(format!("{} ({} each)", bytes(total), bytes(each)))
            .goal(format!("<= {}", bytes(goal)), total <= goal),
        Row::new(format!("{pods} idle pods: descriptors, maps")).value(format!("{files}, {maps}")),
        Row::new(format!("{pods} idle pods: apply to all available"))
            .value(crate::table::duration(took)),
        in_controller,
    ])
}
