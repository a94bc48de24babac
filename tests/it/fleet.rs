//! A fleet of boxes: joining, spreading, losing one, being without a controller.

use anyhow::{Context as _, ensure};
use coracle_tests::{
    cluster::{Cluster, example, get},
    wait,
};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
      containers:
      - name: web
        image: hello-http:v1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
        resources: {requests: {cpu: 10m, memory: 4Mi}, limits: {memory: 32Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30085}]
";

/// Compiling is part of the first start.
const FIRST_START: Duration = Duration::from_secs(120);

fn nodes(pods: &[Value]) -> BTreeMap<String, usize> {
    let mut nodes = BTreeMap::new();
    for pod in pods {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        *nodes.entry(node.to_owned()).or_default() += 1;
    }
    nodes
}

/// Restarts and start of the one container of each pod, by name.
fn runs(pods: &[Value]) -> BTreeMap<String, (u64, String)> {
    let runs = pods.iter().map(|pod| {
        let container = &pod["status"]["containerStatuses"][0];
        let started = container["state"]["running"]["startedAt"]
            .as_str()
            .unwrap_or_default();
        let name = pod["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (
            name,
            (
                container["restartCount"].as_u64().unwrap_or(0),
                started.to_owned(),
            ),
        )
    });
    runs.collect()
}

#[test]
fn a_lost_box_is_noticed_and_its_pods_run_elsewhere() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.push(&example("hello-http")?, "hello-http:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], WEB)?;
    let (pods, _) = cluster.wait_pods("app=web", 6, FIRST_START)?;
    ensure!(
        nodes(&pods).values().all(|count| *count == 2),
        "not spread: {:?}",
        nodes(&pods)
    );

    cluster.kill_agent(1)?;
    let killed = wait::now();
    cluster.wait_node(1, "Unknown", Duration::from_secs(10))?;
    let (pods, _) = cluster.wait_pods(
        "app=web",
        6,
        Duration::from_secs(20).saturating_sub(killed.elapsed()),
    )?;
    ensure!(
        !nodes(&pods).contains_key("box1"),
        "still there: {:?}",
        nodes(&pods)
    );

    // By itself: it has its certificate.
    cluster.start_agent(1, None)?;
    cluster.wait_node(1, "True", Duration::from_secs(20))?;
    // What it ran is replaced long since, and goes.
    let (gone, _) = wait::until("end of the replaced pods", Duration::from_secs(40), || {
        let pods = cluster.pods("app=web")?;
        Ok(if pods.len() == 6 {
            Ok(pods)
        } else {
            Err(format!("{} pods", pods.len()))
        })
    })?;
    ensure!(
        !nodes(&gone).contains_key("box1"),
        "moved back: {:?}",
        nodes(&gone)
    );
    Ok(())
}

const ALONE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: hello-http:v1
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30085}]
---
apiVersion: v1
kind: Pod
metadata: {name: crashing, labels: {app: crashing}}
spec:
  nodeName: box0
  containers:
  - {name: main, image: 'misbehave:v1', args: [exit, '3']}
";

/// How long the controller is away.
const AWAY: Duration = Duration::from_secs(60);

#[test]
fn a_minute_without_a_controller_changes_nothing() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(2)?;
    cluster.push(&example("hello-http")?, "hello-http:v1")?;
    cluster.push(&example("misbehave")?, "misbehave:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], ALONE)?;
    let (before, _) = cluster.wait_pods("app=web", 2, FIRST_START)?;
    ensure!(nodes(&before).len() == 2, "the two pods are on one box");
    let restarts = |pods: &[Value]| runs(pods).get("crashing").map_or(0, |run| run.0);
    wait::until("first restart", FIRST_START, || {
        let count = restarts(&cluster.pods("app=crashing")?);
        Ok(if count >= 1 {
            Ok(())
        } else {
            Err(format!("{count} restarts"))
        })
    })?;

    cluster.stop_controller()?;
    let stopped = wait::now();
    // A pod on each: the way to the other's is gone, the own one serves.
    let nodes = [0, 1].map(|number| SocketAddr::new(cluster.net.address(number).into(), 30085));
    while stopped.elapsed() < AWAY {
        for node in nodes {
            get(node, "/").context("the guests are to go on serving")?;
        }
        wait::pause(Duration::from_millis(500));
    }
    cluster.start_controller()?;
    cluster.wait_node(0, "True", Duration::from_secs(20))?;
    let (after, _) = cluster.wait_pods("app=web", 2, Duration::from_secs(20))?;
    assert_eq!(runs(&before), runs(&after), "a container was restarted");
    // 10 s and 20 s after the first crashes: at least two restarts fell into the minute.
    let (count, _) = wait::until("restarts while alone", Duration::from_secs(20), || {
        let count = restarts(&cluster.pods("app=crashing")?);
        Ok(if count >= 3 {
            Ok(count)
        } else {
            Err(format!("{count} restarts"))
        })
    })?;
    ensure!(
        count <= 5,
        "{count} restarts in a minute and a half: no back-off"
    );
    check_delays(&cluster.agent_log(0)?)
}

/// The waits before each restart, seconds: at once, then 10 s and doubling (as upstream's kubelet).
const DELAYS: [i64; 3] = [0, 10, 20];

/// Checks the waits between an end and the start after it, as the agent logged them.
fn check_delays(log: &str) -> anyhow::Result<()> {
    let at = |what: &str, restarts: usize| {
        let count = format!("restarts={restarts}");
        let wanted = |line: &&str| {
            line.contains(what) && line.contains("name=crashing") && line.ends_with(&count)
        };
        let line = log
            .lines()
            .find(wanted)
            .with_context(|| format!("no {what:?} with {count} in the log:\n{log}"))?;
        let time = line.split_whitespace().next().context("an empty line")?;
        Ok::<_, anyhow::Error>(time.parse::<jiff::Timestamp>()?)
    };
    for (restarts, wanted) in DELAYS.into_iter().enumerate() {
        let waited =
            at("container started", restarts + 1)?.duration_since(at("container ended", restarts)?);
        let close = (0..1500).contains(&(waited.as_millis() - i128::from(wanted) * 1000));
        ensure!(
            close,
            "restart {} came after {waited:?}, not {wanted} s",
            restarts + 1
        );
    }
    Ok(())
}
