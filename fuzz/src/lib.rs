//! What the fuzz targets share: how bytes become the JSON documents that a target takes.

use serde_json::Value;

/// As many documents as the target takes, one a line; an input with fewer, or with one that is no JSON, is passed over:
/// what reads JSON is a library that has fuzzers of its own.
#[must_use]
pub fn documents<const N: usize>(data: &[u8]) -> Option<[Value; N]> {
    let mut lines = data.splitn(N, |byte| *byte == b'\n');
    let mut all = [const { Value::Null }; N];
    for document in &mut all {
        *document = serde_json::from_slice(lines.next()?).ok()?;
    }
    Some(all)
}

/// The same, with a whole object of metadata in the document.
#[must_use]
pub fn with_metadata(mut object: Value) -> Option<Value> {
    if !object.get("metadata").is_some_and(Value::is_object) {
        object
            .as_object_mut()?
            .insert("metadata".to_owned(), serde_json::json!({"name": "a"}));
    }
    Some(object)
}
