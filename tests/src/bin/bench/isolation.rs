//! What neighbours that misbehave cost one that serves: `hello-http` at a fixed 1,000 requests a second, alone and
//! beside each of them on the same agent.

use crate::{
    Bench,
    client::{Client, Endpoint, Watch},
    manifest::{self, DEPLOYMENTS, PODS, SERVICES},
    say,
    table::{Row, Times, duration},
};
use coracle_tests::{
    cluster::{Cluster, get},
    steady, wait,
};
use serde_json::json;
use std::{net::SocketAddr, time::Duration};

const NODE_PORT: u16 = 31_020;
const PER_SECOND: u32 = 1_000;
const SECONDS: u32 = 10;
const WARM_SECONDS: u32 = 2;
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Its name, its arguments, and whether its CPU has a limit.
type Neighbour = (&'static str, &'static [&'static str], bool);

const NEIGHBOURS: [Neighbour; 7] = [
    ("loop", &["loop"], true),
    ("flood", &["flood"], true),
    ("hoard", &["hoard"], true),
    ("allocate", &["allocate"], true),
    ("recurse", &["recurse"], true),
    ("trap", &["trap"], true),
    ("loop", &["loop"], false),
];

pub(crate) async fn measure(bench: &Bench, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let mut client = endpoint.connect().await?;
    let deployment = manifest::deployment("steady", "steady", 1, manifest::hello());
    client.create(DEPLOYMENTS, &deployment).await?;
    let service = manifest::node_port("steady", "steady", NODE_PORT);
    client.create(SERVICES, &service).await?;
    let address = SocketAddr::from((cluster.net.address(0), NODE_PORT));
    wait::until("answer of hello-http", READY_LIMIT, || {
        Ok(get(address, "/").map_err(|error| format!("{error:#}")))
    })?;
    let alone = load(address).await?;
    let mut rows = vec![row("alone").times(&alone)];
    let mut watch = endpoint.connect().await?.watch(PODS).await?;
    for neighbour in NEIGHBOURS {
        let (way, _, limited) = neighbour;
        say(&format!("isolation: beside {way}, limited: {limited}"));
        start(&mut client, &mut watch, neighbour).await?;
        let beside = load(address).await;
        stop(&mut client, &mut watch, way).await?;
        rows.push(judged(way, limited, alone, beside?));
    }
    client.delete(&format!("{SERVICES}/steady")).await?;
    client.delete(&format!("{DEPLOYMENTS}/steady")).await?;
    Ok(rows)
}

fn row(beside: &str) -> Row {
    Row::new(format!("hello-http at {PER_SECOND} requests/s, {beside}"))
}

fn judged(way: &str, limited: bool, alone: Times, beside: Times) -> Row {
    let with = if limited {
        "200m, 32Mi"
    } else {
        "no CPU limit"
    };
    let row = row(&format!("beside {way} ({with})"))
        .times(&beside)
        .baseline("alone", beside.ratio(alone));
    if limited {
        let bound = alone.p99 * 2 + Duration::from_millis(1);
        row.goal(format!("p99 <= {}", duration(bound)), beside.p99 <= bound)
    } else {
        row.goal("p99 < 50 ms", beside.p99 < Duration::from_millis(50))
    }
}

async fn load(address: SocketAddr) -> anyhow::Result<Times> {
    steady::load(address, PER_SECOND, WARM_SECONDS).await?;
    let answers = steady::load(address, PER_SECOND, SECONDS).await?;
    Ok(Times {
        p50: answers.percentile(50),
        p99: answers.percentile(99),
    })
}

/// Starts the neighbour and waits until it has run.
async fn start(
    client: &mut Client,
    watch: &mut Watch,
    (way, arguments, limited): Neighbour,
) -> anyhow::Result<()> {
    let limits = if limited {
        json!({"cpu": "200m", "memory": "32Mi"})
    } else {
        json!({"memory": "32Mi"})
    };
    let container = json!({
        "image": "misbehave:v1", "args": arguments,
        "resources": {"limits": limits, "requests": {"cpu": "10m", "memory": "4Mi"}},
    });
    client.create(PODS, &manifest::pod(way, container)).await?;
    watch
        .until("start of the neighbour", READY_LIMIT, |_kind, pod| {
            let status = &pod["status"]["containerStatuses"][0];
            let ran =
                status["state"]["running"].is_object() || status["restartCount"].as_u64() > Some(0);
            (pod["metadata"]["name"] == way && ran).then_some(())
        })
        .await
}

async fn stop(client: &mut Client, watch: &mut Watch, way: &str) -> anyhow::Result<()> {
    client.delete(&format!("{PODS}/{way}")).await?;
    watch
        .until("end of the neighbour", READY_LIMIT, |kind, pod| {
            (kind == "DELETED" && pod["metadata"]["name"] == way).then_some(())
        })
        .await
}
