//! What the rest of the agent may ask over the link, whether it is up or not.

use super::streams::{self, Error as StreamError};
use crate::network::{self, ServiceRef};
use coracle_link::{
    pb,
    pb::{stream_reply::Reply, stream_request::Request},
    route::Endpoint,
};
use coracle_runtime::BoxedStream;
use quinn::Connection;
use std::time::Duration;
use tokio::{io::AsyncRead, sync::watch};

/// For an image: the controller may have to pull and compile it first.
const RESOLVE_LIMIT: Duration = Duration::from_secs(600);
/// For a connection to a pod of another node.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A handle to the link, whether it is up or not.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    connection: watch::Receiver<Option<Connection>>,
}

impl Link {
    pub(super) fn new(connection: watch::Receiver<Option<Connection>>) -> Self {
        Self { connection }
    }

    fn connection(&self) -> Option<Connection> {
        self.connection.borrow().clone()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.borrow().is_some()
    }

    /// Waits until the link is up, at most `limit`. True when it is.
    pub(crate) async fn connected(&self, limit: Duration) -> bool {
        let mut connection = self.connection.clone();
        let up = connection.wait_for(Option::is_some);
        matches!(tokio::time::timeout(limit, up).await, Ok(Ok(_)))
    }

    /// What `image` means now, and which code that is for this machine. The controller may have to compile it first.
    pub(crate) async fn resolve(
        &self,
        request: pb::ResolveImage,
    ) -> Result<pb::Image, StreamError> {
        let connection = self.connection().ok_or(StreamError::NotConnected)?;
        let request = Request::ResolveImage(request);
        match streams::open(&connection, request, RESOLVE_LIMIT)
            .await?
            .reply
        {
            Reply::Image(image) => Ok(image),
            _ => Err(StreamError::Broken("it did not name an image".to_owned())),
        }
    }

    /// The bytes of compiled code from `offset` on.
    pub(crate) async fn fetch(
        &self,
        artifact: &[u8; 32],
        offset: u64,
    ) -> Result<impl AsyncRead + Unpin + Send + use<>, StreamError> {
        let connection = self.connection().ok_or(StreamError::NotConnected)?;
        let request = Request::FetchArtifact(pb::FetchArtifact {
            artifact_sha256: artifact.to_vec(),
            offset,
        });
        let opened = streams::open(&connection, request, streams::REPLY_LIMIT).await?;
        Ok(opened.into_reader())
    }

    /// A stream to a pod of another node, through the controller.
    pub(crate) async fn connect_service(
        &self,
        service: &ServiceRef,
        endpoint: &Endpoint,
    ) -> Result<BoxedStream, network::Error> {
        let connection = self.connection().ok_or(network::Error::NoRoute)?;
        let request = Request::ConnectService(pb::ConnectService {
            namespace: service.namespace.clone(),
            service: service.service.clone(),
            port: service.port.into(),
            pod_uid: endpoint.pod_uid.clone(),
            target_port: endpoint.target_port.into(),
        });
        match streams::open(&connection, request, CONNECT_LIMIT).await {
            Ok(opened) => Ok(opened.into_stream()),
            Err(error) => Err(network::Error::Link(error.to_string())),
        }
    }
}
