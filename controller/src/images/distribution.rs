//! The OCI distribution endpoint, `/v2/`: what `coracle push`, `wkg oci push` and `oras` talk to.
//!
//! Source: the OCI Distribution Specification 1.1. Authentication happens before a request gets
//! here. A manifest is refused at push when what it names is no wasm this system can run.

use super::{
    Images, artifact, blobs,
    reference::{Digest, is_repository, is_tag},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{
    BodyExt as _, Full, LengthLimitError, Limited, StreamBody, combinators::BoxBody,
};
use hyper::body::{Body, Frame};
use serde_json::json;
use std::{error::Error as StdError, io, time::Duration};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// What this endpoint answers with.
pub type ImageBody = BoxBody<Bytes, io::Error>;

/// Largest blob, bytes: a module is at most this large.
pub const BLOB_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Largest manifest, bytes, as the specification recommends.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A manifest is sent by then.
const MANIFEST_MAX: Duration = Duration::from_secs(60);
/// A blob may take as long as its link needs, but its sender is not silent for so long.
const BLOB_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Open uploads at once; more are asked to wait.
const UPLOADS_MAX: usize = 64;
/// An upload that was not written for so long makes room for others.
const UPLOAD_IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// Piece of a blob sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A refusal in the words of the specification.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn refuse(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        status,
        code,
        message: message.into(),
    }
}

impl From<blobs::Error> for Refusal {
    fn from(error: blobs::Error) -> Self {
        match &error {
            blobs::Error::Missing(_) => {
                refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", error.to_string())
            }
            blobs::Error::Mismatch { .. } => {
                refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
            }
            blobs::Error::Io { source, .. } => {
                tracing::error!(%error, %source, "image store failed");
                refuse(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "UNKNOWN",
                    "the image store failed; see the controller's log",
                )
            }
        }
    }
}

/// A path below `/v2/`, split from the right because repository names hold slashes.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    StartUpload(&'a str),
    Upload(&'a str, u128),
    Referrers,
}

fn route(path: &str) -> Option<Route<'_>> {
    let rest = path.strip_prefix("/v2")?.trim_start_matches('/');
    match rest {
        "" => return Some(Route::Base),
        "_catalog" => return Some(Route::Catalog),
        _ => {}
    }
    let named = |name: &'static str| {
        rest.rsplit_once(name)
            .filter(|(repository, _)| is_repository(repository))
    };
    if let Some((repository, id)) = named("/blobs/uploads/") {
        if id.is_empty() {
            return Some(Route::StartUpload(repository));
        }
        return u128::from_str_radix(id, 16)
            .ok()
            .map(|id| Route::Upload(repository, id));
    }
    if let Some((repository, "")) = named("/blobs/uploads") {
        return Some(Route::StartUpload(repository));
    }
    if let Some((repository, "")) = named("/tags/list") {
        return Some(Route::Tags(repository));
    }
    if let Some((repository, reference)) = named("/manifests/") {
        return Some(Route::Manifest(repository, reference));
    }
    if let Some((repository, digest)) = named("/blobs/") {
        return Some(Route::Blob(repository, digest));
    }
    named("/referrers/").map(|_| Route::Referrers)
}

fn full(bytes: impl Into<Bytes>) -> ImageBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

fn empty(status: StatusCode, headers: &[(header::HeaderName, String)]) -> Response<ImageBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}

/// Nothing refers to anything here: no signatures are kept yet.
fn no_referrers() -> Response<ImageBody> {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": []});
    answer_json(&index, media_type)
}

fn content_digest() -> header::HeaderName {
    header::HeaderName::from_static("docker-content-digest")
}

fn answer_json(value: &serde_json::Value, media_type: &str) -> Response<ImageBody> {
    let mut response = empty(
        StatusCode::OK,
        &[(header::CONTENT_TYPE, media_type.to_owned())],
    );
    *response.body_mut() = full(value.to_string());
    response
}

