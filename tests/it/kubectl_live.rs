//! kubectl on pods that live: rollouts and their history, logs that are followed, waits, watches, bad images.

use anyhow::ensure;
use coracle_tests::{Controller, cluster::example, wait};
use std::time::Duration;

/// Compiling the first module on a busy machine is most of it.
const LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);

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
      containers:
      - name: web
        image: hello-http:v1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: slow, labels: {app: slow}}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'report:v1'}
";

fn start(dir: &std::path::Path) -> anyhow::Result<Controller> {
    let up = Controller::up(dir, &["--node-name", "laptop"])?;
    up.push(&example("hello-http")?, "hello-http:v1")?;
    up.push(&example("report")?, "report:v1")?;
    up.ok(&["apply", "-f", "-"], WEB)?;
    up.ok(&["rollout", "status", "deploy/web", "--timeout=120s"], "")?;
    Ok(up)
}

/// Waits until kubectl prints something with all of these in it.
fn wait_text(up: &Controller, arguments: &[&str], wanted: &[&str]) -> anyhow::Result<String> {
    let (text, _took) = wait::until(&format!("{wanted:?}"), LIMIT, || {
        let text = up.ok(arguments, "")?;
        let complete = wanted.iter().all(|wanted| text.contains(wanted));
        Ok(if complete { Ok(text) } else { Err(text) })
    })?;
    Ok(text)
}

#[test]
fn rollouts_have_a_history_and_can_be_undone() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = start(dir.path())?;
    up.ok(&["set", "env", "deploy/web", "STEP=2"], "")?;
    let told = up.ok(&["rollout", "status", "deploy/web", "--timeout=120s"], "")?;
    ensure!(told.contains("successfully rolled out"), "{told}");
    let history = up.ok(&["rollout", "history", "deploy/web"], "")?;
    ensure!(
        history.contains("\n1 ") && history.contains("\n2 "),
        "{history}"
    );
    let second = up.ok(&["rollout", "history", "deploy/web", "--revision=2"], "")?;
    ensure!(second.contains("STEP:\t2"), "{second}");

    up.ok(&["rollout", "undo", "deploy/web"], "")?;
    up.ok(&["rollout", "status", "deploy/web", "--timeout=120s"], "")?;
    let history = up.ok(&["rollout", "history", "deploy/web"], "")?;
    ensure!(
        history.contains("\n2 ") && history.contains("\n3 "),
        "{history}"
    );
    let env = up.ok(&["get", "deploy", "web", "-o", "jsonpath={..env}"], "")?;
    ensure!(
        env.is_empty(),
        "the first template has no environment: {env}"
    );

    up.ok(&["rollout", "pause", "deploy/web"], "")?;
    up.ok(&["set", "env", "deploy/web", "STEP=4"], "")?;
    let paused = up.ok(&["rollout", "history", "deploy/web"], "")?;
    ensure!(
        !paused.contains("\n4 "),
        "a paused rollout went on: {paused}"
    );
    up.ok(&["rollout", "resume", "deploy/web"], "")?;
    up.ok(&["rollout", "restart", "deploy/web"], "")?;
    up.ok(&["rollout", "status", "deploy/web", "--timeout=120s"], "")?;
    let described = up.ok(&["describe", "deploy", "web"], "")?;
    for wanted in [
        "NewReplicaSetAvailable",
        "MinimumReplicasAvailable",
        "ScalingReplicaSet",
        "2 available",
    ] {
        ensure!(described.contains(wanted), "no {wanted} in:\n{described}");
    }
    up.stop(STOP_LIMIT)
}

#[test]
fn logs_waits_and_watches() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = start(dir.path())?;
    up.ok(
        &[
            "wait",
            "--for=condition=Ready",
            "pod",
            "-l",
            "app=web",
            "--timeout=60s",
        ],
        "",
    )?;
    up.ok(
        &[
            "wait",
            "--for=condition=Available",
            "deploy/web",
            "--timeout=60s",
        ],
        "",
    )?;
    up.ok(
        &[
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            "pod/slow",
            "--timeout=60s",
        ],
        "",
    )?;
    // Followed to its end, which is there: the command ends by itself.
    let log = up.ok(&["logs", "-f", "slow"], "")?;
    ensure!(log.contains("total:"), "{log}");
    let last = up.ok(&["logs", "slow", "--tail=1", "--timestamps"], "")?;
    ensure!(
        last.lines().count() == 1 && last.starts_with("20"),
        "{last}"
    );
    let described = up.ok(&["describe", "pod", "slow"], "")?;
    for wanted in [
        "Scheduled",
        "Successfully assigned default/slow to laptop",
        "Pulled",
        "Started",
        "Completed",
    ] {
        ensure!(described.contains(wanted), "no {wanted} in:\n{described}");
    }
    watch_and_delete(&up)?;
    up.stop(STOP_LIMIT)
}

/// A watch shows what is there; a deletion waits for it to be gone.
fn watch_and_delete(up: &Controller) -> anyhow::Result<()> {
    let watched = up.kubectl(
        &[
            "get",
            "pods",
            "-l",
            "app=web",
            "-w",
            "--request-timeout=6s",
            "--no-headers",
        ],
        "",
    )?;
    let watched = String::from_utf8_lossy(&watched.stdout).into_owned();
    ensure!(watched.lines().count() >= 2, "{watched}");
    up.ok(
        &["delete", "pod", "-l", "app=web", "--wait", "--timeout=60s"],
        "",
    )?;
    up.ok(&["rollout", "status", "deploy/web", "--timeout=60s"], "")?;
    up.ok(
        &[
            "delete",
            "deploy",
            "web",
            "--cascade=foreground",
            "--timeout=60s",
        ],
        "",
    )?;
    let left = up.ok(&["get", "rs,pods", "-l", "app=web", "-o", "name"], "")?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

#[test]
fn what_cannot_run_says_why() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = start(dir.path())?;
    up.ok(
        &["run", "missing", "--image=nowhere:v1", "--restart=Never"],
        "",
    )?;
    let config = "
apiVersion: v1
kind: Pod
metadata: {name: unconfigured}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: report:v1
    env:
    - {name: A, valueFrom: {configMapKeyRef: {name: later, key: a}}}
";
    up.ok(&["apply", "-f", "-"], config)?;
    wait_text(&up, &["get", "pod", "missing"], &["ErrImage"])?;
    wait_text(&up, &["get", "pod", "missing"], &["ImagePullBackOff"])?;
    let described = up.ok(&["describe", "pod", "missing"], "")?;
    ensure!(described.contains("is not in the registry"), "{described}");
    wait_text(
        &up,
        &["get", "pod", "unconfigured"],
        &["CreateContainerConfigError"],
    )?;
    let described = up.ok(&["describe", "pod", "unconfigured"], "")?;
    ensure!(
        described.contains("configmap \"later\" not found"),
        "{described}"
    );
    // It heals by itself.
    up.ok(&["create", "configmap", "later", "--from-literal=a=b"], "")?;
    wait_text(&up, &["get", "pod", "unconfigured"], &["Completed"])?;
    up.stop(STOP_LIMIT)
}
