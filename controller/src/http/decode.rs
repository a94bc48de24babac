//! Request bodies: size, media type, JSON, YAML and protobuf.
//!
//! Every body is capped before it is read, and nesting is capped by every decoder (128 levels; 64 messages).

mod once;

use super::{Call, error};
use bytes::Bytes;
use coracle_api::{protobuf, status::StatusError};
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use once::Read;
use serde_json::Value;
use std::time::Duration;

/// Largest body of an API request; as upstream.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A body is sent by then.
const BODY_MAX: Duration = Duration::from_secs(30);

/// Of a body that is too large, so much is read and thrown away,
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// and for so long.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Media types of objects.
const OBJECT_TYPES: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];
/// Media types of patches.
const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// How a patch is to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// Reads the whole body.
pub(crate) async fn bytes(call: &mut Call) -> Result<Bytes, StatusError> {
    let declared = call
        .header(header::CONTENT_LENGTH)
        .parse::<usize>()
        .unwrap_or(0);
    if declared > BODY_BYTES_MAX {
        drain(&mut call.body).await;
        return Err(error::too_large_body(BODY_BYTES_MAX));
    }
    let body = Limited::new(&mut call.body, BODY_BYTES_MAX);
    match tokio::time::timeout(BODY_MAX, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(failure)) if failure.is::<LengthLimitError>() => {
            drain(&mut call.body).await;
            Err(error::too_large_body(BODY_BYTES_MAX))
        }
        Ok(Err(failure)) => Err(error::bad_request(format!(
            "cannot read the body: {failure}"
        ))),
        Err(_elapsed) => Err(error::timed_out()),
    }
}

/// Reads on without keeping anything: many clients look for an answer only once they have sent all. Who sends
/// more than this is cut off.
async fn drain(body: &mut Incoming) {
    let read_on = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whatever came of it, the answer is the same.
    let _elapsed = tokio::time::timeout(DRAIN_MAX, read_on).await;
}

/// The media type of the body, without parameters, in lower case.
fn media_type(call: &Call) -> String {
    let whole = call.header(header::CONTENT_TYPE);
    whole
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// An object; the body must not be empty.
pub(crate) async fn object(call: &mut Call) -> Result<Value, StatusError> {
    let media = media_type(call);
    let read = reader(&media)?;
    let bytes = bytes(call).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(error::bad_request("the object provided is empty"));
    }
    let read = read(&bytes)?;
    call.duplicates = read.duplicates;
    let value = read.value;
    if value.is_object() {
        Ok(value)
    } else {
        Err(error::bad_request(
            "couldn't get version/kind; json parse error: the body is no object",
        ))
    }
}

/// An object that may be left out, as the options of a DELETE.
pub(crate) async fn optional_object(call: &mut Call) -> Result<Option<Value>, StatusError> {
    let media = media_type(call);
    let bytes = bytes(call).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    reader(&media)?(&bytes).map(|read| Some(read.value))
}

/// A patch and how to apply it.
pub(crate) async fn patch(call: &mut Call) -> Result<(PatchType, Value), StatusError> {
    let kind = match media_type(call).as_str() {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" => PatchType::Strategic,
        "application/apply-patch+yaml" => PatchType::Apply,
        _ => return Err(error::unsupported_media_type(&PATCH_TYPES)),
    };
    let bytes = bytes(call).await?;
    let read = if kind == PatchType::Apply {
        yaml(&bytes)?
    } else {
        json(&bytes)?
    };
    call.duplicates = read.duplicates;
    Ok((kind, read.value))
}

type Reader = fn(&[u8]) -> Result<Read, StatusError>;

fn reader(media: &str) -> Result<Reader, StatusError> {
    match media {
        // Nothing said means JSON, as upstream.
        "" | "application/json" | "text/json" => Ok(json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(yaml),
        protobuf::MEDIA_TYPE => Ok(proto),
        _ => Err(error::unsupported_media_type(&OBJECT_TYPES)),
    }
}

fn proto(bytes: &[u8]) -> Result<Read, StatusError> {
    let value =
        protobuf::decode(bytes).map_err(|refused| error::bad_request(refused.to_string()))?;
    Ok(Read {
        value,
        duplicates: Vec::new(),
    })
}

fn json(bytes: &[u8]) -> Result<Read, StatusError> {
    once::json(bytes).map_err(|refused| error::bad_request(format!("json parse error: {refused}")))
}

fn yaml(bytes: &[u8]) -> Result<Read, StatusError> {
    // JSON is YAML, and by far the more common of the two.
    if bytes.trim_ascii_start().first() == Some(&b'{')
        && let Ok(read) = once::json(bytes)
    {
        return Ok(read);
    }
    let value = serde_yaml_ng::from_slice(bytes).map_err(|refused| {
        error::bad_request(format!("error converting YAML to JSON: {refused}"))
    })?;
    Ok(Read {
        value,
        duplicates: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_broken_bodies_are_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(json(deep.as_bytes()).unwrap_err().code, 400);
        assert_eq!(yaml(deep.as_bytes()).unwrap_err().code, 400);
        assert_eq!(json(b"{\"a\":").unwrap_err().code, 400);
        assert_eq!(yaml(b"a: [").unwrap_err().code, 400);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        assert_eq!(yaml(bomb.as_bytes()).unwrap_err().code, 400);
    }

    #[test]
    fn yaml_and_json_read_the_same() {
        let value = serde_json::json!({"a": {"b": [1, "x", true, null]}});
        assert_eq!(json(value.to_string().as_bytes()).unwrap().value, value);
        assert_eq!(yaml(value.to_string().as_bytes()).unwrap().value, value);
        assert_eq!(yaml(b"a:\n  b: [1, x, true, null]\n").unwrap().value, value);
    }

    #[test]
    fn media_types() {
        assert!(reader("").is_ok() && reader("application/yaml").is_ok());
        assert!(reader("application/vnd.kubernetes.protobuf").is_ok());
        let refused = reader("application/cbor").unwrap_err();
        assert_eq!(
            (refused.code, refused.reason),
            (415, "UnsupportedMediaType")
        );
    }
}