impl Images {
    /// Answers one authenticated request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ImageBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let answered = self.answer(request).await.unwrap_or_else(|refusal| {
            let error = json!({"errors": [{"code": refusal.code, "message": refusal.message, "detail": null}]});
            let mut response = answer_json(&error, "application/json");
            *response.status_mut() = refusal.status;
            response
        });
        let (mut parts, body) = answered.into_parts();
        parts.headers.insert(
            "docker-distribution-api-version",
            header::HeaderValue::from_static("registry/2.0"),
        );
        Response::from_parts(parts, body)
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response<ImageBody>, Refusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let path = parts.uri.path().to_owned();
        let unknown = || {
            refuse(
                StatusCode::NOT_FOUND,
                "NAME_UNKNOWN",
                format!("{path:?} is no valid repository path"),
            )
        };
        match (route(&path).ok_or_else(unknown)?, &parts.method) {
            (Route::Base, &Method::GET | &Method::HEAD) => {
                Ok(answer_json(&json!({}), "application/json"))
            }
            (Route::Catalog, &Method::GET) => Ok(answer_json(
                &json!({"repositories": self.blobs().repositories()}),
                "application/json",
            )),
            (Route::Tags(repository), &Method::GET) => self.list_tags(repository),
            (Route::Referrers, &Method::GET) => Ok(no_referrers()),
            (Route::Manifest(repository, reference), &Method::GET | &Method::HEAD) => {
                self.get_manifest(repository, reference, parts.method == Method::HEAD)
            }
            (Route::Manifest(repository, reference), &Method::PUT) => {
                let bytes = collect(body, MANIFEST_BYTES_MAX).await?;
                self.put_manifest(repository, reference, &bytes).await
            }
            (Route::Manifest(repository, tag), &Method::DELETE) => {
                if self.blobs().remove_tag(repository, tag) {
                    Ok(empty(StatusCode::ACCEPTED, &[]))
                } else {
                    Err(refuse(
                        StatusCode::NOT_FOUND,
                        "MANIFEST_UNKNOWN",
                        format!("{repository} has no tag {tag:?}"),
                    ))
                }
            }
            (Route::Blob(_, digest), &Method::GET | &Method::HEAD) => {
                self.get_blob(digest, parts.method == Method::HEAD).await
            }
            (Route::StartUpload(repository), &Method::POST) => {
                self.start_upload(repository, &query, body).await
            }
            (Route::Upload(repository, id), &Method::PATCH) => {
                let end = self.append(id, body).await?;
                Ok(upload_answer(StatusCode::ACCEPTED, repository, id, end))
            }
            (Route::Upload(repository, id), &Method::PUT) => {
                self.append(id, body).await?;
                self.finish(repository, id, &query).await
            }
            (Route::Upload(repository, id), &Method::GET) => {
                let end = self.upload_len(id).await?;
                Ok(upload_answer(StatusCode::NO_CONTENT, repository, id, end))
            }
            (Route::Upload(_, id), &Method::DELETE) => {
                let _gone = tokio::fs::remove_file(self.blobs().upload_path(id)).await;
                Ok(empty(StatusCode::NO_CONTENT, &[]))
            }
            (_, method) => Err(refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                format!("{method} is not supported here"),
            )),
        }
    }

    fn list_tags(&self, repository: &str) -> Result<Response<ImageBody>, Refusal> {
        let tags = self.blobs().tags(repository);
        if tags.is_empty() {
            return Err(refuse(
                StatusCode::NOT_FOUND,
                "NAME_UNKNOWN",
                format!("there is no repository {repository:?}"),
            ));
        }
        Ok(answer_json(
            &json!({"name": repository, "tags": tags}),
            "application/json",
        ))
    }

    fn get_manifest(
        &self,
        repository: &str,
        reference: &str,
        head: bool,
    ) -> Result<Response<ImageBody>, Refusal> {
        let unknown = || {
            refuse(
                StatusCode::NOT_FOUND,
                "MANIFEST_UNKNOWN",
                format!("there is no manifest {repository}:{reference}"),
            )
        };
        let digest = match Digest::parse(reference) {
            Ok(digest) => digest,
            Err(_tag) => self
                .blobs()
                .tag(repository, reference)
                .ok_or_else(unknown)?,
        };
        let bytes = self.blobs().read(&digest).map_err(|_missing| unknown())?;
        let media_type = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|manifest| Some(manifest.get("mediaType")?.as_str()?.to_owned()))
            .unwrap_or_else(|| artifact::MANIFEST_TYPE.to_owned());
        let mut response = empty(
            StatusCode::OK,
            &[
                (header::CONTENT_TYPE, media_type),
                (header::CONTENT_LENGTH, bytes.len().to_string()),
                (content_digest(), digest.to_string()),
            ],
        );
        if !head {
            *response.body_mut() = full(bytes);
        }
        Ok(response)
    }

    async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        bytes: &[u8],
    ) -> Result<Response<ImageBody>, Refusal> {
        let by_digest = Digest::parse(reference).ok();
        if by_digest.is_none() && !is_tag(reference) {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "TAG_INVALID",
                format!("{reference:?} is no valid tag"),
            ));
        }
        if by_digest
            .as_ref()
            .is_some_and(|digest| *digest != Digest::of(bytes))
        {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "the manifest has another digest",
            ));
        }
        let invalid = |error: String| refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", error);
        for digest in artifact::blobs(bytes).map_err(|error| invalid(error.to_string()))? {
            if self.blobs().size(&digest).is_none() {
                let message = format!("blob {digest} was not pushed before its manifest");
                return Err(refuse(
                    StatusCode::BAD_REQUEST,
                    "MANIFEST_BLOB_UNKNOWN",
                    message,
                ));
            }
        }
        self.check_manifest(bytes).await.map_err(invalid)?;
        let digest = self.blobs().write(bytes)?;
        if by_digest.is_none() {
            self.blobs().set_tag(repository, reference, &digest)?;
        }
        tracing::info!(%repository, %reference, %digest, "image pushed");
        Ok(empty(
            StatusCode::CREATED,
            &[
                (
                    header::LOCATION,
                    format!("/v2/{repository}/manifests/{digest}"),
                ),
                (content_digest(), digest.to_string()),
            ],
        ))
    }

    async fn get_blob(&self, digest: &str, head: bool) -> Result<Response<ImageBody>, Refusal> {
        let digest = Digest::parse(digest).map_err(|error| {
            refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
        })?;
        let unknown = || {
            refuse(
                StatusCode::NOT_FOUND,
                "BLOB_UNKNOWN",
                format!("blob {digest} is not here"),
            )
        };
        let size = self.blobs().size(&digest).ok_or_else(unknown)?;
        let mut response = empty(
            StatusCode::OK,
            &[
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_LENGTH, size.to_string()),
                (content_digest(), digest.to_string()),
            ],
        );
        if !head {
            let file = File::open(self.blobs().path(&digest))
                .await
                .map_err(|_gone| unknown())?;
            *response.body_mut() = file_body(file);
        }
        Ok(response)
    }

    async fn start_upload<B>(
        &self,
        repository: &str,
        query: &str,
        body: B,
    ) -> Result<Response<ImageBody>, Refusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if let Some(digest) = parameter(query, "mount").and_then(|text| Digest::parse(&text).ok())
            && self.blobs().size(&digest).is_some()
        {
            return Ok(blob_created(repository, &digest));
        }
        let id: u128 = rand::random();
        let path = self.blobs().upload_path(id);
        let file = File::create(&path).await.map_err(io_failed)?;
        if self.blobs().uploads() > UPLOADS_MAX
            && let Ok(now) = file.metadata().await.and_then(|meta| meta.modified())
        {
            self.blobs().drop_idle_uploads(now, UPLOAD_IDLE_MAX);
        }
        if self.blobs().uploads() > UPLOADS_MAX {
            let _gone = tokio::fs::remove_file(&path).await;
            let message = format!("{UPLOADS_MAX} uploads are under way; try again later");
            return Err(refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                message,
            ));
        }
        if parameter(query, "digest").is_some() {
            self.append(id, body).await?;
            return self.finish(repository, id, query).await;
        }
        Ok(upload_answer(StatusCode::ACCEPTED, repository, id, 0))
    }

    async fn upload_len(&self, id: u128) -> Result<u64, Refusal> {
        tokio::fs::metadata(self.blobs().upload_path(id))
            .await
            .map(|meta| meta.len())
            .map_err(|_gone| {
                refuse(
                    StatusCode::NOT_FOUND,
                    "BLOB_UPLOAD_UNKNOWN",
                    "there is no such upload; start it again",
                )
            })
    }

    /// Adds to an upload; its length then. What came before it broke off stays, so that it can go on from there.
    async fn append<B>(&self, id: u128, body: B) -> Result<u64, Refusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let len = self.upload_len(id).await?;
        let path = self.blobs().upload_path(id);
        let mut file = tokio::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .await
            .map_err(io_failed)?;
        let written = write(&mut file, len, body).await;
        file.flush().await.map_err(io_failed)?;
        if matches!(&written, Err(refusal) if refusal.status == StatusCode::PAYLOAD_TOO_LARGE) {
            let _gone = tokio::fs::remove_file(&path).await;
        }
        written
    }

    async fn finish(
        &self,
        repository: &str,
        id: u128,
        query: &str,
    ) -> Result<Response<ImageBody>, Refusal> {
        let digest = parameter(query, "digest").unwrap_or_default();
        let digest = Digest::parse(&digest).map_err(|error| {
            refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
        })?;
        let (blobs, expected) = (self.blobs().clone(), digest.clone());
        tokio::task::spawn_blocking(move || blobs.finish_upload(id, &expected))
            .await
            .map_err(|_stopped| {
                refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "UNKNOWN",
                    "the controller is stopping",
                )
            })??;
        Ok(blob_created(repository, &digest))
    }
}

