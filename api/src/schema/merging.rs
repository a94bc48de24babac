//! How fields merge, written into the shapes as upstream's OpenAPI extensions.
//!
//! The rules come from the table that `cargo xtask merging` writes; shapes of custom kinds bring the same
//! extensions with them, so that nobody after this has to know where a shape came from.

use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("merging.txt");

/// Adds the extensions to the definitions of built-in kinds.
pub(super) fn annotate(definitions: &mut Map<String, Value>) {
    let mut of = "";
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(' ') {
            None => {
                let (name, words) = line.split_once(' ').unwrap_or((line, ""));
                of = name;
                for_type(definitions, of, |schema| add(schema, words));
            }
            Some(rest) => {
                let (field, words) = rest.split_once(' ').unwrap_or((rest, ""));
                for_type(definitions, of, |schema| {
                    let property = schema.get_mut("properties").and_then(|p| p.get_mut(field));
                    if let Some(Value::Object(property)) = property {
                        add(property, words);
                    }
                });
            }
        }
    }
}

/// Runs on the definition of a type of the table, `core.v1.PodSpec`.
fn for_type(
    definitions: &mut Map<String, Value>,
    of: &str,
    mut run: impl FnMut(&mut Map<String, Value>),
) {
    // What ephemeral containers share with others is a type of its own in Go alone.
    let of = of.strip_suffix("Common").unwrap_or(of);
    for root in [
        "io.k8s.api",
        "io.k8s.apimachinery.pkg.apis",
        "io.k8s.apiextensions-apiserver.pkg.apis",
    ] {
        if let Some(Value::Object(schema)) = definitions.get_mut(&format!("{root}.{of}")) {
            run(schema);
        }
    }
}

fn add(schema: &mut Map<String, Value>, words: &str) {
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let mut put = |name: &str, value: Value| schema.insert(name.to_owned(), value);
        match name {
            "map" => {
                let keys: Vec<&str> = value.split(',').collect();
                put("x-kubernetes-list-type", json!("map"));
                put("x-kubernetes-list-map-keys", json!(keys));
            }
            "set" => drop(put("x-kubernetes-list-type", json!("set"))),
            "atomic" | "granular" => drop(put("x-kubernetes-map-type", json!(name))),
            "patch" => {
                let (strategy, key) = value.split_once(':').unwrap_or((value, ""));
                put("x-kubernetes-patch-strategy", json!(strategy));
                if !key.is_empty() {
                    put("x-kubernetes-patch-merge-key", json!(key));
                }
            }
            _ => drop(put("default", json!(value))),
        }
    }
}
