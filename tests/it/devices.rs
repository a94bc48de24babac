//! Devices: a box of another architecture, emulated.

use anyhow::{Context as _, ensure};
use coracle_tests::{
    cluster::{Cluster, example, get},
    wait,
};
use std::{net::SocketAddr, time::Duration};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {kubernetes.io/hostname: box0}
      containers:
      - name: web
        image: hello-http:v1
        ports: [{containerPort: 8080}]
        env:
        - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}
        resources: {requests: {cpu: 10m, memory: 4Mi}, limits: {memory: 32Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30087}]
";

/// Compiling for the box is part of the first start, and the box is slow.
const FIRST_START: Duration = Duration::from_secs(120);
/// Requests, each a fresh instance of the guest.
const REQUESTS: usize = 50;

#[test]
#[ignore = "needs the agent for aarch64, minutes to build: cargo xtask test --devices"]
fn an_aarch64_box_joins_and_serves() -> anyhow::Result<()> {
    let mut cluster = Cluster::start_aarch64(1)?;
    let architecture = cluster.controller()?.ok(
        &[
            "get",
            "node",
            "box0",
            "-o",
            "jsonpath={.status.nodeInfo.architecture}",
        ],
        "",
    )?;
    ensure!(architecture == "arm64", "the node says {architecture:?}");

    cluster.push(&example("hello-http")?, "hello-http:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], WEB)?;
    cluster.wait_pods("app=web", 2, FIRST_START)?;
    let node = SocketAddr::new(cluster.net.address(0).into(), 30087);
    for number in 0..REQUESTS {
        let body = get(node, "/").with_context(|| format!("request {number}"))?;
        ensure!(body.contains(" on box0\n"), "the guest said {body:?}");
    }

    // Back by its certificate, with the code it has kept.
    cluster.kill_agent(0)?;
    cluster.start_agent(0, None)?;
    cluster.wait_node(0, "True", FIRST_START)?;
    // The API still shows what the agent said before it was killed: only an answer says that it serves.
    let (body, _took) = wait::until("answer after the restart", FIRST_START, || {
        Ok(get(node, "/").map_err(|error| format!("{error:#}")))
    })?;
    ensure!(body.contains(" on box0\n"), "the guest said {body:?}");
    cluster.wait_pods("app=web", 2, FIRST_START)?;
    cluster.stop_agent(0)
}
