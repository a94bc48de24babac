//! The image registry against a real OCI client: it is pushed to, pulled from, and pulls from another
//! registry, over plain HTTP on loopback.

use super::*;
use base64::Engine as _;
use coracle_daemon::{OnExit, Tasks};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use oci_client::{
    Client, Reference as OciReference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    secrets::RegistryAuth,
};
use std::net::SocketAddr;
use tokio::net::TcpListener;

const USER: &str = "me";
const PASSWORD: &str = "secret";

struct Registry {
    images: Images,
    address: SocketAddr,
    _tasks: Tasks,
    _dir: tempfile::TempDir,
}

/// An image store of its own; its compiler is never called.
fn images(dir: &Path) -> Images {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let program = Program {
        path: "/nonexistent".into(),
        args: Vec::new(),
    };
    Images::open(dir, program, Vec::new()).unwrap()
}

/// A registry that wants a name and a password.
async fn registry() -> Registry {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (served, connections) = (images.clone(), tasks.clone());
    tasks.spawn("registry", OnExit::Ignore, async move {
        while let Ok((stream, _)) = listener.accept().await {
            let images = served.clone();
            connections.spawn("connection", OnExit::Ignore, async move {
                let service = hyper::service::service_fn(move |request| {
                    let images = images.clone();
                    async move { Ok::<_, std::convert::Infallible>(answer(&images, request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ended = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Registry {
        images,
        address,
        _tasks: tasks,
        _dir: dir,
    }
}

async fn answer(
    images: &Images,
    request: Request<hyper::body::Incoming>,
) -> Response<distribution::ImageBody> {
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let sent = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if sent == Some(&format!("Basic {expected}")) {
        return images.handle(request).await;
    }
    let body = Full::new(bytes::Bytes::new())
        .map_err(|never| match never {})
        .boxed();
    let mut refusal = Response::new(body);
    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = header::HeaderValue::from_static("Basic realm=\"test\"");
    refusal
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    refusal
}

fn client() -> Client {
    let _already = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    })
}

/// A preview 1 command that does nothing: memory and `_start`.
fn command() -> Vec<u8> {
    let sections: [&[u8]; 5] = [
        b"\0asm\x01\0\0\0",
        b"\x01\x04\x01\x60\0\0\x03\x02\x01\0",
        b"\x05\x03\x01\0\x01",
        b"\x07\x13\x02\x06memory\x02\0\x06_start\0\0",
        b"\x0a\x04\x01\x02\0\x0b",
    ];
    sections.concat()
}

impl Registry {
    fn reference(&self, name: &str) -> OciReference {
        OciReference::with_tag(self.address.to_string(), name.to_owned(), "v1".to_owned())
    }

    async fn push(&self, name: &str, layer: Vec<u8>, media: &str) -> Result<(), String> {
        let layer = ImageLayer::new(layer, media.to_owned(), None);
        let config = Config::new(b"{}".to_vec(), artifact::CONFIG_TYPE.to_owned(), None);
        let auth = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        let pushed = client()
            .push(&self.reference(name), &[layer], config, &auth, None)
            .await;
        pushed.map(|_urls| ()).map_err(|error| error.to_string())
    }

    /// Puts what its own check would refuse.
    fn plant(&self, name: &str, layer: &[u8], media: &str) {
        let blobs = self.images.blobs();
        let (layer, config) = (blobs.write(layer).unwrap(), blobs.write(b"{}").unwrap());
        let descriptor = |media: &str, digest: &Digest| serde_json::json!({"mediaType": media, "digest": digest.as_str(), "size": 1});
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": artifact::MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": [descriptor(media, &layer)]});
        let digest = blobs.write(manifest.to_string().as_bytes()).unwrap();
        blobs.set_tag(name, "v1", &digest).unwrap();
    }

    fn credentials(&self, password: &str) -> Credentials {
        Credentials {
            registry: self.address.to_string(),
            username: USER.to_owned(),
            password: password.to_owned(),
        }
    }
}

#[tokio::test]
async fn a_real_client_pushes_and_pulls() {
    let registry = registry().await;
    for media in [
        artifact::LAYER_TYPE,
        "application/vnd.wasm.content.layer.v1+wasm",
    ] {
        registry.push("team/hello", command(), media).await.unwrap();
        let auth = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        let pulled = client()
            .pull(&registry.reference("team/hello"), &auth, vec![media])
            .await
            .unwrap();
        assert_eq!(pulled.layers[0].data, command());
    }
    let wrong = RegistryAuth::Basic(USER.to_owned(), "wrong".to_owned());
    let refused = client()
        .pull(
            &registry.reference("team/hello"),
            &wrong,
            vec![artifact::LAYER_TYPE],
        )
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn what_cannot_run_is_refused_at_push_with_a_sentence() {
    let registry = registry().await;
    let mut truncated = command();
    truncated.truncate(20);
    for (layer, said) in [
        (b"hello".to_vec(), "the file is not WebAssembly"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "ELF binary"),
        (truncated, "truncated"),
        (b"\0asm".to_vec(), "truncated"),
    ] {
        let refused = registry
            .push("bad", layer, artifact::LAYER_TYPE)
            .await
            .unwrap_err();
        assert!(refused.contains(said), "{said:?} is not in {refused:?}");
    }
    let refused = registry
        .push("bad", command(), "application/octet-stream")
        .await
        .unwrap_err();
    assert!(refused.contains("the image has no wasm layer"), "{refused}");
    assert_eq!(
        registry.images.blobs().tags("bad"),
        Vec::<String>::new(),
        "nothing got the name"
    );
}

#[tokio::test]
async fn images_of_another_registry_are_pulled_through() {
    let foreign = registry().await;
    foreign
        .push("team/hello", command(), artifact::LAYER_TYPE)
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    let name = format!("{}/team/hello:v1", foreign.address);
    let reference = images.parse(&name).unwrap();

    let error = images.resolve(&reference, &[]).await.unwrap_err();
    assert_eq!(error.reason(), "ErrImagePull", "{}", error.sentence());
    let error = images
        .resolve(&reference, &[foreign.credentials("wrong")])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "ErrImagePull");
    assert!(
        !error.sentence().contains("wrong"),
        "no password is shown: {}",
        error.sentence()
    );

    let manifest = images
        .resolve(&reference, &[foreign.credentials(PASSWORD)])
        .await
        .unwrap();
    let (module, _shape) = images.module(&reference, &manifest).await.unwrap();
    assert_eq!(images.blobs().read(&module).unwrap(), command());
    assert_eq!(
        foreign.images.blobs().tag("team/hello", "v1"),
        Some(manifest)
    );
}

#[tokio::test]
async fn wrong_artifacts_of_another_registry_are_an_image_pull_error() {
    let foreign = registry().await;
    foreign.plant("elf", b"\x7fELF\x02\x01\x01", artifact::LAYER_TYPE);
    foreign.plant("text", b"hello", artifact::LAYER_TYPE);
    foreign.plant(
        "linux",
        &[0; 1024],
        "application/vnd.oci.image.layer.v1.tar",
    );
    foreign.plant(
        "chart",
        b"hello",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    );
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    for (name, said) in [
        ("elf", "ELF binary"),
        ("text", "not WebAssembly"),
        ("linux", "Coracle runs WebAssembly, not containers"),
        ("chart", "the image has no wasm layer"),
        ("missing", "cannot pull"),
    ] {
        let name = format!("{}/{name}:v1", foreign.address);
        let target = Target {
            triple: "x86_64-unknown-linux-gnu".to_owned(),
            compatibility_hash: "x".to_owned(),
        };
        let error = images
            .prepare(&name, &[foreign.credentials(PASSWORD)], &target)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "ErrImagePull", "{}", error.sentence());
        assert!(
            error.sentence().contains(said),
            "{said:?} is not in {:?}",
            error.sentence()
        );
    }
    let nobody = images
        .prepare(
            "127.0.0.1:9/x:v1",
            &[],
            &Target {
                triple: String::new(),
                compatibility_hash: String::new(),
            },
        )
        .await
        .unwrap_err();
    assert_eq!(nobody.reason(), "ErrImagePull");
}

type SlowBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;

/// Parts of a body that come one after the other, each after a wait. Then nothing comes, without an end, or the end.
fn sent(parts: &[&'static [u8]], wait: Duration, ends: bool) -> SlowBody {
    use futures_util::StreamExt as _;
    let parts = futures_util::stream::iter(parts.to_vec()).then(move |part| async move {
        tokio::time::sleep(wait).await;
        Ok::<_, std::io::Error>(hyper::body::Frame::data(bytes::Bytes::from_static(part)))
    });
    if ends {
        return http_body_util::StreamBody::new(Box::pin(parts)).boxed_unsync();
    }
    let parts = parts.chain(futures_util::stream::pending());
    http_body_util::StreamBody::new(Box::pin(parts)).boxed_unsync()
}

/// Asks, and how long it took. The code of a refusal is in its answer.
async fn timed(
    images: &Images,
    (method, path): (Method, &str),
    body: SlowBody,
) -> (Response<bytes::Bytes>, u64) {
    let started = tokio::time::Instant::now();
    let request = Request::builder().method(method).uri(path);
    let answer = images.handle(request.body(body).unwrap()).await;
    let took = started.elapsed().as_secs();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, bytes), took)
}

#[tokio::test(start_paused = true)]
async fn who_sends_no_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    let second = Duration::from_secs(1);
    // A byte a second is no manifest, however long.
    let parts = [b" " as &[u8]; 100];
    let put = (Method::PUT, "/v2/a/manifests/v1");
    let (answer, waited) = timed(&images, put, sent(&parts, second, false)).await;
    assert_eq!((answer.status(), waited), (StatusCode::REQUEST_TIMEOUT, 60));
    let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(said["errors"][0]["code"], "MANIFEST_INVALID");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_broke_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    let start = (Method::POST, "/v2/a/blobs/uploads/");
    let (started, _) = timed(&images, start, sent(&[], Duration::ZERO, true)).await;
    let place = started.headers()[header::LOCATION].to_str().unwrap();
    // Slow is not silent.
    let slow = Duration::from_secs(50);
    let parts = [b"he" as &[u8], b"l", b"l"];
    let (answer, waited) = timed(&images, (Method::PATCH, place), sent(&parts, slow, true)).await;
    assert_eq!((answer.status(), waited), (StatusCode::ACCEPTED, 150));
    let (answer, waited) = timed(&images, (Method::PATCH, place), sent(&[b"o"], slow, false)).await;
    assert_eq!(
        (answer.status(), waited),
        (StatusCode::REQUEST_TIMEOUT, 110)
    );
    let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(said["errors"][0]["code"], "BLOB_UPLOAD_INVALID");
    let (answer, _) = timed(&images, (Method::GET, place), sent(&[], slow, true)).await;
    assert_eq!(answer.headers()[header::RANGE], "0-4");
    let whole = Digest::of(b"hello!");
    let end = format!("{place}?digest={whole}");
    let (answer, _) = timed(&images, (Method::PUT, &end), sent(&[b"!"], slow, true)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(images.blobs().read(&whole).unwrap(), b"hello!");
}

#[tokio::test]
async fn abandoned_uploads_do_not_close_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    let start = || {
        Request::builder()
            .method(Method::POST)
            .uri("/v2/a/blobs/uploads/")
            .body(Full::new(bytes::Bytes::new()))
            .unwrap()
    };
    for _ in 0..64 {
        assert_eq!(images.handle(start()).await.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(
        images.handle(start()).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(images.blobs().uploads(), 64);
    let old = fs::File::options()
        .write(true)
        .open(
            fs::read_dir(dir.path().join("uploads"))
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path(),
        )
        .unwrap();
    old.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(images.handle(start()).await.status(), StatusCode::ACCEPTED);
}
