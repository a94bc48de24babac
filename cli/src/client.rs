//! A small HTTPS client for the controller's endpoint, for `push` and the demo.
//!
//! One request a connection: the command line makes a handful. Every answer is capped.

use crate::kubeconfig::Kubeconfig;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// For a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A client of one controller.
#[derive(Clone)]
pub(crate) struct Client {
    host: String,
    port: u16,
    token: Option<String>,
    tls: TlsConnector,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub(crate) fn new(config: &Kubeconfig) -> anyhow::Result<Self> {
        let uri: http::Uri = config
            .server
            .parse()
            .context("the kubeconfig's server is not a URL")?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&config.ca) {
            roots.add(certificate?)?;
        }
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let tls = match &config.client {
            Some((certificate, key)) => {
                let chain =
                    CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            host: uri
                .host()
                .context("the kubeconfig's server has no host")?
                .to_owned(),
            port: uri.port_u16().unwrap_or(443),
            token: config.token.clone(),
            tls: TlsConnector::from(Arc::new(tls)),
        })
    }

    /// Sends one request and reads the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let whole = self.exchange(method, path, media_type, body.into());
        tokio::time::timeout(REQUEST_TIMEOUT, whole)
            .await
            .with_context(|| {
                format!(
                    "{}:{} did not answer in {} s",
                    self.host,
                    self.port,
                    REQUEST_TIMEOUT.as_secs()
                )
            })?
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the connection's driver ends with the request"
    )]
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let cannot = || format!("cannot reach the controller at {}:{}", self.host, self.port);
        let bare = self.host.trim_matches(['[', ']']);
        let tcp = TcpStream::connect((bare, self.port))
            .await
            .with_context(cannot)?;
        let name = ServerName::try_from(bare.to_owned()).with_context(cannot)?;
        let tls = self.tls.connect(name, tcp).await.with_context(cannot)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
            .await
            .with_context(cannot)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, media_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = sender
            .send_request(request.body(Full::new(body))?)
            .await
            .with_context(cannot)?;
        let (parts, body) = answer.into_parts();
        let body = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => bail!("the controller's answer broke off: {error}"),
        };
        driver.abort();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Answer {
    /// The answer if it is a success, else what the controller says in one sentence.
    pub(crate) fn success(self, what: &str) -> anyhow::Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let message = said.as_ref().and_then(|said| {
            said.get("message")
                .or_else(|| said.pointer("/errors/0/message"))
                .and_then(|message| message.as_str())
        });
        match message {
            Some(message) => bail!("{what}: {message}"),
            None => bail!("{what}: the controller answered {}", self.status),
        }
    }
}
