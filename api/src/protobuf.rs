//! Objects in Kubernetes' protobuf encoding, to and from their JSON form.
//!
//! One walk over one table (`protobuf/messages.txt`) serves every kind: no type is compiled for it, and a
//! kind that is added later needs nothing here. A field that the table does not know is skipped, as
//! proto decoders do; a body is never trusted: depth and the number of values are capped.
//!
//! Source: k8s.io/apimachinery `pkg/runtime/serializer/protobuf`, `pkg/runtime/generated.proto`.

mod canonical;
mod decode;
mod encode;
mod special;
mod swagger;
mod table;
mod wire;

pub use swagger::Swagger;

use crate::KindRef;
use serde_json::{Map, Value};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages, at most; the deepest kind of today (a pod template's affinity) has 14.
const DEPTH_MAX: usize = 64;
/// Values in one body, at most: an empty message takes two bytes on the wire and far more in memory.
const VALUES_MAX: usize = 512 * 1024;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Why bytes or an object cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No `k8s\0` in front.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Prefix,
    /// The bytes end inside a field, or a tag or length is nonsense.
    #[error("the body is not valid protobuf: {0}")]
    Malformed(&'static str),
    /// No message has this kind's name.
    #[error("no protobuf encoding is known for {0}")]
    UnknownKind(String),
    /// The content is encoded or compressed in a way that is not protobuf.
    #[error("the body's content is of type {0:?}, not protobuf")]
    Content(String),
    /// A value does not fit its field.
    #[error("{path}: {what}")]
    Value {
        /// JSON path.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// An object from a body; `apiVersion` and `kind` stand in its envelope.
///
/// # Errors
/// When the body is not of this form.
pub fn decode(body: &[u8]) -> Result<Value, Error> {
    let unknown = body.strip_prefix(MAGIC).ok_or(Error::Prefix)?;
    let envelope = wire::Envelope::read(unknown)?;
    if !envelope.content_encoding.is_empty() {
        return Err(Error::Content(envelope.content_encoding.to_owned()));
    }
    if !matches!(envelope.content_type, "" | MEDIA_TYPE) {
        return Err(Error::Content(envelope.content_type.to_owned()));
    }
    let (api_version, kind) = (envelope.api_version, envelope.kind);
    let message = message_of(api_version, kind)
        .ok_or_else(|| Error::UnknownKind(format!("{kind} in version {api_version:?}")))?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    decode::Decoder::default().message(message, envelope.raw, &mut object)?;
    Ok(Value::Object(object))
}

/// A body for an object that has `apiVersion` and `kind`.
///
/// # Errors
/// When its kind is not known or a value does not fit.
pub fn encode(object: &Value) -> Result<Vec<u8>, Error> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let message = message_of(api_version, kind)
        .ok_or_else(|| Error::UnknownKind(format!("{kind} in version {api_version:?}")))?;
    let raw = encode::message(message, object)?;
    Ok(wire::envelope(MAGIC, api_version, kind, &raw))
}

/// One event of a watch: a length in four bytes, then a `WatchEvent` that holds the object's body.
///
/// # Errors
/// As [`encode`].
pub fn watch_event(event: &str, object: &Value) -> Result<Vec<u8>, Error> {
    Ok(wire::watch_frame(event, &encode(object)?))
}

/// An object as upstream's server keeps it: without the zero values that Go leaves out (`omitempty`), `hostNetwork: false`,
/// `tolerations: []`, and with what Go always writes, if nobody set it: `spec: {}`, `reportingComponent: ""`, `rules: null`.
/// What the table does not know stays; so does, of a custom kind's object, all but its metadata.
pub fn canonical(kind: KindRef, object: &mut Value) {
    let (message, part) = if kind.is_custom() {
        (
            table::find("meta.v1.ObjectMeta"),
            object.get_mut("metadata"),
        )
    } else {
        let message = message_of(&kind.api_version(), kind.kind);
        (message, Some(object))
    };
    if let (Some(message), Some(part)) = (message, part.and_then(Value::as_object_mut)) {
        canonical::write(message, part);
    }
}

/// What every group shares, whichever it names.
const SHARED: [&str; 6] = [
    "DeleteOptions",
    "Status",
    "WatchEvent",
    "ListOptions",
    "CreateOptions",
    "PatchOptions",
];
/// What is told of the groups themselves.
const DISCOVERY: [&str; 4] = ["APIVersions", "APIGroupList", "APIGroup", "APIResourceList"];

/// The message of a kind: its package is the first word of its group; what every group shares is in `meta`. A group that
/// is not Kubernetes' own has none, whatever its first word.
fn message_of(api_version: &str, kind: &str) -> Option<&'static table::Message> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let first = group.split('.').next().unwrap_or_default();
    let rest = group.strip_prefix(first).unwrap_or_default();
    let is_own = ["", ".k8s.io", ".authorization.k8s.io"].contains(&rest);
    if group.is_empty() && DISCOVERY.contains(&kind) {
        return table::find(&format!("meta.v1.{kind}"));
    }
    if !SHARED.contains(&kind) {
        let package = if group.is_empty() { "core" } else { first };
        let name = is_own.then(|| format!("{package}.{version}.{kind}"))?;
        return table::find(&name);
    }
    table::find(&format!("meta.{version}.{kind}"))
        .or_else(|| table::find(&format!("meta.v1.{kind}")))
}

#[cfg(test)]
mod tests;
