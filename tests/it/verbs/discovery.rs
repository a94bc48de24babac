//! What the server says that it serves, in both forms of discovery, beside the table.

use super::{
    exceptions::{self, EXTRA, LATER},
    table::{Row, Table, Verb},
};
use coracle_tests::client::Client;
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// By group and version and by name.
type Rows = BTreeMap<(String, String), Row>;

/// All differences.
pub(super) async fn differences(table: &Table, client: &mut Client) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (form, found) in [
        ("aggregated", aggregated(client, &mut problems).await?),
        ("plain", plain(client, &mut problems).await?),
    ] {
        compare(table, form, &found, &mut problems);
    }
    let mut unused: BTreeSet<&str> = LATER.iter().map(|(pattern, _)| *pattern).collect();
    for row in &table.rows {
        if let Some(pattern) = exceptions::later(row) {
            unused.remove(pattern);
        }
    }
    problems.extend(
        unused
            .iter()
            .map(|pattern| format!("the exception {pattern} is of nothing")),
    );
    Ok(problems)
}

fn compare(table: &Table, form: &str, found: &Rows, problems: &mut Vec<String>) {
    let mut left = found.clone();
    for row in &table.rows {
        let key = (row.version.clone(), row.name.clone());
        let served = left.remove(&key);
        match (served, exceptions::later(row)) {
            (None, Some(_)) => {}
            (None, None) => {
                problems.push(format!("{form}: {} {} is missing", row.version, row.name));
            }
            (Some(_), Some(pattern)) => {
                problems.push(format!(
                    "{form}: {} {} is served, against the exception {pattern}",
                    row.version, row.name
                ));
            }
            (Some(served), None) => {
                // What a verb answers is no matter of discovery.
                let mut wanted = row.clone();
                wanted
                    .verbs
                    .values_mut()
                    .for_each(|verb| *verb = Verb::default());
                if served != wanted {
                    problems.push(format!("{form}: {served:?}\n  instead of {wanted:?}"));
                }
            }
        }
    }
    for (version, name) in left.into_keys() {
        if !EXTRA.contains(&&*format!("{version} {name}")) {
            problems.push(format!(
                "{form}: {version} {name} is served, and upstream knows none"
            ));
        }
    }
}

fn words(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn verbs(value: &Value, problems: &mut Vec<String>) -> BTreeMap<String, Verb> {
    let list = words(value);
    let sorted = list.is_sorted();
    if !sorted {
        problems.push(format!("verbs are not in order: {list:?}"));
    }
    list.into_iter()
        .map(|verb| (verb, Verb::default()))
        .collect()
}

/// `apps/v1/Deployment`; a group or a version that is left out is the resource's.
fn kind(value: &Value, version: &str) -> String {
    let (group, own) = version.rsplit_once('/').unwrap_or(("", version));
    let part = |name: &str, default: &str| match value[name].as_str() {
        None | Some("") => default.to_owned(),
        Some(text) => text.to_owned(),
    };
    // A core kind below another group says its version and no group.
    let group = if value["version"].as_str().is_none_or(str::is_empty) {
        part("group", group)
    } else {
        word(&value["group"])
    };
    let parts = [group, part("version", own), word(&value["kind"])];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

async fn aggregated(client: &mut Client, problems: &mut Vec<String>) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for path in ["/api", "/apis"] {
        let answer = client
            .exchange(Method::GET, path, &[("accept", AGGREGATED)], "")
            .await?;
        let list = answer.json();
        if list["kind"] != "APIGroupDiscoveryList" || list["apiVersion"] != "apidiscovery.k8s.io/v2"
        {
            problems.push(format!(
                "{path} is no aggregated discovery: {}",
                list["kind"]
            ));
        }
        for group in list["items"].as_array().into_iter().flatten() {
            for of_version in group["versions"].as_array().into_iter().flatten() {
                let (group, version) = (
                    word(&group["metadata"]["name"]),
                    word(&of_version["version"]),
                );
                let version = if group.is_empty() {
                    version
                } else {
                    format!("{group}/{version}")
                };
                if of_version["freshness"] != "Current" {
                    problems.push(format!("{version} is not current"));
                }
                for resource in of_version["resources"].as_array().into_iter().flatten() {
                    for row in of_aggregated(resource, &version, problems) {
                        rows.insert((version.clone(), row.name.clone()), row);
                    }
                }
            }
        }
    }
    Ok(rows)
}

fn of_aggregated(resource: &Value, version: &str, problems: &mut Vec<String>) -> Vec<Row> {
    let main = Row {
        version: version.to_owned(),
        name: word(&resource["resource"]),
        kind: kind(&resource["responseKind"], version),
        namespaced: resource["scope"] == "Namespaced",
        singular: word(&resource["singularResource"]),
        short: words(&resource["shortNames"]),
        categories: words(&resource["categories"]),
        verbs: verbs(&resource["verbs"], problems),
    };
    let mut rows = Vec::new();
    for sub in resource["subresources"].as_array().into_iter().flatten() {
        rows.push(Row {
            version: version.to_owned(),
            name: format!("{}/{}", main.name, word(&sub["subresource"])),
            kind: kind(&sub["responseKind"], version),
            namespaced: main.namespaced,
            verbs: verbs(&sub["verbs"], problems),
            ..Row::default()
        });
    }
    rows.push(main);
    rows
}

async fn plain(client: &mut Client, problems: &mut Vec<String>) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    let core = client.get("/api").await?;
    if core["kind"] != "APIVersions" || words(&core["versions"]) != ["v1"] {
        problems.push(format!("/api is no APIVersions: {core}"));
    }
    let mut paths = vec![("v1".to_owned(), "/api/v1".to_owned())];
    let groups = client.get("/apis").await?;
    if groups["kind"] != "APIGroupList" {
        problems.push(format!("/apis is no APIGroupList: {groups}"));
    }
    for group in groups["groups"].as_array().into_iter().flatten() {
        let name = word(&group["name"]);
        let own = client.get(&format!("/apis/{name}")).await?;
        let same = own["kind"] == "APIGroup" && own["versions"] == group["versions"];
        if !same || group["preferredVersion"] != group["versions"][0] {
            problems.push(format!("/apis/{name} does not say what /apis says: {own}"));
        }
        for version in group["versions"].as_array().into_iter().flatten() {
            let version = word(&version["groupVersion"]);
            paths.push((version.clone(), format!("/apis/{version}")));
        }
    }
    for (version, path) in paths {
        let list = client.get(&path).await?;
        if list["kind"] != "APIResourceList" || list["groupVersion"] != version.as_str() {
            problems.push(format!("{path} is no APIResourceList of {version}"));
        }
        for resource in list["resources"].as_array().into_iter().flatten() {
            let row = Row {
                version: version.clone(),
                name: word(&resource["name"]),
                kind: kind(resource, &version),
                namespaced: resource["namespaced"] == true,
                singular: word(&resource["singularName"]),
                short: words(&resource["shortNames"]),
                categories: words(&resource["categories"]),
                verbs: verbs(&resource["verbs"], problems),
            };
            rows.insert((version.clone(), row.name.clone()), row);
        }
    }
    Ok(rows)
}
