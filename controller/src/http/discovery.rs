//! Discovery: which groups, versions and resources there are, in the old form and the aggregated.
//!
//! Made from the kinds there are, the reviews and the metrics API, anew when a custom kind comes or goes; every
//! listed verb is true.

use super::{
    Body, Call, State, error,
    negotiate::{self, Encoding},
    respond, reviews, usage,
};
use crate::{auth::tokens::hex, kinds::Kinds};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use coracle_api::{
    KindRef,
    crd::publish::compare_versions,
    kind,
    schema::{BINDING, COMPONENT_STATUS},
    status::StatusError,
};
use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// One resource, whichever table it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resource {
    name: &'static str,
    singular: &'static str,
    namespaced: bool,
    kind: GroupKind,
    verbs: Vec<&'static str>,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    subresources: Vec<Sub>,
    /// What its objects are stored as; none of what is not stored.
    stored_as: Option<GroupKind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sub {
    name: &'static str,
    kind: GroupKind,
    verbs: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GroupKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

impl From<KindRef> for GroupKind {
    fn from(kind: KindRef) -> Self {
        Self {
            group: kind.group,
            version: kind.version,
            kind: kind.kind,
        }
    }
}

/// The documents of the kinds there are.
#[derive(Debug, Default)]
pub(crate) struct Discovery(Mutex<Option<(u64, Arc<Documents>)>>);

impl Discovery {
    fn current(&self, kinds: &Kinds) -> Arc<Documents> {
        let generation = kinds.generation();
        let mut made = self.0.lock();
        if let Some((of, documents)) = &*made
            && *of == generation
        {
            return Arc::clone(documents);
        }
        let documents = Arc::new(Documents::new(kinds));
        *made = Some((generation, Arc::clone(&documents)));
        documents
    }
}

/// The documents at one time.
#[derive(Debug)]
pub(crate) struct Documents {
    /// By path: `/api`, `/apis`, `/apis/apps`, `/apis/apps/v1`, ...
    legacy: BTreeMap<String, Bytes>,
    /// By path and version of the form.
    aggregated: BTreeMap<(&'static str, &'static str), Aggregated>,
}

#[derive(Debug)]
struct Aggregated {
    json: Bytes,
    etag: HeaderValue,
}

type Groups = Vec<(&'static str, Vec<(&'static str, Vec<Resource>)>)>;

impl Documents {
    fn new(kinds: &Kinds) -> Self {
        let groups = groups(kinds);
        let mut aggregated = BTreeMap::new();
        for version in ["v2", "v2beta1"] {
            for path in ["/api", "/apis"] {
                let core = path == "/api";
                let items = groups.iter().filter(|(group, _)| group.is_empty() == core);
                let json = aggregate(version, items);
                let etag = format!("\"{}\"", hex(&Sha256::digest(&json)).to_uppercase());
                let etag = HeaderValue::from_str(&etag).expect("hex in quotes");
                aggregated.insert(
                    (path, version),
                    Aggregated {
                        json: Bytes::from(json),
                        etag,
                    },
                );
            }
        }
        Self {
            legacy: legacy(&groups),
            aggregated,
        }
    }
}

/// Whether a path is one of the API's, of a group that is built in.
pub(crate) fn is_ours(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next()) {
        (Some("api"), _) | (Some("apis"), None) => true,
        (Some("apis"), Some(group)) => {
            group == usage::GROUP
                || reviews::is_group(group)
                || kind::KINDS.iter().any(|row| row.group == group)
        }
        _ => false,
    }
}

/// Whether a path is a document of what is built in.
pub(crate) fn has(state: &State, path: &str) -> bool {
    let documents = state.discovery.current(state.registry.cache().kinds());
    is_ours(path) && documents.legacy.contains_key(path)
}

