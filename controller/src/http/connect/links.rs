//! The one place where the HTTP layer meets the link server.
//!
//! Turns what it says into a `Status`; knows no request and no kind.

use super::super::error;
use bytes::Bytes;
use coracle_api::status::StatusError;
use coracle_link::node::NodeUsage;
use futures_util::stream;
use std::{collections::HashMap, io};
use tokio::io::DuplexStream;

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

/// The open links. There are none before the link server hands them over.
#[derive(Debug, Clone, Default)]
pub struct Links(());

impl Links {
    /// The bytes of a container's log.
    pub(crate) async fn logs(
        &self,
        node: &str,
        _request: &LogRequest,
    ) -> Result<stream::Empty<io::Result<Bytes>>, StatusError> {
        Err(not_connected(node))
    }

    /// A connection to a port of a pod.
    pub(crate) async fn connect(
        &self,
        node: &str,
        _pod_uid: &str,
        _port: u16,
    ) -> Result<DuplexStream, StatusError> {
        Err(not_connected(node))
    }

    /// The newest figures of each connected node.
    pub(crate) fn node_stats(&self) -> HashMap<String, NodeUsage> {
        HashMap::new()
    }

    /// Whether a node's link is open.
    pub(crate) fn connected(&self, _node: &str) -> bool {
        false
    }
}

fn not_connected(node: &str) -> StatusError {
    error::unavailable(format!(
        "error trying to reach service: node {node:?} is not connected"
    ))
}
