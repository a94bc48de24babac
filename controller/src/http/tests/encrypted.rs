//! TLS: the user is the certificate's, over HTTP/1.1 and HTTP/2.

use super::client::{MAPS, Server};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
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
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![usage];
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
        let stream = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

async fn over_http1(server: &Server, stream: TlsStream<TcpStream>) -> (StatusCode, String) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    server
        .tasks
        .spawn("client", coracle_daemon::OnExit::Ignore, async move {
            let _ended = connection.await;
        });
    let request = Request::builder()
        .uri(MAPS)
        .header("host", "x")
        .body(Empty::<Bytes>::new())
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
        let (status, body) = over_http1(&server, stream).await;
        assert_eq!(status, expected, "{group:?}: {body}");
    }
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
}
