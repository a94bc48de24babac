//! `cargo xtask upstream`: writes the table that the test of all verbs compares this server with.
//!
//! It reads what the Kubernetes project publishes of its API, and nothing of ours: verbs, codes and shapes from
//! `api/openapi-spec/swagger.json`, short names, categories and singular names from `api/discovery/api__v1.json` and
//! `api/discovery/aggregated_v2.json` of its repository. It is run when the Kubernetes version changes.

use crate::run::root;
use anyhow::Context as _;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

const HEAD: &str = "# What upstream's documents say of every resource. Written by `cargo xtask upstream` from its OpenAPI document and its
# discovery documents; nothing in here comes from this server. After `:` stand the verbs, each with the codes of success
# and the shape of the answer. A line that begins with `shape` names the top-level fields of a shape, `!` the required.
";

/// A resource or a subresource.
#[derive(Debug, Default, PartialEq, Eq)]
struct Resource {
    /// Group, version and kind of what is sent, joined by slashes.
    kind: String,
    namespaced: bool,
    /// Verb to codes and shape.
    verbs: BTreeMap<&'static str, (String, String)>,
}

/// By group and version, and by plural, with the subresource after a slash.
type Resources = BTreeMap<(String, String), Resource>;

/// Singular name, short names and categories by group and plural: they are those of every version.
type Names = BTreeMap<(String, String), (String, String, String)>;

/// Writes the table.
pub(crate) fn run(kubernetes: &Path) -> anyhow::Result<()> {
    let read = |name: &str| -> anyhow::Result<Value> {
        let file = kubernetes.join(name);
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
    };
    let openapi = read("api/openapi-spec/swagger.json")?;
    let core = read("api/discovery/api__v1.json")?;
    let groups = read("api/discovery/aggregated_v2.json")?;
    let text = table(&openapi, &names(&core, &groups))?;
    fs::write(root().join("tests/it/verbs/upstream.txt"), text)?;
    Ok(())
}

