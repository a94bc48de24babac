//! TLS: the user is the certificate's, over HTTP/1.1 and HTTP/2.

use super::super::Peer;
use super::client::{MAPS, Server};
use crate::{auth::UserInfo, registry::Context};
use bytes::Bytes;
use coracle_api::kind;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    fn issue(&self, name: &str, group: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        self.issue_until(name, group, usage, 4_000_000_000)
    }

    fn issue_until(
        &self,
        name: &str,
        group: &str,
        usage: ExtendedKeyUsagePurpose,
        seconds: i64,
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![usage];
        params.not_after = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (
            vec![der],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        Arc::new(roots)
    }

    fn server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.issue("server", "servers", ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    async fn dial(
        &self,
        server: &Server,
        who: Option<Identity>,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        let config = self.client(who, protocol);
        let stream = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .unwrap()
    }

    fn client(&self, who: Option<Identity>, protocol: &[u8]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match who {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

async fn over_http1(
    server: &Server,
    stream: TlsStream<TcpStream>,
    (method, path, body): (&str, &str, &str),
) -> (StatusCode, String) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    server
        .tasks
        .spawn("client", coracle_daemon::OnExit::Ignore, async move {
            let _ended = connection.await;
        });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn a_client_certificate_is_a_user() {
    let authority = Authority::new();
    let server = Server::with_tls(Some(authority.server())).await;
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    for (group, expected) in [
        (Some("system:masters"), StatusCode::OK),
        (Some("system:nodes"), StatusCode::FORBIDDEN),
        (None, StatusCode::UNAUTHORIZED),
    ] {
        let who = group.map(|group| authority.issue("system:node:a", group, client.clone()));
        let stream = authority.dial(&server, who, b"http/1.1").await;
        let (status, body) = over_http1(&server, stream, ("GET", MAPS, "")).await;
        assert_eq!(status, expected, "{group:?}: {body}");
    }
}

/// Over HTTPS a node reads its own and tells of itself; everything else is denied.
#[tokio::test]
async fn a_nodes_certificate_opens_little() {
    let authority = Authority::new();
    let server = Server::with_tls(Some(authority.server())).await;
    let context = Context::system("test");
    for name in ["a", "b"] {
        let node = json!({"metadata": {"name": name}});
        let made = server.registry.create(&context, kind::NODE, "", node);
        made.await.unwrap();
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": name, "containers": [{"name": "c", "image": "i:v1"}]}});
        let made = server.registry.create(&context, kind::POD, "default", pod);
        made.await.unwrap();
    }
    const EVENT: &str =
        r#"{"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}}"#;
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    for (method, path, body, expected) in [
        ("GET", "/api/v1/nodes/a", "", 200),
        ("GET", "/api/v1/nodes/b", "", 403),
        ("GET", "/api/v1/nodes", "", 403),
        ("GET", "/api/v1/namespaces/default/pods/a", "", 200),
        ("GET", "/api/v1/namespaces/default/pods/b", "", 403),
        ("GET", "/api/v1/namespaces/default/pods", "", 403),
        (
            "GET",
            "/api/v1/pods?fieldSelector=spec.nodeName%3Da",
            "",
            200,
        ),
        (
            "GET",
            "/api/v1/pods?fieldSelector=spec.nodeName%3Db",
            "",
            403,
        ),
        ("DELETE", "/api/v1/namespaces/default/pods/a", "", 403),
        ("GET", "/api/v1/namespaces/default/pods/a/log", "", 403),
        ("GET", "/api/v1/namespaces/default/secrets", "", 403),
        ("POST", "/api/v1/namespaces/default/events", EVENT, 201),
        ("POST", LEASES, r#"{"metadata": {"name": "b"}}"#, 403),
        ("POST", LEASES, r#"{"metadata": {"name": "a"}}"#, 201),
        ("GET", LEASES, "", 403),
        ("GET", "/v2/", "", 403),
        ("GET", "/metrics", "", 403),
    ] {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let who = authority.issue("system:node:a", "system:nodes", usage);
        let stream = authority.dial(&server, Some(who), b"http/1.1").await;
        let (status, said) = over_http1(&server, stream, (method, path, body)).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {said}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = Server::with_tls(Some(authority.server())).await;
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let who = authority.issue_until("admin", "system:masters", usage, 1_700_000_000);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(authority.client(Some(who), b"http/1.1"));
    // The client may only hear of it when it reads.
    let refused = match connector.connect(name, stream).await {
        Err(error) => error.to_string(),
        Ok(mut stream) => {
            let mut byte = [0];
            let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await;
            read.unwrap_err().to_string()
        }
    };
    assert!(refused.contains("Expired"), "{refused}");
}

#[test]
fn a_connection_does_not_outlive_its_certificate() {
    let peer = Peer {
        address: "127.0.0.1:1".parse().unwrap(),
        user: Some(UserInfo::new("a", [])),
        until: Some(jiff::Timestamp::from_second(100).unwrap()),
    };
    let at = |seconds| peer.user_at(jiff::Timestamp::from_second(seconds).unwrap());
    assert!(at(100).is_ok_and(|user| user.is_some()));
    assert!(at(101).is_err());
}

#[tokio::test]
async fn http2_serves_many_requests_on_one_connection() {
    let authority = Authority::new();
    let server = Server::with_tls(Some(authority.server())).await;
    let who = authority.issue(
        "admin",
        "system:masters",
        ExtendedKeyUsagePurpose::ClientAuth,
    );
    let stream = authority.dial(&server, Some(who), b"h2").await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    server
        .tasks
        .spawn("client", coracle_daemon::OnExit::Ignore, async move {
            let _ended = connection.await;
        });
    for _ in 0..3 {
        let uri = format!("https://localhost{MAPS}");
        let request = Request::builder()
            .uri(uri)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    // No client of HTTP/2 lets a body of HEAD pass; HTTP/1 leaves it out by itself.
    for (path, status) in [
        (MAPS, 405),
        ("/healthz", 200),
        ("/openapi/v2", 200),
        ("/v2/", 404),
        ("/nope", 404),
    ] {
        let request = Request::head(format!("https://localhost{path}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let told = response.headers().contains_key("content-length");
        assert!(told || path == "/openapi/v2", "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{path}");
    }
}
