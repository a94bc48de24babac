//! Answers: JSON, plain text, and what every answer gets on its way out.

use super::{
    Body, error,
    negotiate::{self, Encoding},
    query::Query,
    yaml,
};
use bytes::{Buf as _, Bytes};
use coracle_api::protobuf;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Body as _;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Read as _, Write as _};

/// Smaller answers are not worth compressing; as upstream.
const GZIP_BYTES_MIN: usize = 128 * 1024;

/// Of what is unpacked at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Letters of all warnings of an answer; of one of them where all have more. As upstream.
const WARNINGS_CHARS_MAX: usize = 4 * 1024;
const WARNING_CHARS_MAX: usize = 256;

/// JSON that is already bytes.
pub(crate) fn json_bytes(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// JSON that is made while it is sent, compressed if the client takes that.
pub(crate) fn json_chunks(
    chunks: impl Iterator<Item = Bytes> + Send + 'static,
    asked: &HeaderMap,
) -> Response<Body> {
    let mut response = json_bytes(StatusCode::OK, Bytes::new());
    if !accepts_gzip(asked) {
        *response.body_mut() = Body::stream(futures_util::stream::iter(chunks.map(Ok)));
        return response;
    }
    *response.body_mut() = Body::stream(futures_util::stream::iter(gzip_chunks(chunks)));
    is_gzip(&mut response);
    response
}

/// JSON that we compressed, for a client that takes no gzip: unpacked while it is sent, so that nobody who asks for a large
/// document and does not read it has it held for them.
pub(crate) fn json_unpacked(gzip: Bytes) -> Response<Body> {
    let mut response = json_bytes(StatusCode::OK, Bytes::new());
    let mut decoder = GzDecoder::new(gzip.reader());
    let chunks = std::iter::from_fn(move || {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let limit = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        match decoder.by_ref().take(limit).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Bytes::from(chunk))),
            Err(failure) => Some(Err(failure)),
        }
    });
    *response.body_mut() = Body::stream(futures_util::stream::iter(chunks));
    response
}

/// The chunks as one compressed stream.
fn gzip_chunks(mut chunks: impl Iterator<Item = Bytes>) -> impl Iterator<Item = io::Result<Bytes>> {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    std::iter::from_fn(move || {
        loop {
            let Some(chunk) = chunks.next() else {
                return encoder.take().map(|rest| rest.finish().map(Bytes::from));
            };
            let held = encoder.as_mut()?;
            if let Err(failure) = held.write_all(&chunk) {
                encoder = None;
                return Some(Err(failure));
            }
            let made = std::mem::take(held.get_mut());
            if !made.is_empty() {
                return Some(Ok(Bytes::from(made)));
            }
        }
    })
}

/// Says that the body is compressed.
fn is_gzip(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    json_bytes(
        status,
        serde_json::to_vec(value).expect("our own values have text keys"),
    )
}

