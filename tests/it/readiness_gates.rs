//! Readiness gates that somebody sets with kubectl, as upstream's conformance test sets them.

use coracle_tests::{Controller, root};

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  readinessGates: [{conditionType: k8s.io/test-condition1}, {conditionType: k8s.io/test-condition2}]
  containers: [{name: web, image: 'hello-http:v1', ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

fn set(up: &Controller, gate: &str, status: &str) -> anyhow::Result<String> {
    let patch = format!(
        r#"{{"status": {{"conditions": [{{"type": "k8s.io/{gate}", "status": "{status}"}}]}}}}"#
    );
    let patched = ["patch", "pod/web", "--subresource=status", "-p", &patch];
    up.ok(&patched, "")
}

/// Waits until the pod says so, and the Service has so many addresses.
fn wait(up: &Controller, status: &str, addresses: &str) -> anyhow::Result<()> {
    let ready = format!("--for=condition=Ready={status}");
    up.ok(&["wait", "pod/web", &ready, "--timeout=20s"], "")?;
    let endpoints = format!("--for=jsonpath={{.endpoints[*].conditions.ready}}={addresses}");
    let slices = ["endpointslice", "-l", "kubernetes.io/service-name=web"];
    let wait = [&["wait"], &slices[..], &[&endpoints, "--timeout=20s"]].concat();
    up.ok(&wait, "").map(drop)
}

#[test]
fn a_pod_is_ready_when_its_gates_are() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::up(dir.path(), &[])?;
    let module = root().join("wasm-examples/prebuilt/hello-http.wasm");
    up.push(&module, "hello-http:v1")?;
    up.ok(&["apply", "-f", "-"], POD)?;
    let containers = ["--for=condition=ContainersReady", "--timeout=60s"];
    up.ok(&[&["wait", "pod/web"], &containers[..]].concat(), "")?;
    wait(&up, "False", "false")?;
    set(&up, "test-condition1", "True")?;
    let why = "jsonpath={.status.conditions[?(@.type=='Ready')].message}";
    let left =
        "corresponding condition of pod readiness gate \"k8s.io/test-condition2\" does not exist.";
    let told = format!("--for={why}={left}");
    up.ok(&["wait", "pod/web", &told, "--timeout=20s"], "")?;
    set(&up, "test-condition2", "True")?;
    wait(&up, "True", "true")?;
    assert_eq!(up.ok(&["get", "pod/web", "-o", why], "")?, "");
    set(&up, "test-condition1", "False")?;
    wait(&up, "False", "false")?;
    let untrue =
        "the status of pod readiness gate \"k8s.io/test-condition1\" is not \"True\", but False";
    assert_eq!(up.ok(&["get", "pod/web", "-o", why], "")?, untrue);
    set(&up, "test-condition1", "True")?;
    wait(&up, "True", "true")?;
    Ok(())
}
