//! Files of a volume that lie on or in each other.
//!
//! Source: k8s.io/kubernetes `pkg/api/pod/warnings.go`, `warningsForOverlappingVirtualPaths`.

use super::SAID_MAX;
use serde_json::Value;
use std::{collections::BTreeSet, ops::Bound};

/// Sources of a projected volume that are compared with each other, and paths of them.
const SOURCES_MAX: usize = 100;
const PATHS_MAX: usize = 1_000;

pub(super) fn check(volume: &Value, said: &mut Vec<String>) {
    let name = volume["name"].as_str().unwrap_or_default();
    for (source, of) in [
        ("configMap", "name"),
        ("secret", "secretName"),
        ("downwardAPI", ""),
    ] {
        let source_of = &volume[source];
        let from = origin(source, &source_of[of]);
        let why = format!("volume {name:?} ({from}): overlapping paths");
        overlaps(items(source_of), &why, said);
    }
    let mut all: BTreeSet<&str> = BTreeSet::new();
    let sources = volume["projected"]["sources"].as_array();
    for source in sources.into_iter().flatten().take(SOURCES_MAX) {
        if all.len() > PATHS_MAX {
            return;
        }
        let Some((from, paths)) = projection(source) else {
            if source.as_object().is_none_or(serde_json::Map::is_empty) {
                said.push(format!(
                    "volume {name:?} (Projected) has no sources provided"
                ));
            }
            continue;
        };
        let why = format!("volume {name:?} (Projected {from}): overlapping paths");
        overlaps(paths.clone(), &why, said);
        // Each once, with those of the sources before, in order.
        let own: BTreeSet<&str> = paths.into_iter().collect();
        let mut both: Vec<&str> = own.iter().chain(&all).copied().collect();
        both.sort_unstable();
        overlaps(both, &why, said);
        all.extend(own);
    }
}

fn origin(source: &str, name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    match source {
        "configMap" => format!("ConfigMap {name:?}"),
        "secret" => format!("Secret {name:?}"),
        _ => "DownwardAPI".to_owned(),
    }
}

fn items(source: &Value) -> Vec<&str> {
    let all = source["items"].as_array().into_iter().flatten();
    all.map(|item| item["path"].as_str().unwrap_or_default())
        .collect()
}

/// What a source of a projected volume is, and its files.
fn projection(source: &Value) -> Option<(String, Vec<&str>)> {
    for field in ["configMap", "secret", "downwardAPI"] {
        if source[field]["items"].is_array() {
            let from = origin(field, &source[field]["name"]);
            return Some((from, items(&source[field])));
        }
    }
    let (token, bundle) = (
        &source["serviceAccountToken"],
        &source["clusterTrustBundle"],
    );
    if let Some(path) = token["path"].as_str() {
        return Some(("ServiceAccountToken".to_owned(), vec![path]));
    }
    let path = bundle["path"].as_str()?;
    let name = bundle["name"].as_str().or(bundle["signerName"].as_str());
    let from = format!("ClusterTrustBundle {:?}", name.unwrap_or_default());
    Some((from, vec![path]))
}

fn overlaps(paths: Vec<&str>, why: &str, said: &mut Vec<String>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for path in paths {
        if said.len() >= SAID_MAX {
            return;
        }
        let path = path.trim_end_matches('/');
        if let Some(other) = overlap(&seen, path) {
            said.push(format!("{why}: {path:?} with {other:?}"));
        }
        seen.insert(path);
    }
}

/// The first of the paths, by their letters, that begins as this one does, or with which it begins.
fn overlap<'a>(seen: &BTreeSet<&'a str>, path: &str) -> Option<&'a str> {
    if path.is_empty() {
        return None;
    }
    let mut begins = path.char_indices().skip(1).map(|(at, _)| &path[..at]);
    begins
        .find_map(|begin| seen.get(begin))
        .copied()
        .or_else(|| {
            let next = seen
                .range::<str, _>((Bound::Included(path), Bound::Unbounded))
                .next();
            next.copied().filter(|next| next.starts_with(path))
        })
}
