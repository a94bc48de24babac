//! What changes an object that exists: edit, patch, label, annotate, scale, set, replace, taint.

use coracle_tests::Controller;

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: b}}\ndata: {k: v}\n";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: box}\n";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn every_patch_type_edit_and_replace() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["create", "-f", "-"], MAP)?;
    let patch = |kind: &str, body: &str| {
        controller.ok(&["patch", "configmap", "c", "--type", kind, "-p", body], "")
    };
    assert_eq!(
        patch("merge", r#"{"data":{"m":"1"}}"#)?,
        "configmap/c patched\n"
    );
    assert_eq!(
        patch("strategic", r#"{"data":{"s":"2","k":null}}"#)?,
        "configmap/c patched\n"
    );
    assert_eq!(
        patch("json", r#"[{"op":"add","path":"/data/j","value":"3"}]"#)?,
        "configmap/c patched\n"
    );
    assert_eq!(
        patch("merge", r#"{"data":{"m":"1"}}"#)?,
        "configmap/c patched (no change)\n"
    );
    let data = ["get", "configmap", "c", "-o", "jsonpath={.data}"];
    assert_eq!(controller.ok(&data, "")?, r#"{"j":"3","m":"1","s":"2"}"#);
    let said = controller.refused(
        &[
            "patch",
            "configmap",
            "c",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/data/none"}]"#,
        ],
        "",
    )?;
    assert!(
        said.contains("The request is invalid") || said.contains("is invalid"),
        "{said}"
    );

    let editor = dir.path().join("editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\nsed -i 's/j: \"3\"/j: edited/' \"$1\"\n",
    )?;
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let edited = controller.kubectl_with(
        &["edit", "configmap", "c"],
        "",
        &[("KUBE_EDITOR", &editor.to_string_lossy())],
    )?;
    assert_eq!(
        String::from_utf8(edited.stdout)?,
        "configmap/c edited\n",
        "{}",
        String::from_utf8_lossy(&edited.stderr)
    );
    assert_eq!(
        controller.ok(&["get", "configmap", "c", "-o", "jsonpath={.data.j}"], "")?,
        "edited"
    );

    assert_eq!(
        controller.ok(&["replace", "-f", "-"], MAP)?,
        "configmap/c replaced\n"
    );
    assert_eq!(controller.ok(&data, "")?, r#"{"k":"v"}"#);
    let forced = controller.ok(&["replace", "--force", "-f", "-"], MAP)?;
    assert_eq!(
        forced,
        "configmap \"c\" deleted from default namespace\nconfigmap/c replaced\n"
    );
    let stale = MAP.replace("name: c,", "name: c, resourceVersion: '1',");
    let said = controller.refused(&["replace", "-f", "-"], &stale)?;
    assert!(
        said.contains("(Conflict)") && said.contains("the object has been modified"),
        "{said}"
    );
    Ok(())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn labels_annotations_scale_and_set() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["create", "deployment", "web", "--image=hello:v1"], "")?;
    let cases: &[(&[&str], &str)] = &[
        (
            &["label", "deploy/web", "tier=front"],
            "deployment.apps/web labeled\n",
        ),
        (
            &["label", "deploy/web", "tier=front"],
            "deployment.apps/web not labeled\n",
        ),
        (
            &["label", "deploy/web", "tier=back", "--overwrite"],
            "deployment.apps/web labeled\n",
        ),
        (
            &["label", "deploy/web", "tier-"],
            "deployment.apps/web unlabeled\n",
        ),
        (
            &["annotate", "deploy/web", "note=hello there"],
            "deployment.apps/web annotated\n",
        ),
        (
            &["annotate", "deploy/web", "note-"],
            "deployment.apps/web annotated\n",
        ),
        (
            &["scale", "deploy/web", "--replicas=3"],
            "deployment.apps/web scaled\n",
        ),
        (
            &[
                "scale",
                "deploy/web",
                "--current-replicas=3",
                "--replicas=0",
            ],
            "deployment.apps/web scaled\n",
        ),
        (
            &["set", "image", "deploy/web", "hello=hello:v2"],
            "deployment.apps/web image updated\n",
        ),
        (
            &["set", "env", "deploy/web", "A=b"],
            "deployment.apps/web env updated\n",
        ),
        (
            &["set", "resources", "deploy/web", "--limits=memory=32Mi"],
            "deployment.apps/web resource requirements updated\n",
        ),
        (
            &["set", "serviceaccount", "deploy/web", "robot"],
            "deployment.apps/web serviceaccount updated\n",
        ),
        (
            &["rollout", "pause", "deploy/web"],
            "deployment.apps/web paused\n",
        ),
        (
            &["rollout", "resume", "deploy/web"],
            "deployment.apps/web resumed\n",
        ),
        (
            &["rollout", "restart", "deploy/web"],
            "deployment.apps/web restarted\n",
        ),
    ];
    for (arguments, said) in cases {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    let shown = "jsonpath={.spec.replicas} {..image} {..env[0].value} {..limits.memory}";
    assert_eq!(
        controller.ok(&["get", "deploy", "web", "-o", shown], "")?,
        "0 hello:v2 b 32Mi"
    );
    let said = controller.refused(
        &[
            "patch",
            "deploy/web",
            "-p",
            r#"{"metadata":{"labels":{"a":"b c"}}}"#,
        ],
        "",
    )?;
    assert!(
        said.contains("metadata.labels: Invalid value: \"b c\": a valid label must be"),
        "{said}"
    );
    let said = controller.refused(
        &[
            "scale",
            "deploy/web",
            "--current-replicas=7",
            "--replicas=1",
        ],
        "",
    )?;
    assert!(said.contains("Expected replicas to be 7, was 0"), "{said}");
    Ok(())
}

#[test]
fn nodes_are_cordoned_and_tainted() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["create", "-f", "-"], NODE)?;
    let cases: &[(&[&str], &str)] = &[
        (&["cordon", "box"], "node/box cordoned\n"),
        (&["cordon", "box"], "node/box already cordoned\n"),
        (&["uncordon", "box"], "node/box uncordoned\n"),
        (
            &["taint", "node", "box", "gpu=yes:NoSchedule"],
            "node/box tainted\n",
        ),
        (
            &["taint", "node", "box", "gpu:NoSchedule-"],
            "node/box untainted\n",
        ),
        (&["label", "node", "box", "disk=ssd"], "node/box labeled\n"),
    ];
    for (arguments, said) in cases {
        assert_eq!(controller.ok(arguments, "")?, *said, "{arguments:?}");
    }
    Ok(())
}
