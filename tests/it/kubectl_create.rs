//! `kubectl create`, `run` and `apply` of each kind they know: clients that speak protobuf and JSON.

use coracle_tests::Controller;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn create_makes_every_kind_it_knows() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let file = dir.path().join("app.conf");
    std::fs::write(&file, "color = blue\n")?;
    let from_file = format!("--from-file={}", file.display());
    let cases: &[(&[&str], &str)] = &[
        (&["create", "namespace", "team"], "namespace/team created\n"),
        (
            &["create", "configmap", "c", "--from-literal=a=1", &from_file],
            "configmap/c created\n",
        ),
        (
            &[
                "create",
                "secret",
                "generic",
                "s",
                "--from-literal=password=x y",
            ],
            "secret/s created\n",
        ),
        (
            &[
                "create",
                "secret",
                "docker-registry",
                "r",
                "--docker-server=ghcr.io",
                "--docker-username=u",
                "--docker-password=p",
            ],
            "secret/r created\n",
        ),
        (
            &["create", "serviceaccount", "robot"],
            "serviceaccount/robot created\n",
        ),
        (
            &[
                "create",
                "deployment",
                "web",
                "--image=hello:v1",
                "--replicas=2",
                "--port=8080",
            ],
            "deployment.apps/web created\n",
        ),
        (
            &["create", "service", "clusterip", "inner", "--tcp=80:8080"],
            "service/inner created\n",
        ),
        (
            &[
                "create",
                "service",
                "nodeport",
                "outer",
                "--tcp=80:8080",
                "--node-port=30080",
            ],
            "service/outer created\n",
        ),
        (
            &[
                "create",
                "service",
                "externalname",
                "far",
                "--external-name=example.com",
            ],
            "service/far created\n",
        ),
        (
            &[
                "run",
                "once",
                "--image=hello:v1",
                "--restart=Never",
                "--env=A=b",
                "--",
                "x",
            ],
            "pod/once created\n",
        ),
        (
            &[
                "expose",
                "deployment",
                "web",
                "--port=80",
                "--target-port=8080",
            ],
            "service/web exposed\n",
        ),
    ];
    for (arguments, said) in cases {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    let read: &[(&[&str], &str)] = &[
        (
            &["get", "configmap", "c", "-o", "jsonpath={.data}"],
            r#"{"a":"1","app.conf":"color = blue\n"}"#,
        ),
        (
            &[
                "get",
                "secret",
                "s",
                "-o",
                "jsonpath={.data.password}/{.type}",
            ],
            "eCB5/Opaque",
        ),
        (
            &["get", "secret", "r", "-o", "jsonpath={.type}"],
            "kubernetes.io/dockerconfigjson",
        ),
        (
            &[
                "get",
                "deploy",
                "web",
                "-o",
                "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}",
            ],
            "2 8080",
        ),
        (
            &[
                "get",
                "svc",
                "outer",
                "-o",
                "jsonpath={.spec.ports[0].nodePort} {.spec.ports[0].targetPort}",
            ],
            "30080 8080",
        ),
        (
            &[
                "get",
                "svc",
                "far",
                "-o",
                "jsonpath={.spec.type} {.spec.externalName}",
            ],
            "ExternalName example.com",
        ),
        (
            &[
                "get",
                "pod",
                "once",
                "-o",
                "jsonpath={.spec.restartPolicy} {.spec.containers[0].args[0]} {.spec.containers[0].env[0].value}",
            ],
            "Never x b",
        ),
        (
            &["get", "svc", "web", "-o", "jsonpath={.spec.selector.app}"],
            "web",
        ),
    ];
    for (arguments, said) in read {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn create_again_and_dry_runs() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let server = [
        "create",
        "configmap",
        "c",
        "--from-literal=a=1",
        "--dry-run=server",
    ];
    assert_eq!(
        controller.ok(&server, "")?,
        "configmap/c created (server dry run)\n"
    );
    let said = controller.refused(&["get", "configmap", "c"], "")?;
    assert_eq!(
        said,
        "Error from server (NotFound): configmaps \"c\" not found\n"
    );
    let create = ["create", "configmap", "c", "--from-literal=a=1"];
    controller.ok(&create, "")?;
    let said = controller.refused(&create, "")?;
    assert_eq!(
        said,
        "error: failed to create configmap: configmaps \"c\" already exists\n"
    );
    let said = controller.refused(&["create", "configmap", "c", "-n", "none"], "")?;
    assert_eq!(
        said,
        "error: failed to create configmap: namespaces \"none\" not found\n"
    );
    let said = controller.refused(&["create", "configmap", "Bad_Name"], "")?;
    assert!(
        said.contains(
            "ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\""
        ),
        "{said}"
    );
    let said = controller.refused(
        &[
            "create",
            "service",
            "nodeport",
            "n",
            "--tcp=80",
            "--node-port=80",
        ],
        "",
    )?;
    assert!(
        said.contains(
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        ),
        "{said}"
    );
    Ok(())
}
