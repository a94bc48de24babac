//! A small HTTPS client with a kept connection, and a watch: what a Go client library does, without kubectl's start.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use coracle_daemon::{OnExit, Tasks};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the API is and who we are there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: String,
    tls: Arc<ClientConfig>,
    tasks: Tasks,
}

impl Endpoint {
    /// What the administrator's kubeconfig says.
    pub(crate) fn read(kubeconfig: &Path, tasks: &Tasks) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)
            .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let file: Value = serde_yaml_ng::from_str(&text)?;
        let (cluster, user) = (&file["clusters"][0]["cluster"], &file["users"][0]["user"]);
        let decode = |value: &Value, name: &str| -> anyhow::Result<Vec<u8>> {
            let text = value[name].as_str();
            let text = text.with_context(|| format!("the kubeconfig has no {name}"))?;
            Ok(STANDARD.decode(text)?)
        };
        let mut roots = RootCertStore::empty();
        let ca = decode(cluster, "certificate-authority-data")?;
        for certificate in CertificateDer::pem_slice_iter(&ca) {
            roots.add(certificate?)?;
        }
        let chain = decode(user, "client-certificate-data")?;
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&decode(user, "client-key-data")?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let server = cluster["server"].as_str().context("no server")?;
        let address = server.strip_prefix("https://").context("not https")?;
        Ok(Self {
            address: address.to_owned(),
            tls: Arc::new(tls),
            tasks: tasks.clone(),
        })
    }

    /// A connection that is kept.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let host = self.address.rsplit_once(':').context("no port")?.0;
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn("connection", OnExit::Ignore, async move {
            // Its end shows in the next request.
            let _ended = connection.await;
        });
        Ok(Client {
            sender,
            host: self.address.clone(),
        })
    }
}

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        // The connection takes the next request when it has seen the end of the last answer.
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Status and body, whatever the status is.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// As `call`, which must succeed; an empty body is Null.
    pub(crate) async fn ok(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let (status, answer) = self.call(method.clone(), path, body).await?;
        ensure!(
            status.is_success(),
            "{method} {path} answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(
            &self.ok(Method::GET, path, None).await?,
        )?)
    }

    pub(crate) async fn create(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.ok(Method::POST, path, Some(body)).await?;
        Ok(())
    }

    pub(crate) async fn delete(&mut self, path: &str) -> anyhow::Result<()> {
        self.ok(Method::DELETE, path, None).await?;
        Ok(())
    }

    /// Turns the connection into a watch from now on.
    pub(crate) async fn watch(mut self, path: &str) -> anyhow::Result<Watch> {
        let list = self.get(path).await?;
        let revision = list["metadata"]["resourceVersion"].as_str();
        let revision = revision.context("the list has no resourceVersion")?;
        let path = format!("{path}?watch=true&resourceVersion={revision}");
        let response = self.send(Method::GET, &path, None).await?;
        ensure!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        Ok(Watch {
            body: response.into_body(),
            buffer: Vec::new(),
            _sender: self.sender,
        })
    }
}

/// Changes as they come.
pub(crate) struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
    /// The connection ends with its last sender.
    _sender: SendRequest<Full<Bytes>>,
}

impl Watch {
    /// Type and object of the next change.
    async fn next(&mut self) -> anyhow::Result<(String, Value)> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line)?;
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                return Ok((kind, event["object"].take()));
            }
            let frame = self.body.frame().await.context("the watch has ended")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// Reads until `find` finds something, at most `limit`.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        limit: std::time::Duration,
        mut find: impl FnMut(&str, &Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut last = Value::Null;
        let search = async {
            loop {
                let (kind, object) = self.next().await?;
                if let Some(found) = find(&kind, &object) {
                    return anyhow::Ok(found);
                }
                last = object;
            }
        };
        match tokio::time::timeout(limit, search).await {
            Ok(found) => found,
            Err(_over) => anyhow::bail!(
                "no {what} within {limit:?}; last seen: {} {}",
                last["metadata"]["name"],
                last["status"]
            ),
        }
    }
}
