//! kubectl where a namespace has limits, quotas and levels of security: what is refused, and how it is told.

use anyhow::ensure;
use coracle_tests::{Controller, cluster::example, root, wait};
use std::{thread, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);
/// Creations at the same time, and how many of them there is room for.
const WRITERS: usize = 20;
const ROOM: usize = 5;

const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: share}
spec: {hard: {pods: '5', requests.memory: 1Gi, limits.cpu: '4', count/deployments.apps: '1', services.nodeports: '0', configmaps: '3'}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: bounds}
spec:
  limits:
  - {type: Container, default: {cpu: 500m, memory: 64Mi}, defaultRequest: {cpu: 100m}, max: {cpu: '1'}, maxLimitRequestRatio: {cpu: '8'}}
  - {type: Pod, max: {memory: 512Mi}}
";

fn pod(name: &str, resources: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: 'i:v1', resources: {resources}}}]}}}}"
    )
}

/// The words of each line that has one of these as its first.
fn rows(text: &str, firsts: &[&str]) -> Vec<String> {
    let words = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = words.filter(|words| words.first().is_some_and(|first| firsts.contains(first)));
    found.map(|words| words.join(" ")).collect()
}

/// Waits until kubectl prints something with all of these lines in it.
fn wait_rows(up: &Controller, arguments: &[&str], wanted: &[&str]) -> anyhow::Result<String> {
    let (text, _took) = wait::until(&format!("{wanted:?}"), LIMIT, || {
        let text = up.ok(arguments, "")?;
        let firsts: Vec<&str> = wanted
            .iter()
            .filter_map(|row| row.split_whitespace().next())
            .collect();
        let found = rows(&text, &firsts);
        let complete = wanted.iter().all(|row| found.iter().any(|one| one == row));
        Ok(if complete { Ok(text) } else { Err(text) })
    })?;
    Ok(text)
}

#[track_caller]
fn check_refused(up: &Controller, manifest: &str, why: &str) -> anyhow::Result<()> {
    let said = up.refused(&["create", "-f", "-"], manifest)?;
    ensure!(
        said.contains("Error from server (Forbidden)") && said.trim_end().ends_with(why),
        "{said}"
    );
    Ok(())
}

#[test]
fn quotas_and_limits_are_described_and_kept() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::start(dir.path())?;
    up.ok(&["apply", "-f", "-"], QUOTA)?;
    up.ok(&["create", "-f", "-"], &pod("a", "{}"))?;
    let described = wait_rows(
        &up,
        &["describe", "quota", "share"],
        &[
            "configmaps 1 3",
            "count/deployments.apps 0 1",
            "limits.cpu 500m 4",
            "pods 1 5",
            "requests.memory 64Mi 1Gi",
            "services.nodeports 0 0",
        ],
    )?;
    ensure!(
        described.contains("Resource") && described.contains("Used") && described.contains("Hard"),
        "{described}"
    );
    let limits = up.ok(&["describe", "limits", "bounds"], "")?;
    let mut limits = rows(&limits, &["Container", "Pod"]);
    // kubectl prints the resources in no order.
    limits.sort();
    ensure!(
        limits
            == [
                "Container cpu - 1 100m 500m 8",
                "Container memory - - 64Mi 64Mi -",
                "Pod memory - 512Mi - - -"
            ],
        "{limits:?}"
    );
    let annotations = "jsonpath={.metadata.annotations.kubernetes\\.io/limit-ranger}";
    ensure!(
        up.ok(&["get", "pod", "a", "-o", annotations], "")?
            == "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    );
    check_refused(
        &up,
        &pod("b", "{limits: {cpu: '2', memory: 1Gi}}"),
        "pods \"b\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Pod is 512Mi, but limit is 1Gi]",
    )?;
    check_refused(
        &up,
        &pod("b", "{requests: {cpu: 100m}, limits: {cpu: '1'}}"),
        "pods \"b\" is forbidden: cpu max limit to request ratio per Container is 8, but provided ratio is 10.000000",
    )?;
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: NodePort, ports: [{port: 80}]}}";
    check_refused(
        &up,
        service,
        "services \"s\" is forbidden: exceeded quota: share, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0",
    )?;
    up.ok(&["delete", "limits", "bounds"], "")?;
    check_refused(
        &up,
        &pod("b", "{}"),
        "pods \"b\" is forbidden: failed quota: share: must specify limits.cpu for: c; requests.memory for: c",
    )?;
    up.ok(&["delete", "pod", "a"], "")?;
    wait_rows(
        &up,
        &["describe", "quota", "share"],
        &["pods 0 5", "requests.memory 0 1Gi"],
    )?;
    up.stop(LIMIT)
}

