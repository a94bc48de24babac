//! `/openapi/v3` (an index of documents by hash) and a minimal `/openapi/v2`.
//!
//! kubectl reads v3 for `explain`, for schemas of patches and to see that the server validates
//! fields. Documents are made when first asked for, then kept, also compressed.

use super::{Body, Call, State, error, negotiate, respond, version};
use crate::{auth::tokens::hex, kinds::Kinds};
use bytes::Bytes;
use coracle_api::{KindRef, crd::publish::Schemas, kind, schema, status::StatusError};
use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// All documents, by path as in the index (`api/v1`, `apis/apps/v1`).
#[derive(Debug, Default)]
pub(crate) struct Documents {
    built_in: OnceLock<ByPath>,
    /// With those of custom kinds, and the generation of these.
    all: Mutex<Option<(u64, Arc<ByPath>)>>,
}

type ByPath = BTreeMap<String, Arc<Document>>;

#[derive(Debug)]
struct Document {
    json: Bytes,
    gzip: Option<Bytes>,
    hash: String,
}

impl Documents {
    fn all(&self, kinds: &Kinds) -> Arc<ByPath> {
        let generation = kinds.generation();
        let mut made = self.all.lock();
        if let Some((of, documents)) = &*made
            && *of == generation
        {
            return Arc::clone(documents);
        }
        let mut documents = self.built_in.get_or_init(built_in).clone();
        documents.extend(custom(kinds));
        let documents = Arc::new(documents);
        *made = Some((generation, Arc::clone(&documents)));
        documents
    }
}

fn path_of(kind: KindRef) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

fn built_in() -> ByPath {
    let mut documents = ByPath::new();
    for kind in kind::KINDS {
        documents
            .entry(path_of(kind))
            .or_insert_with(|| Document::new(&schema::openapi_v3(kind.group, kind.version)));
    }
    documents
}

fn custom(kinds: &Kinds) -> ByPath {
    let mut groups: BTreeMap<String, Vec<(KindRef, Schemas)>> = BTreeMap::new();
    for custom in kinds.custom_kinds().iter().filter(|custom| custom.served) {
        let group = groups.entry(path_of(custom.kind)).or_default();
        group.push((custom.kind, custom.published()));
    }
    let make =
        |(path, kinds): (String, Vec<_>)| (path, Document::new(&schema::openapi_v3_custom(kinds)));
    groups.into_iter().map(make).collect()
}

fn index(documents: &ByPath) -> Document {
    let paths: serde_json::Map<String, Value> = documents
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    Document::make(&json!({"paths": paths}))
}

impl Document {
    fn new(value: &Value) -> Arc<Self> {
        Arc::new(Self::make(value))
    }

    fn make(value: &Value) -> Self {
        let json = Bytes::from(value.to_string());
        let hash = hex(&Sha256::digest(&json)).to_uppercase();
        Self {
            gzip: respond::gzip(&json),
            json,
            hash,
        }
    }

    fn response(&self, call: &Call) -> Response<Body> {
        let etag = format!("\"{}\"", self.hash);
        let known = call.header(header::IF_NONE_MATCH);
        let mut response = if known
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
        {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            match &self.gzip {
                Some(small) if respond::accepts_gzip(&call.parts.headers) => {
                    let mut response = respond::json_bytes(StatusCode::OK, small.clone());
                    let gzip = HeaderValue::from_static("gzip");
                    response
                        .headers_mut()
                        .insert(header::CONTENT_ENCODING, gzip);
                    response
                }
                _ => respond::json_bytes(StatusCode::OK, self.json.clone()),
            }
        };
        respond::set(&mut response, header::ETAG, &etag);
        let vary = HeaderValue::from_static("Accept, Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
        response
    }
}

/// Answers a path below `/openapi`.
pub(crate) fn answer(
    state: &State,
    path: &str,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let path = path.trim_matches('/');
    if path != "v2" && path != "v3" && !path.starts_with("v3/") {
        return Err(error::no_such_resource());
    }
    if path == "v2" && call.accept().starts_with(V2_PROTOBUF) {
        let mut response = respond::json_bytes(StatusCode::OK, v2_protobuf());
        respond::set(&mut response, header::CONTENT_TYPE, V2_PROTOBUF_ANSWER);
        return Ok(response);
    }
    if !negotiate::takes_json(call.accept()) {
        return Err(error::not_acceptable());
    }
    let documents = state.openapi.all(state.registry.cache().kinds());
    match path {
        "v2" => Ok(respond::ok(&v2())),
        "v3" => Ok(index(&documents).response(call)),
        _ => {
            let name = path.trim_start_matches("v3/");
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
                    let mut response = document.response(call);
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
    }
}

/// The least that is valid: clients of today read v3.
fn v2() -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version::GIT_VERSION},
        "paths": {},
        "definitions": {},
    })
}

/// What kubectl asks of v2, and the only form of it that it reads: for a kind that v3 does not
/// have. It must get an answer to go on and say that there is no such kind.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The same as a valid media type, which upstream answers with: clients parse it.
const V2_PROTOBUF_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// [`v2`] as gnostic's `openapi.v2.Document`: `swagger = 1`, `info = 2` (`title = 1`, `version = 2`).
fn v2_protobuf() -> Vec<u8> {
    let info = [
        field(1, b"Kubernetes"),
        field(2, version::GIT_VERSION.as_bytes()),
    ]
    .concat();
    [field(1, b"2.0"), field(2, &info)].concat()
}

/// One field of bytes; longer ones than a length of one byte can say are not needed here.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    debug_assert!(value.len() < 0x80, "the length takes one byte");
    let length = u8::try_from(value.len()).unwrap_or_default();
    let mut bytes = vec![number << 3 | 2, length];
    bytes.extend_from_slice(value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_a_document_kubectl_can_read() {
        let bytes = v2_protobuf();
        assert!(bytes.starts_with(b"\x0a\x032.0\x12"), "{bytes:?}");
        assert_eq!(usize::from(bytes[6]), bytes.len() - 7);
        assert_eq!(&bytes[7..19], b"\x0a\x0aKubernetes");
    }
}
