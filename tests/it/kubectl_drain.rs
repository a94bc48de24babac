//! A node is emptied for maintenance: cordon, drain against a budget, uncordon.

use coracle_tests::{Controller, root};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: 'hello-http:v1', ports: [{containerPort: 8080}]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
";

#[test]
fn a_budget_holds_up_a_drain() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::up(dir.path(), &["--node-name", "laptop"])?;
    up.push(
        &root().join("wasm-examples/prebuilt/hello-http.wasm"),
        "hello-http:v1",
    )?;
    up.ok(&["apply", "-f", "-"], WEB)?;
    up.ok(
        &["rollout", "status", "deployment/web", "--timeout=120s"],
        "",
    )?;
    let allowed = "jsonpath={.status.currentHealthy} {.status.disruptionsAllowed}";
    up.ok(
        &[
            "wait",
            "pdb/web",
            "--for=jsonpath={.status.currentHealthy}=1",
            "--timeout=20s",
        ],
        "",
    )?;
    assert_eq!(up.ok(&["get", "pdb/web", "-o", allowed], "")?, "1 0");

    let said = up.refused(&["drain", "laptop", "--timeout=3s"], "")?;
    assert!(
        said.contains("Cannot evict pod as it would violate the pod's disruption budget."),
        "{said}"
    );
    let cordoned = ["get", "node/laptop", "-o", "jsonpath={.spec.unschedulable}"];
    assert_eq!(up.ok(&cordoned, "")?, "true");
    up.ok(&["delete", "pdb/web"], "")?;
    let drained = up.ok(&["drain", "laptop", "--timeout=60s"], "")?;
    assert!(
        drained.contains("evicted") && drained.contains("node/laptop drained"),
        "{drained}"
    );
    let pending = [
        "wait",
        "pod",
        "-l",
        "app=web",
        "--for=jsonpath={.status.phase}=Pending",
        "--timeout=20s",
    ];
    up.ok(&pending, "")?;
    assert_eq!(
        up.ok(&["uncordon", "laptop"], "")?,
        "node/laptop uncordoned\n"
    );
    up.ok(
        &["rollout", "status", "deployment/web", "--timeout=60s"],
        "",
    )?;
    Ok(())
}
