//! `coracle up` as a person uses it: push, apply, open, look at the log, stop, start again.

use coracle_tests::{Controller, cluster, wait};
use std::{path::Path, time::Duration};

/// Compiling the first module on a busy machine is most of it.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// For a clean stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const NODE_PORT: u16 = 31_987;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  replicas: 2
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
      - name: hello
        image: hello-http:v1
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  type: NodePort
  selector: {app: hello}
  ports: [{name: http, port: 80, targetPort: http, nodePort: 31987}]
";

fn module() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm-examples/prebuilt/hello-http.wasm")
}

/// Names, uids and start times of the pods, sorted.
fn pods(up: &Controller) -> anyhow::Result<Vec<String>> {
    let pods = up.items(&["get", "pods", "-l", "app=hello"])?;
    let mut shown: Vec<String> = pods
        .iter()
        .filter(|pod| cluster::is_ready(pod))
        .map(|pod| format!("{} {}", pod["metadata"]["name"], pod["metadata"]["uid"]))
        .collect();
    shown.sort();
    Ok(shown)
}

fn wait_ready(up: &Controller) -> anyhow::Result<Vec<String>> {
    let (found, _took) = wait::until("two ready pods", READY_LIMIT, || {
        let found = pods(up)?;
        Ok(if found.len() == 2 {
            Ok(found)
        } else {
            Err(up.ok(&["get", "pods,events", "-A", "-o", "wide"], "")?)
        })
    })?;
    Ok(found)
}

/// The page through the node's own port.
fn wait_page() -> anyhow::Result<()> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], NODE_PORT));
    wait::until("an answer of the node port", READY_LIMIT, || {
        Ok(cluster::get(address, "/").map_err(|error| format!("{error:#}")))
    })?;
    Ok(())
}

#[test]
fn push_apply_open_stop_and_go_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::up(dir.path(), &["--node-name", "laptop"])?;
    up.push(&module(), "hello-http:v1")?;
    up.ok(&["apply", "-f", "-"], MANIFEST)?;
    up.ok(
        &["rollout", "status", "deployment/hello", "--timeout=120s"],
        "",
    )?;
    let before = wait_ready(&up)?;
    wait_page()?;
    let proxied = "/api/v1/namespaces/default/services/hello:http/proxy/";
    up.ok(&["get", "--raw", proxied], "")?;
    let name = up.ok(
        &["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"],
        "",
    )?;
    let proxied = format!("/api/v1/namespaces/default/pods/{name}:8080/proxy/");
    up.ok(&["get", "--raw", &proxied], "")?;
    up.ok(&["logs", &name], "")?;
    let nodes = up.ok(&["get", "nodes"], "")?;
    anyhow::ensure!(
        nodes.contains("laptop") && nodes.contains(" Ready "),
        "{nodes}"
    );
    up.stop(STOP_LIMIT)?;

    let up = Controller::up(dir.path(), &["--node-name", "laptop"])?;
    wait_page()?;
    let after = wait_ready(&up)?;
    anyhow::ensure!(before == after, "other pods: {before:?} {after:?}");
    up.stop(STOP_LIMIT)
}