fn table(openapi: &Value, names: &Names) -> anyhow::Result<String> {
    let (resources, shapes) = resources(openapi)?;
    let mut text = HEAD.to_owned();
    for ((version, plural), resource) in &resources {
        let scope = if resource.namespaced {
            "namespaced"
        } else {
            "cluster"
        };
        write!(text, "{version} {plural} {} {scope}", resource.kind)?;
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        if let Some((singular, short, categories)) = names.get(&(group.to_owned(), plural.clone()))
        {
            for (name, value) in [
                ("singular", singular),
                ("short", short),
                ("categories", categories),
            ] {
                if !value.is_empty() {
                    write!(text, " {name}={value}")?;
                }
            }
        }
        text.push_str(" :");
        for (verb, (codes, shape)) in &resource.verbs {
            write!(text, " {verb}={codes}={shape}")?;
        }
        text.push('\n');
    }
    for name in &shapes {
        let definition = &openapi["definitions"][name];
        let required: Vec<&str> = texts(&definition["required"]);
        write!(text, "shape {}", shape(openapi, name))?;
        for field in definition["properties"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            let mark = if required.contains(&field.as_str()) {
                "!"
            } else {
                ""
            };
            write!(text, " {field}{mark}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// All resources, and the names of the definitions they answer with.
fn resources(openapi: &Value) -> anyhow::Result<(Resources, BTreeSet<String>)> {
    let (mut resources, mut shapes) = (Resources::new(), BTreeSet::new());
    let paths = openapi["paths"].as_object().context("no paths")?;
    for (path, operations) in paths {
        let Some(place) = place(path) else { continue };
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let Some(verb) = verb(method, operation["x-kubernetes-action"].as_str()) else {
                continue;
            };
            let resource = resources
                .entry((place.version.clone(), place.resource.clone()))
                .or_default();
            resource.namespaced |= place.namespaced;
            let kind = &operation["x-kubernetes-group-version-kind"];
            resource.kind = group_version_kind(kind);
            let responses = operation["responses"].as_object();
            let good = responses
                .into_iter()
                .flatten()
                .filter(|(code, _)| code.starts_with('2'));
            let codes: Vec<&str> = good.clone().map(|(code, _)| code.as_str()).collect();
            let schema = good.clone().map(|(_, answer)| &answer["schema"]).next();
            let schema = schema.context("an operation never succeeds")?;
            let shown = match schema["$ref"]
                .as_str()
                .and_then(|name| name.rsplit('/').next())
            {
                Some(name) => {
                    shapes.insert(name.to_owned());
                    shape(openapi, name)
                }
                None => schema["type"].as_str().unwrap_or("none").to_owned(),
            };
            resource.verbs.insert(verb, (codes.join(","), shown));
        }
    }
    Ok((resources, shapes))
}

/// What a path is about.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    version: String,
    resource: String,
    namespaced: bool,
}

fn place(path: &str) -> Option<Place> {
    let mut parts = path.trim_matches('/').split('/');
    let version = match parts.next()? {
        "api" => parts.next()?.to_owned(),
        "apis" => format!("{}/{}", parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut rest: Vec<&str> = parts.filter(|part| *part != "watch").collect();
    let namespaced = rest.starts_with(&["namespaces", "{namespace}"]);
    if namespaced {
        rest.drain(..2);
    }
    let resource = match rest.as_slice() {
        [plural] | [plural, "{name}"] => (*plural).to_owned(),
        [plural, "{name}", sub] => format!("{plural}/{sub}"),
        // Of proxies, the path behind.
        _ => return None,
    };
    Some(Place {
        version,
        resource,
        namespaced,
    })
}

/// In the words of discovery. A connection is called by its method.
fn verb(method: &str, action: Option<&str>) -> Option<&'static str> {
    Some(match (action?, method) {
        ("get", _) | ("connect", "get") => "get",
        ("list", _) => "list",
        ("post", _) | ("connect", "post") => "create",
        ("put", _) | ("connect", "put") => "update",
        ("patch", _) | ("connect", "patch") => "patch",
        ("delete", _) | ("connect", "delete") => "delete",
        ("deletecollection", _) => "deletecollection",
        ("watch" | "watchlist", _) => "watch",
        _ => return None,
    })
}

/// How a definition is called in the table: by its kind, as `apps/v1/Deployment`; without one by its own name.
fn shape(openapi: &Value, name: &str) -> String {
    let kind = &openapi["definitions"][name]["x-kubernetes-group-version-kind"][0];
    if kind.is_null() {
        name.to_owned()
    } else {
        group_version_kind(kind)
    }
}

fn group_version_kind(kind: &Value) -> String {
    let parts = ["group", "version", "kind"].map(|part| kind[part].as_str().unwrap_or_default());
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

fn names(core: &Value, groups: &Value) -> Names {
    let mut names = Names::new();
    let mut note = |group: &str, resource: &Value, plural: &str, singular: &str| {
        let plural = resource[plural].as_str().unwrap_or_default();
        let singular = resource[singular].as_str().unwrap_or_default();
        let joined = |name: &str| texts(&resource[name]).join(",");
        if !plural.contains('/') {
            let of = (
                singular.to_owned(),
                joined("shortNames"),
                joined("categories"),
            );
            names.insert((group.to_owned(), plural.to_owned()), of);
        }
    };
    for resource in list(&core["resources"]) {
        note("", resource, "name", "singularName");
    }
    for group in list(&groups["items"]) {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in list(&group["versions"]) {
            for resource in list(&version["resources"]) {
                note(name, resource, "resource", "singularResource");
            }
        }
    }
    names
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_paths() {
        let check = |path: &str, version: &str, resource: &str, namespaced| {
            let place = place(path).unwrap();
            assert_eq!(
                (&*place.version, &*place.resource, place.namespaced),
                (version, resource, namespaced)
            );
        };
        check("/api/v1/pods", "v1", "pods", false);
        check(
            "/api/v1/namespaces/{name}/status",
            "v1",
            "namespaces/status",
            false,
        );
        check(
            "/api/v1/watch/namespaces/{namespace}/pods/{name}",
            "v1",
            "pods",
            true,
        );
        check(
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "apps/v1",
            "deployments/scale",
            true,
        );
        assert_eq!(place("/api/v1/nodes/{name}/proxy/{path}"), None);
        assert_eq!(place("/version/"), None);
    }

    #[test]
    fn a_line_says_all() {
        let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        let answer = json!({"schema": {"$ref": "#/definitions/a.Deployment"}});
        let openapi = json!({
            "paths": {"/apis/apps/v1/namespaces/{namespace}/deployments": {
                "parameters": [],
                "post": {"x-kubernetes-action": "post", "x-kubernetes-group-version-kind": kind,
                         "responses": {"200": answer, "201": answer, "401": {}}},
            }},
            "definitions": {"a.Deployment": {"x-kubernetes-group-version-kind": [kind], "required": ["spec"],
                                             "properties": {"kind": {}, "spec": {}}}},
        });
        let core = json!({});
        let groups = json!({"items": [{"metadata": {"name": "apps"}, "versions": [{"resources": [
            {"resource": "deployments", "singularResource": "deployment", "shortNames": ["deploy"], "categories": ["all"]},
        ]}]}]});
        let text = table(&openapi, &names(&core, &groups)).unwrap();
        assert_eq!(
            text.strip_prefix(HEAD).unwrap(),
            "apps/v1 deployments apps/v1/Deployment namespaced singular=deployment short=deploy categories=all : create=200,201=apps/v1/Deployment\n\
             shape apps/v1/Deployment kind spec!\n"
        );
    }
}