#[test]
fn of_twenty_creations_at_once_five_pass() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::start(dir.path())?;
    let hard = format!("--hard=pods={ROOM}");
    up.ok(&["create", "quota", "q", &hard], "")?;
    let said = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let up = &up;
                scope.spawn(move || {
                    let manifest = pod(&format!("p{n}"), "{}");
                    up.kubectl(&["create", "-f", "-"], &manifest)
                })
            })
            .collect();
        let ended = writers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<Vec<_>>()
    });
    let mut passed = 0;
    for output in said {
        let Ok(output) = output else {
            anyhow::bail!("a writer panicked")
        };
        let output = output?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            passed += 1;
        } else {
            ensure!(
                why.contains("exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"),
                "{why}"
            );
        }
    }
    ensure!(passed == ROOM, "{passed} passed");
    ensure!(up.items(&["get", "pods"])?.len() == ROOM);
    // Also after a start, and of what is only tried.
    up.kill()?;
    let up = Controller::start(dir.path())?;
    check_refused(
        &up,
        &pod("late", "{}"),
        "exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5",
    )?;
    wait_rows(&up, &["describe", "quota", "q"], &["pods 5 5"])?;
    up.ok(&["delete", "pod", "--all"], "")?;
    let tried = ["create", "-f", "-", "--dry-run=server"];
    up.ok(&tried, &pod("late", "{}"))?;
    wait_rows(&up, &["describe", "quota", "q"], &["pods 0 5"])?;
    up.stop(LIMIT)
}

#[test]
fn custom_objects_are_counted() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::start(dir.path())?;
    let definition = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: lamps, singular: lamp, kind: Lamp}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
";
    up.ok(
        &["create", "quota", "q", "--hard=count/lamps.example.com=1"],
        "",
    )?;
    up.ok(&["create", "-f", "-"], definition)?;
    up.ok(
        &[
            "wait",
            "crd/lamps.example.com",
            "--for=condition=Established",
            "--timeout=20s",
        ],
        "",
    )?;
    let lamp = |name: &str| {
        format!("{{apiVersion: example.com/v1, kind: Lamp, metadata: {{name: {name}}}}}")
    };
    up.ok(&["create", "-f", "-"], &lamp("a"))?;
    check_refused(
        &up,
        &lamp("b"),
        "lamps.example.com \"b\" is forbidden: exceeded quota: q, requested: count/lamps.example.com=1, used: count/lamps.example.com=1, limited: count/lamps.example.com=1",
    )?;
    wait_rows(
        &up,
        &["describe", "quota", "q"],
        &["count/lamps.example.com 1 1"],
    )?;
    up.stop(LIMIT)
}

