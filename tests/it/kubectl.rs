//! What a person does with kubectl.

use coracle_tests::Controller;

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: 'hello:v1'}
";

#[test]
fn apply_and_diff() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    assert_eq!(
        controller.ok(&["apply", "-f", "-"], DEPLOYMENT)?,
        "deployment.apps/web created\n"
    );
    assert_eq!(
        controller.ok(&["apply", "-f", "-"], DEPLOYMENT)?,
        "deployment.apps/web unchanged\n"
    );
    let three = DEPLOYMENT.replace("replicas: 2", "replicas: 3");
    let difference = controller.kubectl(&["diff", "-f", "-"], &three)?;
    assert_eq!(
        difference.status.code(),
        Some(1),
        "diff says that there is one"
    );
    let difference = String::from_utf8(difference.stdout)?;
    assert!(
        difference.contains("-  replicas: 2") && difference.contains("+  replicas: 3"),
        "{difference}"
    );
    assert_eq!(
        controller.ok(&["apply", "-f", "-"], &three)?,
        "deployment.apps/web configured\n"
    );
    Ok(())
}

#[test]
fn scale_label_set_and_delete() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], DEPLOYMENT)?;
    controller.ok(&["scale", "deploy/web", "--replicas", "5"], "")?;
    let table = controller.ok(&["get", "deploy", "-o", "wide"], "")?;
    let mut lines = table.lines();
    let heading: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        heading,
        [
            "NAME",
            "READY",
            "UP-TO-DATE",
            "AVAILABLE",
            "AGE",
            "CONTAINERS",
            "IMAGES",
            "SELECTOR"
        ]
    );
    assert!(
        lines
            .next()
            .is_some_and(|row| row.starts_with("web ") && row.contains("0/5")),
        "{table}"
    );
    controller.ok(&["label", "deploy", "web", "tier=front"], "")?;
    controller.ok(&["set", "image", "deploy/web", "c=hello:v2"], "")?;
    assert_eq!(
        controller.ok(
            &[
                "get",
                "deploy",
                "-l",
                "tier=front",
                "-o",
                "jsonpath={..image}"
            ],
            ""
        )?,
        "hello:v2"
    );
    controller.ok(&["delete", "deploy", "web", "--wait", "--timeout=10s"], "")?;
    assert_eq!(controller.ok(&["get", "deploy", "-o", "name"], "")?, "");
    Ok(())
}

#[test]
fn parts_of_the_control_plane_are_told_as_upstream_tells_them() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let output = controller.kubectl(&["get", "cs"], "")?;
    let (out, error) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    assert_eq!(
        error,
        "Warning: v1 ComponentStatus is deprecated in v1.19+\n"
    );
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [
            vec!["NAME", "STATUS", "MESSAGE", "ERROR"],
            vec!["controller-manager", "Healthy", "ok"],
            vec!["etcd-0", "Healthy", "ok"],
            vec!["scheduler", "Healthy", "ok"],
        ]
    );
    let one = controller.ok(&["get", "componentstatus", "etcd-0", "-o", "name"], "")?;
    assert_eq!(one, "componentstatus/etcd-0\n");
    let said = controller.refused(&["get", "cs", "nothing"], "")?;
    assert!(
        said.ends_with("Error from server: Component not found: nothing\n"),
        "{said}"
    );
    Ok(())
}

#[test]
fn explain_and_describe() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let said = controller.ok(&["explain", "deployment.spec.replicas"], "")?;
    assert!(said.contains("FIELD: replicas <integer>"), "{said}");
    let said = controller.ok(&["explain", "bindings"], "")?;
    assert!(
        said.contains("KIND:       Binding")
            && said.contains("target\t<ObjectReference> -required-"),
        "{said}"
    );
    let said = controller.ok(&["explain", "cs.conditions.message"], "")?;
    assert!(said.contains("FIELD: message <string>"), "{said}");
    let said = controller.ok(&["describe", "namespace", "default"], "")?;
    assert!(said.contains("Status:       Active"), "{said}");
    let kinds = controller.ok(&["api-resources", "--no-headers", "-o", "name"], "")?;
    for kind in [
        "pods",
        "deployments.apps",
        "services",
        "endpointslices.discovery.k8s.io",
        "leases.coordination.k8s.io",
    ] {
        assert!(
            kinds.lines().any(|line| line == kind),
            "{kind} is not among\n{kinds}"
        );
    }
    Ok(())
}

#[test]
fn bad_manifests_are_refused_with_their_fields() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let cases = [
        (
            "replicas: 2",
            "replicaz: 2",
            "unknown field \"spec.replicaz\"",
        ),
        (
            "  selector: {matchLabels: {app: web}}\n",
            "",
            "spec.selector: Required value",
        ),
        (
            "{app: web}}\n    spec",
            "{app: other}}\n    spec",
            "`selector` does not match template `labels`",
        ),
        (
            "name: web,",
            "name: Web_1,",
            "metadata.name: Invalid value: \"Web_1\"",
        ),
        (
            "image: 'hello:v1'}",
            "image: 'hello:v1', resources: {limits: {memory: plenty}}}",
            "quantities must match the regular expression",
        ),
    ];
    for (from, to, expected) in cases {
        let manifest = DEPLOYMENT.replacen(from, to, 1);
        assert_ne!(manifest, DEPLOYMENT, "{from:?} is not in the manifest");
        let said = controller.refused(&["apply", "-f", "-"], &manifest)?;
        assert!(said.contains(expected), "for {to:?} kubectl said: {said}");
    }
    Ok(())
}
