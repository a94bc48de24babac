//! etcd 3.4 as the peer: one member, as durable as it comes; a put is a unary call of gRPC on a kept connection.

use crate::load::Worker;
use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use coracle_daemon::{OnExit, Tasks};
use coracle_tests::wait;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::net::TcpStream;

const START_LIMIT: Duration = Duration::from_secs(20);
const PUT: &str = "/etcdserverpb.KV/Put";

/// `etcdserverpb.PutRequest`, as much of it as is used.
#[derive(Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// A running etcd. Killed when dropped.
#[derive(Debug)]
pub(super) struct Etcd {
    process: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Etcd {
    pub(super) fn start(program: &Path) -> anyhow::Result<Self> {
        let data = tempfile::tempdir_in(".")?;
        let (clients, peers) = (free()?, free()?);
        let (clients_url, peers_url) = (format!("http://{clients}"), format!("http://{peers}"));
        let process = Command::new(program)
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen-client-urls", &clients_url])
            .args(["--advertise-client-urls", &clients_url])
            .args(["--listen-peer-urls", &peers_url])
            .args(["--initial-advertise-peer-urls", &peers_url])
            .args(["--initial-cluster", &format!("default={peers_url}")])
            .args([
                "--log-level",
                "error",
                "--quota-backend-bytes",
                "8589934592",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let etcd = Self {
            process,
            address: clients,
            _data: data,
        };
        wait::until("answer of etcd", START_LIMIT, || {
            let answer = std::net::TcpStream::connect(&etcd.address);
            Ok(answer.map(drop).map_err(|error| error.to_string()))
        })?;
        Ok(etcd)
    }

    /// A connection that puts `value` under keys of its own.
    pub(super) async fn connect(
        &self,
        tasks: &Tasks,
        client: usize,
        value: Bytes,
    ) -> anyhow::Result<Putter> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tasks.spawn("connection", OnExit::Ignore, async move {
            // Its end shows in the next request.
            let _ended = connection.await;
        });
        Ok(Putter {
            sender,
            uri: format!("http://{}{PUT}", self.address),
            client,
            value,
        })
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// An address that nobody has; etcd cannot say which port it took.
fn free() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

/// One client of etcd.
pub(super) struct Putter {
    sender: SendRequest<Full<Bytes>>,
    uri: String,
    client: usize,
    value: Bytes,
}

impl Worker for Putter {
    async fn once(&mut self, n: usize) -> anyhow::Result<()> {
        let put = PutRequest {
            key: Bytes::from(format!(
                "/registry/configmaps/default/bench-{}-{n}",
                self.client
            )),
            value: self.value.clone(),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(&put)?))?;
        let response = self.sender.send_request(request).await?;
        let body = response.into_body().collect().await?;
        let status = body.trailers().and_then(|all| all.get("grpc-status"));
        ensure!(
            status.is_some_and(|status| status == "0"),
            "etcd answered {:?}",
            body.trailers()
        );
        Ok(())
    }
}

/// One message of gRPC: not compressed, its length, itself.
fn framed(message: &impl Message) -> anyhow::Result<Bytes> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(length + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length)?);
    message.encode(&mut frame)?;
    Ok(frame.freeze())
}