/// Answers a path; a path that is nothing is a 404.
pub(crate) fn answer(
    state: &State,
    path: &str,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let documents = state.discovery.current(state.registry.cache().kinds());
    if let Some((version, encoding)) = wants_aggregated(call.accept())
        && let Some(document) = ["/api", "/apis"]
            .iter()
            .find(|known| **known == path)
            .and_then(|known| documents.aggregated.get(&(*known, version)))
    {
        let known = call.header(header::IF_NONE_MATCH);
        return document.response((version, encoding), known);
    }
    if path.is_empty() {
        let paths: Vec<&str> = documents
            .legacy
            .keys()
            .map(String::as_str)
            .chain([
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ])
            .collect();
        return Ok(respond::ok(&json!({"paths": paths})));
    }
    let document = documents
        .legacy
        .get(path)
        .ok_or_else(error::no_such_resource)?;
    if !negotiate::takes_whole(call.accept()) {
        return Err(error::not_acceptable());
    }
    // Which is translated on its way out.
    Ok(respond::json_bytes(StatusCode::OK, document.clone()))
}

impl Aggregated {
    fn response(
        &self,
        (version, encoding): (&'static str, Encoding),
        known: &str,
    ) -> Result<Response<Body>, StatusError> {
        let (bytes, media) = self.encoded(encoding)?;
        let mut response = if self.etag == known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            respond::json_bytes(StatusCode::OK, bytes)
        };
        let kind = format!("{media};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        respond::set(&mut response, header::CONTENT_TYPE, &kind);
        response
            .headers_mut()
            .insert(header::ETAG, self.etag.clone());
        response
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("Accept"));
        let public = HeaderValue::from_static("public");
        response.headers_mut().insert(header::CACHE_CONTROL, public);
        Ok(response)
    }

    fn encoded(&self, encoding: Encoding) -> Result<(Bytes, &'static str), StatusError> {
        if encoding == Encoding::Json {
            return Ok((self.json.clone(), "application/json"));
        }
        let value: Value = serde_json::from_slice(&self.json).unwrap_or_default();
        let (bytes, media) = respond::encode(encoding, &value).ok_or_else(error::not_acceptable)?;
        Ok((bytes.into(), media))
    }
}

/// The best aggregated form that a client takes, and how it is sent; wherever it stands beside the old one, as upstream.
///
/// Source: k8s.io/apiserver `pkg/endpoints/discovery/aggregated`.
fn wants_aggregated(accept: &str) -> Option<(&'static str, Encoding)> {
    negotiate::ranges(accept).iter().find_map(|range| {
        let is_list = range.parameter("as") == "APIGroupDiscoveryList";
        if !is_list || range.parameter("g") != "apidiscovery.k8s.io" {
            return None;
        }
        match (range.parameter("v"), range.encoding()?) {
            ("v2", encoding) => Some(("v2", encoding)),
            // Nobody who speaks protobuf asks for the older one.
            ("v2beta1", encoding) if encoding != Encoding::Protobuf => Some(("v2beta1", encoding)),
            _ => None,
        }
    })
}

/// Everything that is served, groups in the order clients should prefer.
fn groups(kinds: &Kinds) -> Groups {
    let mut groups: Groups = Vec::new();
    let mut add = |group, version, resource: Resource| {
        let at = groups
            .iter()
            .position(|(known, _)| *known == group)
            .unwrap_or_else(|| {
                groups.push((group, Vec::new()));
                groups.len() - 1
            });
        let versions = &mut groups[at].1;
        match versions.iter_mut().find(|(known, _)| *known == version) {
            Some((_, resources)) => resources.push(resource),
            None => versions.push((version, vec![resource])),
        }
    };
    for kind in kind::KINDS {
        add(kind.group, kind.version, of_kind(kind));
    }
    for custom in kinds.custom_kinds().iter().filter(|custom| custom.served) {
        let kind = custom.kind;
        add(kind.group, kind.version, of_kind(kind));
    }
    for review in &reviews::REVIEWS {
        add(review.group, review.version, of_review(review));
    }
    for kind in [BINDING, COMPONENT_STATUS] {
        let unstored = Resource {
            stored_as: None,
            ..of_kind(kind)
        };
        add(kind.group, kind.version, unstored);
    }
    for (name, kind, namespaced) in usage::RESOURCES {
        let id = GroupKind {
            group: usage::GROUP,
            version: usage::VERSION,
            kind,
        };
        add(
            usage::GROUP,
            usage::VERSION,
            Resource {
                name,
                singular: "",
                namespaced,
                kind: id,
                verbs: vec!["get", "list"],
                short_names: &[],
                categories: &[],
                subresources: Vec::new(),
                stored_as: None,
            },
        );
    }
    for (_, versions) in &mut groups {
        // The preferred one first.
        versions.sort_by(|(one, _), (other, _)| compare_versions(other, one));
        for (_, resources) in versions {
            resources.sort_by_key(|resource| resource.name);
        }
    }
    groups
}

