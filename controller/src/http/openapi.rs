//! `/openapi/v3` (an index of documents by hash) and `/openapi/v2` (one document of everything).
//!
//! kubectl reads v3 for `explain`, for schemas of patches and to see that the server validates fields; v2 is what
//! older clients and those of other languages read. Documents are made when first asked for, off the tasks that
//! answer, and kept compressed alone: nearly everybody takes them so.

use super::{Body, Call, State, error, negotiate, respond, usage, version};
use crate::{auth::tokens::hex, cache::Cache, kinds::Custom};
use bytes::Bytes;
use coracle_api::{
    KindRef,
    crd::publish::{self, Schemas},
    kind,
    protobuf::Swagger,
    schema::{self, Section},
    status::StatusError,
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, OnceLock},
};
use tokio::sync::Semaphore;

/// All documents.
#[derive(Debug, Clone)]
pub(crate) struct Documents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    built_in: OnceLock<ByPath>,
    /// With those of custom kinds.
    v3: Made<ByPath>,
    v2: Made<Document>,
    v2_protobuf: Made<Document>,
    /// One is made at a time, whoever asks.
    turn: Arc<Semaphore>,
}

/// Documents of v3, by path as in the index (`api/v1`, `apis/apps/v1`).
type ByPath = BTreeMap<String, Arc<Document>>;

/// What was made last, and the generation of the custom kinds that it was made of.
#[derive(Debug)]
struct Made<T>(Mutex<Option<(u64, Arc<T>)>>);

impl<T> Made<T> {
    fn at(&self, generation: u64) -> Option<Arc<T>> {
        let made = self.0.lock();
        let found = made.as_ref().filter(|(of, _)| *of == generation);
        found.map(|(_, made)| Arc::clone(made))
    }
}

#[derive(Debug)]
struct Document {
    gzip: Bytes,
    hash: String,
}

impl Default for Documents {
    fn default() -> Self {
        Self(Arc::new(Inner {
            built_in: OnceLock::new(),
            v3: Made(Mutex::default()),
            v2: Made(Mutex::default()),
            v2_protobuf: Made(Mutex::default()),
            turn: Arc::new(Semaphore::new(1)),
        }))
    }
}

impl Documents {
    /// What is kept, made anew where a custom kind has changed since.
    async fn get<T: Send + Sync + 'static>(
        &self,
        cache: &Cache,
        place: fn(&Inner) -> &Made<T>,
        make: fn(&Inner, &Cache) -> T,
    ) -> Result<Arc<T>, StatusError> {
        let generation = cache.kinds().generation();
        if let Some(known) = place(&self.0).at(generation) {
            return Ok(known);
        }
        let stopped = || error::status(500, "InternalError", "cannot make the document");
        let turn = Arc::clone(&self.0.turn).acquire_owned().await;
        let turn = turn.map_err(|_closed| stopped())?;
        let (own, cache) = (Arc::clone(&self.0), cache.clone());
        // Goes on when nobody waits any more: who asks next finds it made.
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let generation = cache.kinds().generation();
            let place = place(&own);
            place.at(generation).unwrap_or_else(|| {
                let made = Arc::new(make(&own, &cache));
                *place.0.lock() = Some((generation, Arc::clone(&made)));
                made
            })
        });
        made.await.map_err(|_panicked| stopped())
    }
}

fn path_of(kind: KindRef) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

fn v3(own: &Inner, cache: &Cache) -> ByPath {
    let mut documents = own.built_in.get_or_init(built_in).clone();
    let mut groups: BTreeMap<String, Vec<(KindRef, Schemas)>> = BTreeMap::new();
    for (kind, told) in custom(cache, publish::schemas) {
        groups.entry(path_of(kind)).or_default().push((kind, told));
    }
    for (path, kinds) in groups {
        let document = Document::of(&schema::openapi_v3_custom(kinds));
        documents.insert(path, Arc::new(document));
    }
    documents
}

fn built_in() -> ByPath {
    let mut documents = ByPath::new();
    for kind in schema::documented() {
        documents.entry(path_of(kind)).or_insert_with(|| {
            let document = schema::openapi_v3(kind.group, kind.version);
            Arc::new(Document::of(&document))
        });
    }
    let usage = schema::openapi_v3_custom(usage::schema::documented());
    let path = format!("apis/{}/{}", usage::GROUP, usage::VERSION);
    documents.insert(path, Arc::new(Document::of(&usage)));
    documents
}