#[test]
fn a_replica_set_that_is_refused_says_so() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::start(dir.path())?;
    up.ok(&["create", "quota", "q", "--hard=pods=1"], "")?;
    let create = [
        "create",
        "deployment",
        "web",
        "--image=hello:v1",
        "--replicas=2",
    ];
    up.ok(&create, "")?;
    let ready = [
        "wait",
        "rs",
        "-l",
        "app=web",
        "--for=condition=ReplicaFailure",
        "--timeout=30s",
    ];
    wait::until("a ReplicaSet", LIMIT, || {
        let sets = up.items(&["get", "rs"])?;
        Ok(if sets.len() == 1 {
            Ok(())
        } else {
            Err(format!("{sets:?}"))
        })
    })?;
    up.ok(&ready, "")?;
    let why = "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
    let (described, _took) = wait::until("the event", LIMIT, || {
        let text = up.ok(&["describe", "rs", "-l", "app=web"], "")?;
        let told = text.contains("FailedCreate") && text.contains("Error creating: pods \"web-");
        Ok(if told { Ok(text) } else { Err(text) })
    })?;
    ensure!(
        described.contains(why) && !rows(&described, &["ReplicaFailure"]).is_empty(),
        "{described}"
    );
    let deployment = up.ok(&["describe", "deployment", "web"], "")?;
    ensure!(
        rows(&deployment, &["ReplicaFailure"]) == ["ReplicaFailure True FailedCreate"],
        "{deployment}"
    );
    up.stop(LIMIT)
}

#[test]
fn levels_of_security_refuse_and_warn() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::start(dir.path())?;
    let bad = "{apiVersion: v1, kind: Namespace, metadata: {name: yard, labels: {pod-security.kubernetes.io/enforce: strict}}}";
    let said = up.refused(&["create", "-f", "-"], bad)?;
    ensure!(
        said.contains("metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted"),
        "{said}"
    );
    up.ok(&["create", "ns", "yard"], "")?;
    up.ok(&["create", "-n", "yard", "-f", "-"], &pod("old", "{}"))?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    let warned = up.kubectl(&["label", "ns", "yard", enforce], "")?;
    let warnings = String::from_utf8_lossy(&warned.stderr).into_owned();
    ensure!(
        warnings
            == "Warning: existing pods in namespace \"yard\" violate the new PodSecurity enforce level \"restricted:latest\"\n\
                Warning: old: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile\n",
        "{warnings}"
    );
    let why = "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    let said = up.refused(&["create", "-n", "yard", "-f", "-"], &pod("new", "{}"))?;
    ensure!(
        said.contains(&format!(
            "pods \"new\" is forbidden: violates PodSecurity \"restricted:latest\": {why}"
        )),
        "{said}"
    );
    let create = [
        "create",
        "deployment",
        "web",
        "--image=hello:v1",
        "-n",
        "yard",
    ];
    let made = up.kubectl(&create, "")?;
    let warnings = String::from_utf8_lossy(&made.stderr).into_owned();
    let why = why.replace("\"c\"", "\"hello\"");
    ensure!(
        made.status.success()
            && warnings
                == format!("Warning: would violate PodSecurity \"restricted:latest\": {why}\n"),
        "{warnings}"
    );
    wait::until("the pods are refused", LIMIT, || {
        let text = up.ok(&["describe", "rs", "-n", "yard"], "")?;
        let told = text.contains("violates PodSecurity \"restricted:latest\"");
        Ok(if told { Ok(()) } else { Err(text) })
    })?;
    up.stop(LIMIT)
}

#[test]
fn the_example_of_a_tenant_runs() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let up = Controller::up(dir.path(), &["--node-name", "laptop"])?;
    up.push(&example("hello-http")?, "hello-http:v1")?;
    let file = root().join("examples/tenant.yaml");
    let file = file.to_string_lossy();
    let made = up.kubectl(&["apply", "-f", &file], "")?;
    let warnings = String::from_utf8_lossy(&made.stderr).into_owned();
    ensure!(made.status.success() && warnings.is_empty(), "{warnings}");
    up.ok(
        &[
            "rollout",
            "status",
            "deployment/web",
            "-n",
            "tenant",
            "--timeout=120s",
        ],
        "",
    )?;
    wait_rows(
        &up,
        &["describe", "quota", "-n", "tenant"],
        &["pods 2 10", "requests.memory 64Mi 1Gi"],
    )?;
    up.stop(LIMIT)
}
