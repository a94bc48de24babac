//! Custom kinds with kubectl: defined, served at once, validated, pruned, printed, applied, and gone with their definition.

use anyhow::Context as _;
use coracle_tests::Controller;
use serde_json::Value;

const CRD: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas, priority: 1}
    selectableFields:
    - {jsonPath: .spec.cronSpec}
    schema:
      openAPIV3Schema:
        type: object
        description: CronTab runs something again and again.
        properties:
          spec:
            type: object
            required: [cronSpec]
            x-kubernetes-validations:
            - {rule: 'self.replicas <= self.max', message: 'more replicas than the maximum'}
            properties:
              cronSpec: {type: string, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}
              replicas: {type: integer, minimum: 1, default: 1}
              max: {type: integer, default: 10}
              rules:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [host]
                items: {type: object, required: [host], properties: {host: {type: string}, to: {type: string}}}
          status:
            type: object
            properties: {replicas: {type: integer}}
"#;
const TAB: &str = "apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: tab}\nspec: {cronSpec: '* * * * */5'}\n";

fn defined(dir: &std::path::Path) -> anyhow::Result<Controller> {
    let controller = Controller::start(dir)?;
    controller.ok(&["apply", "-f", "-"], CRD)?;
    controller.ok(
        &[
            "wait",
            "--for=condition=Established",
            "crd/crontabs.stable.example.com",
            "--timeout=10s",
        ],
        "",
    )?;
    Ok(controller)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands and answers")]
fn objects_are_served_and_printed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = defined(dir.path())?;
    assert_eq!(
        controller.ok(&["create", "-f", "-"], TAB)?,
        "crontab.stable.example.com/tab created\n"
    );
    let printed = controller.ok(&["get", "ct", "-o", "wide"], "")?;
    let columns: Vec<&str> = printed
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(columns, ["NAME", "SPEC", "REPLICAS"]);
    assert!(
        printed.contains("tab") && printed.contains("* * * * */5"),
        "{printed}"
    );
    assert!(
        controller
            .ok(&["get", "all"], "")?
            .contains("crontab.stable.example.com/tab")
    );
    let defaults = [
        "get",
        "crontab/tab",
        "-o",
        "jsonpath={.spec.replicas} {.spec.max} {.metadata.generation}",
    ];
    assert_eq!(controller.ok(&defaults, "")?, "1 10 1");
    let selected = [
        "get",
        "ct",
        "-o",
        "name",
        "--field-selector",
        "spec.cronSpec=none",
    ];
    assert_eq!(controller.ok(&selected, "")?, "");

    let explained = controller.ok(&["explain", "crontab.spec.replicas"], "")?;
    assert!(
        explained.contains("FIELD: replicas <integer>"),
        "{explained}"
    );
    assert!(
        controller
            .ok(&["explain", "crontab"], "")?
            .contains("again and again")
    );
    // The second version of OpenAPI, in the form that Go clients read.
    let older = "--output=plaintext-openapiv2";
    let explained = controller.ok(&["explain", "crontab.spec.replicas", older], "")?;
    assert!(
        explained.contains("FIELD:    replicas <integer>"),
        "{explained}"
    );
    let explained = controller.ok(&["explain", "deployment.spec.template", older], "")?;
    assert!(explained.contains("PodTemplateSpec"), "{explained}");
    assert_eq!(
        controller.ok(&["scale", "crontab/tab", "--replicas=3"], "")?,
        "crontab.stable.example.com/tab scaled\n"
    );
    assert_eq!(controller.ok(&defaults, "")?, "3 10 2");
    let status = r#"{"status":{"replicas":2},"spec":{"replicas":9}}"#;
    controller.ok(
        &[
            "patch",
            "ct/tab",
            "--type=merge",
            "--subresource=status",
            "-p",
            status,
        ],
        "",
    )?;
    let shown = [
        "get",
        "ct/tab",
        "-o",
        "jsonpath={.status.replicas} {.spec.replicas}",
    ];
    assert_eq!(controller.ok(&shown, "")?, "2 3");
    let said = controller.refused(&["patch", "ct/tab", "--type=strategic", "-p", "{}"], "")?;
    assert!(said.contains("application/apply-patch+yaml"), "{said}");
    Ok(())
}

