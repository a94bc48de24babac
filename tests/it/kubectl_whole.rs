//! Commands that ask for everything there is: explain of every kind, prune, kustomize, dumps, templates.

use coracle_tests::Controller;

const LABELED: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, labels: {set: one}}\ndata: {a: '1'}\n";

#[test]
fn every_kind_is_explained_to_the_bottom() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let listed = controller.ok(&["api-resources", "--verbs=get", "--no-headers"], "")?;
    let mut count = 0;
    for line in listed.lines() {
        // NAME, perhaps SHORTNAMES, APIVERSION, NAMESPACED, KIND.
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, version) = (words[0], words[words.len() - 3]);
        count += 1;
        let ask = ["explain", name, "--api-version", version, "--recursive"];
        let explained = controller.ok(&ask, "")?;
        let is_whole = explained.contains("DESCRIPTION:")
            && explained.contains("metadata\t<ObjectMeta>")
            && !explained.contains("<empty>");
        assert!(is_whole, "{name}: {explained}");
    }
    assert!(count > 40, "{listed}");
    let deep = controller.ok(&["explain", "hpa.spec.metrics.resource.target"], "")?;
    assert!(deep.contains("averageUtilization"), "{deep}");
    Ok(())
}

#[test]
fn prune_takes_what_is_no_longer_applied() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let prune = ["apply", "--prune", "-l", "set=one", "-f", "-"];
    let both = format!(
        "{}---\n{}",
        LABELED.replace("NAME", "a"),
        LABELED.replace("NAME", "b")
    );
    assert_eq!(
        controller.ok(&prune, &both)?,
        "configmap/a created\nconfigmap/b created\n"
    );
    assert_eq!(
        controller.ok(&prune, &LABELED.replace("NAME", "b"))?,
        "configmap/b unchanged\nconfigmap/a pruned\n"
    );
    Ok(())
}

#[test]
fn kustomize_templates_and_raw_paths() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let base = dir.path().join("base");
    std::fs::create_dir(&base)?;
    std::fs::write(
        base.join("kustomization.yaml"),
        "namePrefix: x-\ncommonAnnotations: {by: kustomize}\nresources: [map.yaml]\nconfigMapGenerator: [{name: made, literals: [k=v]}]\n",
    )?;
    std::fs::write(base.join("map.yaml"), LABELED.replace("NAME", "kept"))?;
    let base = base.to_string_lossy();
    let applied = controller.ok(&["apply", "-k", &base], "")?;
    assert!(
        applied.contains("configmap/x-kept created") && applied.contains("configmap/x-made-"),
        "{applied}"
    );
    assert_eq!(controller.ok(&["diff", "-k", &base], "")?, "");

    let template = "go-template={{range .items}}{{if eq .metadata.name \"x-kept\"}}{{.metadata.annotations.by}}{{end}}{{end}}";
    assert_eq!(
        controller.ok(&["get", "cm", "-o", template], "")?,
        "kustomize"
    );
    let columns = [
        "get",
        "cm",
        "x-kept",
        "--no-headers",
        "-o",
        "custom-columns=N:.metadata.name,A:.data.a",
    ];
    let row: Vec<String> = controller
        .ok(&columns, "")?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(row, ["x-kept", "1"]);
    let raw = controller.ok(
        &[
            "get",
            "--raw",
            "/api/v1/namespaces/default/configmaps/x-kept",
        ],
        "",
    )?;
    assert!(raw.contains("\"kind\":\"ConfigMap\""), "{raw}");
    Ok(())
}

#[test]
fn a_dump_has_all_that_a_cluster_has() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let dump = controller.ok(
        &[
            "cluster-info",
            "dump",
            "--namespaces",
            "default,kube-system",
        ],
        "",
    )?;
    for kind in [
        "NodeList",
        "EventList",
        "DaemonSetList",
        "DeploymentList",
        "PodList",
        "ReplicationControllerList",
    ] {
        assert!(
            dump.contains(&format!("\"kind\": \"{kind}\"")),
            "{kind} is not in the dump"
        );
    }
    controller.ok(&["events", "--all-namespaces"], "")?;
    assert!(
        controller
            .ok(&["api-versions"], "")?
            .contains("apiextensions.k8s.io/v1")
    );
    Ok(())
}
