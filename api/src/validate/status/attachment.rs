//! How the attaching of a volume went.
//!
//! Source: k8s.io/kubernetes `pkg/apis/storage/validation`, `validateVolumeAttachmentStatus`.

use crate::{status::Cause, validate::text};
use serde_json::Value;

const METADATA_BYTES_MAX: usize = 256 * 1024;
const MESSAGE_BYTES_MAX: usize = 1024;

pub(super) fn check(status: &Value, causes: &mut Vec<Cause>) {
    let metadata = status["attachmentMetadata"].as_object();
    let size: usize = metadata
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len())
        .sum();
    if size > METADATA_BYTES_MAX {
        let path = "status.attachmentMetadata";
        causes.push(Cause::too_long(path, METADATA_BYTES_MAX));
    }
    for field in ["attachError", "detachError"] {
        let (error, path) = (&status[field], format!("status.{field}"));
        if text(error, "message").len() > MESSAGE_BYTES_MAX {
            // Upstream says the other maximum.
            causes.push(Cause::too_long(
                format!("{path}.message"),
                METADATA_BYTES_MAX,
            ));
        }
        if error["errorCode"].as_i64().is_some_and(|code| code < 0) {
            let detail = "must be between 0 and 2147483647, inclusive";
            let path = format!("{path}.errorCode");
            causes.push(Cause::invalid(path, &error["errorCode"], detail));
        }
    }
}
