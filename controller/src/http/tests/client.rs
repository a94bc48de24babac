//! A server on port 0 and a client that speaks HTTP/1 to it.

use super::super::{State, connect::Links, serve};
use crate::{
    auth::{Accounts, Authenticator, MASTERS, Tokens, accounts::tests::key as test_key, tokens},
    images::{self, Images},
    metrics::Metrics,
    policy,
    registry::Registry,
    store::Embedded,
};
use bytes::Bytes;
use coracle_daemon::{Clock, OnExit, Tasks};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rand::SeedableRng as _;
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) tasks: Tasks,
    pub(super) admin: String,
    pub(super) reader: String,
    pub(super) registry: Registry,
    pub(super) accounts: Accounts,
    pub(super) state: State,
    dir: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Answer {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with_tls(None).await
    }

    pub(super) async fn with_tls(tls: Option<std::sync::Arc<rustls::ServerConfig>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::serve(dir, tls, None).await
    }

    /// One that keeps images; its compiler is never called.
    pub(super) async fn with_images() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = images::Program {
            path: "/nonexistent".into(),
            args: Vec::new(),
        };
        let images = Images::open(&dir.path().join("images"), program, Vec::new()).unwrap();
        Self::serve(dir, None, Some(images)).await
    }

    async fn serve(
        dir: tempfile::TempDir,
        tls: Option<Arc<rustls::ServerConfig>>,
        images: Option<Images>,
    ) -> Self {
        let path = dir.path().join("tokens");
        let mut rng = rand::rngs::StdRng::seed_from_u64(5);
        let admin = tokens::issue(&path, "admin", &[MASTERS], &mut rng).unwrap();
        let reader = tokens::issue(&path, "reader", &["readers"], &mut rng).unwrap();
        let tasks = Tasks::new();
        let registry = registry(&tasks, dir.path()).await;
        let accounts = Accounts::new(
            test_key(),
            registry.cache().clone(),
            registry.clock().clone(),
        );
        let authenticator =
            Authenticator::new(Tokens::open(&path).unwrap()).with_accounts(accounts.clone());
        let metrics = Metrics::default();
        let state = State::new(
            registry.clone(),
            authenticator,
            Links::default(),
            images,
            metrics,
            tasks.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(
            "http",
            OnExit::Ignore,
            serve(tasks.clone(), state.clone(), listener, tls),
        );
        Self {
            address,
            tasks,
            admin,
            reader,
            registry,
            accounts,
            state,
            dir,
        }
    }

    /// As the administrator.
    pub(super) async fn ask(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    /// As the administrator, with headers.
    pub(super) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.admin);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.ask_as(method, path, body, &all).await
    }

    /// With these headers only.
    pub(super) async fn ask_as(
        &self,
        method: &str,
        path: &str,
        body: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let response = self.open(method, path, body, headers).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        body: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        self.tasks.spawn("client", OnExit::Ignore, async move {
            let _ended = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path);
        if headers.iter().all(|(name, _)| *name != "host") {
            request = request.header(header::HOST, "test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_ref())))
            .unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// Opens a watch as the administrator.
    pub(super) async fn watch(&self, path: &str, headers: &[(&str, &str)]) -> Lines {
        self.watch_as(&self.admin, path, headers).await
    }

    /// Forgets every API token.
    pub(super) fn forget_tokens(&self) {
        std::fs::write(self.dir.path().join("tokens"), "").unwrap();
    }

    /// Creates an object as the administrator.
    pub(super) async fn make(&self, path: &str, object: &Value) {
        let created = self.ask("POST", path, object.to_string()).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    }

    /// Opens a watch as who has a token.
    pub(super) async fn watch_as(
        &self,
        token: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Lines {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let response = self.open("GET", path, "", &all).await;
        assert_eq!(response.status(), StatusCode::OK);
        Lines {
            body: response.into_body(),
            read: Vec::new(),
        }
    }
}

/// The lines of a watch.
pub(super) struct Lines {
    body: Incoming,
    read: Vec<u8>,
}

impl Lines {
    /// The next event; none when the server ended the watch.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=at).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
            let frame = frame.await.expect("an event within ten seconds")?.unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next event as `TYPE name`.
    pub(super) async fn brief(&mut self) -> String {
        match self.next().await {
            None => "end".to_owned(),
            Some(event) => {
                let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
                format!("{} {name}", event["type"].as_str().unwrap())
            }
        }
    }
}

async fn registry(tasks: &Tasks, dir: &std::path::Path) -> Registry {
    let store = Arc::new(Embedded::open(dir).unwrap());
    let registry = Registry::open(store, Clock::system(), tasks).unwrap();
    registry.bootstrap().await.unwrap();
    policy::reconcile(&registry).await.unwrap();
    registry
}

/// A ConfigMap as JSON.
pub(super) fn config_map(name: &str, labels: Value) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"a": "b"},
    })
    .to_string()
}

pub(super) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