/// What v2 tells of beside the built-in kinds.
fn others(cache: &Cache) -> Vec<(KindRef, Schemas)> {
    let mut others = usage::schema::documented();
    others.extend(custom(cache, publish::schemas_v2));
    others
}

type Publish = fn(&Value, &str, (&str, &str)) -> Option<Schemas>;

/// Every custom kind that is served, with what is told of it. A definition that is just going away has none.
fn custom(cache: &Cache, publish: Publish) -> Vec<(KindRef, Schemas)> {
    let (object, list) = schema::metadata_names();
    let tell = |custom: &Arc<Custom>| {
        let definition = cache.get(kind::CUSTOM_RESOURCE_DEFINITION, &custom.definition())?;
        let told = publish(&definition.value(), custom.kind.version, (&object, &list))?;
        Some((custom.kind, told))
    };
    let kinds = cache.kinds().custom_kinds();
    let served = kinds.iter().filter(|custom| custom.served);
    served.filter_map(tell).collect()
}

fn v2(_own: &Inner, cache: &Cache) -> Document {
    let mut packer = Packer::new();
    let head = json!({"title": "Kubernetes", "version": version::GIT_VERSION});
    packer.put(format!("{{\"swagger\":\"2.0\",\"info\":{head}").as_bytes());
    let mut open: Option<Section> = None;
    schema::openapi_v2(others(cache), |section, name, value| {
        let before = match open {
            Some(last) if last == section => ",".to_owned(),
            Some(_) => format!("}},\"{}\":{{", section.name()),
            None => format!(",\"{}\":{{", section.name()),
        };
        open = Some(section);
        packer.put(format!("{before}{}:{value}", json!(name)).as_bytes());
    });
    packer.put(b"},\"security\":[{\"BearerToken\":[]}]}");
    packer.finish()
}

fn v2_protobuf(_own: &Inner, cache: &Cache) -> Document {
    let mut packer = Packer::new();
    let mut swagger = Swagger::new("Kubernetes", version::GIT_VERSION);
    schema::openapi_v2(others(cache), |section, name, value| {
        swagger.add(section, name, &value);
        packer.put(&swagger.take());
    });
    packer.finish()
}

fn index(documents: &ByPath) -> Document {
    let paths: serde_json::Map<String, Value> = documents
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    Document::of(&json!({"paths": paths}))
}

/// A document on its way: never whole but compressed.
struct Packer {
    encoder: GzEncoder<Vec<u8>>,
    hash: Sha256,
}

impl Packer {
    fn new() -> Self {
        Self {
            encoder: GzEncoder::new(Vec::new(), Compression::default()),
            hash: Sha256::new(),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let _infallible = self.encoder.write_all(bytes);
    }

    fn finish(self) -> Document {
        let mut gzip = self.encoder.finish().unwrap_or_default();
        gzip.shrink_to_fit();
        Document {
            gzip: Bytes::from(gzip),
            hash: hex(&self.hash.finalize()).to_uppercase(),
        }
    }
}

impl Document {
    fn of(value: &Value) -> Self {
        let mut packer = Packer::new();
        packer.put(value.to_string().as_bytes());
        packer.finish()
    }

