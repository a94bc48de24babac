//! Request bodies: size, media type, JSON, YAML and protobuf.
//!
//! Every body is capped before it is read, and nesting is capped by every decoder (127 levels; 64 messages).

mod flow;
mod lines;
mod mend;
mod once;

use super::{Call, error, unread::drain};
use bytes::Bytes;
use coracle_api::{
    go::{DEPTH_MAX, settle_numbers, syntax_error, type_of},
    patch::json::as_operations,
    protobuf,
    status::StatusError,
};
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
pub(crate) use once::Duplicates;
use once::Read;
use serde_json::Value;
use std::time::Duration;

/// Largest body of an API request; as upstream.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Larger ones are read on a thread of their own.
const ASIDE_BYTES_MIN: usize = 64 * 1024;
/// A body is sent by then.
const BODY_MAX: Duration = Duration::from_secs(30);

/// Of a body that is too large, so much is read and thrown away: many clients look for an answer only once they have sent all.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// YAML may begin with it, and JSON may not, as upstream.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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
    let Some(mut body) = call.body.take() else {
        return Ok(Bytes::new());
    };
    if declared > BODY_BYTES_MAX {
        drain(body, DRAIN_BYTES_MAX).await;
        return Err(error::too_large_body(BODY_BYTES_MAX));
    }
    let limited = Limited::new(&mut body, BODY_BYTES_MAX);
    match tokio::time::timeout(BODY_MAX, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(failure)) if failure.is::<LengthLimitError>() => {
            drain(body, DRAIN_BYTES_MAX).await;
            Err(error::too_large_body(BODY_BYTES_MAX))
        }
        Ok(Err(failure)) => Err(error::bad_request(format!(
            "cannot read the body: {failure}"
        ))),
        Err(_elapsed) => Err(error::timed_out()),
    }
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

/// An object of this kind, as far as it is one of any kind.
pub(crate) async fn object(call: &mut Call, kind: &str) -> Result<Value, StatusError> {
    let media = media_type(call);
    let read = reader(&media)?;
    let bytes = bytes(call).await?;
    let read = parsed(&bytes, read).await.and_then(typed);
    let read = read.map_err(|why| {
        let body = summary(&bytes);
        error::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({body})"
        ))
    })?;
    call.duplicates = read.duplicates;
    Ok(read.value)
}

/// What can say what it is: upstream looks for that first.
fn typed(mut read: Read) -> Result<Read, String> {
    if read.value.is_null() {
        read.value = Value::Object(serde_json::Map::new());
    }
    let refused = |what: String| {
        Err(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {what}"
        ))
    };
    if !read.value.is_object() {
        let found = type_of(&read.value);
        return refused(format!(
            r#"{found} into Go value of type struct {{ APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }}"#
        ));
    }
    for name in ["apiVersion", "kind"] {
        let value = &read.value[name];
        if !value.is_string() && !value.is_null() {
            let found = type_of(value);
            return refused(format!(
                "{found} into Go struct field .{name} of type string"
            ));
        }
    }
    Ok(read)
}

/// The beginning of a body, as upstream shows it: as it is if it looks like JSON.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = &body[..body.len().min(SHOWN)];
    let text = match shown {
        [] => return "<empty>".to_owned(),
        [b'{', ..] => String::from_utf8_lossy(shown).into_owned(),
        other => other.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let more = if body.len() > SHOWN { " ..." } else { "" };
    format!("{text}{more}")
}

/// An object that may be left out, as the options of a DELETE.
pub(crate) async fn optional_object(call: &mut Call) -> Result<Option<Value>, StatusError> {
    let media = media_type(call);
    let bytes = bytes(call).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let read = parsed(&bytes, reader(&media)?).await.and_then(typed);
    read.map(|read| Some(read.value))
        .map_err(error::bad_request)
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
    let read = parsed(&bytes, move |bytes: &[u8]| read_patch(kind, bytes)).await;
    let read = read.map_err(|why| match kind {
        PatchType::Strategic => error::bad_request(why),
        _ => error::bad_request(format!("error decoding patch: {why}")),
    })?;
    call.duplicates = read.duplicates;
    Ok((kind, read.value))
}

