//! What reads: get in all its forms, describe, wait, watch, discovery, who am I.

use coracle_tests::Controller;

const OBJECTS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: p1, labels: {app: a}}
spec: {containers: [{name: c, image: 'hello:v1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p0, labels: {app: b}}
spec: {containers: [{name: c, image: 'hello:v2'}], nodeSelector: {disk: ssd}}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Node
metadata: {name: box}
---
apiVersion: v1
kind: Secret
metadata: {name: x}
stringData: {password: hidden}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: l}
spec: {holderIdentity: me, leaseDurationSeconds: 15, renewTime: '2026-01-02T03:04:05.678901Z'}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{port: 8080}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: r}
spec:
  replicas: 0
  selector: {matchLabels: {app: r}}
  template: {metadata: {labels: {app: r}}, spec: {containers: [{name: c, image: 'hello:v1'}]}}
---
apiVersion: v1
kind: Event
metadata: {name: p1.1, namespace: default}
involvedObject: {apiVersion: v1, kind: Pod, name: p1, namespace: default}
reason: Pulled
message: it is here
type: Normal
source: {component: test}
count: 2
firstTimestamp: '2026-01-02T03:04:05Z'
lastTimestamp: '2026-01-02T03:04:05Z'
";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn every_form_of_get() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], OBJECTS)?;
    let cases: &[(&[&str], &str)] = &[
        (
            &["get", "pods", "-o", "name", "--sort-by=.metadata.name"],
            "pod/p0\npod/p1\n",
        ),
        (
            &["get", "pods", "-l", "app in (a)", "-o", "name"],
            "pod/p1\n",
        ),
        (
            &[
                "get",
                "pods",
                "--field-selector=status.phase=Pending,metadata.name=p0",
                "-o",
                "name",
            ],
            "pod/p0\n",
        ),
        (
            &[
                "get",
                "pods",
                "--no-headers",
                "-o",
                "custom-columns=N:.metadata.name,I:.spec.containers[*].image",
            ],
            "p0    hello:v2\np1    hello:v1\n",
        ),
        (
            &["get", "pod/p1", "service/s", "-o", "name"],
            "pod/p1\nservice/s\n",
        ),
        (
            &[
                "get",
                "pods",
                "-o",
                "go-template={{range .items}}{{.metadata.name}} {{end}}",
            ],
            "p0 p1 ",
        ),
        (
            &["get", "lease", "l", "-o", "jsonpath={.spec.renewTime}"],
            "2026-01-02T03:04:05.678901Z",
        ),
        (&["get", "nothing-here", "--ignore-not-found"], ""),
    ];
    for (arguments, said) in &cases[..cases.len() - 1] {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    let said = controller.refused(cases[cases.len() - 1].0, "")?;
    assert_eq!(
        said,
        "error: the server doesn't have a resource type \"nothing-here\"\n"
    );
    let said = controller.refused(&["get", "pods", "--field-selector=spec.color=red"], "")?;
    assert!(
        said.contains("field label not supported: spec.color"),
        "{said}"
    );
    let said = controller.refused(&["get", "pods", "-l", "a in (b"], "")?;
    assert!(said.contains("unable to parse requirement"), "{said}");
    for (kind, heading) in [
        (
            "pods",
            "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
        ),
        (
            "nodes",
            "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
        ),
        (
            "svc",
            "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
        ),
        (
            "rs",
            "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
        ),
        ("endpointslices", "NAME ADDRESSTYPE PORTS ENDPOINTS AGE"),
        ("leases", "NAME HOLDER AGE"),
        ("secrets", "NAME TYPE DATA AGE"),
        ("configmaps", "NAME DATA AGE"),
        ("serviceaccounts", "NAME SECRETS AGE"),
        ("namespaces", "NAME STATUS AGE"),
        (
            "events",
            "LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST SEEN COUNT NAME",
        ),
    ] {
        if kind == "configmaps" {
            controller.ok(&["create", "configmap", "c"], "")?;
        }
        let table = controller.ok(&["get", kind, "-o", "wide"], "")?;
        let found: Vec<&str> = table
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(found.join(" "), heading, "{kind}");
    }
    let events = controller.ok(&["events", "--for", "pod/p1"], "")?;
    assert!(
        events.contains("Pulled") && events.contains("it is here"),
        "{events}"
    );
    let all = controller.ok(&["get", "all"], "")?;
    assert!(
        all.contains("pod/p1") && all.contains("service/s") && all.contains("replicaset.apps/r"),
        "{all}"
    );
    Ok(())
}

#[test]
fn describe_knows_every_kind() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], OBJECTS)?;
    controller.ok(&["create", "deployment", "web", "--image=hello:v1"], "")?;
    controller.ok(&["create", "configmap", "c", "--from-literal=k=v"], "")?;
    // Events are found by the uid of what they are about.
    let uid = controller.ok(&["get", "pod", "p1", "-o", "jsonpath={.metadata.uid}"], "")?;
    let about = format!(r#"{{"involvedObject":{{"uid":"{uid}"}}}}"#);
    controller.ok(
        &["patch", "event", "p1.1", "--type=merge", "-p", &about],
        "",
    )?;
    for (what, parts) in [
        (
            "pod/p1",
            &["Image:        hello:v1", "Pulled", "it is here", "(x2 over"][..],
        ),
        (
            "node/box",
            &[
                "Name:               box",
                "Non-terminated Pods:",
                "Allocated resources:",
            ],
        ),
        (
            "service/s",
            &[
                "Port:                     <unset>  80/TCP",
                "Endpoints:                10.1.0.1:8080",
            ],
        ),
        (
            "deployment/web",
            &[
                "StrategyType:           RollingUpdate",
                "Replicas:               1 desired",
            ],
        ),
        ("replicaset/r", &["Replicas:     0 current / 0 desired"]),
        ("secret/x", &["password:  6 bytes"]),
        ("configmap/c", &["k:\n----\nv"]),
        ("serviceaccount/robot", &["Name:                robot"]),
        ("endpointslice/e", &["Addresses:  10.1.0.1"]),
        ("lease/l", &["Holder Identity:         me"]),
        ("namespace/default", &["Status:       Active"]),
    ] {
        let said = controller.ok(&["describe", what], "")?;
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {what}:\n{said}");
        }
        assert!(!said.contains("hidden"), "a Secret's value is shown");
    }
    Ok(())
}

