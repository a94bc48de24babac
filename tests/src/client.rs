//! A small HTTPS client with a kept connection, and a watch: what a client library does, without kubectl's start.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use coracle_daemon::{OnExit, Tasks};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

/// Where the API is and who we are there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: String,
    tls: Arc<ClientConfig>,
    tasks: Tasks,
}

impl Endpoint {
    /// What the administrator's kubeconfig says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(kubeconfig: &Path, tasks: &Tasks) -> anyhow::Result<Self> {
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

    /// Address and port of the API.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection that is kept.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn connect(&self) -> anyhow::Result<Client> {
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
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status code.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; Null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    /// Headers that are not given say JSON.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if !headers.iter().any(|(given, _)| name == *given) {
                request = request.header(name, "application/json");
            }
        }
        // The connection takes the next request when it has seen the end of the last answer.
        self.sender.ready().await?;
        Ok(self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?)
    }

    /// One request as it is, and what came back.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let response = self.send(method, path, headers, body.into()).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Status and body, whatever the status is.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = self.exchange(method, path, &[], body).await?;
        Ok((answer.status, answer.body))
    }

    /// As `call`, which must succeed.
    ///
    /// # Errors
    /// When it does not; with what was answered.
    pub async fn ok(
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

    /// An object or a list.
    ///
    /// # Errors
    /// As [`Client::ok`].
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(
            &self.ok(Method::GET, path, None).await?,
        )?)
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Client::ok`].
    pub async fn create(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.ok(Method::POST, path, Some(body)).await?;
        Ok(())
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::ok`].
    pub async fn delete(&mut self, path: &str) -> anyhow::Result<()> {
        self.ok(Method::DELETE, path, None).await?;
        Ok(())
    }

    /// A GET whose body is thrown away.
    ///
    /// # Errors
    /// When the connection fails, or it is refused.
    pub async fn timed(&mut self, path: &str) -> anyhow::Result<Timed> {
        let started = Instant::now();
        let response = self.send(Method::GET, path, &[], Bytes::new()).await?;
        ensure!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        let (mut body, mut first, mut bytes) = (response.into_body(), None, 0);
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                first.get_or_insert_with(|| started.elapsed());
                bytes += data.len() as u64;
            }
        }
        let total = started.elapsed();
        Ok(Timed {
            first: first.unwrap_or(total),
            total,
            bytes,
        })
    }

    /// Turns the connection into a watch from now on.
    ///
    /// # Errors
    /// When the list or the watch is refused.
    pub async fn watch(mut self, path: &str) -> anyhow::Result<Watch> {
        let list = self.get(path).await?;
        let revision = list["metadata"]["resourceVersion"].as_str();
        let revision = revision.context("the list has no resourceVersion")?;
        let path = format!("{path}?watch=true&resourceVersion={revision}");
        self.follow(&path, &[]).await
    }

    /// Turns the connection into the watch that this path asks for.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn follow(self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Watch> {
        let (status, watch) = self.open_watch(path, headers).await?;
        ensure!(status.is_success(), "{path}: {status}");
        Ok(watch)
    }

    /// As [`Client::follow`], whatever the status is.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn open_watch(
        mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, Watch)> {
        let response = self.send(Method::GET, path, headers, Bytes::new()).await?;
        let status = response.status();
        let watch = Watch {
            body: response.into_body(),
            buffer: Vec::new(),
            _sender: self.sender,
        };
        Ok((status, watch))
    }
}

/// How long a GET took.
#[derive(Debug)]
pub struct Timed {
    /// To the first byte of the body.
    pub first: Duration,
    /// To its end.
    pub total: Duration,
    /// Of the body.
    pub bytes: u64,
}

/// Changes as they come.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
    /// The connection ends with its last sender.
    _sender: SendRequest<Full<Bytes>>,
}

impl Watch {
    /// Type and object of the next change; none when the server has ended the watch.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no event.
    pub async fn next(&mut self) -> anyhow::Result<Option<(String, Value)>> {
        let Some(line) = self.line().await? else {
            return Ok(None);
        };
        let mut event: Value = serde_json::from_slice(&line)?;
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        Ok(Some((kind, event["object"].take())))
    }

    /// The next change as it was sent; none when the server has ended the watch.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.buffer.drain(..=end).collect()));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// Reads until `find` finds something, at most `limit`.
    ///
    /// # Errors
    /// When the time is over, or the watch.
    pub async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut find: impl FnMut(&str, &Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut last = Value::Null;
        let search = async {
            loop {
                let (kind, object) = self.next().await?.context("the watch has ended")?;
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
