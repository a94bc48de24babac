//! Writes what a node reports of its pods, in the order it reports it.
//!
//! One task a session; a batch is written at once, so that the store commits it in few steps, and is
//! acknowledged when it is on disk. What cannot be written now is asked for again.

use super::{
    Shared,
    status_sink::{self, Reporter, Verdict},
};
use crate::registry::{Context, Subresource};
use coracle_api::{Key, StatusError, kind};
use coracle_link::{pb, status::PodStatus};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that wait to be written; then the session reads no more.
pub(super) const BATCHES_MAX: usize = 4;
/// Statuses of one batch under way at once.
const WRITES_MAX: usize = 64;

/// A status, and the generation it was computed from where that is certain.
pub(super) type Report = (PodStatus, Option<i64>);

/// Statuses that an agent sent together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) version: u64,
    pub(super) reports: Vec<Report>,
    /// The node's address now.
    pub(super) address: String,
}

/// Writes batches until the session ends.
pub(super) async fn write(
    shared: Arc<Shared>,
    node: String,
    mut batches: mpsc::Receiver<Batch>,
    out: mpsc::Sender<pb::ToAgent>,
) {
    while let Some(batch) = batches.recv().await {
        let version = batch.version;
        let resend = take(&shared, &node, batch).await;
        let ack = pb::to_agent::Message::StatusAck(pb::StatusAck { version, resend });
        if out.send(pb::ToAgent { message: Some(ack) }).await.is_err() {
            return;
        }
    }
}

/// Writes one batch; the uids of what has to be sent again.
async fn take(shared: &Shared, node: &str, batch: Batch) -> Vec<String> {
    let address = batch.address.as_str();
    let written = stream::iter(batch.reports).map(|(status, generation)| async move {
        let reporter = Reporter {
            node,
            address,
            generation,
            now: shared.registry.clock().now(),
        };
        match one(shared, &status, &reporter).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(node, namespace = %status.namespace, name = %status.name, error = %error.message, "cannot write a pod's status; asking for it again");
                Some(status.uid)
            }
        }
    });
    let written = written.buffer_unordered(WRITES_MAX);
    written.filter_map(std::future::ready).collect().await
}

async fn one(
    shared: &Shared,
    status: &PodStatus,
    reporter: &Reporter<'_>,
) -> Result<(), StatusError> {
    let key = Key::new(&status.namespace, &status.name);
    let mut refused = None;
    let mut deleting = false;
    let context = Context::system("link");
    let written = shared
        .registry
        .modify(&context, kind::POD, &key, Subresource::Status, |pod| {
            match status_sink::judge(Some(pod), status, reporter) {
                Verdict::Unchanged => {}
                Verdict::Write(new) => pod["status"] = new,
                Verdict::Refused(why) => {
                    refused = Some(why);
                    return Err(StatusError::bad_request(why));
                }
            }
            deleting = is_deleting(pod);
            Ok(())
        })
        .await;
    match written {
        Ok(_) => {}
        // A pod that is gone needs no status; the next pod set says so.
        Err(error) if error.code == 404 => return Ok(()),
        Err(_) if refused.is_some() => {
            let why = refused.unwrap_or_default();
            tracing::warn!(node = reporter.node, namespace = %status.namespace, name = %status.name, uid = %status.uid, "refusing a pod's status: {why}");
            return Ok(());
        }
        // What is wrong now is wrong again.
        Err(error) if error.code == 422 => {
            tracing::warn!(node = reporter.node, namespace = %status.namespace, name = %status.name, error = %error.message, "refusing a pod's status");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    if status.released && deleting {
        match shared.registry.finish_delete(&key, &status.uid).await {
            Ok(()) => {}
            Err(error) if error.code == 404 || error.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_deleting(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}
