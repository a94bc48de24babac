//! Specs and statuses as bytes for the checkpoint: the messages of the link, so that they grow as the wire does.

use coracle_link::{pod::Pod, status::PodStatus};
pub(crate) fn encode_pod(_pod: &Pod) -> Vec<u8> {
    Vec::new()
}
pub(crate) fn decode_pod(_bytes: &[u8]) -> Option<Pod> {
    None
}
pub(crate) fn encode_status(_status: &PodStatus) -> Vec<u8> {
    Vec::new()
}
pub(crate) fn decode_status(_bytes: &[u8]) -> Option<PodStatus> {
    None
}
