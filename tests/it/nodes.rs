//! What happens to pods when their node dies, is drained, or comes back: real agents, a real kubectl.

use anyhow::ensure;
use coracle_tests::{
    cluster::{self, Cluster},
    wait,
};
use serde_json::Value;
use std::time::Duration;

/// For a first start: the module is compiled once.
const FIRST_START: Duration = Duration::from_secs(60);
/// A dead node is noticed.
const NOTICED: Duration = Duration::from_secs(10);
/// Its pods are replaced and Ready, with `tolerationSeconds: 5`, counted from its death.
const REPLACED: Duration = Duration::from_secs(20);

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
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
        resources: {requests: {cpu: 10m, memory: 4Mi}, limits: {memory: 32Mi}}
"#;

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn nodes_of(pods: &[Value]) -> Vec<&str> {
    let mut nodes: Vec<&str> = pods.iter().map(node_of).collect();
    nodes.sort_unstable();
    nodes
}

#[test]
fn a_dead_nodes_pods_are_replaced_and_a_drained_ones_move() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.push(&cluster::example("hello-http")?, "hello-http:v1")?;
    cluster.controller()?.ok(&["apply", "-f", "-"], MANIFEST)?;
    let (pods, _) = cluster.wait_pods("app=web", 3, FIRST_START)?;
    assert_eq!(
        nodes_of(&pods),
        ["box0", "box1", "box2"],
        "one on each node"
    );

    let died = wait::now();
    cluster.kill_agent(0)?;
    cluster.wait_node(0, "Unknown", NOTICED)?;
    let (alive, _) = wait::until("three pods beside box0", REPLACED, || {
        let pods = cluster.pods("app=web")?;
        let alive: Vec<Value> = pods
            .into_iter()
            .filter(|pod| node_of(pod) != "box0" && cluster::is_ready(pod))
            .collect();
        Ok(if alive.len() == 3 {
            Ok(alive)
        } else {
            Err(format!("{} of 3", alive.len()))
        })
    })?;
    ensure!(died.elapsed() < REPLACED, "it took {:?}", died.elapsed());
    assert!(!nodes_of(&alive).contains(&"box0"));
    let events = cluster.controller()?.ok(&["get", "events"], "")?;
    ensure!(events.contains("TaintManagerEviction"), "{events}");

    // The box returns: the pods it lost end there, and it takes new ones.
    cluster.start_agent(0, None)?;
    cluster.wait_node(0, "True", FIRST_START)?;
    cluster.wait_pods("app=web", 3, FIRST_START)?;
    let drain = ["drain", "box1", "--ignore-daemonsets", "--timeout=60s"];
    let said = cluster.controller()?.ok(&drain, "")?;
    ensure!(said.contains("node/box1 drained"), "{said}");
    let (pods, _) = cluster.wait_pods("app=web", 3, FIRST_START)?;
    assert!(!nodes_of(&pods).contains(&"box1"), "{:?}", nodes_of(&pods));
    let describe = cluster
        .controller()?
        .ok(&["describe", "node", "box1"], "")?;
    ensure!(
        describe.contains("node.kubernetes.io/unschedulable:NoSchedule"),
        "{describe}"
    );
    Ok(())
}

#[test]
fn a_full_disk_takes_no_pods() -> anyhow::Result<()> {
    let cluster = Cluster::start_with(1, &["--min-free-disk", "1000000Gi"])?;
    cluster.push(&cluster::example("hello-http")?, "hello-http:v1")?;
    let controller = cluster.controller()?;
    let says = |what: &[&str], word: &str| {
        wait::until(word, NOTICED, || {
            let said = controller.ok(what, "")?;
            let found = said.contains(word);
            Ok(if found { Ok(()) } else { Err(said) })
        })
    };
    let node = ["describe", "node", "box0"];
    says(&node, "node.kubernetes.io/disk-pressure:NoSchedule")?;
    says(&node, "kubelet has disk pressure")?;
    controller.ok(&["apply", "-f", "-"], MANIFEST)?;
    says(
        &["events", "--types", "Warning"],
        "0/1 nodes are available: 1 node(s) had untolerated taint(s)",
    )?;
    Ok(())
}