#[test]
fn wait_and_watch() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], OBJECTS)?;
    let ready = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}],"phase":"Running"}}"#;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let waits = [
            &["wait", "--for=condition=Ready", "pod/p1", "--timeout=20s"][..],
            &[
                "wait",
                "--for=jsonpath={.status.phase}=Running",
                "pod/p1",
                "--timeout=20s",
            ],
            &["wait", "--for=delete", "pod/p0", "--timeout=20s"],
        ]
        .map(|arguments| scope.spawn(|| controller.ok(arguments, "")));
        controller.ok(
            &[
                "patch",
                "pod",
                "p1",
                "--subresource=status",
                "--type=merge",
                "-p",
                ready,
            ],
            "",
        )?;
        controller.ok(&["delete", "pod", "p0", "--wait"], "")?;
        for wait in waits {
            let said = wait
                .join()
                .map_err(|_panic| anyhow::anyhow!("a wait panicked"))??;
            assert!(said.contains("condition met"), "{said}");
        }
        Ok(())
    })?;
    let said = controller.refused(
        &[
            "wait",
            "--for=condition=Ready=false",
            "pod/p1",
            "--timeout=100ms",
        ],
        "",
    )?;
    assert!(
        said.contains("timed out waiting for the condition on pods/p1"),
        "{said}"
    );
    // Ends when the server ends the watch.
    let watched = controller.ok(
        &[
            "get",
            "--raw",
            "/api/v1/namespaces/default/pods?watch=1&timeoutSeconds=1",
        ],
        "",
    )?;
    assert!(watched.starts_with(r#"{"type":"ADDED""#), "{watched}");
    let watched = controller.kubectl(&["get", "pods", "-w", "--request-timeout=1s"], "")?;
    let watched = String::from_utf8(watched.stdout)?;
    assert!(
        watched.starts_with("NAME ") && watched.contains("\np1 "),
        "{watched}"
    );
    Ok(())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn discovery_version_and_identity() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let versions = controller.ok(&["api-versions"], "")?;
    for version in [
        "apps/v1",
        "authentication.k8s.io/v1",
        "coordination.k8s.io/v1",
        "discovery.k8s.io/v1",
        "events.k8s.io/v1",
        "v1",
    ] {
        assert!(
            versions.lines().any(|line| line == version),
            "{version} is not in\n{versions}"
        );
    }
    let resources = controller.ok(&["api-resources", "--no-headers"], "")?;
    let row = |name: &str| -> Vec<String> {
        let line = resources
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        row("deployments"),
        ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    );
    assert_eq!(row("nodes"), ["nodes", "no", "v1", "false", "Node"]);
    let whoami = controller.ok(&["auth", "whoami"], "")?;
    let words: Vec<&str> = whoami.split_whitespace().collect();
    let words = words.join(" ");
    for said in [
        "Username kubernetes-admin",
        "Groups [system:masters system:authenticated]",
        "authentication.kubernetes.io/credential-id [X509SHA256=",
    ] {
        assert!(words.contains(said), "{whoami}");
    }
    assert_eq!(
        controller.ok(&["auth", "can-i", "delete", "nodes"], "")?,
        "yes\n"
    );
    assert_eq!(
        controller
            .kubectl(&["auth", "can-i", "get", "pods", "--as", "eve"], "")?
            .status
            .code(),
        Some(1)
    );
    let list = controller.ok(&["auth", "can-i", "--list"], "")?;
    assert!(list.contains("*.*"), "{list}");
    let version = controller.ok(&["version"], "")?;
    assert!(version.contains("Server Version: v1.35"), "{version}");
    let info = controller.ok(&["cluster-info"], "")?;
    assert!(info.contains("is running at"), "{info}");
    for top in [&["top", "nodes"][..], &["top", "pods"]] {
        let answer = controller.kubectl(top, "")?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&answer.stdout),
            String::from_utf8_lossy(&answer.stderr)
        );
        assert!(
            said.contains("No resources found") || said.contains("etrics not available"),
            "{said}"
        );
    }
    let fields = controller.ok(&["explain", "pod", "--recursive"], "")?;
    assert!(
        fields.contains("containers\t<[]Container> -required-"),
        "{fields}"
    );
    for kind in [
        "deployment.spec.strategy",
        "service.spec.ports",
        "node.status",
        "lease.spec",
        "endpointslice.endpoints",
        "event.reason",
        "secret.data",
    ] {
        let said = controller.ok(&["explain", kind], "")?;
        assert!(said.contains("DESCRIPTION:"), "{kind}: {said}");
    }
    Ok(())
}
