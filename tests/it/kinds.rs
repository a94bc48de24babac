//! kubectl on every kind that is stored without a controller of its own yet: manifests, columns, explain.

use anyhow::ensure;
use coracle_tests::Controller;
use std::collections::BTreeSet;

/// One of each.
const MANIFESTS: &str = include_str!("kinds/manifests.yaml");

/// What names the kind, and what its wide row says after its name; `AGE` stands for any age.
const ROWS: &[(&str, &str)] = &[
    ("ep/ends", "10.0.0.9:80 AGE"),
    (
        "pv/disk",
        "1Gi RWO,ROX Retain Pending slow <unset> AGE Filesystem",
    ),
    ("pvc/claim", "Pending fast <unset> AGE Filesystem"),
    ("podtemplate/shape", "c hello:v1 a=b"),
    ("rc/old", "0 0 0 AGE c hello:v1 a=b"),
    ("limits/bounds", "AGE"),
    ("quota/share", "pods: 0/4 limits.cpu: 0/2 AGE"),
    ("ds/everywhere", "0 0 0 0 0 <none> AGE c hello:v1 a=b"),
    ("sts/ordered", "0/0 AGE c hello:v1"),
    ("controllerrevision/ordered-1", "<none> 1 AGE"),
    (
        "cj/nightly",
        "0 3 * * * Europe/Berlin True 0 <none> AGE c hello:v1 <none>",
    ),
    ("hpa/scaler", "Deployment/web cpu: <unknown>/60% 1 4 0 AGE"),
    ("pdb/budget", "1 N/A 0 AGE"),
    ("ing/door", "outer x.example.com 80 AGE"),
    ("ingressclass/outer", "example.com/doorman <none> AGE"),
    ("netpol/wall", "a=b AGE"),
    ("ip/10.0.0.7", "services/default/s"),
    ("servicecidr/more", "10.98.0.0/24 AGE"),
    (
        "sc/fast",
        "(default) example.com/disks Delete WaitForFirstConsumer true AGE",
    ),
    (
        "volumeattachment/held",
        "disks.example.com disk box false AGE",
    ),
    (
        "csidriver/disks.example.com",
        "true false false <unset> false Persistent AGE",
    ),
    ("csinode/box", "1 AGE"),
    ("csistoragecapacity/room", "fast 10Gi"),
    ("vac/gold", "disks.example.com AGE"),
    ("pc/high", "1000 false AGE PreemptLowerPriority"),
    ("runtimeclass/wasm", "wasm AGE"),
];

/// Words of a row without its name, ages as `AGE`.
fn words(row: &str) -> String {
    let is_age = |word: &str| {
        word.strip_suffix('s')
            .is_some_and(|digits| digits.parse::<u32>().is_ok())
    };
    let words = row.split_whitespace().skip(1);
    let is_time = |word: &str| word.starts_with("20") && word.ends_with('Z');
    let aged = |word| {
        if is_age(word) || is_time(word) {
            "AGE"
        } else {
            word
        }
    };
    let words = words.map(aged);
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn one_of_each_kind() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let created = controller.ok(&["create", "-f", "-"], MANIFESTS)?;
    ensure!(
        created.lines().all(|line| line.ends_with(" created")),
        "{created}"
    );
    for (object, expected) in ROWS {
        let row = controller.ok(&["get", object, "-o", "wide", "--no-headers"], "")?;
        assert_eq!(words(&row), *expected, "{object}");
        let kind = object.split('/').next().unwrap_or_default();
        controller.ok(&["get", kind, "-A"], "")?;
        let explained = controller.ok(&["explain", kind], "")?;
        ensure!(explained.contains("FIELDS:"), "{kind}: {explained}");
        controller.ok(&["describe", object], "")?;
    }
    // What was just created is what is there: a second apply changes nothing.
    let applied = controller.ok(
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            "-",
        ],
        MANIFESTS,
    )?;
    ensure!(!applied.contains("created"), "{applied}");
    let explained = controller.ok(
        &["explain", "cronjob.spec.jobTemplate.spec.completions"],
        "",
    )?;
    ensure!(explained.contains("<integer>"), "{explained}");
    // The same autoscaler, as clients of v1 see it.
    let hpa = "horizontalpodautoscaler.v1.autoscaling/scaler";
    let path = "jsonpath={.apiVersion} {.spec.targetCPUUtilizationPercentage}";
    assert_eq!(
        controller.ok(&["get", hpa, "-o", path], "")?,
        "autoscaling/v1 60"
    );
    let patch = [
        "patch",
        hpa,
        "--type=merge",
        "-p",
        r#"{"spec":{"targetCPUUtilizationPercentage":70}}"#,
    ];
    controller.ok(&patch, "")?;
    let path = "jsonpath={.spec.metrics[*].resource.target.averageUtilization}";
    assert_eq!(
        controller.ok(&["get", "hpa", "scaler", "-o", path], "")?,
        "70"
    );
    let critical = controller.ok(&["get", "pc", "-o", "name"], "")?;
    ensure!(critical.contains("system-node-critical"), "{critical}");
    controller.ok(&["delete", "-f", "-"], MANIFESTS)?;
    controller.stop(std::time::Duration::from_secs(20))
}

