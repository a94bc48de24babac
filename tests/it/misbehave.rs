//! Guests that misbehave, each in its way, beside one that serves: reasons, limits, and no harm done.

use anyhow::{Context as _, ensure};
use coracle_tests::{
    cluster::{Cluster, example, get},
    steady, wait,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

const HELLO: &str = "
apiVersion: v1
kind: Pod
metadata: {name: hello, labels: {app: hello}}
spec:
  containers:
  - name: hello
    image: hello-http:v1
    ports: [{containerPort: 8080}]
    resources: {limits: {memory: 32Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  type: NodePort
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080, nodePort: 30086}]
";

/// Compiling is part of the first start.
const FIRST_START: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(60);
/// Requests of the neighbour's clients; a debug build serves some hundreds.
const PER_SECOND: u32 = 200;
const SECONDS: u32 = 5;

/// A pod that misbehaves once, in the way of its arguments.
fn pod(name: &str, arguments: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: misbehave:v1
    args: [{arguments}]
    resources: {{limits: {{cpu: 200m, memory: 32Mi}}}}
---"
    )
}

/// Waits for the end of a pod; its terminated state.
fn ended(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let what = format!("end of {name}");
    let (state, _) = wait::until(&what, LIMIT, || {
        let pods = cluster.pods(&format!("app={name}"))?;
        let state = pods[0]["status"]["containerStatuses"][0]["state"].clone();
        let terminated = &state["terminated"];
        Ok(if terminated.is_object() {
            Ok(terminated.clone())
        } else {
            Err(state.to_string())
        })
    })?;
    Ok(state)
}

#[test]
fn each_way_has_its_reason_and_a_neighbour_goes_on_serving() -> anyhow::Result<()> {
    let cluster = Cluster::start(1)?;
    cluster.push(&example("hello-http")?, "hello-http:v1")?;
    cluster.push(&example("misbehave")?, "misbehave:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], HELLO)?;
    cluster.wait_pods("app=hello", 1, FIRST_START)?;
    let hello = SocketAddr::new(cluster.net.address(0).into(), 30086);
    get(hello, "/")?;

    let ways = [
        ("exit-3", "exit, '3'", 3, "Error"),
        ("exit-0", "exit, '0'", 0, "Completed"),
        ("trap", "trap", 134, "Error"),
        ("recurse", "recurse", 134, "Error"),
        ("allocate", "allocate", 137, "OOMKilled"),
    ];
    let endless = [("loop", "loop"), ("flood", "flood"), ("hoard", "hoard")];
    let ways_pods = ways
        .iter()
        .map(|(name, arguments, ..)| pod(name, arguments));
    let endless_pods = endless.iter().map(|(name, arguments)| pod(name, arguments));
    let manifests: String = ways_pods.chain(endless_pods).collect();
    cluster
        .controller()?
        .ok(&["apply", "-f", "-"], &manifests)?;
    for (name, _, code, reason) in ways {
        let state = ended(&cluster, name)?;
        ensure!(
            state["exitCode"] == code && state["reason"] == reason,
            "{name} ended so: {state}"
        );
        get(hello, "/")?;
    }
    let trap = ended(&cluster, "trap")?;
    let message = trap["message"].as_str().unwrap_or_default();
    ensure!(message.contains("wasm"), "no backtrace of the trap: {trap}");

    check_cpu(&cluster)?;
    for (name, _) in endless {
        get(hello, "/")?;
        cluster
            .controller()?
            .ok(&["delete", "pod", name, "--grace-period=1"], "")?;
    }
    let (hello_pods, _) = cluster.wait_pods("app=hello", 1, LIMIT)?;
    let restarts = &hello_pods[0]["status"]["containerStatuses"][0]["restartCount"];
    ensure!(restarts == 0, "the neighbour was restarted: {restarts}");
    Ok(())
}

/// A loop with a limit of 200 m uses 170 to 230 m over a whole window of the metrics API, 15 s, that began after
/// the loop did.
fn check_cpu(cluster: &Cluster) -> anyhow::Result<()> {
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/loop";
    let pods = cluster.pods("app=loop")?;
    let state = &pods[0]["status"]["containerStatuses"][0]["state"];
    let started = state["running"]["startedAt"].as_str();
    let started: Timestamp = started.context("the loop does not run")?.parse()?;
    wait::until("a window of 170 to 230 m for the loop", LIMIT, || {
        let output = cluster.controller()?.kubectl(&["get", "--raw", path], "")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(match window(&text, started) {
            Some(170..=230) => Ok(()),
            _ => Err(text),
        })
    })?;
    let top = cluster
        .controller()?
        .ok(&["top", "pod", "loop", "--no-headers"], "")?;
    ensure!(top.contains("m "), "kubectl top says {top:?}");
    Ok(())
}

/// Thousandths of a core, if the window began after `started` and is long enough.
fn window(metrics: &str, started: Timestamp) -> Option<u64> {
    let metrics: Value = serde_json::from_str(metrics).ok()?;
    let end: Timestamp = metrics["timestamp"].as_str()?.parse().ok()?;
    let span: f64 = metrics["window"]
        .as_str()?
        .strip_suffix('s')?
        .parse()
        .ok()?;
    let span = SignedDuration::try_from_secs_f64(span).ok()?;
    // The API's times are whole seconds.
    let whole = span >= SignedDuration::from_secs(10)
        && end - span >= started + SignedDuration::from_secs(1);
    let cpu = metrics["containers"][0]["usage"]["cpu"].as_str()?;
    let nanos: u64 = cpu.strip_suffix('n')?.parse().ok()?;
    whole.then_some(nanos / 1_000_000)
}

/// Fails when a single request does. How long they may take is for a quiet machine and a build that is shipped:
/// `cargo xtask bench --only isolation`, with every way of misbehaving.
#[test]
fn a_loop_without_a_limit_fails_no_request_of_a_neighbour() -> anyhow::Result<()> {
    let cluster = Cluster::start(1)?;
    cluster.push(&example("hello-http")?, "hello-http:v1")?;
    cluster.push(&example("misbehave")?, "misbehave:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], HELLO)?;
    cluster.wait_pods("app=hello", 1, FIRST_START)?;
    let looping = pod("loop", "loop").replace("cpu: 200m, ", "");
    cluster.controller()?.ok(&["apply", "-f", "-"], &looping)?;
    cluster.wait_pods("app=loop", 1, FIRST_START)?;
    let hello = SocketAddr::new(cluster.net.address(0).into(), 30086);
    let clients = tokio::runtime::Runtime::new()?;
    let beside = clients.block_on(steady::load(hello, PER_SECOND, SECONDS))?;
    ensure!(
        beside.count() == (PER_SECOND * SECONDS) as usize,
        "{} answers",
        beside.count()
    );
    Ok(())
}