#[test]
fn what_does_not_fit_the_schema_is_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = defined(dir.path())?;
    for (change, words) in [
        ("cronSpec: '* * * * */5'", "spec.cronSpec"),
        (
            "cronSpec: '* * * * */5', replicas: 0",
            "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1",
        ),
        (
            "cronSpec: '* * * * */5', replicas: 11",
            "more replicas than the maximum",
        ),
        (
            "cronSpec: '* * * * */5', typo: 1",
            "unknown field \"spec.typo\"",
        ),
        ("replicas: 1", "spec.cronSpec: Required value"),
    ] {
        let mut text = TAB.replace("cronSpec: '* * * * */5'", change);
        text = text.replace("name: tab", "name: other");
        if words == "spec.cronSpec" {
            text = text.replace("* * * * */5", "often");
        }
        let said = controller.refused(&["create", "-f", "-"], &text)?;
        assert!(said.contains(words), "{said}");
    }
    Ok(())
}

#[test]
fn rules_that_could_cost_too_much_are_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let costly = CRD.replace(
        "self.replicas <= self.max'",
        "self.rules.all(a, self.rules.all(b, a.host != b.host + \"x\"))'",
    );
    let said = controller.refused(&["create", "-f", "-"], &costly)?;
    let words = "x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule";
    assert!(said.contains(words), "{said}");
    let limited = costly
        .replace(
            "                type: array\n",
            "                type: array\n                maxItems: 20\n",
        )
        .replace(
            "{host: {type: string}",
            "{host: {type: string, maxLength: 63}",
        );
    controller.ok(&["create", "-f", "-"], &limited)?;
    Ok(())
}

#[test]
fn apply_merges_by_the_schema_and_all_of_it_survives_a_restart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = defined(dir.path())?;
    let with = |rules: &str| TAB.replace("*/5'}", &format!("*/5', rules: {rules}}}"));
    let apply = |manager: &str, text: &str| {
        controller.ok(
            &[
                "apply",
                "--server-side",
                "--field-manager",
                manager,
                "-f",
                "-",
            ],
            text,
        )
    };
    apply("one", &with("[{host: a, to: here}]"))?;
    apply("two", &with("[{host: b, to: there}]"))?;
    let hosts = ["get", "ct/tab", "-o", "jsonpath={.spec.rules[*].host}"];
    assert_eq!(controller.ok(&hosts, "")?, "a b");
    apply("one", TAB)?;
    assert_eq!(controller.ok(&hosts, "")?, "b");
    controller.ok(&["apply", "-f", "-"], &with("[{host: b, to: there}]"))?;
    assert_eq!(
        controller.ok(&["diff", "-f", "-"], &with("[{host: b, to: there}]"))?,
        ""
    );
    controller.stop(std::time::Duration::from_secs(20))?;

    let controller = Controller::start(dir.path())?;
    assert_eq!(controller.ok(&hosts, "")?, "b");
    let said = controller.refused(
        &["create", "-f", "-"],
        &TAB.replace("name: tab", "name: x")
            .replace("spec: {", "spec: {replicas: 0, "),
    )?;
    assert!(said.contains("greater than or equal to 1"), "{said}");
    Ok(())
}