/// The other kinds that live in a namespace.
const OTHERS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a, finalizers: [example.com/wait]}
---
apiVersion: v1
kind: Secret
metadata: {name: a}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {a: b}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: c, image: 'hello:v1', resources: {limits: {cpu: 100m}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {replicas: 1, selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}, spec: {containers: [{name: c, image: 'hello:v1', resources: {limits: {cpu: 100m}}}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: a}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'hello:v1'}]}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}
subjects: [{kind: User, name: ann}]
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: a}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9]}]
---
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: a}
eventTime: '2026-01-02T03:04:05.000000Z'
regarding: {apiVersion: v1, kind: Pod, name: a, namespace: doomed}
reportingController: example.com/tester
reportingInstance: one
action: Test
reason: Tested
type: Normal
";

#[test]
fn a_namespace_takes_every_kind_along() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["create", "namespace", "doomed"], "")?;
    for manifests in [MANIFESTS, OTHERS] {
        controller.ok(&["create", "-n", "doomed", "-f", "-"], manifests)?;
    }
    let listable = [
        "api-resources",
        "--namespaced",
        "--verbs=list,delete",
        "-o",
        "name",
    ];
    let kinds: Vec<String> = controller
        .ok(&listable, "")?
        .lines()
        .map(str::to_owned)
        .collect();
    let all = kinds.join(",");
    let left = || controller.ok(&["get", &all, "-n", "doomed", "-o", "name"], "");
    let there = left()?;
    let of_kind: BTreeSet<&str> = there
        .lines()
        .filter_map(|name| name.split('/').next())
        .collect();
    ensure!(of_kind.len() == kinds.len(), "{kinds:?}: {of_kind:?}");
    let nowait = ["delete", "namespace", "doomed", "--wait=false"];
    controller.ok(&nowait, "")?;
    let blocked =
        "jsonpath={.status.conditions[?(@.type=='NamespaceFinalizersRemaining')].message}";
    let wait = ["wait", "namespace/doomed", "--timeout=60s"];
    let finalizers = "--for=condition=NamespaceFinalizersRemaining";
    controller.ok(&[&wait[..], &[finalizers]].concat(), "")?;
    let said = controller.ok(&["get", "namespace", "doomed", "-o", blocked], "")?;
    assert_eq!(
        said,
        "Some content in the namespace has finalizers remaining: example.com/wait in 1 resource instances"
    );
    let release = [
        "patch",
        "configmap/a",
        "-n",
        "doomed",
        "--type=json",
        "-p",
        r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#,
    ];
    controller.ok(&release, "")?;
    controller.ok(&[&wait[..], &["--for=delete"]].concat(), "")?;
    assert_eq!(left()?, "");
    Ok(())
}

