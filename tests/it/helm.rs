//! Helm 4 on the chart in `examples/charts`: install, upgrade, roll back, test, uninstall, with hooks and a custom kind.

use coracle_tests::{Controller, root};
use std::{
    path::Path,
    process::{Command, Output},
};

struct Helm<'a> {
    up: &'a Controller,
    dir: &'a Path,
}

impl Helm<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let program = std::env::var("CORACLE_HELM").expect("cargo xtask test sets it");
        Ok(Command::new(program)
            .env_clear()
            .env("HOME", self.dir)
            .env("KUBECONFIG", self.up.kubeconfig())
            .args(arguments)
            .output()?)
    }

    fn ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let pods = || {
            self.up
                .ok(&["get", "pods,events", "-o", "wide"], "")
                .unwrap_or_default()
        };
        anyhow::ensure!(
            output.status.success(),
            "helm {arguments:?}: {said}\n{}",
            pods()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn refused(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        anyhow::ensure!(!output.status.success(), "helm {arguments:?} succeeded");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn greeting(&self) -> anyhow::Result<String> {
        self.up.ok(
            &[
                "get",
                "--raw",
                "/api/v1/namespaces/default/services/web:http/proxy/",
            ],
            "",
        )
    }
}

#[test]
fn a_release_lives() -> anyhow::Result<()> {
    let (dir, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let up = Controller::up(dir.path(), &["--node-name", "laptop"])?;
    let guests = root().join("wasm-examples/prebuilt");
    up.push(&guests.join("hello-http.wasm"), "hello-http:v1")?;
    up.push(&guests.join("report.wasm"), "report:v1")?;
    let chart = root().join("examples/charts/greeter");
    let chart = chart.to_string_lossy();
    let helm = Helm {
        up: &up,
        dir: home.path(),
    };

    let said = helm.ok(&["install", "web", &chart, "--wait", "--timeout", "120s"])?;
    assert!(
        said.contains("STATUS: deployed") && said.contains("2 copies greet"),
        "{said}"
    );
    assert!(helm.greeting()?.contains("Ahoy"));
    let custom = up.ok(&["get", "greetings", "-o", "jsonpath={.items[*].spec}"], "")?;
    assert_eq!(custom, r#"{"language":"en","text":"Ahoy"}"#);
    let hook = ["get", "pod", "web-before", "-o", "jsonpath={.status.phase}"];
    assert_eq!(up.ok(&hook, "")?, "Succeeded");
    assert!(
        helm.ok(&["test", "web", "--timeout", "60s"])?
            .contains("Phase:          Succeeded")
    );

    let upgrade = [
        "upgrade",
        "web",
        &chart,
        "--wait",
        "--timeout",
        "120s",
        "--set",
    ];
    helm.ok(&[&upgrade[..], &["greeting=Moin,replicas=1"]].concat())?;
    assert!(helm.greeting()?.contains("Moin"));
    assert_eq!(
        up.items(&["get", "pods", "-l", "app.kubernetes.io/instance=web"])?
            .len(),
        1
    );
    let said = helm.refused(&[&upgrade[..], &["greeting="]].concat())?;
    assert!(said.contains("spec.text"), "{said}");
    helm.ok(&["rollback", "web", "1", "--wait", "--timeout", "120s"])?;
    assert!(helm.greeting()?.contains("Ahoy"));
    let history = helm.ok(&["history", "web", "-o", "json"])?;
    assert!(history.contains("Rollback to 1"), "{history}");
    helm.ok(&[&upgrade[..], &["testExit=3"]].concat())?;
    helm.refused(&["test", "web", "--timeout", "60s"])?;

    let said = helm.ok(&["uninstall", "web", "--wait", "--timeout", "60s"])?;
    assert!(said.contains("uninstalled"), "{said}");
    assert_eq!(
        up.ok(
            &[
                "get",
                "deploy,svc,greetings",
                "-l",
                "app.kubernetes.io/instance=web",
                "-o",
                "name"
            ],
            ""
        )?,
        ""
    );
    assert_eq!(up.items(&["get", "secrets", "-l", "owner=helm"])?.len(), 0);
    Ok(())
}