#[test]
fn a_definition_goes_with_its_objects() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = defined(dir.path())?;
    controller.ok(&["create", "-f", "-"], TAB)?;
    controller.ok(&["create", "namespace", "shop"], "")?;
    controller.ok(&["create", "-n", "shop", "-f", "-"], TAB)?;
    controller.ok(&["delete", "namespace", "shop", "--timeout=20s"], "")?;
    assert_eq!(controller.items(&["get", "ct", "-A"])?.len(), 1);
    controller.ok(
        &["delete", "crd/crontabs.stable.example.com", "--timeout=20s"],
        "",
    )?;
    // kubectl may remember for a while that there was such a kind.
    let said = controller.refused(
        &["get", "--raw", "/apis/stable.example.com/v1/crontabs"],
        "",
    )?;
    assert!(
        said.contains("could not find the requested resource"),
        "{said}"
    );

    // A taken name is said in the status, and is taken once it is free.
    let other = CRD.replace("crontabs", "tabs").replace(
        "plural: tabs, singular: crontab",
        "plural: tabs, singular: tab",
    );
    controller.ok(&["apply", "-f", "-"], CRD)?;
    controller.ok(
        &[
            "wait",
            "--for=condition=Established",
            "crd/crontabs.stable.example.com",
            "--timeout=10s",
        ],
        "",
    )?;
    controller.ok(&["apply", "-f", "-"], &other)?;
    controller.ok(
        &[
            "wait",
            "--for=condition=NamesAccepted=false",
            "crd/tabs.stable.example.com",
            "--timeout=10s",
        ],
        "",
    )?;
    controller.ok(
        &["delete", "crd/crontabs.stable.example.com", "--timeout=20s"],
        "",
    )?;
    controller.ok(
        &[
            "wait",
            "--for=condition=Established",
            "crd/tabs.stable.example.com",
            "--timeout=10s",
        ],
        "",
    )?;
    let said = controller.refused(
        &["create", "-f", "-"],
        &CRD.replace("type: string, pattern", "type: strin, pattern")
            .replace("crontabs", "xs"),
    )?;
    assert!(said.contains("Unsupported value: \"strin\""), "{said}");
    Ok(())
}

const TWO_VERSIONS: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: bars.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: bars, singular: bar, kind: Bar}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
";

/// The way in which every operator moves its kind on: whatever version is stored, clients get the one they ask for.
#[test]
fn another_version_is_stored_and_nobody_notices() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["apply", "-f", "-"], TWO_VERSIONS)?;
    controller.ok(
        &[
            "wait",
            "--for=condition=Established",
            "crd/bars.example.com",
            "--timeout=30s",
        ],
        "",
    )?;
    let bar = |version: &str, name: &str| {
        format!(
            "apiVersion: example.com/{version}\nkind: Bar\nmetadata: {{name: {name}}}\nspec: {{a: 1}}\n"
        )
    };
    let store = |version: &str| {
        let stores = |of: &str| version == of;
        let patch = format!(
            r#"[{{"op": "replace", "path": "/spec/versions/0/storage", "value": {}}}, {{"op": "replace", "path": "/spec/versions/1/storage", "value": {}}}]"#,
            stores("v1"),
            stores("v2")
        );
        let patch = [
            "patch",
            "crd",
            "bars.example.com",
            "--type=json",
            "-p",
            &patch,
        ];
        controller.ok(&patch, "").map(drop)
    };
    let path = |version: &str| format!("/apis/example.com/{version}/namespaces/default/bars");
    controller.ok(&["create", "-f", "-"], &bar("v1", "old"))?;
    for (stored, name) in [("v2", "new"), ("v1", "newest")] {
        store(stored)?;
        controller.ok(&["create", "-f", "-"], &bar(stored, name))?;
        for version in ["v1", "v2"] {
            let whole = format!("example.com/{version}");
            let list: Value =
                serde_json::from_str(&controller.ok(&["get", "--raw", &path(version)], "")?)?;
            let items = list["items"].as_array().context("no items")?;
            for item in items {
                assert_eq!(
                    item["apiVersion"],
                    whole.as_str(),
                    "stored {stored}: {item}"
                );
            }
            let watch = format!("{}?watch=true&timeoutSeconds=1", path(version));
            let events = controller.ok(&["get", "--raw", &watch], "")?;
            assert_eq!(events.matches("\"ADDED\"").count(), items.len(), "{events}");
            let named = format!(r#"{{"apiVersion":"{whole}","kind":"Bar""#);
            assert_eq!(events.matches(&named).count(), items.len(), "{events}");
            let one = format!("{}/old", path(version));
            let object = controller.ok(&["get", "--raw", &one], "")?;
            let found: Value = serde_json::from_str(&object)?;
            assert_eq!(found["apiVersion"], whole.as_str(), "stored {stored}");
            let written = controller.ok(&["replace", "--raw", &one, "-f", "-"], &object)?;
            let written: Value = serde_json::from_str(&written)?;
            assert_eq!(written["apiVersion"], whole.as_str(), "stored {stored}");
        }
    }
    Ok(())
}