fn of_review(review: &reviews::Review) -> Resource {
    Resource {
        name: review.plural,
        singular: review.singular,
        namespaced: review.namespaced,
        kind: GroupKind {
            group: review.group,
            version: review.version,
            kind: review.kind,
        },
        verbs: vec!["create"],
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
        stored_as: None,
    }
}

fn of_kind(kind: KindRef) -> Resource {
    let id = GroupKind::from(kind);
    let mut verbs = kind.verbs.to_vec();
    verbs.sort_unstable();
    Resource {
        name: kind.plural,
        singular: kind.singular,
        namespaced: kind.namespaced,
        kind: id,
        verbs,
        short_names: kind.short_names,
        categories: kind.categories,
        subresources: kind
            .subresources
            .iter()
            .map(|sub| {
                let (group, version, name) = sub.kind;
                let own = GroupKind {
                    group,
                    version,
                    kind: name,
                };
                Sub {
                    name: sub.name,
                    kind: if name.is_empty() { id } else { own },
                    verbs: sub.verbs.to_vec(),
                }
            })
            .collect(),
        stored_as: Some(kind.storage().into()),
    }
}

/// What tells clients, opaquely, that objects are stored in another version than before.
///
/// Source: k8s.io/apiserver `pkg/endpoints/discovery/storageversionhash.go`.
fn storage_version_hash(id: GroupKind) -> String {
    let digest = Sha256::digest(format!("{}/{}/{}", id.group, id.version, id.kind));
    STANDARD.encode(&digest[..8])
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

fn legacy(groups: &Groups) -> BTreeMap<String, Bytes> {
    let mut documents = BTreeMap::new();
    let mut put =
        |path: String, value: Value| documents.insert(path, Bytes::from(value.to_string()));
    put(
        "/api".to_owned(),
        json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
    );
    let mut named = Vec::new();
    for (group, versions) in groups {
        for (version, resources) in versions {
            let path = if group.is_empty() {
                format!("/api/{version}")
            } else {
                format!("/apis/{group}/{version}")
            };
            put(
                path,
                json!({
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": group_version(group, version),
                    "resources": resources.iter().flat_map(legacy_resources).collect::<Vec<_>>(),
                }),
            );
        }
        if group.is_empty() {
            continue;
        }
        let listed: Vec<Value> = versions
            .iter()
            .map(|(version, _)| json!({"groupVersion": group_version(group, version), "version": version}))
            .collect();
        let mut value = json!({"name": group, "versions": listed, "preferredVersion": listed[0]});
        named.push(value.clone());
        value["kind"] = json!("APIGroup");
        value["apiVersion"] = json!("v1");
        put(format!("/apis/{group}"), value);
    }
    put(
        "/apis".to_owned(),
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": named}),
    );
    documents
}

/// A resource and its subresources, as `APIResource`s.
fn legacy_resources(resource: &Resource) -> Vec<Value> {
    let mut main = json!({
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        main["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        main["categories"] = json!(resource.categories);
    }
    if let Some(id) = resource.stored_as {
        main["storageVersionHash"] = json!(storage_version_hash(id));
    }
    let mut all = vec![main];
    for sub in &resource.subresources {
        let mut value = json!({
            "name": format!("{}/{}", resource.name, sub.name),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": sub.kind.kind,
            "verbs": sub.verbs,
        });
        if (sub.kind.group, sub.kind.version) != (resource.kind.group, resource.kind.version) {
            value["group"] = json!(sub.kind.group);
            value["version"] = json!(sub.kind.version);
        }
        all.push(value);
    }
    all
}

fn aggregate<'a>(
    form: &str,
    groups: impl Iterator<Item = &'a (&'static str, Vec<(&'static str, Vec<Resource>)>)>,
) -> Vec<u8> {
    let id = |id: &GroupKind| json!({"group": id.group, "version": id.version, "kind": id.kind});
    let resource = |resource: &Resource| {
        let mut value = json!({
            "resource": resource.name,
            "responseKind": id(&resource.kind),
            "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": resource.singular,
            "verbs": resource.verbs,
        });
        if !resource.short_names.is_empty() {
            value["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            value["categories"] = json!(resource.categories);
        }
        if !resource.subresources.is_empty() {
            let subs = resource.subresources.iter().map(|sub| {
                json!({"subresource": sub.name, "responseKind": id(&sub.kind), "verbs": sub.verbs})
            });
            value["subresources"] = subs.collect();
        }
        value
    };
    let items: Vec<Value> = groups
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, resources)| {
                    json!({
                        "version": version,
                        "resources": resources.iter().map(resource).collect::<Vec<_>>(),
                        "freshness": "Current",
                    })
                })
                .collect();
            let mut meta = json!({"creationTimestamp": null});
            if !group.is_empty() {
                meta["name"] = json!(group);
            }
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{form}"),
        "metadata": {},
        "items": items,
    });
    list.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_ask_for_first() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                       application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                       application/json";
        assert_eq!(wants_aggregated(kubectl), Some(("v2", Encoding::Json)));
        let older = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        assert_eq!(wants_aggregated(older), Some(("v2beta1", Encoding::Json)));
        let binary = kubectl.replace("json", "vnd.kubernetes.protobuf");
        assert_eq!(wants_aggregated(&binary), Some(("v2", Encoding::Protobuf)));
        assert_eq!(wants_aggregated("application/json"), None);
        assert_eq!(wants_aggregated(""), None);
    }

    #[test]
    fn documents_hold_every_kind() {
        let documents = Documents::new(&Kinds::default());
        let list: Value = serde_json::from_slice(&documents.legacy["/api/v1"]).unwrap();
        let names: Vec<&str> = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["name"].as_str().unwrap())
            .collect();
        for name in [
            "pods",
            "pods/log",
            "pods/status",
            "configmaps",
            "namespaces",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let apps: Value = serde_json::from_slice(&documents.legacy["/apis/apps"]).unwrap();
        assert_eq!(apps["preferredVersion"]["groupVersion"], "apps/v1");
        let all: Value =
            serde_json::from_slice(&documents.aggregated[&("/apis", "v2")].json).unwrap();
        assert_eq!(all["apiVersion"], "apidiscovery.k8s.io/v2");
        let found = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|group| group["metadata"]["name"] == "apps");
        assert!(found);
    }

    /// As clusters give them.
    #[test]
    fn the_hash_of_what_is_stored() {
        let documents = Documents::new(&Kinds::default());
        for (path, name, hash) in [
            ("/api/v1", "pods", Some("xPOwRZ+Yhw8=")),
            ("/api/v1", "services", Some("0/CO1lhkEBI=")),
            ("/api/v1", "events", Some("r2yiGXH7wu8=")),
            ("/apis/events.k8s.io/v1", "events", Some("r2yiGXH7wu8=")),
            ("/api/v1", "bindings", None),
            ("/api/v1", "pods/status", None),
            ("/apis/authentication.k8s.io/v1", "selfsubjectreviews", None),
        ] {
            let list: Value = serde_json::from_slice(&documents.legacy[path]).unwrap();
            let resources = list["resources"].as_array().unwrap();
            let found = resources.iter().find(|found| found["name"] == name);
            assert_eq!(
                found.unwrap()["storageVersionHash"].as_str(),
                hash,
                "{name}"
            );
        }
    }

    #[test]
    fn documents_have_every_encoding() {
        let documents = Documents::new(&Kinds::default());
        let one = &documents.aggregated[&("/apis", "v2")];
        let (bytes, media) = one.encoded(Encoding::Protobuf).unwrap();
        assert_eq!(media, coracle_api::protobuf::MEDIA_TYPE);
        let told: Value = serde_json::from_slice(&one.json).unwrap();
        let decoded = coracle_api::protobuf::decode(&bytes).unwrap();
        assert_eq!(
            decoded["items"][1]["versions"],
            told["items"][1]["versions"]
        );
        for (path, document) in &documents.legacy {
            let told: Value = serde_json::from_slice(document).unwrap();
            let (bytes, _) = respond::encode(Encoding::Protobuf, &told).expect(path);
            let decoded = coracle_api::protobuf::decode(&bytes).unwrap();
            for field in [
                "groups",
                "resources",
                "versions",
                "groupVersion",
                "preferredVersion",
            ] {
                assert_eq!(decoded.get(field), told.get(field), "{path} {field}");
            }
        }
    }
}
