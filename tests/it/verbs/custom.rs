//! The same for a custom kind, whose row no document of upstream has: it is what the API server gives each of them.

use super::{
    drive,
    session::Session,
    table::{Row, Table, Verb},
};
use coracle_tests::client::Endpoint;
use serde_json::{Value, json};

const GROUP: &str = "example.com";

pub(super) fn is_custom(row: &Row) -> bool {
    row.group() == GROUP
}

fn definition() -> Value {
    let integer = json!({"type": "integer"});
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"replicas": integer}},
        "status": {"type": "object", "properties": {"replicas": integer, "selector": {"type": "string"}}},
    }});
    let paths =
        json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wi"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": paths},
            }],
        },
    })
}

/// The rows of the kind, as the generic handlers of the API server have them.
pub(super) fn rows() -> Vec<Row> {
    let (own, list, scale) = (
        "example.com/v1/Widget",
        "example.com/v1/WidgetList",
        "autoscaling/v1/Scale",
    );
    let row = |name: &str, kind: &str, verbs: &[(&str, &[u16], &str)]| Row {
        version: "example.com/v1".to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        verbs: verbs
            .iter()
            .map(|(verb, codes, shape)| {
                let (codes, shape) = (codes.to_vec(), (*shape).to_owned());
                ((*verb).to_owned(), Verb { codes, shape })
            })
            .collect(),
        ..Row::default()
    };
    let mut main = row(
        "widgets",
        own,
        &[
            ("create", &[200, 201, 202], own),
            ("delete", &[200, 202], "v1/Status"),
            ("deletecollection", &[200], "v1/Status"),
            ("get", &[200], own),
            ("list", &[200], list),
            ("patch", &[200, 201], own),
            ("update", &[200, 201], own),
            ("watch", &[200], "v1/WatchEvent"),
        ],
    );
    main.singular = "widget".to_owned();
    main.short = vec!["wi".to_owned()];
    main.categories = vec!["all".to_owned()];
    let part = |name: &str, kind: &str| {
        row(
            name,
            kind,
            &[
                ("get", &[200], kind),
                ("patch", &[200, 201], kind),
                ("update", &[200, 201], kind),
            ],
        )
    };
    vec![
        main,
        part("widgets/status", own),
        part("widgets/scale", scale),
    ]
}

/// Adds what the kind's definition would publish.
pub(super) fn extend(table: &mut Table) {
    let fields = ["apiVersion", "kind", "metadata", "spec", "status"].map(|name| (name, false));
    table.add_shape("example.com/v1/Widget", &fields);
    let fields = [
        ("apiVersion", false),
        ("kind", false),
        ("metadata", false),
        ("items", true),
    ];
    table.add_shape("example.com/v1/WidgetList", &fields);
    table.rows.extend(rows());
}

/// Waits until the kind is served.
pub(super) async fn define(endpoint: &Endpoint) -> anyhow::Result<()> {
    let mut client = endpoint.connect().await?;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.create(path, &definition()).await?;
    let begin = tokio::time::Instant::now();
    loop {
        let found = client.get(&format!("{path}/widgets.example.com")).await?;
        let conditions = found["status"]["conditions"].as_array();
        let served = conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Established" && one["status"] == "True");
        if served {
            return Ok(());
        }
        anyhow::ensure!(begin.elapsed().as_secs() < 20, "never served: {found}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Tries the kind.
pub(super) async fn try_it(table: &Table, endpoint: &Endpoint) -> anyhow::Result<Vec<String>> {
    let row = table.rows.iter().find(|row| row.name == "widgets");
    let row = row.expect("it was added");
    let mut session = Session::begin(table, row, endpoint, "custom").await?;
    drive::resource(&mut session).await?;
    Ok(session.problems)
}
