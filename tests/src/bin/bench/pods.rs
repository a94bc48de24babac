//! The life of a pod: from `apply` to Running and to an answer, and from a crash to the next start.

use crate::{
    Bench,
    client::{Client, Endpoint, Watch},
    manifest::{self, DEPLOYMENTS, PODS, SERVICES},
    table::{Row, Times},
};
use anyhow::{Context as _, ensure};
use coracle_tests::cluster::Cluster;
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

/// Far above any sane figure; a run that takes longer is a failure, not a time.
const LIMIT: Duration = Duration::from_secs(40);
const NODE_PORT: u16 = 31_001;
const APPLIES: usize = 100;
const CRASHES: usize = 50;

/// Deployments of one pod, one after the other, the image cached by the node.
pub(crate) async fn apply(bench: &Bench, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let mut client = endpoint.connect().await?;
    let mut watch = endpoint.connect().await?.watch(PODS).await?;
    let service = manifest::node_port("apply", "apply", NODE_PORT);
    client.create(SERVICES, &service).await?;
    let address = SocketAddr::from((cluster.net.address(0), NODE_PORT));
    let (mut running, mut answered) = (Vec::new(), Vec::new());
    for run in 0..=bench.runs(APPLIES) {
        let name = format!("apply-{run}");
        let times = apply_one(&mut client, &mut watch, &name, address).await?;
        // The first run fetches the image.
        if run > 0 {
            running.push(times.0);
            answered.push(times.1);
        }
    }
    client.delete(&format!("{SERVICES}/apply")).await?;
    let (running, answered) = (Times::of(running)?, Times::of(answered)?);
    let write = bench.floor.write;
    Ok(vec![
        Row::new("apply of a Deployment to pod Running")
            .times(&running)
            .baseline("fdatasync", running.ratio(write))
            .goal("<= 15 / 50 ms", running.within(15.0, 50.0)),
        Row::new("apply to first HTTP 200, by node port")
            .times(&answered)
            .baseline("fdatasync", answered.ratio(write))
            .goal("<= 25 ms", answered.within(25.0, f64::INFINITY)),
    ])
}

async fn apply_one(
    client: &mut Client,
    watch: &mut Watch,
    name: &str,
    address: SocketAddr,
) -> anyhow::Result<(Duration, Duration)> {
    let deployment = manifest::deployment(name, "apply", 1, manifest::hello());
    let started = Instant::now();
    client.create(DEPLOYMENTS, &deployment).await?;
    let pod = watch
        .until("running pod", LIMIT, |_kind, pod| {
            let mine = pod["metadata"]["labels"]["bench"] == name;
            (mine && pod["status"]["phase"] == "Running").then(|| name_of(pod))
        })
        .await?;
    let running = started.elapsed();
    first_answer(address, &pod).await?;
    let answered = started.elapsed();
    client.delete(&format!("{DEPLOYMENTS}/{name}")).await?;
    gone(watch, &pod).await?;
    Ok((running, answered))
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn gone(watch: &mut Watch, pod: &str) -> anyhow::Result<()> {
    watch
        .until("end of the pod", LIMIT, |kind, object| {
            (kind == "DELETED" && object["metadata"]["name"] == pod).then_some(())
        })
        .await
}

/// Asks without a pause until this pod has answered with 200.
async fn first_answer(address: SocketAddr, pod: &str) -> anyhow::Result<()> {
    let asking = async {
        loop {
            if let Ok(answer) = ask(address).await
                && answer.starts_with("HTTP/1.1 200")
                && answer.contains(pod)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, asking)
        .await
        .with_context(|| format!("no answer of {pod} at {address}"))
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Commands that say a word and end with 3; the times are the agent's own, from the log.
pub(crate) async fn crash(bench: &Bench, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let mut client = endpoint.connect().await?;
    let mut watch = endpoint.connect().await?.watch(PODS).await?;
    let mut times = Vec::new();
    for run in 0..=bench.runs(CRASHES) {
        let name = format!("crash-{run}");
        let time = crash_one(&mut client, &mut watch, cluster, &name).await?;
        if run > 0 {
            times.push(time);
        }
    }
    let times = Times::of(times)?;
    let row = Row::new("crash to running again, first restart")
        .times(&times)
        .baseline("native process", times.ratio(bench.floor.process))
        .goal("<= 5 ms", times.within(5.0, f64::INFINITY));
    Ok(vec![row])
}

async fn crash_one(
    client: &mut Client,
    watch: &mut Watch,
    cluster: &Cluster,
    name: &str,
) -> anyhow::Result<Duration> {
    let container = json!({"image": "report:v1", "args": ["--exit", "3"]});
    client.create(PODS, &manifest::pod(name, container)).await?;
    // The second run has ended too: both logs are whole, and the next start is ten seconds away.
    let uid = watch
        .until("second crash", LIMIT, |_kind, pod| {
            let status = &pod["status"]["containerStatuses"][0];
            let waits = status["restartCount"] == 1 && !status["state"]["waiting"].is_null();
            let uid = pod["metadata"]["uid"].as_str()?;
            (pod["metadata"]["name"] == name && waits).then(|| uid.to_owned())
        })
        .await?;
    // From the box: while a container waits, the API has the log of its last run only, as upstream.
    let logs = cluster.agent_data(0).join("logs").join(uid).join("c");
    let (first, second) = (stamps(&logs.join("0.log"))?, stamps(&logs.join("1.log"))?);
    let crashed = first.last().context("the first run wrote nothing")?;
    let again = second.first().context("the second run wrote nothing")?;
    let took = again.duration_since(*crashed);
    ensure!(
        took.is_positive(),
        "the second run began before the first ended"
    );
    client.delete(&format!("{PODS}/{name}")).await?;
    gone(watch, name).await?;
    Ok(Duration::try_from(took)?)
}

/// The times of a log's lines.
fn stamps(path: &Path) -> anyhow::Result<Vec<jiff::Timestamp>> {
    let log =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    log.lines()
        .map(|line| {
            let stamp = line.split(' ').next().unwrap_or_default();
            stamp
                .parse()
                .with_context(|| format!("no time in {line:?}"))
        })
        .collect()
}