/// A value as JSON with 200.
pub(crate) fn ok(value: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, value)
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Sets a header whose value is ours to know as valid; an invalid one is left out.
pub(crate) fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Adds `Warning: 299 - "..."` headers, which kubectl prints. Clients bound the headers they read: where all are too long together each
/// is cut, and what does not fit then is left out, as upstream.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let all: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let each_max = if all > WARNINGS_CHARS_MAX {
        WARNING_CHARS_MAX
    } else {
        all
    };
    let mut left = WARNINGS_CHARS_MAX;
    for warning in warnings {
        let Some(rest) = left.checked_sub(warning.chars().count().min(each_max)) else {
            return;
        };
        left = rest;
        let clean: String = warning
            .chars()
            .take(each_max)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{clean}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// As [`warn`], before what is said already.
pub(crate) fn warn_first(response: &mut Response<Body>, warning: &str) {
    let headers = response.headers_mut();
    let said: Vec<HeaderValue> = headers.get_all(header::WARNING).iter().cloned().collect();
    headers.remove(header::WARNING);
    warn(response, &[warning.to_owned()]);
    for said in said {
        response.headers_mut().append(header::WARNING, said);
    }
}

/// Translates a JSON answer for a client that likes another encoding better; one that has no such form is a 406.
pub(crate) fn translate(response: Response<Body>, accept: &str) -> Response<Body> {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    let choices = negotiate::choices(accept);
    let is_liked = choices
        .first()
        .is_none_or(|best| best.encoding == Encoding::Json);
    if is_liked || !is_json {
        return response;
    }
    let value = response.body().bytes();
    let value = value.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let Some(value) = value else {
        return response;
    };
    let mut fitting = choices
        .iter()
        .filter(|choice| choice.format.is_of(&value))
        .peekable();
    if fitting.peek().is_none() {
        return response;
    }
    for choice in fitting {
        if choice.encoding == Encoding::Json {
            return response;
        }
        if let Some((encoded, media)) = encode(choice.encoding, &value) {
            let mut response = response;
            *response.body_mut() = Body::whole(encoded);
            set(&mut response, header::CONTENT_TYPE, media);
            return response;
        }
    }
    error::reply(&error::not_acceptable())
}

/// A value in an encoding, and what that is called; none for one that has no such form.
pub(crate) fn encode(encoding: Encoding, value: &Value) -> Option<(Vec<u8>, &'static str)> {
    Some(match encoding {
        Encoding::Json => (serde_json::to_vec(value).ok()?, "application/json"),
        Encoding::Protobuf => (protobuf::encode(value).ok()?, protobuf::MEDIA_TYPE),
        Encoding::Yaml => (yaml::text(value).into_bytes(), negotiate::YAML),
    })
}

/// Indents when asked, compresses when large and accepted. What is sent in parts, or is encoded already, stays as it is.
pub(crate) fn finish(
    mut response: Response<Body>,
    headers: &HeaderMap,
    query: &Query,
) -> Response<Body> {
    let Some(mut bytes) = response.body().bytes().cloned() else {
        return response;
    };
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json
        && query.is_pretty(headers)
        && let Ok(value) = serde_json::from_slice::<Value>(&bytes)
        && let Ok(mut pretty) = serde_json::to_vec_pretty(&value)
    {
        pretty.push(b'\n');
        bytes = Bytes::from(pretty);
        *response.body_mut() = Body::whole(bytes.clone());
    }
    if bytes.len() >= GZIP_BYTES_MIN
        && accepts_gzip(headers)
        && let Some(small) = gzip(&bytes)
    {
        *response.body_mut() = Body::whole(small);
        is_gzip(&mut response);
    }
    response
}

/// Leaves the body away where HEAD was asked, which no client of HTTP/2 lets pass; its length is told.
///
/// Source: RFC 9110, 9.3.2.
pub(crate) fn head(mut response: Response<Body>, method: &Method) -> Response<Body> {
    if *method != Method::HEAD {
        return response;
    }
    if let Some(length) = response
        .body()
        .size_hint()
        .exact()
        .filter(|length| *length > 0)
    {
        set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    }
    response.map(|_body| Body::empty())
}

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value.split(',').any(|part| {
                let mut words = part.split(';').map(str::trim);
                words
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
                    && !words.any(|word| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        })
}

/// The bytes, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// The bytes of what we compressed.
#[cfg(test)]
pub(crate) fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_outgrow_a_clients_headers() {
        let told = |warnings: Vec<String>| {
            let mut response = text(StatusCode::OK, "");
            warn(&mut response, &warnings);
            let all = response.headers().get_all(header::WARNING).into_iter();
            all.map(HeaderValue::len).collect::<Vec<_>>()
        };
        assert_eq!(told(vec!["a".repeat(4_000)]), [4_000 + "299 - \"\"".len()]);
        let many = told(vec!["a".repeat(1_000); 1_000]);
        assert_eq!(many, vec![256 + "299 - \"\"".len(); 16]);
    }
}
