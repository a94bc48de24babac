//! What it costs to do nothing: memory, CPU, bytes on the wire and to the disk, and the size on disk.

use crate::{
    process::{Counters, Memory, threads},
    say, settle,
    table::{Row, bytes},
};
use anyhow::Context as _;
use coracle_tests::{cluster::Cluster, wait};
use std::{path::PathBuf, time::Duration};

/// One quiet minute.
const QUIET: Duration = Duration::from_secs(60);
const MINUTES_AN_HOUR: u64 = 60;
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Pods of `examples/demo.yaml` that stay.
const DEMO: [(&str, usize); 3] = [("app=hello", 3), ("app=counter", 1), ("app=sensor", 1)];

/// `box0` has no pod, `box1` the demo.
pub(crate) async fn measure(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let controller = cluster.controller()?;
    controller.ok(&["cordon", "box0"], "")?;
    let demo = coracle_tests::root().join("examples/demo.yaml");
    let demo = demo.to_str().context("the checkout's path is no text")?;
    controller.ok(&["apply", "-f", demo], "")?;
    for (selector, count) in DEMO {
        cluster.wait_pods(selector, count, READY_LIMIT)?;
    }
    settle();
    say("idle: one quiet minute");
    let agent = cluster.agent_pid(0).context("box0 has no agent")?;
    let before = (Counters::of(agent)?, Counters::of(controller.pid())?);
    tokio::time::sleep(QUIET).await;
    let used = (
        Counters::of(agent)?.since(before.0),
        Counters::of(controller.pid())?.since(before.1),
    );
    let mut rows = sizes()?;
    rows.extend(memory(agent, controller.pid())?);
    rows.extend(minute(used.0, used.1));
    controller.ok(&["delete", "-f", demo, "--wait=true", "--timeout=60s"], "")?;
    // What is left of the demo must not disturb what comes.
    wait::until("end of the demo", READY_LIMIT, || {
        let left = controller.items(&["get", "pods"])?;
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{} pods", left.len()))
        })
    })?;
    Ok(rows)
}

fn sizes() -> anyhow::Result<Vec<Row>> {
    let size = |variable: &str| -> anyhow::Result<u64> {
        let path = std::env::var_os(variable).with_context(|| format!("{variable} is not set"))?;
        Ok(std::fs::metadata(PathBuf::from(path))?.len())
    };
    let (agent, controller) = (size("CORACLE_AGENT_BIN")?, size("CORACLE_BIN")?);
    Ok(vec![
        Row::new("binary: coracle-agent, device build")
            .value(bytes(agent))
            .goal("<= 6 MB", agent <= 6_000_000),
        Row::new("binary: coracle, dist build")
            .value(bytes(controller))
            .goal("<= 40 MB", controller <= 40_000_000),
    ])
}

fn memory(agent: u32, controller: u32) -> anyhow::Result<Vec<Row>> {
    let (of_agent, of_controller) = (Memory::of(agent)?, Memory::of(controller)?);
    let threads = threads(agent)?;
    Ok(vec![
        Row::new(format!("idle agent: PSS ({threads} threads)"))
            .value(bytes(of_agent.pss))
            .goal("<= 8 MB", of_agent.pss <= 8_000_000),
        Row::new("idle agent: private memory")
            .value(bytes(of_agent.private))
            .goal("<= 3 MB", of_agent.private <= 3_000_000),
        Row::new("controller with the demo: PSS")
            .value(bytes(of_controller.pss))
            .goal("<= 30 MB", of_controller.pss <= 30_000_000),
    ])
}

fn minute(agent: Counters, controller: Counters) -> Vec<Row> {
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / QUIET.as_secs_f64();
    let (of_agent, of_controller) = (percent(agent.cpu), percent(controller.cpu));
    let link = agent.network * MINUTES_AN_HOUR;
    let (agent_disk, controller_disk) = (
        agent.written * MINUTES_AN_HOUR,
        controller.written * MINUTES_AN_HOUR,
    );
    vec![
        Row::new("idle agent: CPU, share of a core")
            .value(format!("{of_agent:.4} %"))
            .goal("<= 0.02 %", of_agent <= 0.02),
        Row::new("controller with the demo: CPU, share of a core")
            .value(format!("{of_controller:.4} %")),
        Row::new("idle agent: link, bytes an hour with UDP and IP headers")
            .value(bytes(link))
            .goal("<= 120 kB", link <= 120_000),
        Row::new("idle agent: written to disk an hour")
            .value(bytes(agent_disk))
            .goal("<= 0.1 MB", agent_disk <= 100_000),
        Row::new("controller with the demo: written to disk an hour")
            .value(bytes(controller_disk))
            .goal("<= 1 MB", controller_disk <= 1_000_000),
    ]
}