#[test]
fn create_knows_them() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let cases: &[(&[&str], &str)] = &[
        (
            &["create", "deployment", "web", "--image=hello:v1"],
            "deployment.apps/web created\n",
        ),
        (
            &["create", "job", "once", "--image=hello:v1", "--", "x"],
            "job.batch/once created\n",
        ),
        (
            &[
                "create",
                "cronjob",
                "often",
                "--image=hello:v1",
                "--schedule=*/5 * * * *",
            ],
            "cronjob.batch/often created\n",
        ),
        (
            &["create", "job", "now", "--from=cronjob/often"],
            "job.batch/now created\n",
        ),
        (
            &[
                "create",
                "ingress",
                "door",
                "--class=outer",
                "--rule=x.example.com/*=web:80",
            ],
            "ingress.networking.k8s.io/door created\n",
        ),
        (
            &[
                "create",
                "pdb",
                "budget",
                "--selector=app=web",
                "--min-available=1",
            ],
            "poddisruptionbudget.policy/budget created\n",
        ),
        (
            &[
                "create",
                "quota",
                "share",
                "--hard=pods=4,count/jobs.batch=9",
            ],
            "resourcequota/share created\n",
        ),
        (
            &[
                "create",
                "priorityclass",
                "high",
                "--value=1000",
                "--description=d",
            ],
            "priorityclass.scheduling.k8s.io/high created\n",
        ),
        (
            &["autoscale", "deployment", "web", "--min=1", "--max=3"],
            "horizontalpodautoscaler.autoscaling/web autoscaled\n",
        ),
    ];
    for (arguments, said) in cases {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    let selector = "jsonpath={.spec.selector.matchLabels}";
    let selected = controller.ok(&["get", "job", "once", "-o", selector], "")?;
    ensure!(
        selected.contains("batch.kubernetes.io/controller-uid"),
        "{selected}"
    );
    let refused: &[(&[&str], &str)] = &[
        (
            &[
                "create",
                "cronjob",
                "bad",
                "--image=hello:v1",
                "--schedule=often",
            ],
            "spec.schedule: Invalid value: \"often\": expected exactly 5 fields, found 1: [often]",
        ),
        (
            &["create", "priorityclass", "system-mine", "--value=1"],
            "priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
        ),
        (
            &[
                "run",
                "p",
                "--image=hello:v1",
                "--overrides={\"spec\":{\"priorityClassName\":\"none\"}}",
            ],
            "pods \"p\" is forbidden: no PriorityClass with name none was found",
        ),
        (
            &["create", "quota", "bad", "--hard=chairs=1"],
            "must be a standard resource for quotas",
        ),
        (
            &[
                "patch",
                "job",
                "once",
                "--type=merge",
                "-p",
                "{\"spec\":{\"completions\":3}}",
            ],
            "spec.completions: Invalid value: 3: field is immutable",
        ),
        (
            &[
                "create",
                "pdb",
                "bad",
                "--selector=app=web",
                "--min-available=120%",
            ],
            "must not be greater than 100%",
        ),
    ];
    for (arguments, why) in refused {
        let said = controller.refused(arguments, "")?;
        ensure!(said.contains(why), "{arguments:?}: {said}");
    }
    let priority = "jsonpath={.spec.priorityClassName} {.spec.priority} {.spec.preemptionPolicy}";
    let overrides = "--overrides={\"spec\":{\"priorityClassName\":\"high\"}}";
    controller.ok(&["run", "p", "--image=hello:v1", overrides], "")?;
    let shown = controller.ok(&["get", "pod", "p", "-o", priority], "")?;
    assert_eq!(shown, "high 1000 PreemptLowerPriority");
    controller.stop(std::time::Duration::from_secs(20))
}
