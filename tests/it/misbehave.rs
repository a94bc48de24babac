//! Guests that misbehave, each in its way, beside one that serves: reasons, limits, and no harm done.

use anyhow::ensure;
use coracle_tests::{
    cluster::{Cluster, example, get},
    wait,
};
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

/// A loop with a limit of 200 m uses 170 to 230 m, as `kubectl top` shows it between two samples.
fn check_cpu(cluster: &Cluster) -> anyhow::Result<()> {
    wait::until("a rate of 170 to 230 m for the loop", LIMIT, || {
        let output = cluster
            .controller()?
            .kubectl(&["top", "pod", "loop", "--no-headers"], "")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let millis = text
            .split_whitespace()
            .nth(1)
            .and_then(|cpu| cpu.strip_suffix('m')?.parse::<u32>().ok());
        Ok(match millis {
            Some(170..=230) => Ok(()),
            _ => Err(format!(
                "{text} {}",
                String::from_utf8_lossy(&output.stderr)
            )),
        })
    })?;
    Ok(())
}
