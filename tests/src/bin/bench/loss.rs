//! How long a dead node goes unnoticed.

use crate::{
    Bench,
    client::Endpoint,
    table::{Row, Times},
};
use coracle_tests::cluster::Cluster;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

const KILLS: usize = 5;
const NODES: &str = "/api/v1/nodes";
const NODE: &str = "box1";
const LIMIT: Duration = Duration::from_secs(60);

/// Kills the agent of `box1` as a power cut would, again and again.
pub(crate) async fn measure(bench: &Bench, cluster: &mut Cluster) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let (mut noticed, mut back) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs(KILLS).max(KILLS.min(3)) {
        let mut watch = endpoint.connect().await?.watch(NODES).await?;
        let started = Instant::now();
        cluster.kill_agent(1)?;
        watch
            .until("lost node", LIMIT, |_kind, node| {
                ready(node).filter(|ready| *ready != "True").map(drop)
            })
            .await?;
        noticed.push(started.elapsed());
        let started = Instant::now();
        cluster.start_agent(1, None)?;
        watch
            .until("returned node", LIMIT, |_kind, node| {
                ready(node).filter(|ready| *ready == "True").map(drop)
            })
            .await?;
        back.push(started.elapsed());
    }
    let (noticed, back) = (Times::of(noticed)?, Times::of(back)?);
    Ok(vec![
        Row::new("kill -9 of an agent to NotReady")
            .times(&noticed)
            .goal("<= 10 s", noticed.within(10_000.0, 10_000.0)),
        Row::new("start of a known agent to Ready").times(&back),
    ])
}

/// The Ready condition of the node that is killed.
fn ready(node: &Value) -> Option<&str> {
    if node["metadata"]["name"] != NODE {
        return None;
    }
    let conditions = node["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
    ready["status"].as_str()
}
