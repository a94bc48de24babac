//! Server-side apply with kubectl: owners, conflicts, force, dry runs, and taking over from client-side apply.

use coracle_tests::Controller;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', b: '1'}\n";
const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: web, image: 'hello:v1', env: [{name: A, value: '1'}]}\n";

const APPLY: [&str; 4] = ["apply", "--server-side", "-f", "-"];

fn managers(controller: &Controller, object: &str) -> anyhow::Result<String> {
    let path =
        "jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.subresource};{end}";
    controller.ok(&["get", object, "--show-managed-fields", "-o", path], "")
}

#[test]
fn owners_conflicts_and_force() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let apply = |manager: &str, text: &str| {
        let manager = format!("--field-manager={manager}");
        controller.ok(&[&APPLY[..], &[manager.as_str()]].concat(), text)
    };
    assert_eq!(apply("one", MAP)?, "configmap/c serverside-applied\n");
    assert_eq!(apply("one", MAP)?, "configmap/c serverside-applied\n");
    let version = [
        "get",
        "configmap/c",
        "-o",
        "jsonpath={.metadata.resourceVersion}",
    ];
    let before = controller.ok(&version, "")?;
    apply("one", MAP)?;
    assert_eq!(
        controller.ok(&version, "")?,
        before,
        "the same again is no write"
    );

    let other = MAP.replace("a: '1'", "a: '2'");
    let said = controller.refused(&[&APPLY[..], &["--field-manager=two"]].concat(), &other)?;
    assert!(
        said.contains("Apply failed with 1 conflict: conflict with \"one\": .data.a"),
        "{said}"
    );
    assert!(said.contains("--force-conflicts"), "{said}");
    let forced = [&APPLY[..], &["--field-manager=two", "--force-conflicts"]].concat();
    assert_eq!(
        controller.ok(&forced, &other)?,
        "configmap/c serverside-applied\n"
    );
    assert_eq!(
        managers(&controller, "configmap/c")?,
        "one Apply ;two Apply ;"
    );

    // What one applied and no longer applies goes, unless two applies it as well.
    apply(
        "one",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {c: '1'}\n",
    )?;
    let data = ["get", "configmap/c", "-o", "jsonpath={.data}"];
    assert_eq!(controller.ok(&data, "")?, r#"{"a":"2","b":"1","c":"1"}"#);

    controller.ok(
        &[
            "patch",
            "configmap/c",
            "--type=merge",
            "-p",
            r#"{"data":{"c":"2"}}"#,
        ],
        "",
    )?;
    let said = controller.refused(
        &[&APPLY[..], &["--field-manager=one"]].concat(),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {c: '1'}\n",
    )?;
    assert!(
        said.contains("conflict with \"kubectl-patch\" using v1: .data.c"),
        "{said}"
    );
    let said = controller.refused(&APPLY, &MAP.replace("\ndata:", "\ndota:"))?;
    assert!(
        said.contains("failed to create typed patch object (default/c; /v1, Kind=ConfigMap): .dota: field not declared in schema"),
        "{said}"
    );
    Ok(())
}

#[test]
fn deployments_scale_diff_and_dry_run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    assert_eq!(
        controller.ok(&[&APPLY[..], &["--dry-run=server"]].concat(), WEB)?,
        "deployment.apps/web serverside-applied (server dry run)\n"
    );
    controller.refused(&["get", "deployment/web"], "")?;
    controller.ok(&APPLY, WEB)?;
    let diff = ["diff", "--server-side", "-f", "-"];
    assert_eq!(controller.ok(&diff, WEB)?, "");
    let newer = WEB.replace("hello:v1", "hello:v2");
    let shown = controller.kubectl(&diff, &newer)?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("-      - ") || shown.contains("hello:v2"),
        "{shown}"
    );

    // Whoever scales owns the number; letting it go leaves it as it is.
    controller.ok(&["scale", "deployment/web", "--replicas=3"], "")?;
    let said = controller.refused(&APPLY, WEB)?;
    assert!(
        said.contains(
            "conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas"
        ),
        "{said}"
    );
    let without = WEB.replace("  replicas: 2\n", "");
    controller.ok(&APPLY, &without)?;
    let replicas = ["get", "deployment/web", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(controller.ok(&replicas, "")?, "3");

    // An item of a list belongs to who applies it.
    let more = without.replace("env: [", "env: [{name: B, value: '2'}, ");
    controller.ok(&APPLY, &more)?;
    controller.ok(&APPLY, &without)?;
    let env = "jsonpath={.spec.template.spec.containers[0].env[*].name}";
    assert_eq!(
        controller.ok(&["get", "deployment/web", "-o", env], "")?,
        "A"
    );
    Ok(())
}

#[test]
fn client_side_apply_is_taken_over() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], MAP)?;
    assert_eq!(
        managers(&controller, "configmap/c")?,
        "kubectl-client-side-apply Update ;"
    );
    let changed = MAP.replace("a: '1', b: '1'", "a: '2'");
    controller.ok(&APPLY, &changed)?;
    assert_eq!(
        controller.ok(&["get", "configmap/c", "-o", "jsonpath={.data}"], "")?,
        r#"{"a":"2"}"#
    );
    // kubectl itself keeps the annotation under a name of its own. Who comes first depends on the second of each write.
    let managers = managers(&controller, "configmap/c")?;
    let mut managers: Vec<&str> = managers.split_terminator(';').collect();
    managers.sort_unstable();
    assert_eq!(managers, ["kubectl Apply ", "kubectl-last-applied Apply "]);
    let last = controller.ok(&["apply", "view-last-applied", "configmap/c"], "")?;
    assert!(last.contains("a: \"2\"") && !last.contains("b:"), "{last}");
    Ok(())
}

/// What the server adds to each of these belongs to nobody: taken over, they are applied without it.
const COMPLETED: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: c, image: 'hello:v1'}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: d}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'hello:v1'}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, image: 'hello:v1', resources: {limits: {cpu: 500m, memory: 64Mi}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: NodePort, selector: {a: b}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: b}
---
apiVersion: v1
kind: Namespace
metadata: {name: space}
";

#[test]
fn objects_that_the_server_completes_are_taken_over() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], COMPLETED)?;
    let taken = controller.kubectl(&APPLY, COMPLETED)?;
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(taken.status.success() && said.is_empty(), "{said}");
    let taken = String::from_utf8_lossy(&taken.stdout);
    assert_eq!(taken.matches("serverside-applied").count(), 6, "{taken}");
    Ok(())
}

/// What DNS servers have: one number, two protocols, in a list that the object did not have yet.
#[test]
fn ports_of_one_number_stay_apart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let ports = "ports: [{containerPort: 53, protocol: TCP, name: t}, {containerPort: 53, protocol: UDP, name: u}]";
    let with_ports = WEB.replace("env: [{name: A, value: '1'}]", ports);
    for text in [WEB, &with_ports] {
        controller.ok(&["apply", "-f", "-"], text)?;
    }
    let names = "jsonpath={.spec.template.spec.containers[0].ports[*].name}";
    let get = ["get", "deployment/web", "-o", names];
    assert_eq!(controller.ok(&get, "")?, "t u");
    let said = controller.ok(&["apply", "-f", "-"], &with_ports)?;
    assert_eq!(said, "deployment.apps/web unchanged\n");
    Ok(())
}
