//! scratch links
use super::super::error;
use bytes::Bytes;
use coracle_api::status::StatusError;
use coracle_link::node::NodeUsage;
use futures_util::stream;
use std::{collections::HashMap, io};
use tokio::io::DuplexStream;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    pub namespace: String, pub pod: String, pub pod_uid: String, pub container: String,
    pub follow: bool, pub previous: bool, pub timestamps: bool,
    pub tail_lines: Option<u64>, pub limit_bytes: Option<u64>, pub since_ms: Option<i64>,
}
#[derive(Debug, Clone, Default)]
pub struct Links;
impl Links {
    pub(crate) async fn logs(&self, node: &str, _r: &LogRequest) -> Result<stream::Empty<io::Result<Bytes>>, StatusError> { let _ = node; Ok(stream::empty()) }
    pub(crate) async fn connect(&self, node: &str, _uid: &str, _port: u16) -> Result<DuplexStream, StatusError> { Err(error::unavailable(format!("node {node} is not connected"))) }
    pub(crate) fn node_stats(&self) -> HashMap<String, NodeUsage> { HashMap::new() }
    pub(crate) fn connected(&self, _node: &str) -> bool { false }
}