    fn response(&self, call: &Call) -> Result<Response<Body>, StatusError> {
        let etag = format!("\"{}\"", self.hash);
        let known = call.header(header::IF_NONE_MATCH);
        let mut response = if known
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
        {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else if respond::accepts_gzip(&call.parts.headers) {
            let mut response = respond::json_bytes(StatusCode::OK, self.gzip.clone());
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
            response
        } else {
            respond::json_unpacked(self.gzip.clone())
        };
        respond::set(&mut response, header::ETAG, &etag);
        let vary = HeaderValue::from_static("Accept, Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
        Ok(response)
    }
}

/// Answers a path below `/openapi`.
pub(crate) async fn answer(
    state: &State,
    path: &str,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let path = path.trim_matches('/');
    if path != "v2" && path != "v3" && !path.starts_with("v3/") {
        return Err(error::no_such_resource());
    }
    let cache = state.registry.cache();
    if path == "v2" {
        return answer_v2(&state.openapi, cache, call).await;
    }
    if !negotiate::takes_json(call.accept()) {
        return Err(error::not_acceptable());
    }
    let documents = state.openapi.get(cache, |own| &own.v3, v3).await?;
    let Some(name) = path.strip_prefix("v3/") else {
        return index(&documents).response(call);
    };
    let document = documents.get(name).ok_or_else(error::no_such_resource)?;
    match call.query.get("hash") {
        Some(hash) if hash != document.hash => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let url = format!("/openapi/v3/{name}?hash={}", document.hash);
            respond::set(&mut response, header::LOCATION, &url);
            Ok(response)
        }
        hash => {
            let mut response = document.response(call)?;
            // A document named by its hash never changes.
            let cache = if hash.is_some() {
                "public, immutable"
            } else {
                "no-cache, private"
            };
            respond::set(&mut response, header::CACHE_CONTROL, cache);
            Ok(response)
        }
    }
}

async fn answer_v2(
    documents: &Documents,
    cache: &Cache,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let best = negotiate::ranges(call.accept())
        .into_iter()
        .find_map(|range| {
            let is_protobuf = V2_PROTOBUF
                .iter()
                .any(|media| range.media.eq_ignore_ascii_case(media));
            let is_plain = range.takes_json() && range.parameter("as").is_empty();
            (is_protobuf || is_plain).then_some(is_protobuf)
        });
    let mut response = match best.ok_or_else(error::not_acceptable)? {
        false => documents
            .get(cache, |own| &own.v2, v2)
            .await?
            .response(call)?,
        true => {
            let document = documents
                .get(cache, |own| &own.v2_protobuf, v2_protobuf)
                .await?;
            let mut response = document.response(call)?;
            respond::set(&mut response, header::CONTENT_TYPE, V2_PROTOBUF[1]);
            response
        }
    };
    respond::set(&mut response, header::CACHE_CONTROL, "no-cache, private");
    Ok(response)
}

/// What clients written in Go ask of v2, and the only form of it that they read; the second is a valid media
/// type, which they are answered with.
const V2_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_small() {
        let cache = Cache::new(Vec::new(), coracle_api::Revision(0));
        let own = Documents::default();
        for make in [v2, v2_protobuf] {
            let document = make(&own.0, &cache);
            let whole = respond::gunzip(&document.gzip).unwrap();
            assert!(whole.len() > 512 << 10, "{}", whole.len());
            assert!(document.gzip.len() < 256 << 10, "{}", document.gzip.len());
            assert_eq!(
                document.hash,
                make(&own.0, &cache).hash,
                "the same each time"
            );
        }
        let json: Value =
            serde_json::from_slice(&respond::gunzip(&v2(&own.0, &cache).gzip).unwrap()).unwrap();
        let mut names: Vec<&String> = json.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(
            names,
            [
                "definitions",
                "info",
                "parameters",
                "paths",
                "security",
                "securityDefinitions",
                "swagger"
            ]
        );
    }

    #[test]
    fn what_pods_and_nodes_use_is_told_of() {
        let cache = Cache::new(Vec::new(), coracle_api::Revision(0));
        let own = Documents::default();
        let read = |document: &Document| -> Value {
            serde_json::from_slice(&respond::gunzip(&document.gzip).unwrap()).unwrap()
        };
        let path = format!("/apis/{}/{}", usage::GROUP, usage::VERSION);
        let third = read(&v3(&own.0, &cache)[path.trim_start_matches('/')]);
        let second = read(&v2(&own.0, &cache));
        for (plural, kind, namespaced) in usage::RESOURCES {
            let name = format!("io.k8s.metrics.pkg.apis.metrics.v1beta1.{kind}");
            let path = match namespaced {
                true => format!("{path}/namespaces/{{namespace}}/{plural}/{{name}}"),
                false => format!("{path}/{plural}/{{name}}"),
            };
            for (document, schema) in [
                (&third, &third["components"]["schemas"][&name]),
                (&second, &second["definitions"][&name]),
            ] {
                let get = &document["paths"][&path]["get"];
                let gvk = json!({"group": usage::GROUP, "version": "v1beta1", "kind": kind});
                assert_eq!(get["x-kubernetes-group-version-kind"], gvk, "{path}");
                assert_eq!(schema["x-kubernetes-group-version-kind"], json!([gvk]));
                assert!(schema["properties"]["window"].is_object());
            }
        }
    }

    #[test]
    fn every_review_is_told_of() {
        for review in &crate::http::reviews::REVIEWS {
            let told = schema::documented().any(|kind| {
                (
                    kind.group,
                    kind.version,
                    kind.plural,
                    kind.kind,
                    kind.namespaced,
                ) == (
                    review.group,
                    review.version,
                    review.plural,
                    review.kind,
                    review.namespaced,
                )
            });
            assert!(told, "{review:?}");
        }
    }
}
