//! The one place where the HTTP layer meets the link server.
//!
//! Turns what it says into a `Status`; knows no request and no kind.

use super::super::error;
use crate::{
    link_server::{self, links::Duplex},
    metrics::Text,
};
use bytes::Bytes;
use coracle_api::status::StatusError;
use coracle_link::{node::NodeUsage, pb};
use futures_util::Stream;
use std::{collections::HashMap, io};

/// Which part of which container's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogRequest {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) follow: bool,
    pub(crate) previous: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) since_ms: Option<i64>,
}

/// The open links. A clone is another handle to them; the default has none.
#[derive(Debug, Clone, Default)]
pub struct Links(link_server::Links);

impl From<link_server::Links> for Links {
    fn from(links: link_server::Links) -> Self {
        Self(links)
    }
}

impl Links {
    /// The bytes of a container's log.
    pub(crate) async fn logs(
        &self,
        node: &str,
        request: &LogRequest,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, StatusError> {
        let request = pb::ReadLog {
            pod_uid: request.pod_uid.clone(),
            container: request.container.clone(),
            follow: request.follow,
            previous: request.previous,
            timestamps: request.timestamps,
            tail_lines: request.tail_lines,
            limit_bytes: request.limit_bytes,
            since_ms: request.since_ms,
        };
        let opened = self.0.logs(node, request).await;
        opened.map_err(|error| match error {
            link_server::links::Error::Refused(message) => error::bad_request(message),
            other => StatusError::internal(other.to_string()),
        })
    }

    /// A connection to a port of a pod.
    pub(crate) async fn connect(
        &self,
        node: &str,
        pod_uid: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, StatusError> {
        let connected = self.0.connect(node, pod_uid, port).await;
        connected
            .map_err(|cause| error::unavailable(format!("error trying to reach service: {cause}")))
    }

    /// The newest figures of each connected node.
    pub(crate) fn node_stats(&self) -> HashMap<String, NodeUsage> {
        self.0.node_stats()
    }

    /// Whether a node's link is open.
    pub(crate) fn connected(&self, node: &str) -> bool {
        self.0.connected(node)
    }

    /// Writes what is known of the links.
    pub(crate) fn write_metrics(&self, text: &mut Text) {
        self.0.write_metrics(text);
    }
}