fn io_failed(error: io::Error) -> Refusal {
    tracing::error!(%error, "cannot write an upload");
    refuse(
        StatusCode::INTERNAL_SERVER_ERROR,
        "UNKNOWN",
        "the upload could not be written; see the controller's log",
    )
}

fn blob_created(repository: &str, digest: &Digest) -> Response<ImageBody> {
    let headers = [
        (header::LOCATION, format!("/v2/{repository}/blobs/{digest}")),
        (content_digest(), digest.to_string()),
    ];
    empty(StatusCode::CREATED, &headers)
}

fn upload_answer(status: StatusCode, repository: &str, id: u128, len: u64) -> Response<ImageBody> {
    let headers = [
        (
            header::LOCATION,
            format!("/v2/{repository}/blobs/uploads/{id:032x}"),
        ),
        (header::RANGE, format!("0-{}", len.saturating_sub(1))),
        (
            header::HeaderName::from_static("docker-upload-uuid"),
            format!("{id:032x}"),
        ),
    ];
    empty(status, &headers)
}

/// The value of a query parameter, percent-decoded (digests hold a colon).
fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?;
    Some(value.replace("%3A", ":").replace("%3a", ":"))
}

/// Writes a body to the end of a file that has `len` bytes; how many it has then.
async fn write<B>(file: &mut File, mut len: u64, mut body: B) -> Result<u64, Refusal>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    loop {
        let next = timeout(BLOB_SILENCE_MAX, body.frame()).await;
        let next = next.map_err(|_elapsed| {
            let wait = BLOB_SILENCE_MAX.as_secs();
            too_slow(
                "BLOB_UPLOAD_INVALID",
                format!("nothing of the upload came for {wait} seconds; go on where it broke off"),
            )
        })?;
        let Some(frame) = next else {
            return Ok(len);
        };
        let frame = frame.map_err(|error| {
            let error: Box<dyn StdError + Send + Sync> = error.into();
            refuse(
                StatusCode::BAD_REQUEST,
                "BLOB_UPLOAD_INVALID",
                format!("the upload broke off: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        len += data.len() as u64;
        if len > BLOB_BYTES_MAX {
            let message = format!("a blob may have at most {BLOB_BYTES_MAX} bytes");
            return Err(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "SIZE_INVALID",
                message,
            ));
        }
        file.write_all(&data).await.map_err(io_failed)?;
    }
}

fn too_slow(code: &'static str, message: String) -> Refusal {
    refuse(StatusCode::REQUEST_TIMEOUT, code, message)
}

/// A whole manifest.
async fn collect<B>(body: B, bytes_max: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let collected = Limited::new(body, bytes_max).collect();
    let collected = timeout(MANIFEST_MAX, collected).await.map_err(|_elapsed| {
        let wait = MANIFEST_MAX.as_secs();
        too_slow(
            "MANIFEST_INVALID",
            format!("the manifest was not sent within {wait} seconds"),
        )
    })?;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("a manifest may have at most {bytes_max} bytes");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
        } else {
            let message = format!("the manifest broke off: {error}");
            refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
        }
    })?;
    Ok(collected.to_bytes())
}

fn file_body(file: File) -> ImageBody {
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let n = file.read(&mut piece).await?;
        piece.truncate(n);
        Ok((n > 0).then(|| (Frame::data(Bytes::from(piece)), file)))
    });
    StreamBody::new(pieces).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        assert_eq!(route("/v2/"), Some(Route::Base));
        assert_eq!(
            route("/v2/team/app/manifests/v1"),
            Some(Route::Manifest("team/app", "v1"))
        );
        assert_eq!(
            route("/v2/app/blobs/sha256:00"),
            Some(Route::Blob("app", "sha256:00"))
        );
        assert_eq!(
            route("/v2/app/blobs/uploads/"),
            Some(Route::StartUpload("app"))
        );
        assert_eq!(
            route("/v2/app/blobs/uploads/0f"),
            Some(Route::Upload("app", 15))
        );
        assert_eq!(route("/v2/app/tags/list"), Some(Route::Tags("app")));
        for bad in [
            "/v2/../manifests/v1",
            "/v2/App/tags/list",
            "/v2/app/blobs/uploads/zz",
            "/v1/",
        ] {
            assert_eq!(route(bad), None, "{bad}");
        }
    }
}