fn read_patch(kind: PatchType, bytes: &[u8]) -> Result<Read, String> {
    let mut read = match kind {
        PatchType::Apply => yaml(bytes)?,
        _ => read_json(bytes)?,
    };
    if kind == PatchType::Strategic {
        // Merged as values, where the other forms make a text that is read anew.
        settle_numbers(&mut read.value);
    }
    if kind == PatchType::Json {
        as_operations(&read.value)?;
        if let Duplicates::Paths(paths) = &mut read.duplicates {
            for path in paths {
                path.insert_str(0, "json patch ");
            }
        }
    } else if !read.value.is_object() {
        let found = type_of(&read.value);
        return Err(format!(
            "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        ));
    }
    Ok(read)
}

/// A configuration that says something twice: nobody could manage it.
pub(crate) fn twice_applied(duplicates: &[String]) -> StatusError {
    let list = duplicates.join(", ");
    error::bad_request(format!(
        "error strict decoding patch: error converting YAML to JSON: {list}"
    ))
}

/// What a body says. A large one is read where nothing else has to wait for it.
async fn parsed(
    bytes: &Bytes,
    read: impl Fn(&[u8]) -> Result<Read, String> + Send + 'static,
) -> Result<Read, String> {
    if bytes.len() < ASIDE_BYTES_MIN {
        return read(bytes);
    }
    let bytes = bytes.clone();
    tokio::task::spawn_blocking(move || read(&bytes))
        .await
        .unwrap_or_else(|_ended| Err("it could not be read".to_owned()))
}

type Reader = fn(&[u8]) -> Result<Read, String>;

fn reader(media: &str) -> Result<Reader, StatusError> {
    match media {
        // Nothing said means JSON, as upstream.
        "" | "application/json" | "text/json" => Ok(json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(yaml),
        protobuf::MEDIA_TYPE => Ok(proto),
        _ => Err(error::unsupported_media_type(&OBJECT_TYPES)),
    }
}

fn proto(bytes: &[u8]) -> Result<Read, String> {
    let value = protobuf::decode(bytes).map_err(|refused| refused.to_string())?;
    Ok(Read {
        value,
        duplicates: Duplicates::default(),
    })
}

fn json(bytes: &[u8]) -> Result<Read, String> {
    read_json(bytes).map_err(|why| format!("couldn't get version/kind; json parse error: {why}"))
}

/// JSON as Go reads it: what is no character is U+FFFD, and a fault is said in Go's words.
fn read_json(bytes: &[u8]) -> Result<Read, String> {
    let refused = match once::json(bytes) {
        Ok(read) => return Ok(read),
        Err(refused) => refused,
    };
    if let Some(read) = mend::characters(bytes).and_then(|mended| once::json(&mended).ok()) {
        return Ok(read);
    }
    // The one thing that Go's scanner has nothing against is a number of no size that there is.
    Err(syntax_error(bytes, DEPTH_MAX).unwrap_or_else(|| format!("json: {refused}")))
}

/// YAML, by way of the JSON that upstream makes of it: there `1.0` is `1`.
fn yaml(bytes: &[u8]) -> Result<Read, String> {
    let mut read = read_yaml(bytes)?;
    settle_numbers(&mut read.value);
    Ok(read)
}

fn read_yaml(bytes: &[u8]) -> Result<Read, String> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let refused = |why: &str| format!("error converting YAML to JSON: yaml: {why}");
    let read = || lines::yaml(bytes).map_err(|why| refused(&why));
    // JSON is YAML, and by far the more common of the two.
    if bytes.trim_ascii_start().first() == Some(&b'{')
        && let Ok(plain) = once::json(bytes)
    {
        if plain.duplicates == Duplicates::default() || flow::refusal(bytes).is_some() {
            return Ok(plain);
        }
        return Ok(read().unwrap_or(plain));
    }
    match flow::refusal(bytes) {
        Some(why) => Err(refused(&why)),
        None => read(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_broken_bodies_are_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            read_json(deep.as_bytes()).unwrap_err(),
            "exceeded max depth"
        );
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(
            read_json(deep.as_bytes()).unwrap_err(),
            "exceeded max depth"
        );
        let not_deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        assert!(read_json(not_deep.as_bytes()).is_ok());
        let deep = "[".repeat(1_000_000);
        assert_eq!(
            yaml(deep.as_bytes()).unwrap_err(),
            "error converting YAML to JSON: yaml: exceeded max depth of 512"
        );
        assert_eq!(
            read_json(b"{\"a\":").unwrap_err(),
            "unexpected end of JSON input"
        );
        assert!(read_json(b"[1e999]").unwrap_err().contains("out of range"));
        assert!(yaml(b"a: [").is_err());
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        assert!(yaml(bomb.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_object_is_said_as_upstream_says_it() {
        let said = |text: &str| json(text.as_bytes()).and_then(typed).err();
        let parse = "couldn't get version/kind; json parse error: ";
        for (text, why) in [
            ("", "unexpected end of JSON input"),
            (
                "{a}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
            ),
            (
                "{\"kind\":5}",
                "json: cannot unmarshal number into Go struct field .kind of type string",
            ),
        ] {
            assert_eq!(said(text), Some(format!("{parse}{why}")));
        }
        assert_eq!((said("null"), said("{}")), (None, None));
    }

    #[test]
    fn patches_are_said_as_upstream_says_them() {
        for (kind, text, why) in [
            (
                PatchType::Json,
                "{}",
                "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
            ),
            (PatchType::Json, "[", "unexpected end of JSON input"),
            (
                PatchType::Merge,
                "[]",
                "json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (
                PatchType::Strategic,
                "1",
                "json: cannot unmarshal number into Go value of type map[string]interface {}",
            ),
        ] {
            assert_eq!(read_patch(kind, text.as_bytes()).unwrap_err(), why);
        }
        let twice = b"[{\"op\":\"remove\",\"op\":\"remove\",\"path\":\"/a\"}]";
        let read = read_patch(PatchType::Json, twice).unwrap();
        let named = vec!["json patch [0].op".to_owned()];
        assert_eq!(read.duplicates, Duplicates::Paths(named));
    }

    #[test]
    fn bodies_are_summed_up() {
        assert_eq!(summary(b""), "<empty>");
        assert_eq!(summary(b"{\"a\":"), "{\"a\":");
        assert_eq!(summary(b"[1]"), "5b315d");
        assert_eq!(
            summary("{0123456789012345678901234567890".as_bytes()),
            "{01234567890123456789012345678 ..."
        );
    }

    #[test]
    fn yaml_and_json_read_the_same() {
        let value = serde_json::json!({"a": {"b": [1, "x", true, null]}});
        assert_eq!(json(value.to_string().as_bytes()).unwrap().value, value);
        assert_eq!(yaml(value.to_string().as_bytes()).unwrap().value, value);
        assert_eq!(yaml(b"a:\n  b: [1, x, true, null]\n").unwrap().value, value);
    }

    #[test]
    fn yaml_may_begin_with_a_byte_order_mark_and_json_may_not() {
        let value = serde_json::json!({"a": {"b": 1}, "c": "\u{feff}x"});
        for text in [
            "\u{feff}a:\n  b: 1\nc: \u{feff}x\n".to_owned(),
            format!("\u{feff}{value}"),
        ] {
            assert_eq!(yaml(text.as_bytes()).unwrap().value, value, "{text}");
            let applied = read_patch(PatchType::Apply, text.as_bytes());
            assert_eq!(applied.unwrap().value, value, "{text}");
        }
        let twice = yaml("\u{feff}a: 1\na: 2\n".as_bytes()).unwrap();
        let line = "line 2: key \"a\" already set in map";
        assert_eq!(twice.duplicates.warnings(), [line]);
        assert!(json("\u{feff}{}".as_bytes()).is_err());
    }

    #[test]
    fn a_float_without_a_fraction_is_whole_where_a_text_is_converted_or_merged() {
        let whole = serde_json::json!({"a": 1, "b": 1.5, "c": 1000});
        for text in [
            "a: 1.0\nb: 1.5\nc: 1e3\n",
            "{\"a\":1.0,\"b\":1.5,\"c\":1e3}",
        ] {
            assert_eq!(yaml(text.as_bytes()).unwrap().value, whole);
        }
        let json = br#"{"a":1.0,"b":1.5,"c":1e3}"#;
        let read = |kind| read_patch(kind, json).unwrap().value;
        assert_eq!(read(PatchType::Strategic), whole);
        assert_ne!(read(PatchType::Merge), whole);
        // Go reads a whole number here.
        let zero = read_json(b"{\"a\":-0}").unwrap().value;
        assert_eq!(zero, serde_json::json!({"a": 0}));
    }

    #[test]
    fn media_types() {
        assert!(reader("").is_ok() && reader("application/yaml").is_ok());
        assert!(reader("application/vnd.kubernetes.protobuf").is_ok());
        let refused = reader("application/cbor").err().unwrap();
        assert_eq!(
            (refused.code, refused.reason),
            (415, "UnsupportedMediaType")
        );
    }
}
